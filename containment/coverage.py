"""Which tainted things of an incident are contained, and which stand open.

A target is tainted when an alert of the incident names it as acting, or an action of the incident is
about it. Only a verified action covers anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cases.models import Action, Alert, Incident
from cases.words import ActionStatus
from containment.types import Category

REQUIRED = {
    "access_key": Category.TECHNIQUE,
    "role": Category.TECHNIQUE,
    "instance": Category.SOURCE,
}
"""The category of action that each kind of tainted target needs before it counts as contained."""

COUNTS = {Category.SOURCE, Category.TECHNIQUE, Category.DESTINATION}
PLANNED = (ActionStatus.PROPOSED, ActionStatus.PLANNED, ActionStatus.APPROVED, ActionStatus.DRIFTED)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One category of one target: `contained`, `elsewhere`, `applying`, `planned`, `open`, or `none`."""

    state: str
    text: str
    action: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One tainted target with its three cells; `is_open` when its required category is not verified."""

    kind: str
    id: str
    account: str
    region: str
    source: Cell
    technique: Cell
    destination: Cell
    is_open: bool
    since: datetime | None


def coverage(incident: Incident) -> list[Row]:
    """All tainted targets of an incident, open ones first. Two queries."""
    actions = list(
        Action.objects.filter(incident=incident, reverts__isnull=True).order_by("requested_at", "pk")
    )
    targets = dict.fromkeys([*_of_alerts(incident), *_of_actions(actions)])
    elsewhere = _contained_by_others(incident)
    rows = [_row(target, actions, elsewhere) for target in targets]
    return sorted(rows, key=lambda row: (not row.is_open, row.kind, row.id))


def contained_since(incident: Incident) -> datetime | None:
    """When the last required action was verified; None while one is not, or nothing is tainted."""
    times = [row.since for row in coverage(incident)]
    known = [since for since in times if since]
    return max(known) if known and len(known) == len(times) else None


_Key = tuple[str, str, str, str]


def _of_alerts(incident: Incident) -> list[_Key]:
    found: list[_Key] = []
    for alert in Alert.objects.filter(incident=incident).order_by("pk"):
        for resource in alert.resources:
            kind = str(resource.get("type"))
            if kind in REQUIRED and resource.get("id"):
                found.append((kind, str(resource["id"]), alert.account, alert.region))
    return found


def _of_actions(actions: list[Action]) -> list[_Key]:
    return [
        (a.target["type"], a.target["id"], a.target["account"], a.target.get("region") or "")
        for a in actions
        if a.category in COUNTS and a.target["type"] in REQUIRED and a.status not in ("refused", "rejected")
    ]


def _contained_by_others(incident: Incident) -> str:
    """How the incident came to be contained without us, in words; empty when it was not."""
    return _BY_OTHERS.get(incident.contained_basis, "") if incident.contained_at else ""


def _row(target: _Key, actions: list[Action], elsewhere: str) -> Row:
    kind, name, account, region = target
    mine = [a for a in actions if a.target["id"] == name and a.target["account"] == account]
    cells = {category: _cell(category, kind, mine, elsewhere) for category in COUNTS}
    needed = cells[REQUIRED[kind]]
    return Row(
        kind=kind,
        id=name,
        account=account,
        region=region,
        source=cells[Category.SOURCE],
        technique=cells[Category.TECHNIQUE],
        destination=cells[Category.DESTINATION],
        is_open=needed.state not in ("contained", "elsewhere"),
        since=needed.at if needed.state == "contained" else None,
    )


def _cell(category: Category, kind: str, actions: list[Action], elsewhere: str) -> Cell:
    mine = [a for a in actions if a.category == category]
    for statuses, state in (
        ((ActionStatus.VERIFIED,), "contained"),
        ((ActionStatus.APPLYING, ActionStatus.APPLIED, ActionStatus.REVERTING), "applying"),
        ((ActionStatus.UNKNOWN, ActionStatus.PARTIAL, ActionStatus.CONFLICT), "unknown"),
        (PLANNED, "planned"),
    ):
        for action in reversed(mine):
            if action.status in statuses:
                return Cell(state=state, text=action.type, action=action.ulid, at=action.verified_at)
    if REQUIRED[kind] is category and elsewhere:
        return Cell(state="elsewhere", text=elsewhere)
    if REQUIRED[kind] is category:
        return Cell(state="open", text="No plan yet")
    return Cell(state="none", text=_NOT_NEEDED[category])


_BY_OTHERS = {
    "observed": "Contained by someone else, seen in AWS",
    "attested": "Contained by someone else, on a person's word",
    "not_needed": "Not needed, as a person decided",
}
_NOT_NEEDED = {
    Category.SOURCE: "Not a host",
    Category.TECHNIQUE: "No credential of its own",
    Category.DESTINATION: "Not a store",
}
