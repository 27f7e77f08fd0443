"""Holds: what a person judged harmless, or undid, automation leaves alone until a person releases it.

Dismissals and undos are read from the ledger, whose sequence is the order in which they were committed:
none is missed, and an alert that came back before anybody looked does not hide its dismissal. A hold is
about one thing and one finding *type*: the same finding arrives under new ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from audit.models import AuditEvent, AuditHead
from audit.record import record
from cases.access import permits
from cases.models import Action, Alert
from cases.words import Verdict
from containment.automation_models import AutoMatch, Automation, Hold
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Conflict, Forbidden, Invalid, NotFound

ACTS = ("alert.dismissed", "action.undo-proposed")
HARMLESS = {Verdict.FALSE_POSITIVE: "a false positive", Verdict.BENIGN: "benign"}
MOST = 500
"""Events of the ledger that one look reads."""


def thing_of(target: Mapping[str, Any]) -> str:
    """What an action is about, spelled as alerts name it: `user/NAME` of a principal is the user."""
    kind, name = str(target.get("type")), str(target.get("id"))
    return (name if kind == "principal" else f"{kind}/{name}")[:300]


def finding_of(alert: Alert) -> str:
    """What tells one finding of a thing from another; of an alert without a type its source."""
    return (alert.type or f"source:{alert.source}")[:200]


def standing(*, account: str, thing: str, finding: str) -> Hold | None:
    """The hold on this thing for this finding that nobody has released."""
    held = Hold.objects.filter(account=account, thing=thing, finding=finding, released_at__isnull=True)
    return held.order_by("pk").first()


def gather(*, at: datetime) -> int:
    """Place the holds that dismissals and undos since the last look lead to; how many events were read.

    Two at once read the same events and place the same holds once.
    """
    done = 0
    while True:
        state = Automation.objects.get_or_create(pk=1)[0]
        last = AuditHead.objects.filter(pk=1).values_list("seq", flat=True).first() or 0
        if last <= state.read_seq:
            return done
        fresh = AuditEvent.objects.filter(seq__gt=state.read_seq, seq__lte=last, act__in=ACTS)
        events = list(fresh.order_by("seq")[:MOST])
        upto = events[-1].seq if len(events) == MOST else last
        with transaction.atomic():
            placed = [hold for event in events for hold in _of_event(event, at=at)]
            Hold.objects.bulk_create(placed, ignore_conflicts=True)
            Automation.objects.filter(pk=1, read_seq__lt=upto).update(
                read_seq=upto, changed_at=F("changed_at")
            )
        done += len(events)


def holds_for(actor: Actor) -> QuerySet[Hold]:
    """The holds of the teams whose actions the actor may read, whole teams only; standing ones first."""
    teams = {seat.team for seat in actor.seats_for(Permission.READ_ACTIONS) if seat.is_whole}
    found = Hold.objects.select_related("team", "released_by").filter(team_id__in=teams)
    return found.order_by(F("released_at").desc(nulls_first=True), "-pk")


@transaction.atomic
def release(*, ulid: str, reason: str, by: Actor, at: datetime) -> Hold:
    """Let automation act on the thing again. `NotFound`, `Forbidden`, `Invalid` without a reason."""
    hold = holds_for(by).filter(ulid=ulid).first()
    if hold is None:
        raise NotFound("There is no such hold, or it is not yours to see.")
    if by.kind != "person" or not permits(
        by, Permission.CONFIRM_ACTIONS, team=hold.team_id, account=hold.account
    ):
        raise Forbidden("A hold is released by a responder or lead.")
    if not reason.strip():
        raise Invalid("Say why automation may act on it again.", pointer="/reason")
    values = {"released_at": at, "released_by_id": by.person_id, "release_reason": reason.strip()[:500]}
    if Hold.objects.filter(pk=hold.pk, released_at__isnull=True).update(**values) != 1:
        raise Conflict("It was released already.")
    record(
        act="automation.hold-released", by=by, at=at, on=("hold", hold.ulid), details={"cause": hold.cause}
    )
    hold.refresh_from_db()
    return hold


def _of_event(event: AuditEvent, *, at: datetime) -> Iterator[Hold]:
    if event.act == "alert.dismissed":
        return _of_dismissal(event, at=at)
    return _of_undo(event, at=at)


def _of_dismissal(event: AuditEvent, *, at: datetime) -> Iterator[Hold]:
    said = HARMLESS.get(event.details.get("verdict", ""))
    alert = Alert.objects.filter(ulid=event.object_id).first() if said else None
    if alert is None:
        return
    for resource in alert.resources:
        if resource.get("id"):
            yield Hold(
                team_id=alert.team_id,
                account=alert.account,
                thing=thing_of(resource),
                finding=finding_of(alert),
                reason=f"dismissed as {said}",
                cause=f"alert:{alert.ulid}:{event.details.get('episode', 1)}",
                placed_by=event.actor,
                placed_at=at,
            )


def _of_undo(event: AuditEvent, *, at: datetime) -> Iterator[Hold]:
    """Of what automation did, the finding that led to it; of a person's action, its incidents' findings."""
    original = Action.objects.select_related("incident").filter(ulid=event.details.get("reverts")).first()
    if original is None:
        return
    thing = thing_of(original.target)
    findings = set(AutoMatch.objects.filter(action=original).values_list("finding", flat=True))
    where = Q(incident=original.incident_id) | Q(incident__handed_away__action=original)
    findings |= {finding_of(alert) for alert in Alert.objects.filter(where)}
    for finding in sorted(findings):
        yield Hold(
            team_id=original.incident.team_id,
            account=str(original.target["account"]),
            thing=thing,
            finding=finding,
            reason=f"{original.type} was undone",
            cause=f"action:{original.ulid}",
            placed_by=event.actor,
            placed_at=at,
        )
