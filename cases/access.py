"""Who may see and do what with one record: the only way from a public id to a row.

A record is visible in the teams, and for the AWS accounts, of the memberships that carry the read
permission. A restricted incident, with its alerts and actions, is visible to the people named in it
and to nobody else. What is not visible does not exist (`NotFound`); what is visible and may not be
changed is `Forbidden`.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet

from cases.models import Action, Alert, Heard, Incident
from estate.models import Account
from identity.actors import Actor, of_person
from identity.models import Person, User
from identity.permissions import OF_ROLE, Permission
from lib.errors import Forbidden, NotFound


def alerts_for(actor: Actor, *, permission: Permission = Permission.READ_ALERTS) -> QuerySet[Alert]:
    """The alerts that the actor may read, or use in the way that the permission names."""
    seats = _in_seats_for(actor, permission, team="team", account="account")
    return Alert.objects.filter(seats & _open_to(actor, "incident", is_optional=True))


def alert_for(actor: Actor, ulid: str, *, permission: Permission = Permission.READ_ALERTS) -> Alert:
    """One alert with its team and incident; `NotFound` or `Forbidden`."""
    alert = alerts_for(actor).select_related("team", "incident", "assignee").filter(ulid=ulid).first()
    if alert is None:
        raise NotFound("There is no such alert, or it is not yours to see.")
    _demand(actor, permission, team=alert.team_id, account=alert.account)
    return alert


def incidents_for(actor: Actor, *, permission: Permission = Permission.READ_INCIDENTS) -> QuerySet[Incident]:
    """The incidents that the actor may read, or use in the way that the permission names."""
    seats = _in_seats_for(actor, permission, team="team", account="account")
    return Incident.objects.filter(seats & _open_to(actor, ""))


def hidden_incidents(
    actor: Actor, *, permission: Permission = Permission.READ_INCIDENTS
) -> QuerySet[Incident]:
    """The restricted incidents of the actor's teams that do not name the actor. For counting only."""
    if _sees_all(actor):
        return Incident.objects.none()
    seats = _in_seats_for(actor, permission, team="team", account="account")
    return Incident.objects.filter(seats).exclude(_open_to(actor, ""))


def incident_for(actor: Actor, ref: str, *, permission: Permission = Permission.READ_INCIDENTS) -> Incident:
    """One incident with its team and owner; `NotFound` or `Forbidden`."""
    incident = incidents_for(actor).select_related("team", "owner").filter(ref=ref).first()
    if incident is None:
        raise NotFound("There is no such incident, or it is not yours to see.")
    _demand(actor, permission, team=incident.team_id, account=incident.account)
    return incident


def actions_for(actor: Actor, *, permission: Permission = Permission.READ_ACTIONS) -> QuerySet[Action]:
    """The actions that the actor may read; the account is the target's, which may not be the incident's."""
    seats = _in_seats_for(actor, permission, team="incident__team", account="target__account")
    return Action.objects.filter(seats & _open_to(actor, "incident"))


def action_for(actor: Actor, ulid: str, *, permission: Permission = Permission.READ_ACTIONS) -> Action:
    """One action with its incident and requester; `NotFound` or `Forbidden`."""
    found = actions_for(actor).select_related("incident", "incident__team", "requested_by")
    action = found.filter(ulid=ulid).first()
    if action is None:
        raise NotFound("There is no such action, or it is not yours to see.")
    account = action.target.get("account", "") if isinstance(action.target, dict) else ""
    _demand(actor, permission, team=action.incident.team_id, account=str(account))
    return action


def heard_for(actor: Actor) -> QuerySet[Heard]:
    """When which source spoke, for the accounts whose alerts the actor may read."""
    return Heard.objects.filter(_in_seats_for(actor, Permission.READ_ALERTS, team="team", account="account"))


def permits(actor: Actor, permission: Permission, *, team: int, account: str = "") -> bool:
    """Whether the actor holds the permission in that team and for that AWS account.

    A membership limited to some accounts never covers a record without an account.
    """
    if _sees_all(actor):
        return True
    seats = [seat for seat in actor.seats_for(permission) if seat.team == team]
    if any(seat.is_whole or account in seat.accounts for seat in seats):
        return True
    paths = {path for seat in seats for path in seat.ou_paths}
    return bool(account and paths and account in _accounts_under(paths))


def people_who_may(
    permission: Permission, *, team: int, account: str = "", incident: Incident | None = None
) -> list[Person]:
    """The persons who hold the permission there: whom to ring. A restricted incident rings only its named.

    Without an account everybody counts who holds it anywhere in the team. Persons whose logins are all
    switched off are left out.
    """
    roles = [role for role, held in OF_ROLE.items() if permission in held]
    people = Person.objects.filter(memberships__team=team, memberships__role__in=roles)
    people = people.filter(Exists(User.objects.filter(person=OuterRef("pk"), is_active=True)))
    if incident is not None and incident.is_restricted:
        people = people.filter(restricted_incidents=incident)
    found = people.distinct().order_by("pk").prefetch_related("memberships")
    if not account:
        return list(found)
    return [one for one in found if permits(of_person(one), permission, team=team, account=account)]


def _demand(actor: Actor, permission: Permission, *, team: int, account: str) -> None:
    if not permits(actor, permission, team=team, account=account):
        raise Forbidden


def _sees_all(actor: Actor) -> bool:
    return actor.kind == "system"


def _in_seats_for(actor: Actor, permission: Permission, *, team: str, account: str) -> Q:
    """The rows of the memberships that carry the permission; none at all for nobody."""
    if _sees_all(actor):
        return Q()
    seats = actor.seats_for(permission)
    whole = {seat.team for seat in seats if seat.is_whole}
    condition = Q(**{f"{team}__in": sorted(whole)})
    for seat in seats:
        if seat.team in whole:
            continue
        accounts = seat.accounts | _accounts_under(seat.ou_paths)
        condition |= Q(**{team: seat.team, f"{account}__in": sorted(accounts)})
    return condition


def _accounts_under(paths: Iterable[str]) -> frozenset[str]:
    """Ids of the accounts in these organizational units and in the units below them."""
    condition = Q(pk__in=())
    for path in paths:
        condition |= Q(ou__path=path) | Q(ou__path__startswith=f"{path.rstrip('/')}/")
    if condition == Q(pk__in=()):
        return frozenset()
    return frozenset(Account.objects.filter(condition).values_list("account_id", flat=True))


def _open_to(actor: Actor, incident: str, *, is_optional: bool = False) -> Q:
    """Rows whose incident (the row itself when the name is empty) is not restricted, or names the person."""
    if _sees_all(actor):
        return Q()
    prefix = f"{incident}__" if incident else ""
    condition = Q(**{f"{prefix}is_restricted": False})
    if is_optional:
        condition |= Q(**{f"{incident}__isnull": True})
    if actor.person_id is not None:
        named = Incident.named.through.objects.filter(person_id=actor.person_id).values("incident_id")
        condition |= Q(**{f"{prefix}pk__in": named})
    return condition
