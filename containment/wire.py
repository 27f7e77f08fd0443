"""How the hand reaches AWS: roles at places, an allow-list for reads, and one door for writes.

`Hand.send` is the only place in the product that changes anything in AWS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cases.models import Action
from containment.looking import decoded
from containment.refusals import Refusal, classify, told
from containment.types import CHANGING, Call, Check, Duty, Place, Plan, Read, plain
from estate.queries import Duty as EstateDuty
from estate.queries import NotGranted, account_of, role_link
from lib import aws, iam, outbound
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
        """`INC-2026-0042-<end of the action's id>`, and `quell-<action id>`."""
        return cls(
            session=f"{action.incident.ref}-{action.ulid[-8:]}",
            source_identity=f"quell-{action.ulid}",
        )


@dataclass(frozen=True, kw_only=True)
class Eyes:
    """Reads AWS in the READ roles: operations on the list, and no others."""

    names: Names
    allowed: frozenset[str]

    def read(self, read: Read) -> JSON:
        """The answer, with JSON text decoded; null for a code in `missing`.

        Raises `NotDeclared`, `lib.aws.AwsError`, `lib.aws.NoAnswer`.
        """
        if read.name not in self.allowed:
            raise NotDeclared(f"{read.name} is not among the reads of this action")
        role = role_at(read.at, names=self.names, duty=Duty.READ)
        try:
            answer = aws.read(
                role,
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
    """Changes AWS: operations of the approved plan, and no others, each in a session of its own."""

    names: Names
    allowed: frozenset[str]

    def ready(self, call: Call) -> None:
        """Open the session for a call, so that sending it needs nothing else. Raises like a call."""
        aws.assume(self._role(call))

    def send(self, call: Call) -> Answer:
        """One request, once. Raises `NotDeclared`, `lib.aws.AwsError`, `lib.aws.NoAnswer`."""
        return aws.send(
            self._role(call),
            region=call.at.region,
            service=call.service,
            operation=call.operation,
            params=_params(call.params),
        )

    def _role(self, call: Call) -> aws.Role:
        if call.name not in self.allowed:
            raise NotDeclared(f"{call.name} is not among the calls of the approved plan")
        account = account_of(call.at.account)
        policy = iam.session_policy(
            [(call.name, call.params)],
            partition=account.partition if account else "aws",
            account=call.at.account,
            region=call.at.region,
        )
        return role_at(call.at, names=self.names, duty=call.at.duty, policy=policy)


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


def role_at(place: Place, *, names: Names, duty: Duty, policy: str = "") -> aws.Role:
    """The role to assume at a place for a duty; raises `lib.aws.AwsError` where there is none."""
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
        policy=policy,
    )


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    resolved = plain(params)
    assert isinstance(resolved, dict)
    return resolved
