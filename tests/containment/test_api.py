"""Containment over HTTP, from the suggestion to the undo, against the simulated AWS."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from cases.models import Action
from cases.words import ActionStatus
from containment import sweeps
from containment.models import Approval
from identity.actors import Actor
from lib import clock
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import World

KEY = "iam.deactivate-access-key"
ISOLATE = "ec2.isolate-instance"
LOOK = SUBJECTS[KEY].look

ACTION = {
    "id", "incident", "type", "category", "tier", "status", "target", "params", "plan", "plan_hash",
    "affects", "does_not_stop", "preflight", "drift", "note", "alarm", "reason", "requested_by",
    "requested_at", "planned_at", "approved_at", "started_at", "applied_at", "verified_at", "confirmed_at",
    "reverted_at", "expires_at", "review_at", "reverts", "reverted_by", "steps",
}  # fmt: skip
ACTION_TYPE = {
    "id", "title", "category", "tier", "target", "params_schema", "reads", "writes", "does_not_stop",
    "pairs_with",
}  # fmt: skip


def post(client: Client, path: str, body: object) -> Any:
    return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def get(client: Client, path: str) -> Any:
    response = client.get(f"/api/v1/{path}")
    assert response.status_code == 200, response.content
    return response.json()


def problem(response: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    assert response["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["type"].removeprefix("urn:quell:problem:")


def body_for(world: World, type_id: str) -> dict[str, Any]:
    target, params = SUBJECTS[type_id].aim(world)
    return {"type": type_id, "target": dict(target), "params": dict(params), "reason": "test"}


def asked(world: World, type_id: str = KEY, *, by: Client | None = None) -> Action:
    """An action asked for over the API and planned by the worker."""
    path = f"incidents/{world.incident.ref}/actions"
    answer = post(by or make.browser(world.asks), path, body_for(world, type_id))
    assert answer.status_code == 201, answer.content
    sweeps.run_due_actions()
    return Action.objects.select_related("incident").get(ulid=answer.json()["id"])


def until_planned(world: World, ulid: str) -> Action:
    """Let the worker plan an undo."""
    for _ in range(60):
        sweeps.run_due_actions()
        action = Action.objects.select_related("incident").get(ulid=ulid)
        if action.status != ActionStatus.PROPOSED:
            return action
        world.clock.advance(5)
    raise AssertionError("never planned")


def test_the_whole_way_from_the_suggestion_to_the_undo(world: World) -> None:
    before = LOOK(world)
    target, params = SUBJECTS[KEY].aim(world)
    resources = [{"type": "access_key", "id": target["id"]}, {"type": "user", "id": params["user"]}]
    make.alert(incident=world.incident, account=target["account"], resources=resources)
    program, responder = make.program(make.key()), make.browser(world.asks)

    # A program sees what fits and asks for it as suggested; nothing has happened yet.
    offered = get(program, f"incidents/{world.incident.ref}/suggestions")["results"]
    assert offered[0]["category"] == "evidence"
    suggested = next(one for one in offered if one["type"] == KEY)
    assert target["id"] in (suggested["target"]["id"], suggested["reason"])
    body = {name: suggested[name] for name in ("type", "target", "params", "reason")}
    answer = post(program, f"incidents/{world.incident.ref}/actions", body)
    assert answer.status_code == 201
    proposed = answer.json()
    assert set(proposed) == ACTION
    assert (proposed["status"], proposed["plan"], proposed["plan_hash"]) == ("proposed", None, "")
    again = get(program, f"incidents/{world.incident.ref}/suggestions")["results"]
    assert KEY not in {one["type"] for one in again}

    # The worker plans it.
    sweeps.run_due_actions()
    planned = get(program, f"actions/{proposed['id']}")
    assert planned["status"] == "planned"
    assert {"steps", "facts", "holds", "changes", "warnings"} <= set(planned["plan"])
    assert len(planned["plan_hash"]) == 64
    assert planned["does_not_stop"]
    assert "UpdateAccessKey" in json.dumps(planned["plan"]["calls"])
    assert "Active" in json.dumps(planned["plan"]["before"])
    assert "Inactive" in json.dumps(planned["plan"]["after"])
    assert LOOK(world) == before

    # A responder confirms it, the worker carries it out.
    approved = post(responder, f"actions/{proposed['id']}/approve", {"plan_hash": planned["plan_hash"]})
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    world.drive(Action.objects.get(ulid=proposed["id"]))
    verified = get(program, f"actions/{proposed['id']}")
    assert verified["status"] == "verified"
    assert verified["applied_at"] <= verified["verified_at"]
    assert verified["steps"]
    assert {step["state"] for step in verified["steps"]} <= {"applied", "done"}
    assert LOOK(world) != before
    [listed] = get(program, f"incidents/{world.incident.ref}")["actions"]
    assert (listed["id"], listed["status"]) == (proposed["id"], "verified")

    # The undo is a second action, with a plan and a confirmation of its own.
    answer = post(responder, f"actions/{proposed['id']}/revert", {"reason": "All clear."})
    assert answer.status_code == 201
    undo = answer.json()
    assert (undo["reverts"], undo["status"]) == (proposed["id"], "proposed")
    waiting = until_planned(world, undo["id"])
    assert waiting.status == ActionStatus.PLANNED
    assert (
        post(responder, f"actions/{undo['id']}/approve", {"plan_hash": waiting.plan_hash}).status_code == 200
    )
    world.drive(waiting)

    assert LOOK(world) == before
    reverted = get(program, f"actions/{proposed['id']}")
    assert (reverted["status"], reverted["reverted_by"]) == ("reverted", undo["id"])
    assert reverted["reverted_at"]
    both = get(program, f"incidents/{world.incident.ref}/actions")["results"]
    assert [one["id"] for one in both] == [undo["id"], proposed["id"]]


def test_an_undo_asked_for_twice_with_one_key_is_one_undo(world: World) -> None:
    action = asked(world)
    responder = make.browser(world.asks)
    assert (
        post(responder, f"actions/{action.ulid}/approve", {"plan_hash": action.plan_hash}).status_code == 200
    )
    world.drive(Action.objects.get(pk=action.pk))

    answers = [
        responder.post(
            f"/api/v1/actions/{action.ulid}/revert",
            '{"reason": "All clear."}',
            content_type="application/json",
            headers={"Idempotency-Key": "undo-1"},
        )
        for _ in range(2)
    ]
    without = post(responder, f"actions/{action.ulid}/revert", {"reason": "All clear."})

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert problem(without) == (409, "conflict")
    assert Action.objects.filter(reverts=action).count() == 1


def test_approving_binds_to_the_plan_that_was_read(world: World) -> None:
    action = asked(world)
    client = make.browser(world.asks)

    other = post(client, f"actions/{action.ulid}/approve", {"plan_hash": "0" * 64})
    none = post(client, f"actions/{action.ulid}/approve", {"plan_hash": "nonsense"})
    more = post(client, f"actions/{action.ulid}/approve", {"plan_hash": action.plan_hash, "force": True})

    assert problem(other) == (409, "other-plan")
    assert (none.status_code, none.json()["errors"][0]["pointer"]) == (422, "/plan_hash")
    assert (more.status_code, more.json()["errors"][0]["pointer"]) == (422, "/force")
    assert not Approval.objects.exists()
    assert world.fresh(action).status == ActionStatus.PLANNED


def test_approving_needs_a_fresh_sign_in(world: World) -> None:
    action = asked(world)
    client = make.browser(world.asks, signed_in_at=clock.now() - timedelta(hours=1))

    answer = post(client, f"actions/{action.ulid}/approve", {"plan_hash": action.plan_hash})

    assert problem(answer) == (403, "sign-in-again")
    assert not Approval.objects.exists()


@pytest.mark.parametrize("who", ["analyst", "viewer", "auditor", "admin", "approver"])
def test_a_role_that_does_not_confirm_tier_one(world: World, who: str) -> None:
    action = asked(world)

    client = make.browser(make.person(who))
    answer = post(client, f"actions/{action.ulid}/approve", {"plan_hash": action.plan_hash})

    assert problem(answer) == (403, "forbidden")
    assert not Approval.objects.exists()


def test_tier_two_needs_a_second_person(world: World, approver: Actor) -> None:
    lead = make.browser(world.approves)
    action = asked(world, ISOLATE, by=lead)

    own = post(lead, f"actions/{action.ulid}/approve", {"plan_hash": action.plan_hash})
    other = post(make.browser(approver), f"actions/{action.ulid}/approve", {"plan_hash": action.plan_hash})

    assert problem(own) == (403, "forbidden")
    assert (other.status_code, other.json()["status"]) == (200, "approved")
    assert world.drive(action).status == ActionStatus.VERIFIED


def test_a_key_asks_and_never_decides(world: World) -> None:
    program = make.program(make.key())
    action = asked(world, by=program)

    for verb, body in (("approve", {"plan_hash": action.plan_hash}), ("reject", {"reason": "no"})):
        assert problem(post(program, f"actions/{action.ulid}/{verb}", body)) == (403, "forbidden")

    assert not Approval.objects.exists()
    assert world.fresh(action).status == ActionStatus.PLANNED


def test_a_rejected_plan_is_not_carried_out(world: World) -> None:
    before = LOOK(world)
    action = asked(world)
    client = make.browser(world.asks)

    rejected = post(client, f"actions/{action.ulid}/reject", {"reason": "The wrong key."})
    late = post(client, f"actions/{action.ulid}/approve", {"plan_hash": action.plan_hash})
    undo = post(client, f"actions/{action.ulid}/revert", {"reason": "x"})
    world.clock.advance(60)
    sweeps.run_due_actions()

    assert (rejected.json()["status"], rejected.json()["note"]) == ("rejected", "The wrong key.")
    assert problem(late) == (409, "conflict")
    assert problem(undo) == (409, "conflict")
    assert LOOK(world) == before


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"type": "iam.delete-everything"}, "/type"),
        ({"target": {"type": "instance", "account": "444455556666", "id": "i-1"}}, "/target"),
        ({"target": {"type": "access_key", "account": "1", "id": "AKIA"}}, "/target/account"),
        ({"params": {"user": "ci-deploy", "more": 1}}, "/params"),
        ({"params": {}}, "/params"),
        ({"tier": 0}, "/tier"),
        ({"status": "approved"}, "/status"),
    ],
)
def test_a_request_that_cannot_be_names_what_is_wrong(
    world: World, change: dict[str, Any], pointer: str
) -> None:
    body = body_for(world, KEY) | change

    answer = post(make.browser(world.asks), f"incidents/{world.incident.ref}/actions", body)

    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert not Action.objects.exists()


def test_waiting_for_the_plan_ends_with_the_callers_patience(world: World) -> None:
    path = f"incidents/{world.incident.ref}/actions"
    client = make.browser(world.asks)

    assert post(client, f"{path}?wait=0.1", body_for(world, KEY)).json()["status"] == "proposed"
    refused = post(client, f"{path}?wait=soon", body_for(world, KEY))
    assert refused.status_code == 422
    assert Action.objects.count() == 1  # what is refused has stored nothing


CATALOGUE = frozenset(
    """
    ec2.isolate-instance ec2.remove-public-address ec2.revoke-security-group-rule vpc.deny-address
    vpc.isolate-subnet waf.block-address s3.deny-address network-firewall.block-address
    iam.deactivate-access-key iam.remove-console-access iam.deny-user iam.quarantine-user
    iam.revoke-user-sessions iam.deactivate-service-credentials iam.deny-role iam.revoke-role-sessions
    iam.deny-role-session iam.lock-role-trust iam.deny-technique iam.set-boundary
    organizations.deny-technique organizations.quarantine-account identity-center.remove-assignments
    ec2.replace-instance-profile ec2.lock-metadata-service lambda.disable-triggers eks.revoke-access
    s3.restrict-bucket s3.block-public-access kms.deny-principal kms.disable-key
    secretsmanager.restrict-secret rds.isolate-instance rds.unshare-snapshot ec2.unshare-snapshot
    ec2.unshare-image lambda.throttle-function autoscaling.detach-instance elb.deregister-instance
    ec2.stop-instance dynamodb.restrict-table sqs.restrict-queue sns.restrict-topic
    dns-firewall.block-domain ec2.capture-instance ec2.protect-instance ec2.snapshot-volumes
    ec2.share-snapshots ec2.acquire-memory iam.capture-principal logs.start-flow-logs
    lambda.capture-function rds.snapshot-instance s3.hold-objects iam.delete-access-key
    iam.restore-policy-version ec2.terminate-instance cloudtrail.start-logging s3.enable-versioning
    s3.restore-objects kms.cancel-deletion secretsmanager.rotate-secret
    securityhub.set-workflow-status guardduty.archive-findings
    """.split()  # noqa: SIM905 - one word a line would be a page
)
"""Every id of the catalogue, as the design names them."""


def test_the_catalogue(world: World) -> None:
    found = get(make.program(make.key("actions:read")), "action-types")

    assert found["next"] is None
    types = {one["id"]: one for one in found["results"]}
    assert set(types) >= CATALOGUE
    for one in types.values():
        assert set(one) == ACTION_TYPE
        assert one["params_schema"]["type"] == "object"
        assert one["reads"]
        assert one["writes"] or one["category"] == "evidence"
        assert one["does_not_stop"]
    assert types[ISOLATE]["tier"] == 2
    assert types[KEY]["tier"] == 1
