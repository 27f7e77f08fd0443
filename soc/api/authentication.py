"""Who calls the API: a program with a key, or a person's browser with a session and a CSRF token."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from identity import keys
from identity.actors import Actor, of_key
from identity.models import ServiceAccount, User
from identity.requests import actor_of, bind, client_ip, request_id
from lib import clock


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer qk_…`. The request's `auth` is the key's `Actor`."""

    def authenticate(self, request: Request) -> tuple[ServiceAccount, Actor] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        if len(words) != 2:
            raise AuthenticationFailed("The Authorization header must be: Bearer, one space, the key.")
        actor = actor_of_key(request, words[1].decode("latin-1"))
        if actor is None:
            raise AuthenticationFailed("This key is unknown, revoked or expired.")
        return actor[0], actor[1]

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        del request
        return 'Bearer realm="quell"'


class BrowserAuthentication(SessionAuthentication):
    """A signed-in person's session. Anything but reading needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        return found[0], actor_of(request._request)  # noqa: SLF001 - the session belongs to Django's request


def actor_of_key(request: HttpRequest, secret: str) -> tuple[ServiceAccount, Actor] | None:
    """The program behind a key and its actor, bound to the request; None when the key may not be used.

    For doors that take a key in another tool's header.
    """
    key = keys.find(secret, at=clock.now())
    if key is None:
        return None
    actor = of_key(key, ip=client_ip(request), request_id=request_id(request))
    bind(request, actor)
    return key.account, actor
