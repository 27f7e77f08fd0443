"""Ninety days of a small security team's past, lived through with the product's own use-cases.

Everything is drawn from a fixed seed and told relative to now: the same incidents, at the same
distances. Each incident is planned as steps with times, all steps are put in order, and those that
lie in the past are carried out one after another, so that the ledger reads as it would have. What
lies in the future has not happened: those incidents are still open.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.db import transaction

from audit.models import AuditEvent
from audit.record import record as audit
from cases import ingest, milestones, triage
from cases.models import Alert, Incident
from cases.priority import kind_of
from cases.words import Basis, MilestoneKind, MilestoneSource, Phase, Verdict
from identity.actors import SYSTEM, Actor, of_user, system
from identity.models import Person, Team, User
from soc.demo import words
from soc.demo.findings import ADDRESSES, SORTS, Sighting, Sort, draw_sort, things_of
from soc.demo.simulator import Json

LIVED = "demo-history-loaded"
SEED = 20_261_124
DAYS = 90
INCIDENTS = 136
EXERCISES = 4
DISMISSED = 60
WAITING = 11
LAST_BEGAN = timedelta(hours=2)
"""How long ago the incident began that somebody works on whenever the demo is started."""

KINDS = {
    "compromised_credentials": 34,
    "compromised_instance": 22,
    "crypto_mining": 12,
    "data_exfiltration": 14,
    "public_exposure": 8,
    "log_tampering": 4,
    "reconnaissance": 6,
}
OUTCOMES = {
    Verdict.TRUE_POSITIVE: 64,
    Verdict.FALSE_POSITIVE: 20,
    Verdict.BENIGN: 13,
    Verdict.DUPLICATE: 3,
}
REOPENED_EVERY = 11
RULE = system("triage-rule")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Lived:
    """What the past consists of."""

    incidents: int
    alerts: int
    open_incidents: int


@dataclass
class _Case:
    """One incident while it is lived through."""

    owner: Actor
    kind: str
    received: list[Alert] = field(default_factory=list)
    incident: Incident | None = None

    @property
    def opened(self) -> Incident:
        """The incident. Steps run in order, so it is there when a later step needs it."""
        if self.incident is None:
            raise RuntimeError("a step came before the one that opens the incident")
        return self.incident


@dataclass(frozen=True, order=True)
class _Step:
    """One thing that happened: when, in which order among equals, and the use-case behind it."""

    at: datetime
    number: int
    run: Callable[[datetime], Any] = field(compare=False)


@transaction.atomic
def live(*, estate: Json, by: Actor, at: datetime) -> Lived | None:
    """Live through the past before `at`, in one transaction; None when that was done before."""
    if AuditEvent.objects.filter(act=LIVED).exists():
        return None
    past = _Past(estate=estate, now=at)
    past.plan()
    for step in sorted(past.steps):
        if step.at <= at:
            step.run(step.at)
    incidents = Incident.objects.exclude(status=Phase.CLOSED)
    lived = Lived(
        incidents=Incident.objects.count(), alerts=Alert.objects.count(), open_incidents=incidents.count()
    )
    audit(act=LIVED, by=by, at=at, on=("team", past.team.ulid), details={"incidents": lived.incidents})
    return lived


class _Past:
    """Draws what happened and notes it as steps."""

    def __init__(self, *, estate: Json, now: datetime) -> None:
        self.rng = random.Random(SEED)  # noqa: S311 - a plausible past, not a secret
        self.now = now
        self.team = Team.objects.get(slug="blue")
        self.steps: list[_Step] = []
        self._things = {about: things_of(estate, about) for about in ("users", "instances", "buckets")}
        people = User.objects.select_related("person").filter(username__in=("analyst", "responder", "lead"))
        self._actors = {user.username: of_user(user) for user in people}

    def plan(self) -> None:
        """Everything, in no order."""
        *earlier, _ = self._moments(INCIDENTS)
        for number, at in enumerate(earlier):
            self._plan_incident(number, at)
        self._plan_incident(INCIDENTS - 1, self.now - LAST_BEGAN, is_under_way=True)
        for title, at in zip(words.EXERCISES, self._moments(EXERCISES), strict=True):
            self._plan_exercise(title, at)
        for at in self._moments(DISMISSED):
            self._plan_dismissed(at)
        for _ in range(WAITING):
            # Below the rule's severity, so that they wait for a person.
            kind = self.rng.choice(["reconnaissance", "compromised_credentials", "log_tampering"])
            mild = [sort for sort in SORTS[kind] if sort.severity < 7]
            self._receive(self.rng.choice(mild), self.now - timedelta(hours=self.rng.uniform(0.3, 60)))

    # --- incidents --------------------------------------------------------------------------------

    def _plan_incident(self, number: int, detected: datetime, *, is_under_way: bool = False) -> None:
        """One incident from its alerts on; one that is under way has been taken, and no more."""
        kind = self._weighed(KINDS)
        sort = draw_sort(self.rng, kind)
        case = _Case(owner=self._someone(analyst=6, responder=3, lead=2), kind=kind)
        received = self._receive(sort, detected, case=case)
        for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2])):
            more = draw_sort(self.rng, kind)
            received = max(received, self._receive(more, detected + self._minutes(9, 0.8), case=case))
        pace = self._pace(sort, detected)
        taken = received + self._minutes(11 * pace, 0.9)
        if is_under_way:
            self._note(min(taken, self.now - timedelta(minutes=10)), lambda at: self._escalate(case, at))
            return
        if sort.severity >= 7 and self.rng.random() < 0.55:
            self._note(received + timedelta(seconds=2), lambda at: self._open_by_rule(case, at))
            self._note(taken, lambda at: self._assign(case, at))
        else:
            self._note(taken, lambda at: self._escalate(case, at))
        verdict = self._weighed(OUTCOMES)
        if verdict == Verdict.TRUE_POSITIVE:
            self._plan_response(case, taken, pace, is_reopened=number % REOPENED_EVERY == REOPENED_EVERY - 1)
        else:
            self._note(taken + self._minutes(95 * pace, 0.9), lambda at: self._close(case, verdict, at))

    def _plan_response(self, case: _Case, taken: datetime, pace: float, *, is_reopened: bool) -> None:
        """A true positive: weighed, answered, contained, cleaned up, closed; some of it left unsaid."""
        at = taken
        if self._happens(0.85):
            at += self._minutes(4, 0.6)
            severity = self.rng.choice([0, 0, 0, 10, -10])
            self._note(at, lambda at: self._weigh(case, severity, at))
        at += self._minutes(16 * pace, 0.8)
        if self._happens(0.93):
            self._note(at, lambda at: self._respond(case, at))
        self._note(at, lambda at: self._move(case, Phase.CONTAINMENT, at))
        if self._happens(0.6):
            self._plan_access(case, at + self._minutes(70, 0.7))
        for text in self.rng.sample(words.NOTES[case.kind], k=self.rng.choice([1, 1, 2])):
            self._note(at + self._minutes(30, 0.9), partial(self._write, case, text))
        ended = self._plan_end(case, at, pace)
        if is_reopened:
            again = ended + timedelta(hours=self.rng.uniform(20, 60))
            self._note(again, lambda at: self._reopen(case, at))
            self._plan_end(case, again, pace)

    def _plan_end(self, case: _Case, at: datetime, pace: float) -> datetime:
        """From containment to closing; gives the time of closing."""
        if self._happens(0.06):  # it was over before anyone could stop it
            at += self._minutes(25 * pace, 0.8)
            self._note(at, lambda at: self._contain(case, Basis.NOT_NEEDED, at))
        elif self._happens(0.92):
            at += self._minutes(38 * pace, 1.0)
            basis = Basis.ATTESTED if self.rng.random() < 0.2 else Basis.OBSERVED
            self._note(at, lambda at: self._contain(case, basis, at))
        if self._happens(0.85):
            self._note(at + timedelta(minutes=1), lambda at: self._move(case, Phase.ERADICATION, at))
            at += self._minutes(230 * pace, 0.9)
            self._note(at, lambda at: self._move(case, Phase.RECOVERY, at))
            at += self._minutes(330 * pace, 0.8)
            self._note(at, lambda at: self._move(case, Phase.REVIEW, at))
        at += self._minutes(1500, 0.6)
        self._note(at, lambda at: self._close(case, Verdict.TRUE_POSITIVE, at))
        return at

    def _plan_access(self, case: _Case, at: datetime) -> None:
        """What the investigation found about how long the attacker had been inside."""
        before = self._minutes(300, 1.4)
        estimated = self.rng.random() < 0.55
        margin = timedelta(minutes=self.rng.choice([30, 60, 180])) if estimated else None
        self._note(at, lambda at: self._find_access(case, before, margin, at))

    def _plan_exercise(self, title: str, at: datetime) -> None:
        case = _Case(owner=self._actors["lead"], kind="compromised_credentials")
        self._note(at, lambda at: self._open_exercise(case, title, at))
        answered = at + self._minutes(12, 0.5)
        self._note(answered, lambda at: self._respond(case, at))
        contained = answered + self._minutes(25, 0.5)
        self._note(contained, lambda at: self._contain(case, Basis.ATTESTED, at))
        closed = contained + timedelta(hours=2)
        self._note(closed, lambda at: self._close(case, Verdict.TRUE_POSITIVE, at))

    def _plan_dismissed(self, detected: datetime) -> None:
        kind = self._weighed(KINDS)
        case = _Case(owner=self._someone(analyst=7, responder=3), kind=kind)
        received = self._receive(draw_sort(self.rng, kind), detected, case=case)
        verdict = self._weighed({Verdict.FALSE_POSITIVE: 5, Verdict.BENIGN: 4, Verdict.DUPLICATE: 1})
        reason = self.rng.choice(words.DISMISSALS[verdict])
        self._note(
            received + self._minutes(40, 1.0),
            lambda at: triage.dismiss(
                alert=case.received[0], verdict=verdict, reason=reason, by=case.owner, at=at
            ),
        )

    def _receive(self, sort: Sort, detected: datetime, *, case: _Case | None = None) -> datetime:
        """A finding comes in; gives the time at which it is here."""
        sighting = Sighting(
            sort=sort,
            thing=self.rng.choice(self._things[sort.about]),
            first_seen_at=detected - self._minutes(24, 1.2),
            detected_at=detected,
            count=self.rng.choice([1, 1, 2, 3, 8, 40]),
            address=self.rng.choice(ADDRESSES),
        )
        received = detected + timedelta(seconds=self.rng.lognormvariate(4.2, 0.6))

        def come_in(at: datetime) -> None:
            result = ingest.receive(
                source="guardduty", body=sighting.body(), by=SYSTEM, at=at, team=self.team
            )
            if case is not None:
                case.received += [stored.alert for stored in result.alerts if stored.alert is not None]

        self._note(received, come_in)
        return received

    # --- what people do, each at its time ---------------------------------------------------------

    def _open_by_rule(self, case: _Case, at: datetime) -> None:
        first, *others = case.received
        case.incident = triage.open_by_rule(alert=first, kind=kind_of(first.type), by=RULE, at=at)
        if others:
            triage.escalate(alerts=others, incident=case.incident, by=RULE, at=at)

    def _escalate(self, case: _Case, at: datetime) -> None:
        case.incident = triage.escalate(alerts=case.received, incident=None, by=case.owner, at=at)

    def _open_exercise(self, case: _Case, title: str, at: datetime) -> None:
        case.incident = triage.open_incident(
            title=title, severity=80, team=self.team, kind=case.kind, is_exercise=True, by=case.owner, at=at
        )

    def _assign(self, case: _Case, at: datetime) -> None:
        person = Person.objects.get(ulid=case.owner.person_ulid)
        triage.assign(incident=case.opened, person=person, by=case.owner, at=at)

    def _weigh(self, case: _Case, change: int, at: datetime) -> None:
        severity = min(100, max(1, case.opened.severity + change))
        triage.set_severity(incident=case.opened, severity=severity, by=case.owner, at=at)

    def _move(self, case: _Case, to: Phase, at: datetime) -> None:
        triage.move_phase(incident=case.opened, to=to, by=case.owner, at=at)

    def _write(self, case: _Case, text: str, at: datetime) -> None:
        triage.note(incident=case.opened, text=text, at=at, by=case.owner, recorded_at=at)

    def _respond(self, case: _Case, at: datetime) -> None:
        self._state(case, MilestoneKind.RESPONDED, at, recorded_at=at, reason=words.RESPONSES[case.kind])

    def _contain(self, case: _Case, basis: Basis, at: datetime) -> None:
        evidence = words.CONTAINED[basis].format(what=words.MEASURES[case.kind])
        by = self._actors["responder"] if basis == Basis.OBSERVED else case.owner
        self._state(case, MilestoneKind.CONTAINED, at, recorded_at=at, basis=basis, evidence=evidence, by=by)

    def _find_access(self, case: _Case, before: timedelta, margin: timedelta | None, at: datetime) -> None:
        seen = case.opened.first_ioc_at or case.opened.detected_at or at
        accessed = seen - before
        self._state(
            case,
            MilestoneKind.ATTACKER_ACCESS,
            accessed,
            recorded_at=at,
            estimated=margin is not None,
            not_before=accessed - margin if margin else None,
            not_after=accessed + margin if margin else None,
            evidence=words.ACCESS[case.kind],
        )

    def _reopen(self, case: _Case, at: datetime) -> None:
        incident = case.opened
        reason = "The same principal was seen again after the incident was closed."
        triage.move_phase(incident=incident, to=Phase.CONTAINMENT, by=case.owner, at=at, reason=reason)
        milestones.withdraw(
            incident=incident,
            kind=MilestoneKind.CONTAINED,
            by=case.owner,
            recorded_at=at,
            reason=reason,
            source=MilestoneSource.PERSON,
        )

    def _close(self, case: _Case, verdict: Verdict, at: datetime) -> None:
        resolution = words.RESOLUTIONS[verdict]
        triage.close(incident=case.opened, verdict=verdict, resolution=resolution, by=case.owner, at=at)

    def _state(
        self,
        case: _Case,
        kind: MilestoneKind,
        moment: datetime,
        *,
        recorded_at: datetime,
        by: Actor | None = None,
        **values: Any,
    ) -> None:
        milestones.record(
            incident=case.opened,
            kind=kind,
            at=moment,
            source=MilestoneSource.PERSON,
            by=by or case.owner,
            recorded_at=recorded_at,
            **values,
        )

    # --- drawing ----------------------------------------------------------------------------------

    def _note(self, at: datetime, run: Callable[[datetime], Any]) -> None:
        self.steps.append(_Step(at, len(self.steps), run))

    def _moments(self, count: int) -> Iterator[datetime]:
        """Times in the past, oldest first, fewer at weekends."""
        drawn: list[datetime] = []
        while len(drawn) < count:
            at = self.now - timedelta(days=self.rng.uniform(0.1, DAYS))
            if at.weekday() < 5 or self._happens(0.55):
                drawn.append(at)
        return iter(sorted(drawn))

    def _pace(self, sort: Sort, detected: datetime) -> float:
        """How long things take, as a factor: the worse the faster, and a little better every month."""
        age = (self.now - detected) / timedelta(days=DAYS)
        weight = 0.7 if sort.severity >= 7 else 1.3 if sort.severity >= 4 else 2.6
        return weight * (0.75 + 0.6 * age)

    def _minutes(self, median: float, spread: float) -> timedelta:
        """A log-normal duration: most near the median, a few very long."""
        return timedelta(minutes=median * self.rng.lognormvariate(0, spread))

    def _happens(self, probability: float) -> bool:
        return self.rng.random() < probability

    def _weighed(self, choices: Mapping[T, int]) -> T:
        return self.rng.choices(list(choices), weights=list(choices.values()))[0]

    def _someone(self, **weights: int) -> Actor:
        return self._actors[self._weighed(weights)]
