"""A state machine over approvals, with a judge that keeps books of its own.

Requests, approvals, revocations, role changes, drift, expiry, break-glass and the worker's turns come in
any order. Everything up to the moment at which the first call would be sent is the product's own code;
AWS is a number that plans are made of. The judge knows only the rules of DESIGN §6: whatever is carried
out must have been said yes to, in exactly this form, by enough persons who may still say so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from django.db import IntegrityError, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from cases.models import Action, Incident
from containment import approvals, execution, glass, planning, sweeps
from containment.types import Plan, plain
from estate.models import Mode
from identity.actors import Actor, of_user
from identity.models import Membership, User
from identity.requests import NotFresh
from lib import clock
from lib.clock import ManualClock
from lib.errors import AppError
from tests import make

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
CONFIRM, APPROVE, GLASS = {"responder", "lead"}, {"approver", "lead"}, {"responder", "lead"}
ROLES = ("viewer", "responder", "approver", "approver", "lead", "lead", "lead", "admin")
FIRST = ("responder", "approver", "approver", "lead", "lead")
REASON = "nobody who may approve can be reached"
TARGET = {"type": "instance", "account": make.ACCOUNT, "region": "eu-west-1", "id": "i-0123456789abcdef0"}

BETWEEN = ("nothing", "nothing", "nothing", "lose", "revoke", "drift", "wait")
people = st.integers(0, len(FIRST) - 1)
any_tier = st.sampled_from((1, 2, 3))


@dataclass
class Book:
    """What the judge knows of one action: who asked, and whose yes to which plan stands."""

    tier: int
    asked: int
    yes: dict[int, str] = field(default_factory=dict)
    glass: tuple[int, str] | None = None
    yes_at: datetime = START
    was_approved: bool = False
    executed: int = 0


class Violation(AssertionError):
    """Something was carried out, or accepted, against the rules."""


class Approvals(RuleBasedStateMachine):
    """See the module."""

    steps = 0
    executions = 0

    @initialize(asked=st.tuples(people, people), tiers=st.tuples(any_tier, any_tier))
    def begin(self, asked: tuple[int, int], tiers: tuple[int, int]) -> None:
        self.stack = contextlib.ExitStack()
        self.stack.enter_context(transaction.atomic())
        self.clock = ManualClock(START)
        self.stack.enter_context(clock.using(self.clock))
        self.version, self.roles = 0, dict(enumerate(FIRST))
        self.books: dict[int, Book] = {}
        self.seen: dict[tuple[int, int], str] = {}
        self.violations: list[str] = []
        make.account(mode=Mode.APPROVE)
        self.incident: Incident = make.incident()
        self.logins = [self._person(n, role) for n, role in enumerate(FIRST)]
        first = User.objects.get(pk=self.logins[0][0])
        second = User.objects.create(username=f"second-{first.username}", person=first.person)
        self.logins[0].append(second.pk)
        self.stack.enter_context(mock.patch.object(planning, "make_plan", self._make_plan))
        self.stack.enter_context(
            mock.patch.object(planning, "_affects", return_value={"found": [], "incomplete": ""})
        )
        self.stack.enter_context(mock.patch.object(execution, "_carry_out", self._executed))
        for who, tier in zip(asked, tiers, strict=True):
            self._ask(who, tier)
        self.work()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            transaction.set_rollback(True)
            self.stack.close()

    # --- what people do ---------------------------------------------------------------------------

    @rule()
    def work(self) -> None:
        with self._counted():
            sweeps.run_due_actions()
        if self.violations:  # raised here, as a sweep survives whatever one action raises
            raise Violation("; ".join(self.violations))
        self._note_sent_back()

    @rule(version=st.sampled_from((0, 0, 1)))
    def drift(self, version: int) -> None:
        with self._counted():
            self.version = version

    @rule(who=people, which=st.integers(0, 1))
    def read(self, who: int, which: int) -> None:
        with self._counted():
            pk = self._which(which)
            self.seen[who, pk] = self._fresh(pk).plan_hash

    @rule(
        who=people,
        which=st.integers(0, 1),
        is_fresh=st.sampled_from((True, True, True, False)),
        stale=st.sampled_from((False, False, False, True)),
    )
    def approve(self, who: int, which: int, is_fresh: bool, stale: bool) -> None:
        pk = self._which(which)
        read = self.seen.get((who, pk), "") if stale else self._fresh(pk).plan_hash
        with self._counted():
            action = approvals.approve(
                action=self._fresh(pk), plan_hash=read, by=self._actor(who), at=clock.now(), is_fresh=is_fresh
            )
            if not is_fresh:
                raise Violation("approved without a fresh sign-in")
            book = self.books[pk]
            book.yes[who], book.yes_at = read, clock.now()
            book.was_approved = book.was_approved or action.status == "approved"

    @rule(first=people, second=people, which=st.integers(0, 1), between=st.sampled_from(BETWEEN))
    def approve_together(self, first: int, second: int, which: int, between: str) -> None:
        """Two persons in a row, something in between, and the worker: the way to the end, often."""
        for who in (first, second):
            self.approve(who=who, which=which, is_fresh=True, stale=False)
        if between == "lose":
            self.change_role(who=second, role="viewer")
        elif between == "revoke":
            self.revoke(who=second, which=which)
        elif between == "drift":
            self.drift(version=1 - self.version)
        elif between == "wait":
            self.wait(minutes=70)
        self.work()
        if between == "lose":
            self.change_role(who=second, role="lead")

    @rule(who=people, which=st.integers(0, 1))
    def revoke(self, who: int, which: int) -> None:
        pk = self._which(which)
        with self._counted():
            approvals.revoke(action=self._fresh(pk), reason="not sure", by=self._actor(who), at=clock.now())
            book = self.books[pk]
            if book.glass and book.glass[0] == who:
                book.glass = None
            elif who in book.yes:
                del book.yes[who]
            else:
                book.yes, book.glass = {}, None
        self._note_sent_back()

    @rule(
        who=people,
        which=st.integers(0, 1),
        reason=st.sampled_from((REASON, "too short")),
        typed=st.sampled_from((TARGET["id"], TARGET["id"], "yes")),
    )
    def break_glass(self, who: int, which: int, reason: str, typed: str) -> None:
        pk = self._which(which)
        with self._counted():
            action = self._fresh(pk)
            glass.break_glass(
                action=action,
                plan_hash=action.plan_hash,
                reason=reason,
                typed=typed,
                by=self._actor(who),
                at=clock.now(),
                is_fresh=True,
            )
            if reason != REASON or typed != TARGET["id"]:
                raise Violation("the glass was broken without a reason or without typing the target")
            book = self.books[pk]
            book.glass, book.yes_at, book.was_approved = (who, action.plan_hash), clock.now(), True

    @rule(who=people, role=st.sampled_from(ROLES))
    def change_role(self, who: int, role: str) -> None:
        with self._counted():
            Membership.objects.filter(person__logins=self.logins[who][0]).update(role=role)
            self.roles[who] = role

    @rule(minutes=st.sampled_from((1, 1, 20, 70, 70, 26 * 60)))
    def wait(self, minutes: int) -> None:
        with self._counted():
            self.clock.advance(minutes * 60)

    # --- the judge --------------------------------------------------------------------------------

    def _executed(self, turn: Any) -> None:
        """Stands where the first call would be sent."""
        type(self).executions += 1
        action, book = turn.action, self.books[turn.action.pk]
        book.executed += 1
        present = planning.hash_of(action, self._plan())
        yes = {who for who, of in book.yes.items() if of == present and self.roles[who] in self._able(book)}
        self.violations += self._judged(book, action, present, yes)

    def _judged(self, book: Book, action: Action, present: str, yes: set[int]) -> Iterator[str]:
        if book.executed > 1:
            yield "carried out twice"
        if action.plan_hash != present:
            yield "carried out although AWS had changed"
        if clock.now() > book.yes_at + timedelta(hours=1):
            yield "carried out on an approval that was too old"
        if book.glass and book.glass[1] == present and self.roles[book.glass[0]] in GLASS and book.tier < 3:
            return
        if book.tier >= 2:
            yes = yes - {book.asked}
        if len(yes) < (2 if book.tier >= 3 else 1):
            yield f"tier {book.tier} was carried out on the word of {sorted(yes)}: {book}"

    def _able(self, book: Book) -> set[str]:
        return APPROVE if book.tier >= 2 else CONFIRM

    def _note_sent_back(self) -> None:
        """What was approved and waits again has no approval any more."""
        for pk, book in self.books.items():
            if book.was_approved and not book.executed and self._fresh(pk).status in ("planned", "drifted"):
                book.yes, book.glass, book.was_approved = {}, None, False

    # --- hands ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """One step; being refused is a fine answer."""
        type(self).steps += 1
        try:
            with transaction.atomic():
                yield
        except (AppError, NotFresh):
            pass
        except IntegrityError as refused:  # the database is a judge as well
            if "guard: " not in str(refused):
                raise

    def _ask(self, who: int, tier: int) -> None:
        """A request like `planning.propose` stores it, of any tier and by anyone."""
        person, now = self._actor(who), clock.now()
        action = Action.objects.create(
            incident=self.incident,
            type="ec2.isolate-instance",
            target=TARGET,
            category="source",
            tier=tier,
            requested_by_id=person.person_id,
            requested_label=person.label,
            requested_at=now,
            due_at=now,
            updated_at=now,
        )
        self.books[action.pk] = Book(tier=tier, asked=who)

    def _person(self, number: int, role: str) -> list[int]:
        actor = make.person(role, login=f"person-{number}")
        return [User.objects.get(username=actor.label).pk]

    def _actor(self, who: int) -> Actor:
        logins = self.logins[who]
        return of_user(User.objects.get(pk=logins[self.version % len(logins)]))

    def _which(self, which: int) -> int:
        pks: list[int] = sorted(self.books)
        return pks[which % len(pks)]

    def _fresh(self, pk: int) -> Action:
        return Action.objects.select_related("incident").get(pk=pk)

    def _plan(self) -> dict[str, Any]:
        stored = plain(Plan(steps=(), facts={"version": self.version}))
        assert isinstance(stored, dict)
        return stored

    def _make_plan(self, action: Action, declared: Any) -> planning.Planned:
        plan = self._plan()
        return planning.Planned(plan=plan, digest=planning.hash_of(action, plan))
