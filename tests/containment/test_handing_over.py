"""What is in force when an incident closes: kept with a date and a name, lifted, or handed over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connections, transaction
from django.test import Client
from django.urls import reverse

from audit.models import AuditEvent
from cases import triage
from cases.models import Action, Incident
from cases.words import ActionStatus, Phase, Verdict
from containment import approvals, coverage, handing_over, in_force, reconciling, sweeps
from containment.models import HandOver
from identity.actors import Actor
from identity.models import Membership, Person
from lib import clock
from lib.errors import Conflict
from notify.models import Delivery
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.first import _key, _turn_key
from tests.containment.test_api import get, post, problem
from tests.containment.world import SHIPPING, World

KEY = "iam.deactivate-access-key"


def about_key(world: World, incident: Incident) -> None:
    make.alert(
        incident=incident,
        account=SHIPPING,
        resources=[
            {"type": "access_key", "id": _key(world)["access_key_id"], "arn": "", "role": "target"},
            {"type": "user", "id": "ci-deploy", "arn": "", "role": "target"},
        ],
    )


@pytest.fixture
def action(world: World) -> Action:
    """A key that was switched off in the incident whose alert names it."""
    about_key(world, world.incident)
    made = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    assert made.status == ActionStatus.VERIFIED, made.note
    return made


@pytest.fixture
def other(world: World) -> Incident:
    """Another open incident of the same team, about the same key."""
    incident = make.incident()
    about_key(world, incident)
    return incident


def hand(client: Client, action: Action, to: Incident | str, reason: str = "it goes on there") -> Any:
    ref = to if isinstance(to, str) else to.ref
    return post(client, f"actions/{action.ulid}/hand-over", {"incident": ref, "reason": reason})


def close(client: Client, incident: Incident, **more: Any) -> Any:
    body = {"status": "closed", "verdict": "true_positive", "resolution": "over", **more}
    return client.patch(f"/api/v1/incidents/{incident.ref}", body, content_type="application/json")


def told(incident: Incident) -> list[str]:
    entries = incident.timeline.filter(kind="action.handed-over").select_related("text")
    return [entry.text.title for entry in entries.order_by("pk")]


# --- handing over ----------------------------------------------------------------------------------------


def test_an_action_goes_on_in_force_under_another_incident(
    world: World, action: Action, other: Incident
) -> None:
    client, key = make.browser(world.asks), action.target["id"]
    before = (world.wire.sent[:], world.locks(), SUBJECTS[KEY].look(world))
    world.incident.refresh_from_db()
    assert world.incident.contained_at
    assert not other.contained_at

    answer = hand(client, action, other)

    assert answer.status_code == 200, answer.content
    assert (answer.json()["incident"], answer.json()["status"]) == (other.ref, "verified")
    assert (world.wire.sent, world.locks(), SUBJECTS[KEY].look(world)) == before, "nothing changes in AWS"
    assert told(world.incident) == [f"Handed over to {other.ref}: Deactivate access key {key}"]
    assert told(other) == [f"Taken over from {world.incident.ref}: Deactivate access key {key}"]
    [event] = AuditEvent.objects.filter(act="action.handed-over")
    assert event.details == {"from": world.incident.ref, "to": other.ref}
    # What it contained stays contained in the first, and is contained in the second as well.
    first, second = (Incident.objects.get(pk=one.pk) for one in (world.incident, other))
    assert (first.contained_at, first.contained_basis) == (action.verified_at, "by_quell")
    assert second.contained_at == action.verified_at
    assert coverage.contained_since(first) == action.verified_at
    # The first may close; the second may not.
    assert close(client, first).status_code == 200
    refused = close(client, second)
    assert problem(refused) == (409, "conflict")
    assert action.ulid in refused.json()["detail"]


def test_handing_over_a_second_time_changes_nothing(world: World, action: Action, other: Incident) -> None:
    client = make.browser(world.asks)
    first = hand(client, action, other).json()
    events = AuditEvent.objects.count()

    again = hand(client, action, other)

    assert (again.status_code, again.json()) == (200, first)
    assert HandOver.objects.count() == 1
    assert (len(told(world.incident)), len(told(other))) == (1, 1)
    assert AuditEvent.objects.count() == events


def test_it_goes_on_from_one_to_the_next_and_back(world: World, action: Action, other: Incident) -> None:
    client = make.browser(world.asks)
    for to in (other, world.incident, other):
        assert hand(client, action, to).json()["incident"] == to.ref

    assert [one.to.ref for one in HandOver.objects.order_by("pk")] == [
        other.ref,
        world.incident.ref,
        other.ref,
    ]
    assert len(coverage.coverage(Incident.objects.get(pk=world.incident.pk))) == 2, "nothing is listed twice"


def test_on_the_page_one_chooses_among_open_incidents_and_comes_back_to_closing(
    world: World, action: Action, other: Incident
) -> None:
    client = make.browser(world.asks)
    closing = reverse("incident-close", args=[world.incident.ref])
    address = reverse("action-hand-over", args=[action.ulid])
    assert f"{address}?back=close" in client.get(closing).content.decode()
    ended = make.incident()
    triage.close(incident=ended, verdict=Verdict.BENIGN, resolution="x", by=world.asks, at=clock.now())
    page = client.get(f"{address}?back=close").content.decode()
    assert other.ref in page
    assert ended.ref not in page

    nothing = client.post(address, {"incident": other.ref, "reason": " ", "back": "close"})
    assert (nothing.status_code, "Say why" in nothing.content.decode()) == (422, True)
    unknown = client.post(address, {"incident": "INC-1999-0001", "reason": "x", "back": "close"})
    assert (unknown.status_code, "no such incident" in unknown.content.decode()) == (422, True)
    done = client.post(address, {"incident": other.ref, "reason": "it goes on there", "back": "close"})

    assert (done.status_code, done["Location"]) == (302, closing)
    assert action.ulid not in client.get(closing).content.decode()
    assert world.fresh(action).incident == other
    for page in (reverse("in-force"), reverse("action", args=[action.ulid])):
        assert address in client.get(page).content.decode()
        assert address not in make.browser(make.person("viewer")).get(page).content.decode()


def test_what_cannot_take_it_is_refused(world: World, action: Action, other: Incident) -> None:
    client = make.browser(world.asks)
    ended = make.incident()
    triage.close(incident=ended, verdict=Verdict.BENIGN, resolution="x", by=world.asks, at=clock.now())
    stranger, drill = make.incident(team="other"), make.incident(is_exercise=True)
    hidden = make.incident(named=[make.person("lead", login="named")])

    assert problem(hand(client, action, ended)) == (409, "conflict")
    assert problem(hand(client, action, drill)) == (422, "invalid")
    assert problem(hand(client, action, other, reason=" ")) == (422, "invalid")
    absent = hand(client, action, "INC-1999-0001")
    assert problem(absent) == (422, "invalid")
    for unseen in (stranger, hidden):
        answer = hand(client, action, unseen)
        assert (answer.status_code, answer.json()["detail"]) == (422, absent.json()["detail"])
    assert world.fresh(action).incident == world.incident
    assert not HandOver.objects.exists()
    assert not AuditEvent.objects.filter(act="action.handed-over").exists()


def test_an_incident_of_another_team_takes_nothing_although_one_works_in_both(
    world: World, action: Action
) -> None:
    both = make.incident(team="other")
    person = Person.objects.get(name="Asks")
    Membership.objects.create(person=person, team=make.team("other"), role="lead")

    answer = hand(make.browser(world.asks), action, both)

    assert problem(answer) == (422, "invalid")
    assert "own team" in answer.json()["detail"]


@pytest.mark.parametrize("role", ["viewer", "auditor", "analyst", "approver", "admin"])
def test_who_may_not_confirm_hands_nothing_over(
    world: World, action: Action, other: Incident, role: str
) -> None:
    assert problem(hand(make.browser(make.person(role)), action, other)) == (403, "forbidden")
    assert problem(hand(make.program(make.key()), action, other)) == (403, "forbidden")
    assert world.fresh(action).incident == world.incident


def test_only_what_holds_something_and_is_not_being_undone_is_handed_over(
    world: World, action: Action, other: Incident
) -> None:
    client = make.browser(world.asks)
    planned = world.propose("iam.revoke-user-sessions", {**action.target, "type": "user", "id": "ci-deploy"})
    evidence = world.apply("ec2.snapshot-volumes", *SUBJECTS["ec2.snapshot-volumes"].aim(world))
    for one in (planned, evidence):
        assert problem(hand(client, one, other)) == (409, "conflict")

    undo = world.ask_to_undo(action)
    refused = hand(client, action, other)
    assert problem(refused) == (409, "conflict")
    assert "undone" in refused.json()["detail"]
    approvals.reject(action=undo, reason="not yet", by=world.approves, at=clock.now())
    assert hand(client, action, other).status_code == 200


def test_while_a_worker_looks_at_it_one_is_asked_to_come_again(
    world: World, action: Action, other: Incident
) -> None:
    world.clock.advance(40)
    assert reconciling._claim(action.pk)
    client = make.browser(world.asks)

    answer = hand(client, action, other)

    assert problem(answer)[0] == 409
    assert answer["Retry-After"] == "5"
    assert not HandOver.objects.exists()
    world.clock.advance(100)
    assert hand(client, action, other).status_code == 200


def test_what_happens_later_is_told_where_it_is_answered_for(
    world: World, action: Action, other: Incident
) -> None:
    hand(make.browser(world.asks), action, other)
    _turn_key("Active")(world)
    world.clock.advance(400)

    sweeps.look_at_due()

    assert world.fresh(action).status == ActionStatus.UNKNOWN
    assert other.timeline.filter(kind="action.lifted").count() == 1
    assert not world.incident.timeline.filter(kind="action.lifted").exists()
    # The first is open still: what held there holds no more in either.
    assert Incident.objects.get(pk=other.pk).contained_at is None
    assert Incident.objects.get(pk=world.incident.pk).contained_at is None


def test_a_closed_incident_keeps_what_it_was_when_its_action_is_undone_later(
    world: World, action: Action, other: Incident
) -> None:
    client = make.browser(world.asks)
    hand(client, action, other)
    assert close(client, world.incident).status_code == 200
    contained = Incident.objects.get(pk=world.incident.pk).contained_at

    back = world.revert(action)

    assert back.status == ActionStatus.VERIFIED, back.note
    assert back.incident == other
    assert Incident.objects.get(pk=world.incident.pk).contained_at == contained is not None
    assert Incident.objects.get(pk=other.pk).contained_at is None


def test_the_database_lets_no_action_wander(world: World, action: Action, other: Incident) -> None:
    """The guard is there, and what it refuses is a change that nobody wrote down."""
    with pytest.raises(DatabaseError, match="handed over"), transaction.atomic():
        Action.objects.filter(pk=action.pk).update(incident=other)
    by = Person.objects.get(name="Asks")
    made = HandOver.objects.create(
        action=action, source=world.incident, to=other, by=by, reason="x", at=clock.now()
    )
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        HandOver.objects.filter(pk=made.pk).update(reason="y")


# --- two at once -------------------------------------------------------------------------------------------


def standing(incident: Incident, number: int = 0) -> Action:
    """A row that is in force, without AWS behind it."""
    at = clock.now()
    return Action.objects.create(
        incident=incident,
        type=KEY,
        target={"type": "access_key", "account": make.ACCOUNT, "region": "", "id": f"AKIA{number}"},
        category="technique",
        tier=1,
        status=ActionStatus.VERIFIED,
        requested_label="x",
        requested_at=at,
        verified_at=at,
        updated_at=at,
    )


def at_once(*works: Callable[[], object]) -> list[str]:
    """Do these at the same moment; what each came to: `done`, or the name of the error."""
    gate, came = threading.Barrier(len(works)), [""] * len(works)

    def run(number: int) -> None:
        gate.wait()
        try:
            works[number]()
            came[number] = "done"
        except Conflict as refused:
            came[number] = type(refused).__name__
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def handing(action: Action, to: Incident, by: Actor) -> Callable[[], object]:
    mine = Action.objects.select_related("incident").get(pk=action.pk)
    return lambda: handing_over.hand_over(action=mine, to=to, reason="x", by=by, at=clock.now())


def closing(incident: Incident, by: Actor) -> Callable[[], object]:
    mine = Incident.objects.get(pk=incident.pk)
    return lambda: triage.close(
        incident=mine, verdict=Verdict.BENIGN, resolution="over", by=by, at=clock.now()
    )


@pytest.mark.django_db(transaction=True)
def test_two_who_hand_it_over_at_once() -> None:
    one, two = make.person("responder", login="one"), make.person("responder", login="two")
    source, first, second = make.incident(), make.incident(), make.incident()

    apart = standing(source)
    came = at_once(handing(apart, first, one), handing(apart, second, two))
    assert sorted(came) == ["Conflict", "done"]
    assert HandOver.objects.filter(action=apart).count() == 1
    assert Action.objects.get(pk=apart.pk).incident == (first if came[0] == "done" else second)

    alike = standing(source, 1)
    assert at_once(handing(alike, first, one), handing(alike, first, two)) == ["done", "done"]
    assert HandOver.objects.filter(action=alike).count() == 1
    assert len(told(source)) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(4))
def test_closing_and_handing_over_at_once_leave_nothing_undecided(number: int) -> None:
    """Whoever is first: no incident ends up closed over an action that nobody decided about."""
    one, two = make.person("responder", login="one"), make.person("responder", login="two")
    source, taker = make.incident(), make.incident()
    action = standing(source, number)

    came = at_once(
        handing(action, taker, one), closing(source, two), closing(taker, make.person("lead", login="three"))
    )

    assert "done" in came
    where = Action.objects.select_related("incident").get(pk=action.pk).incident
    assert where.status != Phase.CLOSED, came
    assert all(not triage.undecided(incident) for incident in Incident.objects.filter(status=Phase.CLOSED)), (
        came
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(4))
def test_closing_and_approving_at_once_leave_nothing_undecided(number: int) -> None:
    """Either the plan is approved, and closing is refused; or the incident is closed, and approving is."""
    make.account()
    one, two = make.person("responder", login="one"), make.person("lead", login="two")
    incident, at = make.incident(), clock.now()
    planned = Action.objects.create(
        incident=incident,
        type=KEY,
        target={"type": "access_key", "account": make.ACCOUNT, "region": "", "id": f"AKIA{number}"},
        params={"user": "ci"},
        category="technique",
        tier=1,
        status=ActionStatus.PLANNED,
        plan={"steps": [], "facts": {}, "holds": [], "notes": {}, "changes": [], "warnings": []},
        plan_hash="ab" * 32,
        requested_label="x",
        requested_at=at,
        expires_at=at + timedelta(hours=4),
        updated_at=at,
    )

    def approve() -> None:
        mine = Action.objects.select_related("incident").get(pk=planned.pk)
        approvals.approve(action=mine, plan_hash=mine.plan_hash, by=one, at=clock.now(), is_fresh=True)

    came = at_once(approve, closing(incident, two))

    assert sorted(came) == ["Conflict", "done"]
    status = Action.objects.get(pk=planned.pk).status
    closed = Incident.objects.get(pk=incident.pk).status == Phase.CLOSED
    assert (status == ActionStatus.APPROVED) is not closed


# --- closing -----------------------------------------------------------------------------------------------


def test_closing_names_what_is_left_and_the_ways_to_decide(world: World) -> None:
    actions = [standing(world.incident, number) for number in range(7)]

    refused = close(make.browser(world.asks), world.incident, keep=[actions[0].ulid], keep_reason="x")

    assert problem(refused) == (409, "conflict")
    detail = refused.json()["detail"]
    assert [one.ulid in detail for one in actions] == [False, *[True] * 5, False]
    assert f"{KEY} on AKIA1" in detail
    assert "and 1 more" in detail
    assert all(word in detail for word in ("Keep", "undo", "hand it over"))
    assert Incident.objects.get(pk=world.incident.pk).status != Phase.CLOSED


def test_what_is_kept_has_a_date_and_a_name(world: World, action: Action) -> None:
    until = clock.now() + timedelta(days=14)
    keeper = Person.objects.get(name="Approves")
    kept = {"keep": [action.ulid], "keep_reason": "the key is deleted next week"}
    client = make.browser(world.asks)
    for wrong, pointer in (
        ({"keep_until": "2020-01-01T00:00:00Z"}, "/keep_until"),
        ({"keep_until": (clock.now() + timedelta(days=91)).isoformat()}, "/keep_until"),
        ({"keeper": "0" * 26}, "/keeper"),
        ({"keeper": make.person("lead", login="away", team="other").person_ulid}, "/keeper"),
    ):
        answer = close(client, world.incident, **kept, **wrong)
        assert problem(answer) == (422, "invalid"), wrong
        assert answer.json()["errors"][0]["pointer"] == pointer

    answer = close(client, world.incident, **kept, keep_until=until.isoformat(), keeper=keeper.ulid)

    assert answer.status_code == 200, answer.content
    now = world.fresh(action)
    assert (now.review_at, now.keeper) == (until, keeper)
    entry = world.incident.timeline.select_related("text").get(kind="kept")
    assert f"{until:%Y-%m-%d %H:%M} UTC, by {keeper.name}" in entry.text.title
    [listed] = get(client, "in-force")["results"]
    assert listed["keeper"] == {"id": keeper.ulid, "name": keeper.name}


def test_the_closing_page_takes_a_date(world: World, action: Action) -> None:
    client = make.browser(world.asks)
    day = f"{clock.now() + timedelta(days=3):%Y-%m-%d}"
    body = {"verdict": "true_positive", "resolution": "x", "keep": action.ulid, "keep_reason": "y"}
    address = reverse("incident-close", args=[world.incident.ref])
    assert client.post(address, body | {"keep_until": "soon"}).status_code == 422

    assert client.post(address, body | {"keep_until": day}).status_code == 302

    now = world.fresh(action)
    assert f"{now.review_at:%Y-%m-%d %H:%M:%S}" == f"{day} 23:59:59"
    assert now.keeper_id == world.asks.person_id


@pytest.mark.parametrize("due", [timedelta(days=2), timedelta(days=-1), None])
def test_without_a_date_it_keeps_its_own_review_and_one_that_is_over_begins_anew(
    world: World, action: Action, due: timedelta | None
) -> None:
    at = clock.now()
    Action.objects.filter(pk=action.pk).update(review_at=at + due if due else None)

    close(make.browser(world.asks), world.incident, keep=[action.ulid], keep_reason="x")

    expected: datetime = at + due if due and due > timedelta(0) else at + settings.QUELL_REVIEW_AFTER
    assert world.fresh(action).review_at == expected


def test_a_review_that_is_due_rings_its_keeper_alone(world: World, action: Action) -> None:
    in_force.keep(
        action=action,
        until=clock.now() + timedelta(days=1),
        reason="still hunting",
        by=world.asks,
        at=clock.now(),
    )
    world.clock.advance(2 * 86_400)

    in_force.ring_overdue()

    rung = Delivery.objects.filter(notice__kind=in_force.REVIEW_DUE)
    assert {one.person_id for one in rung} == {world.asks.person_id}


def test_a_plan_of_a_closed_incident_is_not_approved_and_an_undo_is(world: World, action: Action) -> None:
    client = make.browser(world.asks)
    waiting = world.propose("iam.revoke-user-sessions", {**action.target, "type": "user", "id": "ci-deploy"})
    assert waiting.status == ActionStatus.PLANNED
    assert close(client, world.incident, keep=[action.ulid], keep_reason="x").status_code == 200

    refused = post(
        make.browser(world.approves), f"actions/{waiting.ulid}/approve", {"plan_hash": waiting.plan_hash}
    )

    assert problem(refused) == (409, "conflict")
    assert "closed" in refused.json()["detail"]
    assert world.fresh(waiting).status == ActionStatus.PLANNED
    assert world.revert(action).status == ActionStatus.VERIFIED
