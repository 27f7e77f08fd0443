"""Quell's roles used outside its journal: a critical alert, whichever way the trail comes; and never of us.

The events are what the simulated AWS logged of real calls.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cases import ground, ingest
from cases.models import Action, Alert
from containment import answering, grants
from containment.models import Step
from containment.types import plan_of
from estate.models import Account
from estate.queries import DEPLOYED
from identity.actors import SYSTEM
from lib import clock
from lib.aws import AwsError
from lib.remembered import forget_all
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import SHIPPING, World, dying
from tests.simulator.conftest import client, session_key

TYPE = "CloudTrail:responder-role-misused"
Event = Mapping[str, Any]


def bare(event: Event) -> bytes:
    return json.dumps(event).encode()


def from_bus(event: Event) -> bytes:
    envelope = {
        "version": "0",
        "id": "0d4f8b9a-1111-4222-8333-444455556666",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.iam",
        "account": SHIPPING,
        "time": event["eventTime"],
        "region": event["awsRegion"],
        "resources": [],
        "detail": event,
    }
    return json.dumps(envelope).encode()


def packed(event: Event) -> bytes:
    return gzip.compress(json.dumps({"Records": [event]}).encode(), mtime=0)


def looked_up(event: Event) -> bytes:
    found = {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "CloudTrailEvent": json.dumps(event),
    }
    return json.dumps({"Events": [found]}).encode()


DOORS: dict[str, Callable[[Event], bytes]] = {
    "bare": bare,
    "event bus": from_bus,
    "packed file": packed,
    "lookup": looked_up,
}


def take_in(event: Event, door: Callable[[Event], bytes] = bare) -> None:
    received = ingest.receive(
        source="cloudtrail", body=door(event), by=SYSTEM, at=clock.now(), team=make.team()
    )
    assert not received.quarantined, received.quarantined


def alerts() -> list[Alert]:
    return list(Alert.objects.filter(type=TYPE).order_by("pk"))


def ours(world: World, *, since: int = 0) -> list[Event]:
    """What sessions of Quell's roles called, as the trail has it."""
    return [one for one in world.simulator.calls()[since:] if one["userIdentity"]["type"] == "AssumedRole"]


def applied(world: World, type_id: str) -> Action:
    subject = SUBJECTS[type_id]
    if subject.arrange:
        subject.arrange(world)
    action = world.apply(type_id, *subject.aim(world))
    assert action.status == "verified", action.note
    return action


def stolen(world: World, service: str, *, session: str = "mallory", source: str = "quell-mallory") -> Any:
    """A client of whoever holds the hub's credentials."""
    sts = client(world.simulator.url, "sts", dict(world.estate["hub"]), "us-east-1")
    account = Account.objects.get(account_id=SHIPPING)
    asked = sts.assume_role(
        RoleArn=account.contain_role,
        RoleSessionName=session,
        ExternalId=account.external_id,
        SourceIdentity=source,
    )
    return client(world.simulator.url, service, session_key(asked), "us-east-1")


def misuse(world: World, **named: str) -> Event:
    """Somebody makes a user with Quell's role; the event."""
    stolen(world, "iam", **named).create_user(UserName="backdoor")
    return world.simulator.calls()[-1]


# --- ours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "type_id",
    [
        "ec2.isolate-instance",
        "iam.deactivate-access-key",
        "iam.capture-principal",
        "lambda.throttle-function",
        "s3.block-public-access",
        "s3.restrict-bucket",
        "waf.block-address",
    ],
)
def test_what_an_action_and_its_undo_call_raises_nothing(world: World, type_id: str) -> None:
    action = applied(world, type_id)
    if SUBJECTS[type_id].has_undo:
        assert world.revert(action).status == "verified"
    events = ours(world)
    assert events

    for event in events:
        take_in(event)

    assert alerts() == []


def test_a_call_that_got_no_answer_is_ours_too(world: World) -> None:
    world.wire.faults[1] = "late"
    applied(world, "iam.deactivate-access-key")

    changing = [event for event in ours(world) if event["eventName"] == "UpdateAccessKey"]
    assert changing
    for event in changing:
        take_in(event)

    assert alerts() == []


def test_the_call_of_a_worker_that_died_after_it_is_ours_too(world: World) -> None:
    with dying(lambda point, _step: point == "called") as died:
        applied(world, "iam.deactivate-access-key")
    assert died

    for event in ours(world):
        take_in(event)

    assert alerts() == []


def test_what_was_put_back_when_a_call_was_refused_is_ours_too(world: World) -> None:
    """The last interface is refused its isolation: it stands open, and gets its first groups back."""
    world.wire.faults[11] = AwsError("AccessDenied", "not authorized", status=403)
    world.apply("ec2.isolate-instance", *SUBJECTS["ec2.isolate-instance"].aim(world))
    attempts = [one for row in Step.objects.all() for one in row.attempts]
    assert [one for one in attempts if one.get("undo")]

    for event in ours(world):
        take_in(event)

    assert alerts() == []


def test_an_action_that_was_handed_over_since_is_ours_too(world: World) -> None:
    action = applied(world, "iam.deactivate-access-key")
    (event,) = [one for one in ours(world) if one["eventName"] == "UpdateAccessKey"]
    named = json.loads(json.dumps(event).replace(action.incident.ref, "INC-2025-0001"))

    take_in(named)

    assert alerts() == []


