"""What every request passes through."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.cache import patch_cache_control, patch_vary_headers

from identity import entering
from identity.models import User
from identity.requests import ACTOR, REQUEST_ID, NotFresh, NotSignedIn, to_sign_in
from lib import clock, ids
from lib.errors import AppError
from soc import errors, throttling
from soc.logs import current_request

Next = Callable[[HttpRequest], HttpResponseBase]

WITHOUT_FACTOR = {
    "account-security",
    "account-app",
    "account-key",
    "account-codes",
    "account-sessions-end",
    "account-password",
    "healthz",
    "readyz",
    "prometheus",
    "signin",
    "signin-factor",
    "signin-sso",
    "signin-sso-callback",
    "signout",
    "theme",
}
"""What somebody may reach who has yet to set up the second factor that they must have."""

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,40}")


class RequestId:
    """Gives each request an id, or keeps the one that a proxy gave it, in the answer and in every log line.

    It also refuses a body of unannounced length: the WSGI server would pass it on, Django would read
    none of it, and an alert would be lost with a friendly answer. A NUL in an address names nothing, and
    PostgreSQL takes none in a question.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if WELL_FORMED.fullmatch(given) else ids.ulid()
        request.META[REQUEST_ID] = request_id
        token = current_request.set(request_id)
        try:
            response = self._answer(request)
        finally:
            current_request.reset(token)
        response["X-Request-Id"] = request_id
        throttling.tell(request, response)
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            return errors.answer(request, status=411, detail="Send the body with a Content-Length header.")
        if "\0" in request.path:
            return errors.answer(request, status=404, detail="There is no such address.")
        return self.get_response(request)


class Admitted:
    """Where people are signed in, and that they set up a second factor first where they must.

    The last is asked for every address but those that lead to it, whatever header came with the request.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
            entering.note(request, request.user, at=clock.now())
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponseBase | None:
        """Django's hook before a view: the way to the page where a factor is set up, or nothing."""
        del view, args, kwargs
        name = request.resolver_match.url_name if request.resolver_match else ""
        if settings.QUELL_SECOND_FACTOR == "optional" or name in WITHOUT_FACTOR:
            return None
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not isinstance(request.user, User):
            return None
        if not entering.lacks_factor(request, request.user):
            return None
        if request.path.startswith(errors.FOR_PROGRAMS) or request.method not in ("GET", "HEAD"):
            return errors.answer(request, status=403, detail="Set up a second factor first.")
        return HttpResponseRedirect(reverse("account-security"))


class Browser:
    """What answers to someone known need: nothing kept in caches, and on pages errors in words.

    A use-case that refuses (`lib.errors.AppError`) becomes a page with that status; where a sign-in
    would help, it becomes the way to the sign-in page.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        # REST framework puts what it authenticated, a program or None, in the place of the user.
        if ACTOR in request.META or isinstance(request.user, User):
            patch_vary_headers(response, ["Authorization", "Cookie", "HX-Request"])
            if "Cache-Control" not in response:
                patch_cache_control(response, no_store=True, private=True)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Django's hook for what a view raised; REST views have answered theirs before this."""
        if isinstance(exception, NotSignedIn | NotFresh):
            return to_sign_in(request, again=isinstance(exception, NotFresh))
        if isinstance(exception, AppError):
            answer = errors.answer(request, status=exception.status, detail=exception.detail)
            if exception.retry_after is not None:
                answer["Retry-After"] = str(exception.retry_after)
            return answer
        return None
