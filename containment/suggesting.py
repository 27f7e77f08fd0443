"""Which actions fit an incident: from what its alerts name, evidence first, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cases.models import Action, Alert, Incident
from cases.words import ActionStatus
from containment.actions import action_type
from containment.describing import ActionType

ENDED = (
    ActionStatus.REFUSED,
    ActionStatus.REJECTED,
    ActionStatus.EXPIRED,
    ActionStatus.WITHDRAWN,
    ActionStatus.FAILED,
    ActionStatus.REVERTED,
)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One action that fits, ready to be asked for."""

    type: str
    title: str
    category: str
    tier: int
    target: dict[str, str]
    params: dict[str, Any]
    reason: str
    does_not_stop: str
    order: int


def suggestions(incident: Incident) -> list[Suggestion]:
    """Actions that fit the incident's resources and were not asked for yet, in order. Two queries."""
    asked = {
        (action.type, action.target["account"], action.target["id"])
        for action in Action.objects.filter(incident=incident, reverts__isnull=True).exclude(status__in=ENDED)
    }
    found: dict[tuple[str, str, str], Suggestion] = {}
    for alert in Alert.objects.filter(incident=incident).order_by("-severity", "pk"):
        for one in _of_alert(alert):
            key = (one.type, one.target["account"], one.target["id"])
            if key not in asked:
                found.setdefault(key, one)
    return sorted(found.values(), key=lambda one: (one.order, one.target["id"], one.type))


def of_alert(alert: Alert) -> list[Suggestion]:
    """Actions that fit what one alert names, in order, whether asked for or not. No query."""
    return sorted(_of_alert(alert), key=lambda one: (one.order, one.target["id"], one.type))


def _of_alert(alert: Alert) -> Iterator[Suggestion]:
    named = {(str(r.get("type")), str(r.get("id"))) for r in alert.resources if r.get("id")}
    users = sorted(name for kind, name in named if kind == "user")
    for kind, name in sorted(named):
        if kind == "access_key" and users:
            yield _one(
                "iam.deactivate-access-key",
                alert,
                kind,
                name,
                {"user": users[0]},
                f"{alert.type} names this key of {users[0]}",
            )
        if kind == "role":
            yield _one(
                "iam.revoke-role-sessions",
                alert,
                kind,
                name,
                {},
                f"{alert.type} names a session of this role",
            )
        if kind == "instance":
            yield _one(
                "ec2.snapshot-volumes",
                alert,
                kind,
                name,
                {},
                "The disks as they are now, before anything is changed",
            )
            yield _one("ec2.isolate-instance", alert, kind, name, {}, f"{alert.type} names this instance")


def _one(type_id: str, alert: Alert, kind: str, name: str, params: dict[str, Any], reason: str) -> Suggestion:
    declared: type[ActionType] = action_type(type_id)
    return Suggestion(
        type=declared.id,
        title=declared.title,
        category=declared.category.value,
        tier=declared.tier,
        target={"type": kind, "account": alert.account, "region": alert.region, "id": name, "arn": ""},
        params=params,
        reason=reason,
        does_not_stop=declared.does_not_stop(),
        order=declared.order,
    )
