"""Errors as problem details, https://www.rfc-editor.org/rfc/rfc9457.

`type` is `urn:quell:problem:` and a code that stays; `errors` names each wrong value by JSON pointer.
Nothing that a program asks for is ever answered with a page.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework import exceptions

from identity.requests import request_id
from lib.errors import AppError, Invalid

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
CODES = {
    400: "bad-request",
    401: "not-signed-in",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    409: "conflict",
    411: "length-required",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    429: "too-many-requests",
    500: "failed",
    503: "busy",
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem, ready to be told. `errors` holds `{"pointer", "detail"}` of each wrong value."""

    status: int
    detail: str
    code: str = ""
    errors: tuple[dict[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


def response(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The problem as an HTTP answer."""
    code = problem.code or CODES.get(problem.status, "bad-request")
    body: dict[str, Any] = {
        "type": f"urn:quell:problem:{code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id(request),
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    # ASCII escapes keep half characters, which a message may quote, from breaking the encoding.
    answer = HttpResponse(json.dumps(body).encode("ascii"), status=problem.status, content_type=MEDIA_TYPE)
    for name, value in problem.headers.items():
        answer[name] = value
    return answer


def handle(exception: Exception, context: dict[str, Any]) -> HttpResponse:
    """REST framework's exception handler: every exception becomes an answer, unexpected ones a logged 500."""
    request: HttpRequest = context["request"]
    known = _known(exception)
    if known is not None:
        return response(request, known)
    log.error("request.failed", exc_info=sys.exc_info(), extra={"path": request.path})
    # Django's own signal for uncaught exceptions; its test client raises them again on it.
    got_request_exception.send(sender=None, request=request)
    return response(
        request, Problem(status=500, detail="Something failed here. The log has it under this request_id.")
    )


def _known(exception: Exception) -> Problem | None:
    if isinstance(exception, AppError):
        return _of_ours(exception)
    if isinstance(exception, exceptions.APIException):
        return _of_rest(exception)
    return _of_django(exception)


def _of_ours(exception: AppError) -> Problem:
    errors: tuple[dict[str, str], ...] = ()
    if isinstance(exception, Invalid) and exception.pointer:
        errors = ({"pointer": exception.pointer, "detail": exception.detail},)
    headers = {"WWW-Authenticate": "Bearer"} if exception.status == 401 else {}
    if exception.retry_after is not None:
        headers["Retry-After"] = str(exception.retry_after)
    return Problem(
        status=exception.status, detail=exception.detail, code=exception.code, errors=errors, headers=headers
    )


def _of_rest(exception: exceptions.APIException) -> Problem:
    if isinstance(exception, exceptions.ValidationError):
        errors = tuple({"pointer": at, "detail": says} for at, says in _flat(exception.detail))
        return Problem(status=422, detail="One or more values are missing or wrong.", errors=errors)
    headers: dict[str, str] = {}
    if challenge := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if (wait := getattr(exception, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    return Problem(status=exception.status_code, detail=_words(exception.detail), headers=headers)


def _of_django(exception: Exception) -> Problem | None:
    if isinstance(exception, Http404):
        return Problem(status=404, detail="There is no such thing, or it is not yours to see.")
    if isinstance(exception, PermissionDenied):
        return Problem(status=403, detail="Your role does not allow this.")
    if isinstance(exception, RequestDataTooBig):
        return Problem(status=413, detail=too_large(exception))
    if isinstance(exception, SuspiciousOperation | UnreadablePostError):
        return Problem(status=400, detail="The request could not be read.")
    if isinstance(exception, OperationalError):
        log.error("database.busy", exc_info=exception)
        return Problem(
            status=503, detail="The database did not answer in time.", headers={"Retry-After": "1"}
        )
    return None


def too_large(exception: RequestDataTooBig) -> str:
    """What a sender is told of a body that is too long; of a file how long it may be."""
    return str(getattr(exception, "says", "The body is larger than this server accepts."))


def _flat(detail: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """The messages of a nested REST error, each with the JSON pointer of its value."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else "/" + str(name).replace("~", "~0").replace("/", "~1")
            yield from _flat(inner, pointer + step)
    elif isinstance(detail, list) and any(isinstance(inner, dict) for inner in detail):
        for position, inner in enumerate(detail):
            if inner:
                yield from _flat(inner, f"{pointer}/{position}")
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, pointer)
    else:
        yield pointer, str(detail)


def _words(detail: Any) -> str:
    return "; ".join(says for _, says in _flat(detail))
