"""A small world for containment: the simulated AWS over HTTP, the estate's rows, and a clock of our own.

Everything between the use-case and the socket is the product's own code. Only the clock is ours, and
the wire: calls can be lost, cut, late or throttled where `lib.aws` hands them to boto3.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config

from cases.models import Action, Incident
from cases.words import ActionStatus
from containment import approvals, failpoints, planning, sweeps, undo
from containment.models import Lock, Step
from estate.models import Environment, Mode
from identity.actors import Actor
from lib import aws, clock
from lib.aws import Answer, AwsError, NoAnswer
from lib.clock import ManualClock
from simulator.server import Simulator
from tests import make

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
REGION = "eu-west-1"
SHIPPING = "444455556666"

TERMINAL = frozenset(
    {
        ActionStatus.VERIFIED,
        ActionStatus.FAILED,
        ActionStatus.UNKNOWN,
        ActionStatus.PARTIAL,
        ActionStatus.CONFLICT,
        ActionStatus.DRIFTED,
        ActionStatus.REFUSED,
        ActionStatus.REJECTED,
        ActionStatus.EXPIRED,
    }
)


class Death(BaseException):
    """The worker dies here. No `except Exception` may survive it."""


@dataclass
class Wire:
    """Stands between `lib.aws` and boto3: counts writes, and does to them what a test orders.

    `faults` maps the number of a write (from 1, dry runs not counted) to `lost` (never arrives),
    `cut` (applied, no answer), `late` (applied 8 s later, no answer) or an AwsError. `stale` makes
    reads show the world as it was before our last write for that many seconds.
    """

    clock: ManualClock
    faults: dict[int, str | AwsError] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    landed: list[tuple[str, str]] = field(default_factory=list)
    late: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    stale: float = 0.0
    reads: set[str] = field(default_factory=set)
    before_read: Callable[[str], None] | None = None
    before_write: Callable[[int, str], None] | None = None
    reverse_lists: bool = False
    _kept: dict[str, tuple[Any, datetime | None]] = field(default_factory=dict)
    _read: Any = None
    _send: Any = None

    @contextmanager
    def between(self) -> Iterator[Wire]:
        """Put this wire in place for the length of a `with` block."""
        self._read, self._send = aws.read, aws.send
        aws.read, aws.send = self.read, self.send
        try:
            yield self
        finally:
            aws.read, aws.send = self._read, self._send

    def read(
        self, role: aws.Role, *, region: str, service: str, operation: str, params: Mapping[str, Any]
    ) -> Any:
        self.deliver()
        name = f"{service}:{operation}"
        self.reads.add(name)
        if self.before_read:
            self.before_read(name)
        key = json.dumps([role.account, region, name, params], sort_keys=True)
        kept = self._kept.get(key)
        if self.stale and kept and kept[1] and clock.now() < kept[1] + timedelta(seconds=self.stale):
            answer = kept[0]
        else:
            try:
                answer = self._read(role, region=region, service=service, operation=operation, params=params)
            except AwsError as refusal:
                answer = refusal
            self._kept[key] = (answer, None)
        if isinstance(answer, AwsError):
            raise answer
        copy = json.loads(json.dumps(answer))
        return _reversed(copy) if self.reverse_lists else copy

    def send(
        self, role: aws.Role, *, region: str, service: str, operation: str, params: Mapping[str, Any]
    ) -> Answer:
        self.deliver()

        def real() -> Answer:
            answer: Answer = self._send(
                role, region=region, service=service, operation=operation, params=params
            )
            return answer

        if params.get("DryRun"):
            return real()
        name = f"{service}:{operation}"
        self.sent.append(name)
        fault = self.faults.pop(len(self.sent), None)
        if self.before_write:
            self.before_write(len(self.sent), name)
        if isinstance(fault, AwsError):
            raise fault
        if fault == "lost":
            raise NoAnswer("connect time-out")
        if fault == "late":
            self.late.append((clock.now() + timedelta(seconds=8), lambda: self._land(name, params, real)))
            raise NoAnswer("read time-out")
        answer = self._land(name, params, real)
        if fault == "cut":
            raise NoAnswer("connection reset after the request")
        return answer

    def deliver(self) -> None:
        """Let late requests land whose time has come."""
        for due, land in list(self.late):
            if due <= clock.now():
                self.late.remove((due, land))
                try:
                    land()
                except AwsError:
                    self.landed.append(("refused late", ""))

    def _land(self, name: str, params: Mapping[str, Any], real: Callable[[], Answer]) -> Answer:
        answer = real()
        self.landed.append((name, json.dumps(params, sort_keys=True)))
        for key, (value, since) in self._kept.items():
            if since is None:
                self._kept[key] = (value, clock.now())
        return answer


def _reversed(value: Any) -> Any:
    if isinstance(value, list):
        return [_reversed(member) for member in reversed(value)]
    if isinstance(value, dict):
        return {key: _reversed(member) for key, member in value.items()}
    return value


@dataclass
class World:
    """The simulated AWS, the rows that describe it, and who acts."""

    simulator: Simulator
    clock: ManualClock
    wire: Wire
    incident: Incident
    asks: Actor
    approves: Actor
    also_approves: Actor | None = None

    @property
    def estate(self) -> Mapping[str, Any]:
        return self.simulator.estate

    def admin(self, service: str, account: str = SHIPPING, region: str = REGION) -> Any:
        """A client with the account's root key: for the test's own looks and for third parties' changes."""
        root = next(a["root_key"] for a in self.estate["accounts"] if a["id"] == account)
        return client(self.simulator.url, service, root, region)

    def propose(
        self, type_id: str, target: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> Action:
        """Ask for an action and let the worker plan it."""
        action = planning.propose(
            incident=self.incident,
            type_id=type_id,
            target=target,
            params=params or {},
            by=self.asks,
            at=clock.now(),
        )
        sweeps.run_due_actions()
        return self.fresh(action)

    def approve(self, action: Action) -> Action:
        """A second person approves the present plan, for tier 3 a third as well; nobody for tier 0."""
        for person in (self.approves, self.also_approves):
            action = self.fresh(action)
            if person and action.status in (ActionStatus.PLANNED, ActionStatus.DRIFTED):
                approvals.approve(
                    action=action, plan_hash=action.plan_hash, by=person, at=clock.now(), is_fresh=True
                )
        return self.fresh(action)

    def drive(self, action: Action, *, limit: int = 400) -> Action:
        """Sweep, and let time pass between sweeps, until the action comes to an end."""
        for _ in range(limit):
            try:
                sweeps.run_due_actions()
            except Death:
                aws.forget_sessions()
            action = self.fresh(action)
            if action.status in TERMINAL:
                return action
            wake = action.lease_until if action.owner else action.due_at
            self.clock.move_to(max(clock.now() + timedelta(seconds=1), wake or clock.now()))
        raise AssertionError(f"still {action.status} after {limit} rounds: {action.note}")

    def apply(
        self, type_id: str, target: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> Action:
        """Propose, approve and drive to the end."""
        return self.drive(self.approve(self.propose(type_id, target, params)))

    def ask_to_undo(self, action: Action) -> Action:
        """Ask for the undo and let the worker plan it."""
        asked = undo.propose_revert(action=self.fresh(action), reason="test", by=self.asks, at=clock.now())
        for _ in range(60):
            sweeps.run_due_actions()
            asked = self.fresh(asked)
            if asked.status != ActionStatus.PROPOSED:
                return asked
            self.clock.advance(5)
        raise AssertionError("the undo was never planned")

    def revert(self, action: Action) -> Action:
        """Ask for the undo, approve it, drive it; the undo's own row."""
        return self.drive(self.approve(self.ask_to_undo(action)))

    def fresh(self, action: Action) -> Action:
        return Action.objects.select_related("incident").get(pk=action.pk)

    def steps(self, action: Action) -> list[Step]:
        return list(Step.objects.filter(action=action).order_by("seq"))

    def locks(self) -> list[str]:
        return list(Lock.objects.order_by("key").values_list("key", flat=True))


def client(url: str, service: str, key: Mapping[str, str], region: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def accounts_of(estate: Mapping[str, Any]) -> None:
    """Rows for the accounts of the simulated estate, in `approve` mode."""
    for one in estate["accounts"]:
        make.account(
            one["id"],
            name=one["name"],
            environment=Environment(one["environment"]),
            mode=Mode.APPROVE,
            ou_path=one["ou_path"],
            external_id=one["external_id"],
            regions=one["regions"],
            **{f"{duty}_role": arn for duty, arn in one["roles"].items()},
        )


@contextmanager
def dying(at: Callable[[str, str], bool]) -> Iterator[list[str]]:
    """Let the worker die the first time that `at(point, step)` holds; yields where it died."""
    died: list[str] = []

    def reach(point: str, step: str) -> None:
        if not died and at(point, step):
            died.append(f"{point}@{step}")
            raise Death(died[0])

    failpoints.on_reach = reach
    try:
        yield died
    finally:
        failpoints.on_reach = None
