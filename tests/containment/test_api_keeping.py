"""Over the API: automation's rules and holds, named plans, and what is in force."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from audit.models import AuditEvent
from cases import triage
from cases.models import Action, Incident
from cases.words import ActionStatus, Verdict
from containment import asking, automation, holds, planning, sweeps
from containment.automation_models import AutoRule, Hold
from containment.suggesting import suggestions
from estate.models import Account, Mode
from identity.actors import Actor
from lib import clock
from lib.errors import Conflict
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.first import _key
from tests.containment.test_api import get, post, problem
from tests.containment.world import SHIPPING, World

KEY = "iam.deactivate-access-key"
FINDING = "UnauthorizedAccess:IAMUser/Custom"
PLAN = "compromised-access-key"


@pytest.fixture
def second(db: None) -> Actor:
    return make.person("approver", login="second")


def rule(**values: Any) -> dict[str, Any]:
    given = {
        "name": "Keys off",
        "type": "UnauthorizedAccess:IAMUser/*",
        "expires_at": (clock.now() + timedelta(days=30)).isoformat(),
        "environments": ["production", "staging", "development", "sandbox"],
        "action_types": [KEY],
        "max_tier": 2,
    }
    return {**given, **values}


def patch(client: Client, path: str, body: object) -> Any:
    return client.patch(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def alert(world: World, **values: Any) -> Any:
    resources = [
        {"type": "access_key", "id": _key(world)["access_key_id"], "arn": "", "role": "target"},
        {"type": "user", "id": "ci-deploy", "arn": "", "role": "target"},
    ]
    given = {"account": SHIPPING, "resources": resources, "type": FINDING, "at": clock.now()}
    return make.alert(**{**given, **values})


# --- rules ---------------------------------------------------------------------------------------------


def test_a_rule_is_written_approved_by_another_and_acts(world: World, second: Actor) -> None:
    Account.objects.filter(account_id=SHIPPING).update(mode=Mode.AUTO)
    lead = make.browser(world.approves)

    written = post(lead, "automation/rules", rule())
    assert written.status_code == 201, written.content
    ulid, version = written.json()["id"], written.json()["version"]
    assert (written.json()["state"], written.json()["approved_by"]) == ("waiting", "")
    assert (written.json()["per_hour"], written.json()["min_severity"]) == (5, 70)
    own = post(lead, f"automation/rules/{ulid}/approve", {"version": version})
    assert problem(own) == (403, "forbidden")

    approved = post(make.browser(second), f"automation/rules/{ulid}/approve", {"version": version})
    assert (approved.status_code, approved.json()["state"]) == (200, "live")
    assert approved.json()["approved_by"]

    alert(world)
    automation.run()
    sweeps.run_due_actions()
    assert Action.objects.filter(type=KEY, requested_label="automation").count() == 1
    assert [one["id"] for one in get(lead, "automation/rules")["results"]] == [ulid]
    acts = AuditEvent.objects.filter(object_type="auto-rule").order_by("seq").values_list("act", flat=True)
    assert list(acts) == ["automation.rule-written", "automation.rule-approved"]


def test_a_change_waits_again_and_the_older_version_is_not_approved_by_mistake(
    world: World, second: Actor
) -> None:
    lead, other = make.browser(world.approves), make.browser(second)
    ulid = post(lead, "automation/rules", rule()).json()["id"]
    post(other, f"automation/rules/{ulid}/approve", {"version": 1})

    changed = patch(lead, f"automation/rules/{ulid}", {"version": 1, "min_severity": 90})

    assert changed.status_code == 200, changed.content
    assert (changed.json()["version"], changed.json()["state"]) == (2, "waiting")
    assert (changed.json()["min_severity"], changed.json()["type"]) == (90, "UnauthorizedAccess:IAMUser/*")
    late = post(other, f"automation/rules/{ulid}/approve", {"version": 1})
    assert problem(late)[0] == 409
    stale = patch(lead, f"automation/rules/{ulid}", {"version": 1, "max_tier": 1})
    assert problem(stale)[0] == 409
    assert get(lead, f"automation/rules/{ulid}")["version"] == 2
    assert post(other, f"automation/rules/{ulid}/approve", {"version": 2}).json()["state"] == "live"


def test_a_rule_is_withdrawn_and_removed(world: World, second: Actor) -> None:
    lead, other = make.browser(world.approves), make.browser(second)
    ulid = post(lead, "automation/rules", rule()).json()["id"]
    assert problem(post(lead, f"automation/rules/{ulid}/withdraw", {})) == (409, "conflict")
    post(other, f"automation/rules/{ulid}/approve", {"version": 1})

    assert post(lead, f"automation/rules/{ulid}/withdraw", {}).json()["state"] == "waiting"
    assert lead.delete(f"/api/v1/automation/rules/{ulid}").status_code == 204

    assert lead.get(f"/api/v1/automation/rules/{ulid}").status_code == 404
    assert get(lead, "automation/rules")["results"] == []
    assert AutoRule.objects.get(ulid=ulid).removed_at is not None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"action_types": ["ec2.terminate-instance"]}, "/action_types"),
        ({"action_types": ["no.such-type"]}, "/action_types"),
        ({"action_types": []}, "/action_types"),
        ({"environments": ["management"]}, "/environments"),
        ({"type": "*"}, "/type"),
        ({"max_tier": 3}, "/max_tier"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"approved_by": "me"}, "/approved_by"),
        ({"name": ""}, "/name"),
    ],
)
def test_a_rule_that_cannot_be_meant_names_what_is_wrong(
    world: World, change: dict[str, Any], pointer: str
) -> None:
    answer = post(make.browser(world.approves), "automation/rules", rule(**change))

    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert not AutoRule.objects.exists()


def test_a_change_that_names_no_version_is_refused(world: World) -> None:
    lead = make.browser(world.approves)
    ulid = post(lead, "automation/rules", rule()).json()["id"]

    assert problem(patch(lead, f"automation/rules/{ulid}", {"min_severity": 90})) == (422, "invalid")
    assert problem(patch(lead, f"automation/rules/{ulid}", {"version": 1})) == (422, "invalid")
    assert AutoRule.objects.get(ulid=ulid).version == 1


def test_approving_needs_a_fresh_sign_in(world: World, second: Actor) -> None:
    ulid = post(make.browser(world.approves), "automation/rules", rule()).json()["id"]
    late = make.browser(second)
    world.clock.advance(16 * 60)

    answer = post(late, f"automation/rules/{ulid}/approve", {"version": 1})

    assert problem(answer)[0] in (401, 403)
    assert AutoRule.objects.get(ulid=ulid).approved_by_id is None


def test_no_key_writes_approves_or_releases(world: World) -> None:
    ulid = post(make.browser(world.approves), "automation/rules", rule()).json()["id"]
    make.automation()
    held = Hold.objects.get().ulid
    program = make.program(make.key())

    for answer in (
        post(program, "automation/rules", rule(name="Other")),
        patch(program, f"automation/rules/{ulid}", {"version": 1, "min_severity": 90}),
        post(program, f"automation/rules/{ulid}/approve", {"version": 1}),
        post(program, f"automation/rules/{ulid}/withdraw", {}),
        program.delete(f"/api/v1/automation/rules/{ulid}"),
        post(program, f"automation/holds/{held}/release", {"reason": "x"}),
    ):
        assert problem(answer) == (403, "forbidden")
    assert ulid in {one["id"] for one in get(program, "automation/rules")["results"]}


# --- holds ---------------------------------------------------------------------------------------------


def test_a_hold_is_listed_and_released_once_with_a_reason(world: World) -> None:
    triage.dismiss(alert=alert(world), verdict=Verdict.BENIGN, reason="a test", by=world.asks, at=clock.now())
    holds.gather(at=clock.now())
    responder = make.browser(world.asks)
    listed = get(responder, "automation/holds")["results"]
    assert {one["thing"] for one in listed} == {
        f"access_key/{_key(world)['access_key_id']}",
        "user/ci-deploy",
    }
    one = listed[0]["id"]

    assert problem(post(responder, f"automation/holds/{one}/release", {"reason": " "})) == (422, "invalid")
    assert problem(post(responder, f"automation/holds/{one}/release", {})) == (422, "invalid")
    released = post(responder, f"automation/holds/{one}/release", {"reason": "It was real."})
    again = post(responder, f"automation/holds/{one}/release", {"reason": "It was real."})

    assert released.status_code == 200, released.content
    assert (released.json()["released_by"], released.json()["release_reason"]) == ("Asks", "It was real.")
    assert problem(again) == (409, "conflict")
    assert one not in {held["id"] for held in get(responder, "automation/holds")["results"]}
    assert [held["id"] for held in get(responder, "automation/holds?released=true")["results"]] == [one]
    assert problem(responder.get("/api/v1/automation/holds?released=maybe")) == (422, "invalid")


def test_rules_and_holds_come_in_pages(world: World) -> None:
    lead = make.browser(world.approves)
    for name in ("A", "B", "C"):
        assert post(lead, "automation/rules", rule(name=name)).status_code == 201

    first = get(lead, "automation/rules?limit=2")
    rest = lead.get(first["next"]).json()

    assert [one["name"] for one in (*first["results"], *rest["results"])] == ["A", "B", "C"]
    assert rest["next"] is None


# --- named plans ----------------------------------------------------------------------------------------


def test_a_named_plan_is_listed_and_asked_for_whole(world: World) -> None:
    alert(world, incident=world.incident)
    path = f"incidents/{world.incident.ref}/plans"
    program = make.program(make.key())
    listed = {one["id"]: one for one in get(program, path)["results"]}
    plan = listed[PLAN]
    assert (plan["asked"], plan["is_likely"]) == (0, True)
    assert KEY in {one["type"] for one in plan["actions"]}
    assert plan["tier"] == max(one["tier"] for one in plan["actions"])

    made = post(program, f"{path}/{PLAN}", {"reason": "the key is public"})

    assert made.status_code == 201, made.content
    assert [one["type"] for one in made.json()["results"]] == [one["type"] for one in plan["actions"]]
    assert {one["status"] for one in made.json()["results"]} == {"proposed"}
    assert {one["reason"] for one in made.json()["results"]} == {"the key is public"}
    again = post(program, f"{path}/{PLAN}", {})
    assert problem(again) == (409, "conflict")
    left = {one["id"]: one for one in get(program, path)["results"]}[PLAN]
    assert (left["actions"], left["asked"]) == ([], len(plan["actions"]))
    sweeps.run_due_actions()
    assert not Action.objects.filter(status__in=("proposed", "refused")).exists()


def test_some_of_a_plan_are_asked_for_each_with_the_plans_reason(world: World) -> None:
    alert(world, incident=world.incident)
    path = f"incidents/{world.incident.ref}/plans"
    client = make.browser(world.asks)
    actions = {one["id"]: one for one in get(client, path)["results"]}[PLAN]["actions"]
    one = next(action for action in actions if action["type"] == KEY)

    made = post(client, f"{path}/{PLAN}", {"pick": [one["pick"]]})

    [asked] = made.json()["results"]
    assert (asked["type"], asked["reason"]) == (KEY, one["reason"])
    assert problem(post(client, f"{path}/{PLAN}", {"pick": [one["pick"]]})) == (409, "conflict")
    assert problem(post(client, f"{path}/{PLAN}", {"pick": []})) == (422, "invalid")
    assert problem(post(client, f"{path}/{PLAN}", {"pick": ["x"]})) == (422, "invalid")
    assert problem(post(client, f"{path}/no-such-plan", {})) == (404, "not-found")
    assert problem(post(client, f"{path}/exposed-bucket", {})) == (404, "not-found")


def test_a_plan_asked_for_again_with_the_same_key_is_answered_as_the_first_time(world: World) -> None:
    alert(world, incident=world.incident)
    path = f"/api/v1/incidents/{world.incident.ref}/plans/{PLAN}"
    client = make.browser(world.asks)
    given: dict[str, Any] = {"content_type": "application/json", "headers": {"Idempotency-Key": "one"}}

    first, second = client.post(path, "{}", **given), client.post(path, "{}", **given)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert Action.objects.count() == len(first.json()["results"])


def test_a_repeat_tells_nothing_to_whom_may_not_see_it_any_more(world: World) -> None:
    alert(world, incident=world.incident)
    path = f"/api/v1/incidents/{world.incident.ref}/plans/{PLAN}"
    client = make.browser(world.asks)
    given: dict[str, Any] = {"content_type": "application/json", "headers": {"Idempotency-Key": "one"}}
    assert client.post(path, "{}", **given).status_code == 201
    Incident.objects.filter(pk=world.incident.pk).update(is_restricted=True)

    assert problem(client.post(path, "{}", **given)) == (404, "not-found")


def test_nothing_of_a_plan_is_asked_for_when_one_of_it_cannot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert(world, incident=world.incident)
    real = planning.propose
    asked: list[str] = []

    def second_fails(**given: Any) -> Action:
        asked.append(given["type_id"])
        if len(asked) == 2:
            raise Conflict("no")
        return real(**given)

    monkeypatch.setattr(planning, "propose", second_fails)

    answer = post(make.browser(world.asks), f"incidents/{world.incident.ref}/plans/{PLAN}", {})

    assert problem(answer) == (409, "conflict")
    assert len(asked) == 2
    assert not Action.objects.exists()


def test_a_plan_of_a_closed_incident_is_refused(world: World) -> None:
    alert(world, incident=world.incident)
    triage.close(
        incident=world.incident, verdict=Verdict.BENIGN, resolution="x", by=world.asks, at=clock.now()
    )

    answer = post(make.browser(world.asks), f"incidents/{world.incident.ref}/plans/{PLAN}", {})

    assert problem(answer) == (409, "conflict")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["plan", "picked"])
def test_two_who_ask_at_once_ask_for_each_action_once(how: str) -> None:
    make.account(SHIPPING)
    incident = make.incident()
    make.alert(
        incident=incident,
        account=SHIPPING,
        type=FINDING,
        resources=[{"type": "access_key", "id": "AKIAEXAMPLE0000001"}, {"type": "user", "id": "ci-deploy"}],
    )
    asks = [make.person("responder", login=f"asks-{number}") for number in range(4)]
    picks = {one.pick for one in suggestions(incident)}
    gate, refused = threading.Barrier(len(asks)), []

    def ask(by: Actor) -> None:
        gate.wait()
        try:
            if how == "plan":
                asking.ask_for_plan(incident=incident, plan=PLAN, by=by, at=clock.now())
            else:
                asking.ask_for_picked(incident=incident, picks=picks, by=by, at=clock.now())
        except Conflict:
            refused.append(by.label)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask, args=(by,)) for by in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    made = [(one.type, json.dumps(one.target, sort_keys=True)) for one in Action.objects.all()]
    assert made
    assert len(set(made)) == len(made)
    assert len(refused) == len(asks) - 1


# --- in force ---------------------------------------------------------------------------------------------


def test_what_is_in_force_is_listed_kept_and_lifted(world: World) -> None:
    alert(world, incident=world.incident)
    target, params = SUBJECTS[KEY].aim(world)
    action = world.apply(KEY, target, params)
    world.clock.advance(60)
    later = world.apply("iam.revoke-user-sessions", {**target, "type": "user", "id": params["user"]})
    client = make.browser(world.asks)

    listed = {one["id"]: one for one in get(client, "in-force")["results"]}

    assert {ulid: one["lift"] for ulid, one in listed.items()} == {action.ulid: 2, later.ulid: 1}
    shown = listed[action.ulid]
    assert (shown["incident"], shown["type"], shown["status"]) == (world.incident.ref, KEY, "verified")
    assert (shown["is_overdue"], shown["alarm"]) == (False, "")
    assert get(client, "in-force?only=overdue")["results"] == []

    Action.objects.filter(pk=action.pk).update(review_at=clock.now() - timedelta(minutes=1))
    Action.objects.filter(pk=later.pk).update(alarm="lifted by someone")
    assert [one["id"] for one in get(client, "in-force?only=overdue")["results"]] == [action.ulid]
    assert [one["id"] for one in get(client, "in-force?only=alarms")["results"]] == [later.ulid]
    assert problem(client.get("/api/v1/in-force?only=odd")) == (422, "invalid")

    until = clock.now() + timedelta(days=7)
    kept = post(
        client, f"actions/{action.ulid}/keep", {"until": until.isoformat(), "reason": "still hunting"}
    )
    assert kept.status_code == 200, kept.content
    assert world.fresh(action).review_at == until
    assert get(client, "in-force?only=overdue")["results"] == []
    assert world.incident.timeline.filter(kind="action.kept").count() == 1

    lifted = post(client, f"actions/{action.ulid}/revert", {"reason": "the user was let go"})
    assert lifted.status_code == 201
    assert lifted.json()["reverts"] == action.ulid


def test_what_is_in_force_comes_in_pages(world: World) -> None:
    at = clock.now()
    ulids = [
        Action.objects.create(
            incident=world.incident,
            type=KEY,
            target={"type": "access_key", "account": SHIPPING, "region": "", "id": f"AKIA{number}"},
            category="technique",
            tier=1,
            status=ActionStatus.VERIFIED,
            requested_label="x",
            requested_at=at,
            applied_at=at + timedelta(minutes=number),
            review_at=at + timedelta(days=1) if number < 4 else None,
            updated_at=at,
        ).ulid
        for number in range(6)
    ]
    client = make.browser(world.asks)

    first = get(client, "in-force?limit=3")
    rest = client.get(first["next"]).json()

    found = [*first["results"], *rest["results"]]
    assert [one["id"] for one in found] == ulids
    assert [one["lift"] for one in found] == [6, 5, 4, 3, 2, 1], "counted over all pages"
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"until": "2020-01-01T00:00:00Z", "reason": "x"}, 422),
        ({"until": "2030-01-01T00:00:00Z", "reason": "x"}, 422),
        ({"reason": "x"}, 422),
        ({"until": "2026-11-25T00:00:00Z"}, 422),
        ({"until": "2026-11-25T00:00:00Z", "reason": " "}, 422),
    ],
)
def test_keeping_needs_a_reason_and_a_near_date(world: World, body: dict[str, Any], status: int) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    before = world.fresh(action).review_at

    answer = post(make.browser(world.asks), f"actions/{action.ulid}/keep", body)

    assert problem(answer)[0] == status
    assert world.fresh(action).review_at == before


def test_neither_an_undo_nor_evidence_is_kept(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    undo = world.revert(action)
    snapshots = world.apply("ec2.snapshot-volumes", *SUBJECTS["ec2.snapshot-volumes"].aim(world))
    body = {"until": (clock.now() + timedelta(days=1)).isoformat(), "reason": "x"}
    client = make.browser(world.asks)

    for one in (action, undo, snapshots):
        assert problem(post(client, f"actions/{one.ulid}/keep", body)) == (409, "conflict")
    assert get(client, "in-force")["results"] == []


def test_a_program_lists_what_is_in_force_and_decides_nothing(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    program = make.program(make.key())
    body = {"until": (clock.now() + timedelta(days=1)).isoformat(), "reason": "x"}

    assert [one["id"] for one in get(program, "in-force")["results"]] == [action.ulid]
    assert problem(post(program, f"actions/{action.ulid}/keep", body)) == (403, "forbidden")
    assert get(make.program(make.key(team="other")), "in-force")["results"] == []
