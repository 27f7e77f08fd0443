"""What alerts have to do with each other: by whom or what they are about, and what a sequence names.

Identity says whether two documents are about one finding (`cases.storing`); correlation, which is
separate, says whether two findings are about one principal or resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from django.db.models import QuerySet

from cases.models import Alert, Incident, RawDocument
from cases.words import PRINCIPALS, AlertStatus, GroupBy, Phase
from lib import canonical

Subject: TypeAlias = tuple[str, str]
"""Kind and id of a resource."""

THINGS = frozenset({"instance", "bucket", "function", "eks_cluster", "ecs_cluster", "db_instance"})
CORRELATING = THINGS | {"access_key", "session_key", "user", "role", "role_session", "root", "federated_user"}
"""Kinds of resources by which two alerts are about one thing; interfaces and the like hang on these."""

SEQUENCE = "AttackSequence:"
NEAR = timedelta(days=1)
"""How far from an attack sequence's own span an alert about the same things may lie."""

MOST_NAMED = 500
DEEPEST = 32
MOST_CANDIDATES = 500


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """An attack sequence that lies in an open incident: what it names, and what it is about.

    `findings` are keys of findings (`Alert.finding_key`).
    """

    alert: Alert
    incident: Incident
    findings: frozenset[str]
    subjects: frozenset[Subject]

    def holds(self, other: Alert) -> bool:
        """Whether it names the finding, or is about the same things within a day of its own span."""
        if other.team_id != self.alert.team_id or other.account != self.alert.account:
            return False
        if other.pk == self.alert.pk or is_sequence(other):
            return False
        if other.finding_key in self.findings:
            return True
        start = (self.alert.first_seen_at or self.alert.detected_at) - NEAR
        end = max(self.alert.last_seen_at, self.alert.detected_at) + NEAR
        return start <= other.detected_at <= end and bool(self.subjects & subjects_of(other))


def key_of(alert: Alert) -> str:
    """The correlation key: account and main principal, else main resource, else type. Empty for nothing.

    The main one is the same in whatever order documents told of the resources.
    """
    known = subjects_of(alert)
    for kinds in (PRINCIPALS, sorted(THINGS)):
        for kind in kinds:
            if found := sorted(name for of, name in known if of == kind):
                return canonical.sha256(["subject", alert.account, kind, found[0]])
    if alert.account or alert.type:
        return canonical.sha256(["type", alert.account, alert.type])
    return ""


def subjects_of(alert: Alert) -> frozenset[Subject]:
    """The resources by which an alert can be about the same thing as another."""
    return frozenset(
        (str(one["type"]), str(one["id"]))
        for one in alert.resources
        if isinstance(one, dict) and one.get("type") in CORRELATING and one.get("id")
    )


def gathered_by(alert: Alert, group_by: str) -> frozenset[Subject]:
    """What two alerts of one account must share to be gathered; their type where one has none of it."""
    if group_by == GroupBy.TYPE:
        return frozenset({("type", alert.type)})
    subjects = subjects_of(alert)
    if group_by == GroupBy.PRINCIPAL:
        subjects = frozenset(one for one in subjects if one[0] in PRINCIPALS)
    elif group_by == GroupBy.RESOURCE:
        subjects = frozenset(one for one in subjects if one[0] in THINGS)
    return subjects or frozenset({("type", alert.type)})


def correlates(alert: Alert, other: Alert, *, group_by: str = GroupBy.SUBJECT) -> bool:
    """Whether two alerts of one account are about the same thing, by what a rule gathers.

    Alerts without any resource that could tell are about the same when their type is.
    """
    if group_by == GroupBy.NOTHING or alert.account != other.account:
        return False
    return bool(gathered_by(alert, group_by) & gathered_by(other, group_by))


