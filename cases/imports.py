"""History from elsewhere: one incident a line (NDJSON), with the times that the other system kept.

`{"external_id", "title", "severity", "kind"?, "account"?, "verdict"?, "is_exercise"?, "milestones":
{"detected_at": …}}`. A time is RFC 3339, or `{"at": …, "estimated": true}`. A line that is wrong
costs no other line. The same line again changes nothing; a line that knows more than before adds
what it knows, and never overrules what was stated here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django.db import IntegrityError, transaction

from audit.record import record as audit
from cases import access, decoding, milestones, numbering, timeline
from cases.models import Incident, Milestone
from cases.priority import priority_of
from cases.words import Band, MilestoneKind, MilestoneSource, Phase, Verdict
from estate.models import Account
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from lib import canonical

PHASES = (
    (MilestoneKind.CLOSED, Phase.CLOSED),
    (MilestoneKind.RECOVERED, Phase.REVIEW),
    (MilestoneKind.ERADICATED, Phase.RECOVERY),
    (MilestoneKind.CONTAINED, Phase.ERADICATION),
    (MilestoneKind.RESPONDED, Phase.CONTAINMENT),
)
FIELDS = frozenset(
    {"external_id", "title", "severity", "kind", "account", "verdict", "is_exercise", "milestones"}
)

YEARS = range(1970, 9000)
"""Years that a time may lie in; arithmetic with others falls off the calendar."""


class Outcome(StrEnum):
    """What became of a line."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Error:
    """What is wrong with a value, and where it stands in the line."""

    pointer: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One incident as a line tells it."""

    external_id: str
    title: str
    severity: int
    stated: Mapping[MilestoneKind, datetime]
    estimated: Collection[MilestoneKind] = ()
    kind: str = ""
    account: str = ""
    verdict: str = ""
    is_exercise: bool = False

    @property
    def opened_at(self) -> datetime:
        """When work on it can have begun: its detection, else the first time that is known."""
        return self.stated.get(MilestoneKind.DETECTED) or min(self.stated.values())

    @property
    def phase(self) -> Phase:
        """The phase after the last step that has a time."""
        return next((phase for kind, phase in PHASES if kind in self.stated), Phase.TRIAGE)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one line, counted from 1; blank lines count but give no result."""

    line: int
    outcome: Outcome
    external_id: str = ""
    ref: str = ""
    errors: tuple[Error, ...] = ()
    ignored: tuple[str, ...] = ()


class Refused(Exception):
    """A line cannot be imported."""

    def __init__(self, *errors: Error) -> None:
        super().__init__(*errors)
        self.errors = errors


