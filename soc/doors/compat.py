"""What the doors of other tools have in common: a key in the tool's own header, and its own words for errors.

Each door answers as its tool would, so that a program which posts there can post here with only the address
and the key changed. What cannot be read is refused in that tool's words and kept in quarantine.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from cases import decoding, ingest, storing
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.sources.types import AlertDraft
from cases.storing import Outcome, Stored
from identity import keys
from identity.actors import Actor, of_key
from identity.models import ApiKey
from identity.permissions import Permission
from identity.requests import actor_of, bind, client_ip, request_id
from lib import clock
from soc import throttling
from soc.api import problems
from soc.api.problems import Problem

KEY = "quell.key"
"""Where a request keeps the row of its key."""

AT_ONCE = 500
"""So many alerts of one body are stored in one transaction."""

MOST_HELD = 50
"""Of more parts that cannot be read the whole body is kept instead."""

Parts = Iterable[tuple[str, JSON, Callable[[], Iterable[AlertDraft]]]]
"""Pointer and value of each part of a document, and what reads its drafts."""

Read = Callable[[JSON], Parts]


class ToolKey(BaseAuthentication):
    """`Authorization: Bearer qk_…`, the key as the password of Basic, or the tool's own header.

    A subclass names that header in `header` (as in `request.META`).
    """

    header = ""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        secret = self.secret_of(request)
        if secret is None:
            return None
        key = keys.find(secret, at=clock.now())
        if key is None:
            raise AuthenticationFailed("This key is unknown, revoked or expired.")
        return key.account, admit(request, key)

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        del request
        return 'Bearer realm="quell"'

    def secret_of(self, request: Request) -> str | None:
        """The key as it was sent; None where there is none."""
        own = request.META.get(self.header, "") if self.header else ""
        kind, _, rest = str(request.META.get("HTTP_AUTHORIZATION", "")).strip().partition(" ")
        if kind.lower() == "bearer":
            return rest.strip()
        if kind.lower() == "basic":
            return _password(rest)
        return str(own).strip() or None


class Door(APIView):
    """A view that speaks another tool's language. Only programs come in: no session counts here."""

    authentication_classes = [ToolKey]
    permissions_needed: dict[str, Permission | None] = {"POST": Permission.WRITE_ALERTS}
    schema = None

    def handle_exception(self, exc: Exception) -> Any:
        """The error in the tool's own shape. What nobody expected is logged as everywhere."""
        if isinstance(exc, NotAuthenticated | AuthenticationFailed):
            exc.auth_header = self.get_authenticate_header(self.request)  # type: ignore[union-attr]
        answer = problems.handle(exc, self.get_exception_handler_context())
        told = json.loads(answer.content)
        problem = Problem(
            status=answer.status_code,
            detail=str(told["detail"]),
            errors=tuple(told.get("errors", ())),
            headers={
                name: answer[name] for name in ("Retry-After", "WWW-Authenticate", "Allow") if name in answer
            },
        )
        refused = self.refusal(problem)
        for name, value in problem.headers.items():
            refused.setdefault(name, value)
        return refused

    def refusal(self, problem: Problem) -> HttpResponse:
        """A problem as the tool tells it."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a body: its alerts in order with the drafts they are from, and what was refused."""

    alerts: tuple[tuple[AlertDraft, Stored], ...]
    refused: tuple[Broken, ...]

    @property
    def reason(self) -> str:
        """What was wrong with the first part that was refused, with the place where there is one."""
        return told(self.refused[0]) if self.refused else ""


def take(request: Request, body: bytes, *, source: str, read: Read) -> Taken:
    """Take in a body: store every part that can be read, keep in quarantine what cannot.

    `read` makes drafts of one document. A body that is no single JSON document is refused whole.
    """
    by, at = actor_of(request), clock.now()
    drafts: list[AlertDraft] = []
    refused: list[Broken] = []
    for part in _documents(body):
        if isinstance(part, Broken):
            refused.append(part)
            continue
        found, broken = _read(part, read, at=at)
        drafts += found
        refused += broken
    throttling.charge_actor(request, weight=len(drafts) - 1)
    stored = _store(drafts, by=by, at=at, source=source)
    refused += [
        Broken(pointer="", reason="its id is in use by another team", body=_bytes(draft))
        for draft, one in stored
        if one.alert is None
    ]
    # Hostile bodies hold parts by the ten thousand; then the whole is kept once.
    whole = [Broken(pointer="", reason=told(refused[0]), body=body)] if len(refused) > MOST_HELD else refused
    for part in whole:
        ingest.set_aside(
            source=source, body=part.body, reason=told(part), by=by, at=at, team=None, door=source
        )
    return Taken(
        alerts=tuple((draft, one) for draft, one in stored if one.alert is not None), refused=tuple(refused)
    )


