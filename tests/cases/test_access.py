"""Who sees and may change what: by team, account scope, restriction and permission."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import QuerySet

from cases import access
from cases.models import Action
from identity import actors, keys
from identity.actors import SYSTEM, Actor
from identity.models import Membership, Person, User
from identity.permissions import Permission
from lib import clock
from lib.errors import Forbidden, NotFound
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

OTHER_ACCOUNT = "999988887777"


def action(account: str = make.ACCOUNT, **values: object) -> Action:
    at = clock.now()
    return make.incident(account=account, **values).actions.create(  # type: ignore[arg-type]
        type="x",
        target={"account": account},
        category="source",
        tier=1,
        requested_label="x",
        requested_at=at,
        updated_at=at,
    )


def program(*scopes: str, team: str = "blue") -> Actor:
    key = keys.find(make.key(*scopes, team=team), at=clock.now())
    assert key is not None
    return actors.of_key(key)


def ids(rows: QuerySet[Any]) -> set[int]:
    return set(rows.values_list("pk", flat=True))


def test_a_person_sees_the_own_team_and_nothing_of_another(analyst: Actor, outsider: Actor) -> None:
    alert, incident, act = make.alert(), make.incident(), action()

    assert access.alert_for(analyst, alert.ulid) == alert
    assert access.incident_for(analyst, incident.ref) == incident
    assert access.action_for(analyst, act.ulid) == act
    for refused in (
        lambda: access.alert_for(outsider, alert.ulid),
        lambda: access.incident_for(outsider, incident.ref),
        lambda: access.action_for(outsider, act.ulid),
        lambda: access.alert_for(analyst, "nonsense"),
    ):
        with pytest.raises(NotFound):
            refused()
    assert not access.alerts_for(outsider).exists()


def test_nobody_without_a_seat_sees_anything() -> None:
    make.alert()
    make.incident()

    nobody = make.person()

    assert not access.alerts_for(nobody).exists()
    assert not access.incidents_for(nobody).exists()
    assert not access.actions_for(nobody).exists()


def test_a_seat_for_some_accounts_shows_those_only() -> None:
    make.account(make.ACCOUNT, ou_path="Root/Production/Payments")
    make.account(OTHER_ACCOUNT, ou_path="Root/ProductionLike")
    here, there, nowhere = make.alert(), make.alert(account=OTHER_ACCOUNT), make.alert(account="")
    act_here, act_there = action(), action(OTHER_ACCOUNT)

    by_account = make.person("analyst", accounts=[make.ACCOUNT])
    by_unit = make.person("analyst", ou_paths=["Root/Production"])
    both = make.person("analyst", accounts=[OTHER_ACCOUNT], ou_paths=["Root/Production/"])

    for person in (by_account, by_unit):
        assert ids(access.alerts_for(person)) == {here.pk}
        assert ids(access.actions_for(person)) == {act_here.pk}
    assert ids(access.alerts_for(both)) == {here.pk, there.pk}
    assert ids(access.actions_for(both)) == {act_here.pk, act_there.pk}
    with pytest.raises(NotFound):
        access.alert_for(by_unit, nowhere.ulid)


def test_a_permission_counts_where_it_was_given() -> None:
    here, there = make.alert(), make.alert(account=OTHER_ACCOUNT)
    person = make.person("viewer")
    human = Person.objects.get(ulid=person.person_ulid)
    Membership.objects.create(person=human, team=make.team(), role="analyst", accounts=[make.ACCOUNT])
    person = actors.of_user(User.objects.get(username=person.label))

    assert access.alert_for(person, here.ulid, permission=Permission.TRIAGE_ALERTS) == here
    with pytest.raises(Forbidden):
        access.alert_for(person, there.ulid, permission=Permission.TRIAGE_ALERTS)


@pytest.mark.parametrize("role", ["viewer", "auditor", "approver", "admin"])
def test_who_may_only_read_is_refused_to_write(role: str) -> None:
    alert, person = make.alert(), make.person(role)

    assert access.alert_for(person, alert.ulid) == alert
    with pytest.raises(Forbidden):
        access.alert_for(person, alert.ulid, permission=Permission.TRIAGE_ALERTS)


def test_a_restricted_incident_is_there_for_the_named_only(
    analyst: Actor, responder: Actor, lead: Actor, admin: Actor, auditor: Actor
) -> None:
    incident = make.incident(named=[analyst])
    alert = make.alert(incident=incident)
    act = action(named=[analyst])

    assert access.incident_for(analyst, incident.ref) == incident
    assert access.alert_for(analyst, alert.ulid) == alert
    assert access.action_for(analyst, act.ulid) == act
    for other in (responder, lead, admin, auditor, program("alerts:read", "incidents:read", "actions:read")):
        assert not access.incidents_for(other).exists()
        assert not access.alerts_for(other).exists()
        assert not access.actions_for(other).exists()
    assert access.incidents_for(SYSTEM).count() == 2


def test_being_named_opens_nothing_of_another_team(outsider: Actor) -> None:
    incident = make.incident(named=[outsider])

    with pytest.raises(NotFound):
        access.incident_for(outsider, incident.ref)


def test_a_key_sees_its_team_as_far_as_its_scopes_go() -> None:
    alert, incident = make.alert(), make.incident()

    reader = program("alerts:read")
    assert access.alert_for(reader, alert.ulid) == alert
    assert not access.incidents_for(reader).exists()
    with pytest.raises(Forbidden):
        access.alert_for(reader, alert.ulid, permission=Permission.WRITE_ALERTS)
    with pytest.raises(NotFound):
        access.incident_for(program("incidents:read", team="other"), incident.ref)


def test_lists_take_a_fixed_number_of_queries(django_assert_num_queries: object) -> None:
    make.account()
    person = make.person("analyst", ou_paths=["Root/Production"])
    for _ in range(5):
        make.alert()

    with django_assert_num_queries(2):  # type: ignore[operator]
        list(access.alerts_for(person).select_related("team", "incident"))