def import_incidents(
    *, lines: Iterable[bytes], team: Team | None, by: Actor, at: datetime
) -> Iterator[Result]:
    """Import line by line, each in its own transaction, and tell of each as it is done.

    Without a team each incident goes to the team of its AWS account. Nothing of a failed line stays.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _import_line(number, line, team=team, by=by, at=at)


def _import_line(number: int, line: bytes, *, team: Team | None, by: Actor, at: datetime) -> Result:
    try:
        document = decoding.decode(line.strip())
    except decoding.Unreadable as failure:
        wrong = Error(pointer=failure.pointer, detail=f"The line cannot be read: {failure.reason}.")
        return Result(line=number, outcome=Outcome.FAILED, errors=(wrong,))
    told = document.get("external_id", "") if isinstance(document, dict) else ""
    named = told[:200] if isinstance(told, str) else ""
    try:
        item = read(document, at=at)
        incident, outcome = _store(item, team=team, by=by, at=at)
    except Refused as refusal:
        return Result(line=number, outcome=Outcome.FAILED, external_id=named, errors=refusal.errors)
    unknown = sorted(set(document) - FIELDS) if isinstance(document, dict) else []
    return Result(line=number, outcome=outcome, external_id=named, ref=incident.ref, ignored=tuple(unknown))


# --- reading one line -----------------------------------------------------------------------------


@dataclass
class _Reader:
    """Takes values out of a line and gathers what is wrong with them."""

    document: dict[str, Any]
    errors: list[Error] = field(default_factory=list)

    def wrong(self, pointer: str, detail: str) -> None:
        self.errors.append(Error(pointer=pointer, detail=detail))

    def text(self, name: str, *, longest: int, is_needed: bool = False) -> str:
        value = self.document.get(name)
        if value is None and not is_needed:
            return ""
        if not isinstance(value, str) or (is_needed and not value.strip()):
            self.wrong(f"/{name}", "A text is needed here.")
            return ""
        if len(value) > longest:
            self.wrong(f"/{name}", f"At most {longest} characters.")
        return value.strip()

    def severity(self) -> int:
        value = self.document.get("severity")
        if isinstance(value, str) and value in set(Band):
            return Band(value).severity
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
            return value
        self.wrong("/severity", f"A whole number from 0 to 100, or one of {', '.join(Band)}.")
        return 0

    def verdict(self) -> str:
        value = self.document.get("verdict")
        if value in (None, "") or (isinstance(value, str) and value in set(Verdict)):
            return value or ""
        self.wrong("/verdict", f"One of {', '.join(Verdict)}, or left out.")
        return ""

    def flag(self, name: str) -> bool:
        value = self.document.get(name, False)
        if not isinstance(value, bool):
            self.wrong(f"/{name}", "true or false.")
        return value is True

    def account(self) -> str:
        value = self.text("account", longest=12)
        if value and not (len(value) == 12 and value.isascii() and value.isdigit()):
            self.wrong("/account", "An AWS account id has twelve digits.")
        return value

    def times(self, *, now: datetime) -> tuple[dict[MilestoneKind, datetime], set[MilestoneKind]]:
        value = self.document.get("milestones")
        if not isinstance(value, dict) or not any(told is not None for told in value.values()):
            self.wrong("/milestones", "At least one time, such as detected_at.")
            return {}, set()
        stated, estimated = {}, set()
        for name, told in value.items():
            pointer = decoding.step("/milestones", name)
            if told is None:
                continue
            if name not in set(MilestoneKind):
                self.wrong(pointer, f"One of {', '.join(MilestoneKind)}.")
            elif (at := self._time(pointer, told, now=now)) is not None:
                stated[MilestoneKind(name)] = at
                if isinstance(told, dict) and told.get("estimated") is True:
                    estimated.add(MilestoneKind(name))
        return stated, estimated

    def _time(self, pointer: str, told: object, *, now: datetime) -> datetime | None:
        text = told.get("at") if isinstance(told, dict) else told
        at = _parsed(text) if isinstance(text, str) else None
        if at is None:
            self.wrong(pointer, "A time with its zone, such as 2026-11-24T02:17:21Z.")
        elif at > now + milestones.AHEAD:
            self.wrong(pointer, "That time lies in the future.")
        else:
            return at
        return None


def read(document: object, *, at: datetime) -> Imported:
    """The incident that a decoded line tells of. Raises `Refused` with everything that is wrong."""
    if not isinstance(document, dict):
        raise Refused(Error(pointer="", detail="A line is one JSON object."))
    reader = _Reader(document)
    stated, estimated = reader.times(now=at)
    found = Imported(
        external_id=reader.text("external_id", longest=200, is_needed=True),
        title=reader.text("title", longest=500, is_needed=True),
        severity=reader.severity(),
        kind=reader.text("kind", longest=60),
        account=reader.account(),
        verdict=reader.verdict(),
        is_exercise=reader.flag("is_exercise"),
        stated=stated,
        estimated=estimated,
    )
    if reader.errors:
        raise Refused(*reader.errors)
    return found


def _parsed(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo and at.year in YEARS else None


# --- storing one incident -------------------------------------------------------------------------


def _store(item: Imported, *, team: Team | None, by: Actor, at: datetime) -> tuple[Incident, Outcome]:
    try:
        return _store_once(item, team=team, by=by, at=at)
    except IntegrityError:
        # Another import created it between our look and our insert; the second look finds it.
        return _store_once(item, team=team, by=by, at=at)


@transaction.atomic
def _store_once(item: Imported, *, team: Team | None, by: Actor, at: datetime) -> tuple[Incident, Outcome]:
    incident = Incident.objects.filter(external_id=item.external_id).first()
    # Whose it is is asked about the row that was found: another import may commit one at any moment, and
    # two looks for it, ours first, would take that for somebody else's.
    mine = access.incidents_for(by, permission=Permission.WRITE_INCIDENTS)
    if incident is not None and mine.filter(pk=incident.pk).exists():
        return incident, _update(incident, item, by=by, at=at)
    if incident is not None:
        raise Refused(Error(pointer="/external_id", detail="This external_id cannot be used."))
    owner = team or _team_of(item.account)
    if not access.permits(by, Permission.WRITE_INCIDENTS, team=owner.pk, account=item.account):
        raise Refused(Error(pointer="/account", detail="Your role does not cover this account."))
    return _create(item, team=owner, by=by, at=at), Outcome.CREATED


def _team_of(account: str) -> Team:
    found = Account.objects.select_related("team").filter(account_id=account).first() if account else None
    if found is None:
        raise Refused(Error(pointer="/account", detail="The account is not in the estate; name a team."))
    return found.team


def _create(item: Imported, *, team: Team, by: Actor, at: datetime) -> Incident:
    account = Account.objects.filter(account_id=item.account).first() if item.account else None
    incident = Incident.objects.create(
        ref=numbering.next_ref(item.opened_at),
        external_id=item.external_id,
        title=item.title,
        severity=item.severity,
        severity_band=Band.of(item.severity),
        highest_severity=item.severity,
        priority=priority_of(severity=item.severity, account=account),
        status=item.phase,
        kind=item.kind,
        account=item.account,
        team=team,
        is_exercise=item.is_exercise,
        verdict=item.verdict,
        opened_at=item.opened_at,
        updated_at=at,
    )
    milestones.record_history(
        incident=incident, stated=item.stated, estimated=item.estimated, by=by, recorded_at=at
    )
    timeline.add(
        incident=incident,
        kind="imported",
        at=at,
        title=f"Imported from another system, where it is {item.external_id}",
        by=by,
        recorded_at=at,
    )
    _audit(incident, item, act="incident.imported", by=by, at=at)
    return incident


def _update(incident: Incident, item: Imported, *, by: Actor, at: datetime) -> Outcome:
    """Add what the line knows beyond the record: times that only imports have stated, a first verdict."""
    ours = _stated_here(incident)
    news = {
        kind: told
        for kind, told in item.stated.items()
        if kind not in ours and getattr(incident, kind.value) != told
    }
    for kind, told in news.items():
        milestones.record(
            incident=incident,
            kind=kind,
            at=told,
            source=MilestoneSource.IMPORT,
            by=by,
            recorded_at=at,
            estimated=kind in item.estimated,
        )
    changed: dict[str, Any] = {}
    if item.verdict and not incident.verdict:
        changed["verdict"] = item.verdict
    if MilestoneKind.CLOSED in news and incident.status != Phase.CLOSED:
        changed["status"] = Phase.CLOSED
    if changed:
        Incident.objects.filter(pk=incident.pk).update(updated_at=at, **changed)
    if not news and not changed:
        return Outcome.UNCHANGED
    _audit(incident, item, act="incident.import-added", by=by, at=at)
    return Outcome.UPDATED


def _stated_here(incident: Incident) -> set[str]:
    """The kinds about which somebody or something in Quell said the last word."""
    said = Milestone.objects.filter(incident=incident).order_by("pk").values_list("kind", "source")
    last = dict(said)
    return {kind for kind, source in last.items() if source != MilestoneSource.IMPORT}


def _audit(incident: Incident, item: Imported, *, act: str, by: Actor, at: datetime) -> None:
    audit(
        act=act,
        by=by,
        at=at,
        on=("incident", incident.ref),
        details={
            "external_id": canonical.sha256([item.external_id]),
            "verdict": item.verdict,
            "milestones": {kind.value: told.isoformat() for kind, told in sorted(item.stated.items())},
        },
    )
