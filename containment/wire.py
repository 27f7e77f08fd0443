"""How the hand reaches AWS: roles at places, an allow-list for reads, and one door for writes.

`Hand.send` is the only place in the product that changes anything in AWS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from cases.models import Action
from containment.looking import decoded
from containment.refusals import Refusal, classify, told
from containment.sessions import Sessions, as_far_as_known
from containment.types import CHANGING, Call, Check, Duty, Place, Plan, Read, plain
from estate.queries import Duty as EstateDuty
from estate.queries import NotGranted, account_of, role_link
from lib import aws, outbound
from lib.aws import Answer, AwsError, NoAnswer
from lib.canonical import JSON

FETCH_SECONDS = 300.0
"""How long a download may take; AWS's addresses for Lambda code last ten minutes."""

AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")


class NotDeclared(Exception):
    """A type used an operation that it did not declare; nothing was sent."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """Under which names sessions of an action are opened: seen in CloudTrail."""

    session: str
    source_identity: str

    @classmethod
    def of(cls, action: Action) -> Names:
        """`INC-2026-0042-<action id>`, and `quell-<action id>`."""
        return cls(
            session=f"{action.incident.ref}-{action.ulid}",
            source_identity=f"quell-{action.ulid}",
        )


@dataclass(frozen=True, kw_only=True)
class Eyes:
    """Reads AWS in the READ roles: operations on the list, and no others.

    The sessions allow no more than that. Where the reads are known (`scope`), they are limited to what
    these are about; while planning each operation on the list may be about anything.
    """

    names: Names
    allowed: frozenset[str]
    scope: tuple[Call, ...] = ()
    sessions: Sessions = field(default_factory=Sessions, compare=False)

    @classmethod
    def of(cls, plan: Plan, *, names: Names, results: Mapping[str, JSON]) -> Eyes:
        """The eyes of a stored plan. What a read is about may still be unknown; then it is everything."""
        scope = tuple(as_far_as_known(read, results=results) for read in _reads(plan))
        return cls(names=names, allowed=reads_of(plan), scope=scope)

    def read(self, read: Read) -> JSON:
        """The answer, with JSON text decoded; null for a code in `missing`.

        Raises `NotDeclared`, `lib.aws.AwsError`, `lib.aws.NoAnswer`.
        """
        if read.name not in self.allowed:
            raise NotDeclared(f"{read.name} is not among the reads of this action")
        base = role_at(read.at, names=self.names, duty=Duty.READ)
        try:
            answer = aws.read(
                self.sessions.role(read if self.scope else _of_anything(read), base, self._beside(read)),
                region=read.at.region,
                service=read.service,
                operation=read.operation,
                params=_params(read.params),
            )
        except AwsError as refusal:
            if refusal.code in read.missing:
                return None
            raise
        return decoded(answer, read.decode)

    def _beside(self, read: Read) -> Iterator[Call]:
        """What may be read in the same session: in the same account, whichever region."""
        if self.scope:
            yield from (one for one in self.scope if one.at.account == read.at.account)
            return
        for name in sorted(self.allowed):
            service, _, operation = name.partition(":")
            yield Call(at=read.at, service=service, operation=operation)

    def attempt(self, read: Read) -> tuple[JSON, str]:
        """The answer, and in words why there is none where AWS refused for good.

        Raises `NotDeclared`, `lib.aws.NoAnswer`, and `lib.aws.AwsError` for a call that was throttled.
        """
        try:
            return self.read(read), ""
        except AwsError as refusal:
            if classify(refusal) is Refusal.THROTTLED:
                raise
            return None, told(refusal)

    def fetch(self, url: str) -> Iterator[bytes]:
        """The bytes behind an address that AWS gave, in chunks; it must be one of AWS's own hosts.

        Raises `lib.aws.AwsError` for any other, `lib.aws.NoAnswer`.
        """
        endpoint, asked = urlsplit(aws.endpoint()), urlsplit(url)
        is_endpoint = bool(endpoint.netloc) and endpoint.netloc == asked.netloc
        if not is_endpoint and not (asked.hostname or "").endswith(AWS_HOSTS):
            raise AwsError("ForeignAddress", f"{asked.hostname} is not a host of AWS")
        also = outbound.exceptions([f"{endpoint.hostname}:{endpoint.port}"] if is_endpoint else [])
        schemes = (endpoint.scheme,) if is_endpoint else ("https",)
        try:
            yield from outbound.stream(url, schemes=schemes, also=also, seconds=FETCH_SECONDS)
        except outbound.NotAllowed as refused:
            raise AwsError("ForeignAddress", str(refused)) from refused
        except outbound.NoAnswer as silence:
            raise NoAnswer(str(silence)) from silence


@dataclass(frozen=True, kw_only=True)
class Hand:
    """Changes AWS: operations of the approved plan, and no others, in sessions for just these calls."""

    names: Names
    allowed: frozenset[str]
    sessions: Sessions = field(default_factory=Sessions, compare=False)

    def ready(self, call: Call, beside: Iterable[Call] = ()) -> None:
        """Open the session for a call, so that sending it needs nothing else. Raises like a call.

        `beside` are calls that follow; those at the same place are allowed in the same session.
        """
        aws.assume(self._role(call, beside))

    def send(self, call: Call) -> Answer:
        """One request, once. Raises `NotDeclared`, `lib.aws.AwsError`, `lib.aws.NoAnswer`."""
        return aws.send(
            self._role(call),
            region=call.at.region,
            service=call.service,
            operation=call.operation,
            params=_params(call.params),
        )

    def apart(self) -> Hand:
        """The same hand without its sessions: for calls that shall not be allowed beside those."""
        return replace(self, sessions=Sessions())

    def _role(self, call: Call, beside: Iterable[Call] = ()) -> aws.Role:
        if call.name not in self.allowed:
            raise NotDeclared(f"{call.name} is not among the calls of the approved plan")
        base = role_at(call.at, names=self.names, duty=call.at.duty)
        near = (
            other for other in beside if (other.at.account, other.at.duty) == (call.at.account, call.at.duty)
        )
        return self.sessions.role(call, base, near)


def reads_of(plan: Plan) -> frozenset[str]:
    """The names of all reads that a plan needs to be carried out."""
    return frozenset(read.name for read in _reads(plan))


def writes_of(plan: Plan) -> frozenset[str]:
    """The names of all calls, edits and undos of a plan."""
    return frozenset(call.name for call in _writes(plan))


def _reads(plan: Plan) -> Iterator[Read]:
    for check in plan.holds:
        yield check.read
    for step in plan.steps:
        checks: Iterable[Check | None] = (step.seen, step.content, step.unless, step.undo_seen)
        yield from (check.read for check in checks if check)
        if step.edit:
            yield step.edit.read


def _writes(plan: Plan) -> Iterator[Call]:
    for step in plan.steps:
        if step.kind in CHANGING:
            yield from (call for call in (step.call, step.undo) if call)
            if step.edit and step.edit.empty:
                yield step.edit.empty


def role_at(place: Place, *, names: Names, duty: Duty) -> aws.Role:
    """The role to assume at a place for a duty, without the session's policy; raises `lib.aws.AwsError`
    where there is none."""
    account = account_of(place.account)
    if account is None:
        raise AwsError("UnknownAccount", f"account {place.account} is not in the estate")
    try:
        link = role_link(account, EstateDuty[duty.name])
    except NotGranted as absent:
        raise AwsError("NoRole", str(absent)) from absent
    return aws.Role(
        arn=link.role_arn,
        external_id=link.external_id,
        account=place.account,
        session_name=names.session,
        source_identity=names.source_identity,
    )


def _of_anything(read: Read) -> Call:
    return Call(at=read.at, service=read.service, operation=read.operation)


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    resolved = plain(params)
    assert isinstance(resolved, dict)
    return resolved
