"""Who may see which event of the ledger.

Whoever reads the audit trail of every team sees every event. Others see those about what belongs to a team
where they do, and those of that team's people. What nobody's team owns (a switch of the installation, the
seals) is for the first alone. About a restricted incident, with what hangs on it, only the people named in
it see anything. An event that is not for someone does not exist for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.urls import reverse

from audit.models import AuditEvent
from audit.search import NEWEST
from cases.access import actions_for, alerts_for, incidents_for
from cases.models import Action, Alert, Evidence, Incident, Quarantined, TriageRule
from cases.quarantine import quarantined_for
from cases.ruling import rules_for
from containment.automation_models import AutoRule, Hold
from estate.models import Account, OrganizationalUnit
from identity.actors import Actor
from identity.models import ApiKey, Hook, Person, Team, User
from identity.permissions import Permission
from lib.errors import Forbidden, NotFound
from notify.models import Notice

READ = Permission.READ_AUDIT


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of object in the ledger: what people call it, and whose it is.

    `rows` gives the objects in the teams where the actor reads the audit trail; None where no team owns such
    an object. `by` are the columns under which the ledger may name it. `page` is the address of a page of
    ours that shows it, None where there is none, and `open` the objects that this page opens for the actor.
    """

    says: str
    rows: Callable[[Actor], QuerySet[Any]] | None = None
    by: tuple[str, ...] = ("ulid",)
    page: str = ""
    open: Callable[[Actor], QuerySet[Any]] | None = None


def _of_teams(model: type[Any], path: str) -> Callable[[Actor], QuerySet[Any]]:
    """The rows of a model whose team, by that path, is one of which the actor reads everything."""
    return lambda actor: model.objects.filter(**{f"{path}__in": whole_teams(actor)})


def _evidence(actor: Actor) -> QuerySet[Evidence]:
    return Evidence.objects.filter(incident__in=incidents_for(actor, permission=READ))


def _units(actor: Actor) -> QuerySet[OrganizationalUnit]:
    units = OrganizationalUnit.objects.filter(accounts__team__in=whole_teams(actor))
    return units.annotate(spelled=Cast("pk", CharField()))


KINDS: dict[str, Kind] = {
    "alert": Kind(
        says="alert", rows=lambda actor: alerts_for(actor, permission=READ), page="alert", open=alerts_for
    ),
    "incident": Kind(
        says="incident",
        rows=lambda actor: incidents_for(actor, permission=READ),
        by=("ref",),
        page="incident",
        open=incidents_for,
    ),
    "action": Kind(
        says="action", rows=lambda actor: actions_for(actor, permission=READ), page="action", open=actions_for
    ),
    "evidence": Kind(
        says="piece of evidence",
        rows=_evidence,
        page="evidence",
        open=lambda actor: Evidence.objects.filter(incident__in=incidents_for(actor)),
    ),
    "quarantined": Kind(
        says="item of quarantine",
        rows=_of_teams(Quarantined, "team"),
        page="quarantine-item",
        open=quarantined_for,
    ),
    "rule": Kind(
        says="rule",
        rows=_of_teams(TriageRule, "team"),
        page="rule",
        open=rules_for,
    ),
    "auto-rule": Kind(says="rule of automation", rows=_of_teams(AutoRule, "team")),
    "hold": Kind(says="hold on automation", rows=_of_teams(Hold, "team")),
    "account": Kind(says="AWS account", rows=_of_teams(Account, "team"), by=("account_id", "ulid")),
    "ou": Kind(says="organizational unit", rows=_units, by=("spelled",)),
    "api_key": Kind(says="API key", rows=_of_teams(ApiKey, "account__team")),
    "hook": Kind(says="hook", rows=_of_teams(Hook, "account__team")),
    "login": Kind(says="login", rows=_of_teams(User, "person__memberships__team")),
    "team": Kind(says="team", rows=_of_teams(Team, "pk")),
    "notice": Kind(says="notice", rows=_of_teams(Notice, "items__person__memberships__team")),
    # What no team owns.
    "automation": Kind(says="switch of automation"),
    "tier-policy": Kind(says="policy of tiers"),
    "source": Kind(says="source"),
    "receipts": Kind(says="seal over receipts, up to number"),
    "ledger-export": Kind(says="export of the ledger"),
}
"""Every kind that `record` is given. A test reads the code and misses the line of a kind that has none."""