def test_the_trail_of_lambda_and_s3_names_operations_otherwise(world: World) -> None:
    throttled = applied(world, "lambda.throttle-function")
    blocked = applied(world, "s3.block-public-access")
    renamed = {
        "PutFunctionConcurrency": "PutFunctionConcurrency20171031",
        "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    }
    events = [event for event in ours(world) if event["eventName"] in renamed]
    assert len(events) == 2, (throttled.type, blocked.type)

    for event in events:
        take_in({**event, "eventName": renamed[event["eventName"]]})

    assert alerts() == []


# --- not ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_somebody_else_with_the_role_is_one_critical_alert(world: World, door: str) -> None:
    event = misuse(world)

    take_in(event, DOORS[door])
    take_in(event, DOORS[door])

    (alert,) = alerts()
    assert alert.severity >= 90
    assert alert.title == "Quell's role used outside the journal: quell-contain/mallory"
    assert alert.account == SHIPPING
    assert alert.count == 1


def test_the_same_event_by_every_door_is_one_alert(world: World) -> None:
    event = misuse(world)

    for door in DOORS.values():
        take_in(event, door)

    assert len(alerts()) == 1


def test_what_was_denied_is_as_grave(world: World) -> None:
    event = misuse(world)

    take_in({**event, "errorCode": "AccessDenied", "errorMessage": "not authorized"})

    (alert,) = alerts()
    assert alert.severity >= 90


def test_the_names_of_a_real_action_do_not_cover_another_call(world: World) -> None:
    """Whoever reads our trail knows an action's id: it covers what that action sent, and when."""
    action = applied(world, "iam.deactivate-access-key")
    names = {"session": f"{action.incident.ref}-{action.ulid}", "source": f"quell-{action.ulid}"}

    take_in(misuse(world, **names))

    assert len(alerts()) == 1


def test_nor_the_same_call_an_hour_later(world: World) -> None:
    action = applied(world, "iam.deactivate-access-key")
    (event,) = [one for one in ours(world) if one["eventName"] == "UpdateAccessKey"]
    take_in(event)
    assert alerts() == []

    take_in({**event, "eventTime": "2026-11-24T03:30:00Z", "eventID": "0d4f8b9a-2222-4222-8333-444455556666"})

    (alert,) = alerts()
    assert action.ulid in alert.title


def test_nor_a_session_of_that_name_with_another_source_identity(world: World) -> None:
    action = applied(world, "iam.deactivate-access-key")
    (event,) = [one for one in ours(world) if one["eventName"] == "UpdateAccessKey"]
    identity = json.loads(json.dumps(event["userIdentity"]))
    identity["sessionContext"]["sourceIdentity"] = "quell-mallory"

    take_in({**event, "userIdentity": identity})

    assert len(alerts()) == 1
    assert action.status == "verified"


def test_nor_a_call_that_the_journal_lost(world: World) -> None:
    """Planted: without the journal's row our own call is nobody's."""
    action = applied(world, "iam.deactivate-access-key")
    Step.objects.filter(action=action).update(attempts=[])

    for event in ours(world):
        take_in(event)

    assert len(alerts()) == 1


def test_drawing_further_sessions_from_the_role_is_misuse(world: World) -> None:
    event = misuse(world)

    take_in({**event, "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "readOnly": True})

    assert len(alerts()) == 1


# --- neither ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"eventName": "ListUsers", "readOnly": True},
        {"eventName": "DescribeInstances", "readOnly": None},
        {"errorCode": "Client.DryRunOperation"},
    ],
    ids=["a look", "a look by its name", "a dry run"],
)
def test_what_changes_nothing_is_no_misuse(world: World, changed: Event) -> None:
    event = {**misuse(world), **changed}
    take_in({key: value for key, value in event.items() if value is not None})

    assert alerts() == []


def test_a_role_of_that_name_in_a_strangers_account_is_none_of_ours(world: World) -> None:
    event = json.loads(json.dumps(misuse(world)).replace(SHIPPING, "999988887777"))

    take_in(event)

    assert alerts() == []


def test_a_role_that_the_row_names_counts_whatever_it_is_called(world: World) -> None:
    event = json.loads(json.dumps(misuse(world)).replace("quell-contain", "soc-hand"))
    take_in(event)
    assert alerts() == []

    arn = f"arn:aws:iam::{SHIPPING}:role/soc/soc-hand"
    Account.objects.filter(account_id=SHIPPING).update(contain_role=arn)
    forget_all()
    take_in(event)

    assert len(alerts()) == 1


def test_what_aws_does_on_behalf_of_a_session_is_no_misuse(world: World) -> None:
    event = misuse(world)
    take_in({**event, "userIdentity": {**event["userIdentity"], "invokedBy": "ec2.amazonaws.com"}})

    assert alerts() == []


# --- the seam -----------------------------------------------------------------------------------------


def test_the_deployed_names_are_those_of_the_templates() -> None:
    assert set(grants.ROLES.values()) == DEPLOYED


def test_the_journal_is_asked_once() -> None:
    ground.answered_by(answering.is_journalled)

    assert ground._journals == [answering.is_journalled]


def test_every_operation_of_a_plan_is_found_under_its_own_action(world: World) -> None:
    action = applied(world, "ec2.isolate-instance")
    planned = {step.call.operation for step in plan_of(action.plan or {}).steps if step.call}
    seen = {event["eventName"] for event in ours(world) if "errorCode" not in event}

    assert planned <= seen