def one(document: JSON, parse: Callable[[JSON], Iterable[AlertDraft]]) -> Parts:
    """For `read`: the document is one part."""
    yield "", document, lambda: parse(document)


def told(part: Broken) -> str:
    """The reason with the place it is about."""
    return f"{part.pointer}: {part.reason}" if part.pointer else part.reason


def admit(request: Request, key: ApiKey) -> Actor:
    """Let a request in as this key's, as far as the key's budget reaches."""
    actor = of_key(key, ip=client_ip(request), request_id=request_id(request))
    bind(request, actor)
    request.META[KEY] = key
    throttling.admit_actor(request)
    return actor


def key_of(request: HttpRequest | Request) -> ApiKey | None:
    """The key that the request came with."""
    found = request.META.get(KEY)
    return found if isinstance(found, ApiKey) else None


def own_id(external_id: str, *, team: int | None) -> str:
    """The id under which a team has an alert whose id another team has already."""
    return f"{external_id[:260]}#{team}"


def answer(status: int, body: Any) -> HttpResponse:
    """JSON in ASCII escapes, which keep whatever was quoted from breaking the encoding."""
    return HttpResponse(json.dumps(body).encode("ascii"), status=status, content_type="application/json")


def _password(encoded: str) -> str:
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as failure:
        raise AuthenticationFailed("The Authorization header cannot be read.") from failure
    return pair.partition(":")[2]


def _documents(body: bytes) -> Iterable[Document | Broken]:
    try:
        return decoding.documents(body)
    except Unreadable as failure:
        return [Broken(pointer=failure.pointer, reason=failure.reason, body=body)]


def _read(part: Document, read: Read, *, at: datetime) -> tuple[list[AlertDraft], list[Broken]]:
    drafts: list[AlertDraft] = []
    broken: list[Broken] = []
    try:
        inner = list(read(part.value))
    except Unreadable as failure:
        pointer = part.pointer + failure.pointer
        return [], [Broken(pointer=pointer, reason=failure.reason, body=decoding.bytes_of(part))]
    for pointer, value, parse in inner:
        try:
            drafts += [_spelled(ingest.checked(draft, at=at), part) for draft in parse()]
        except Unreadable as failure:
            body = json.dumps(value, ensure_ascii=False).encode("utf-8")
            broken.append(Broken(pointer=failure.pointer or pointer, reason=failure.reason, body=body))
    return drafts, broken


def _spelled(draft: AlertDraft, part: Document) -> AlertDraft:
    """The draft with the document's own spelling beside its raw copy, where text had to be replaced."""
    if not part.is_altered or not isinstance(draft.raw, dict):
        return draft
    return dataclasses.replace(draft, raw={**draft.raw, storing.ORIGINAL: part.spelling})


def _store(
    drafts: list[AlertDraft], *, by: Actor, at: datetime, source: str
) -> list[tuple[AlertDraft, Stored]]:
    stored: list[tuple[AlertDraft, Stored]] = []
    for start in range(0, len(drafts), AT_ONCE):
        some = drafts[start : start + AT_ONCE]
        found = ingest.receive_drafts(drafts=some, by=by, at=at, read_as=source, door=source)
        stored += [
            (draft, _again(draft, by=by, at=at, source=source) if one.outcome is Outcome.FOREIGN else one)
            for draft, one in zip(some, found, strict=True)
        ]
    return stored


def _again(draft: AlertDraft, *, by: Actor, at: datetime, source: str) -> Stored:
    """Store it under an id of the team's own: two teams' tools may well have chosen the same.

    What it says identifies it from then on (`AlertDraft.content`), so it is found again under the first id.
    """
    home = ingest.home_of(by, None)
    renamed = dataclasses.replace(draft, external_id=own_id(draft.external_id, team=home))
    return ingest.receive_drafts(drafts=[renamed], by=by, at=at, read_as=source, door=source)[0]


def _bytes(draft: AlertDraft) -> bytes:
    return json.dumps(draft.raw, ensure_ascii=False).encode("utf-8")