def whole_teams(actor: Actor) -> list[int]:
    """The teams of which the actor reads the whole audit trail."""
    return sorted({seat.team for seat in actor.seats_for(READ) if seat.is_whole})


def is_installation_wide(actor: Actor) -> bool:
    """Whether the actor reads the audit trail of the whole of every team there is."""
    if actor.kind == "system":
        return True
    teams = whole_teams(actor)
    return bool(teams) and not Team.objects.exclude(pk__in=teams).exists()


def demand_whole(actor: Actor) -> None:
    """`Forbidden` for whoever does not read the whole installation's trail."""
    if not is_installation_wide(actor):
        raise Forbidden("This is for those who read the audit trail of the whole of every team.")


def events_for(actor: Actor) -> QuerySet[AuditEvent]:
    """The events that the actor may see."""
    if not actor.may(READ):
        raise Forbidden
    rows = AuditEvent.objects.all()
    return not_restricted(actor, rows if is_installation_wide(actor) else rows.filter(_mine(actor)))


def event_for(actor: Actor, seq: str) -> AuditEvent:
    """One event by its number as an address has it; `NotFound`."""
    number = int(seq) if seq.isascii() and seq.isdigit() and len(seq) < 20 else 0
    found = events_for(actor).filter(seq=number).first() if 0 < number <= NEWEST else None
    if found is None:
        raise NotFound("There is no such event, or it is not yours to see.")
    return found


def not_restricted(actor: Actor, rows: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
    """These events without those about restricted incidents that do not name the actor."""
    hidden = hidden_incidents(actor)
    if not hidden.exists():
        return rows
    alerts = Alert.objects.filter(incident__in=hidden)
    named = rows.alias(
        told_incident=Coalesce(KT("details__incident"), Value(""), output_field=TextField()),
        told_alert=Coalesce(KT("details__alert"), Value(""), output_field=TextField()),
    )
    return named.exclude(
        Q(object_type="incident", object_id__in=hidden.values("ref"))
        | Q(object_type="alert", object_id__in=alerts.values("ulid"))
        | Q(object_type="action", object_id__in=_on(Action, hidden))
        | Q(object_type="evidence", object_id__in=_on(Evidence, hidden))
        | Q(told_incident__in=hidden.values("ref"))
        | Q(told_alert__in=alerts.values("ulid"))
    )


def hidden_incidents(actor: Actor) -> QuerySet[Incident]:
    """The restricted incidents that do not name the actor, of whichever team."""
    restricted = Incident.objects.filter(is_restricted=True)
    if actor.kind == "system":
        return restricted.none()
    if actor.person_id is None:
        return restricted
    named = Incident.named.through.objects.filter(person_id=actor.person_id)
    return restricted.exclude(pk__in=named.values("incident_id"))


def page_of(actor: Actor, event: AuditEvent) -> str:
    """The address of the page of what an event is about, if there is one that opens for the actor."""
    kind = KINDS.get(event.object_type)
    if kind is None or not kind.page or kind.open is None:
        return ""
    found = kind.open(actor).filter(**{kind.by[0]: event.object_id}).exists()
    return reverse(kind.page, args=[event.object_id]) if found else ""


def _mine(actor: Actor) -> Q:
    """Events about what belongs to a team of the actor, or by one of its people."""
    teams = whole_teams(actor)
    people = Person.objects.filter(ulid=OuterRef("person"), memberships__team__in=teams)
    condition = ~Q(person="") & Q(Exists(people))
    for word, kind in KINDS.items():
        if kind.rows is None:
            continue
        for column in kind.by:
            owned = kind.rows(actor).filter(**{column: OuterRef("object_id")})
            condition |= Q(object_type=word) & Q(Exists(owned))
    return condition


def _on(model: type[Any], incidents: QuerySet[Incident]) -> QuerySet[Any]:
    rows: QuerySet[Any] = model.objects.filter(incident__in=incidents)
    return rows.values("ulid")
