"""`Idempotency-Key`: whoever got no answer sends the request again, and it is carried out once.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. The first request stores
its answer in the transaction of its work (`cases.once`); one that is refused, or fails, leaves nothing,
and the key is free again. A repeat is told the stored body, as far as whoever asks may still see it.
The only header of an answer that matters is its type, which is JSON's everywhere here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from cases import once
from cases.models import IdempotentAnswer
from identity.actors import Actor
from identity.requests import actor_of
from lib import clock
from lib.errors import AppError
from soc import throttling
from soc.api import bodies

HEADER = "HTTP_IDEMPOTENCY_KEY"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255

PLAIN = re.compile(r"[\x21\x23-\x7e][\x21-\x7e]*")
QUOTED = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
"""The string of RFC 9651, which the draft asks for; clients send the bare key as well."""

CLAIMED = "quell.idempotent"
"""Where a request keeps the row of its key."""

PARAMETERS = [
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
        OpenApiParameter.HEADER,
        description=(
            "Any text of 1 to 255 visible ASCII characters, new for each request, bare or in quotes. The"
            " same request with the same key within 7 days is carried out once and answered as the first"
            " time; another request with that key is a 422 `urn:quell:problem:idempotency-key-reused`,"
            " one that comes while the first is being carried out a 409 `urn:quell:problem:in-progress`"
            " with `Retry-After`, and a key that is none a 400 `urn:quell:problem:idempotency-key-malformed`."
        ),
    ),
    OpenApiParameter(
        REPLAYED,
        {"type": "string", "enum": ["true"]},
        OpenApiParameter.HEADER,
        response=[200, 201],
        description="`true` where this is the answer to an earlier request with the same `Idempotency-Key`.",
    ),
]
"""What an endpoint that takes the header says of it."""


class Malformed(AppError):
    """An Idempotency-Key is 1 to 255 visible ASCII characters, bare or in quotes."""

    status = 400
    code = "idempotency-key-malformed"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A body as it was kept: whole, or only the names that lead to what it was about."""

    body: dict[str, Any]
    is_whole: bool


Again = Callable[[Actor, Kept], dict[str, Any]]
"""What of a kept body may be told to whoever asks now; raises what says that nothing may."""

V = TypeVar("V")
P = ParamSpec("P")
View = Callable[Concatenate[V, Request, P], HttpResponseBase]


def idempotent(
    *, names: Sequence[str] = (), again: Again | None = None
) -> Callable[[View[V, P]], View[V, P]]:
    """Let a method of a view be carried out once for each `Idempotency-Key`.

    All of its work becomes one transaction, so it must not wait in it. `names` are the fields kept of a
    body that is too long; without any, such a request is carried out again, which must change nothing.
    """

    def wrapped(view: View[V, P]) -> View[V, P]:
        @wraps(view)
        def guarded(self: V, request: Request, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            key = _key(request)
            if key is None:
                return view(self, request, *args, **kwargs)
            with transaction.atomic():
                row = _claimed(request, key)
                if row.answer is not None:
                    return _replayed(request, row, again)
                answer = view(self, request, *args, **kwargs)
                if isinstance(answer, Response) and not row.status:
                    _keep(row, answer, names)
            request.META[CLAIMED] = row
            return answer

        return guarded

    return wrapped


def keep_instead(request: Request, answer: Response, *, names: Sequence[str]) -> None:
    """Keep this answer in the place of the one from inside the transaction, where there was a key."""
    row = request.META.get(CLAIMED)
    if isinstance(row, IdempotentAnswer):
        _keep(row, answer, names)


def _key(request: Request) -> str | None:
    """The key of a request, the same bare and in quotes; None where there is none."""
    given = request.META.get(HEADER)
    if given is None:
        return None
    quoted = QUOTED.fullmatch(given.strip())
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else given.strip()
    if len(key) > LONGEST_KEY or not (quoted or PLAIN.fullmatch(key)):
        raise Malformed
    return key


def _claimed(request: Request, key: str) -> IdempotentAnswer:
    what = f"{request.path}\0".encode() + bodies.raw(request)
    assert request.resolver_match is not None, "a view is called by its address"
    return once.claim(
        principal=actor_of(request).principal,
        route=str(request.resolver_match.url_name),
        key=key,
        digest=hashlib.sha256(what).hexdigest(),
        at=clock.now(),
    )


def _keep(row: IdempotentAnswer, answer: Response, names: Sequence[str]) -> None:
    body = JSONRenderer().render(answer.data).decode("utf-8")
    once.keep(
        row,
        status=answer.status_code,
        answer=body,
        names={name: str(answer.data[name]) for name in names},
    )


def _replayed(request: Request, row: IdempotentAnswer, again: Again | None) -> HttpResponse:
    throttling.admit_actor(request)
    body: Any = row.answer
    if again is not None:
        is_whole = isinstance(body, str)
        kept = Kept(body=json.loads(body) if is_whole else body, is_whole=is_whole)
        body = JSONRenderer().render(again(actor_of(request), kept))
    return HttpResponse(body, status=row.status, content_type="application/json", headers={REPLAYED: "true"})