def open_incident_for(alert: Alert, *, window: timedelta, group_by: str) -> Incident | None:
    """The open incident, newest first, that holds an alert about the same thing within the window."""
    if group_by == GroupBy.NOTHING:
        return None
    near = Alert.objects.filter(
        team_id=alert.team_id,
        account=alert.account,
        status=AlertStatus.ESCALATED,
        incident__is_exercise=False,
        detected_at__range=(alert.detected_at - window, alert.detected_at + window),
    ).exclude(incident__status=Phase.CLOSED)
    near = near.only("account", "type", "resources", "incident_id").order_by("-detected_at", "-pk")
    found: int | None = None
    if alert.correlation_key:  # most alerts join by their main subject, for which there is an index
        found = _first(near.filter(correlation_key=alert.correlation_key)[:20], alert, group_by)
    found = found or _first(near[:MOST_CANDIDATES], alert, group_by)
    return Incident.objects.get(pk=found) if found is not None else None


def _first(near: QuerySet[Alert], alert: Alert, group_by: str) -> int | None:
    return next((one.incident_id for one in near if correlates(alert, one, group_by=group_by)), None)


# --- attack sequences ----------------------------------------------------------------------------------


def is_sequence(alert: Alert) -> bool:
    """Whether the alert is one that GuardDuty made of several findings."""
    return alert.type.startswith(SEQUENCE)


def sequences(teams: Iterable[int]) -> list[Sequence]:
    """The newest attack sequences in open incidents of these teams, at most 100."""
    found = (
        Alert.objects.filter(team__in=list(teams), type__startswith=SEQUENCE, status=AlertStatus.ESCALATED)
        .exclude(incident__status=Phase.CLOSED)
        .select_related("incident")
        .order_by("-detected_at")[:100]
    )
    return [sequence_of(alert, alert.incident) for alert in found if alert.incident is not None]


def sequence_of(alert: Alert, incident: Incident) -> Sequence:
    """What an attack sequence names, read from its newest documents."""
    named: dict[str, None] = {}
    for body in RawDocument.objects.filter(alert=alert).order_by("-pk").values_list("body", flat=True)[:5]:
        named |= dict.fromkeys(_named(body))
    ids = list(named)[:MOST_NAMED]
    keys = frozenset(canonical.sha256(["guardduty", alert.account, one]) for one in ids)
    return Sequence(alert=alert, incident=incident, findings=keys, subjects=subjects_of(alert))


def children_of(sequence: Sequence) -> list[Alert]:
    """New alerts that the sequence holds and nobody has in hand, at most 200; samples hold none."""
    alert = sequence.alert
    if alert.is_sample:
        return []
    free = Alert.objects.filter(
        team_id=alert.team_id,
        account=alert.account,
        status=AlertStatus.NEW,
        is_sample=False,
        is_archived=False,
    ).exclude(pk=alert.pk)
    by_name = list(free.filter(finding_key__in=sequence.findings)[:200])
    start = (alert.first_seen_at or alert.detected_at) - NEAR
    end = max(alert.last_seen_at, alert.detected_at) + NEAR
    near = free.filter(detected_at__range=(start, end)).order_by("-detected_at")[:MOST_CANDIDATES]
    by_thing = [one for one in near if sequence.holds(one)]
    found = {one.pk: one for one in [*by_name, *by_thing] if not is_sequence(one)}
    return [found[pk] for pk in sorted(found)][:200]


def _named(body: Any, depth: int = 0, within: bool = False) -> Iterator[str]:
    """Uids of the signals of every sequence in a document, whatever it is wrapped in and spelled like.

    A signal is a finding or an event; ids of events match no finding.
    """
    if depth > DEEPEST:
        return
    if isinstance(body, list):
        for one in body[:1000]:
            yield from _named(one, depth + 1, within)
        return
    if not isinstance(body, dict):
        return
    if within:
        uid = body.get("uid") or body.get("Uid")
        if isinstance(uid, str) and 0 < len(uid) <= 2048:
            yield uid.rsplit("/", maxsplit=1)[-1]
    for name, inner in body.items():
        if isinstance(inner, dict | list):
            yield from _named(inner, depth + 1, name.lower() == "signals")
