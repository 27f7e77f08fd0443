"""Collecting artefacts: what is kept, what a death leaves, and what the page of the action shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cases import evidence_store
from cases.models import Action, Evidence
from containment.actions import _types
from containment.models import StepState
from lib.aws import AwsError, NoAnswer
from simulator.additions import lookup_events
from simulator.patches import clock as history_clock
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import REGION, SHIPPING, Death, World, client, dying

CAPTURE = "iam.capture-principal"


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> Path:
    settings.QUELL_EVIDENCE_DIR = tmp_path / "evidence"
    return tmp_path / "evidence"


@pytest.fixture
def stolen(world: World) -> dict[str, str]:
    """A key that someone uses: one call allowed, one refused."""
    user = next(u for u in world.estate["users"] if u["name"] == "ci-deploy")
    key: dict[str, str] = user["access_keys"][0]
    iam = client(world.simulator.url, "iam", key, "us-east-1")
    iam.list_users()
    world.admin("iam").put_user_policy(
        UserName="ci-deploy",
        PolicyName="no-sts",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ec2:*","Resource":"*"}]}',
    )
    with pytest.raises(Exception, match="UnauthorizedOperation"):
        client(world.simulator.url, "ec2", key, REGION).describe_instances()
    return key


def captured(world: World, target: str, **params: str) -> Action:
    aim = {"type": "principal", "account": SHIPPING, "region": REGION, "id": target}
    return world.apply(CAPTURE, aim, params)


def content(action: Action, step: str) -> Any:
    row = Evidence.objects.get(action=action, step=step)
    return json.loads(b"".join(evidence_store.open_checked(row.sha256)))


def files(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file())


def test_one_key_is_enough_to_keep_its_user_and_its_calls(world: World, stolen: dict[str, str]) -> None:
    action = captured(world, f"access_key/{stolen['access_key_id']}")

    assert action.status == "verified", action.note
    assert content(action, "principal")["user"]["UserName"] == "ci-deploy"
    held = content(action, "credentials")
    assert stolen["access_key_id"] in [one["AccessKeyId"] for one in held["access keys"]]
    assert held["login profile"] is None
    assert "no-sts" in content(action, "policies")["inline"]
    calls = content(action, "calls")["calls"]
    assert sorted((one["event"], one["outcome"]) for one in calls) == [
        ("DescribeInstances", "denied"),
        ("ListUsers", "allowed"),
    ]
    assert [one["time"] for one in calls] == sorted((one["time"] for one in calls), reverse=True)
    assert {one["region"] for one in calls} == {REGION, "us-east-1"}
    row = Evidence.objects.get(action=action, step="calls")
    step = next(one for one in world.steps(action) if one.name == "calls")
    assert step.result is not None
    assert step.result["value"]["sha256"] == row.sha256
    assert step.result["value"]["size"] == row.size > 0
    assert [one.what for one in row.custody.all()] == ["collected"]


def test_the_page_of_the_action_shows_the_calls(world: World, stolen: dict[str, str]) -> None:
    action = captured(world, f"access_key/{stolen['access_key_id']}")

    page = make.browser(world.asks).get(f"/actions/{action.ulid}").content.decode()

    assert "Last calls of" in page
    assert "DescribeInstances" in page
    assert "UnauthorizedOperation" in page
    assert "ListUsers" in page
    assert Evidence.objects.get(action=action, step="calls").custody.count() == 1


def test_where_no_history_can_be_read_it_says_why(world: World, stolen: dict[str, str]) -> None:
    def refuse(name: str) -> None:
        if name == "cloudtrail:LookupEvents":
            raise AwsError("AccessDeniedException", "an SCP says no", status=400)

    world.wire.before_read = refuse
    action = captured(world, f"access_key/{stolen['access_key_id']}")

    assert action.status == "verified", action.note
    assert content(action, "calls")["says"].startswith("No trail can be read: ")
    page = make.browser(world.asks).get(f"/actions/{action.ulid}").content.decode()
    assert "No trail can be read" in page
    assert "an SCP says no" in page


def test_a_refused_read_costs_one_artefact(world: World, stolen: dict[str, str]) -> None:
    def refuse(name: str) -> None:
        if name == "iam:ListUserPolicies":
            raise AwsError("AccessDenied", "not this one", status=403)

    world.wire.before_read = refuse
    action = captured(world, f"access_key/{stolen['access_key_id']}")

    states = {step.name: step.state for step in world.steps(action)}
    assert action.status == "partial"
    assert states.pop("policies") == StepState.FAILED
    assert set(states.values()) == {StepState.DONE}
    assert Evidence.objects.filter(action=action).count() == 3


def test_a_role_is_kept_with_what_its_sessions_did(world: World) -> None:
    role = next(one for one in world.estate["accounts"] if one["id"] == SHIPPING)["roles"]["read"]
    name = role.rpartition("/")[2]

    action = captured(world, f"role/{name}")

    assert action.status == "verified", action.note
    assert content(action, "principal")["role"]["RoleName"] == name
    assert [step.name for step in world.steps(action)] == ["principal", "policies", "calls"]
    events = {one["event"] for one in content(action, "calls")["calls"]}
    assert "AssumeRole" in events
    assert "GetRole" in events


@pytest.mark.parametrize("target", ["AKIA", "access_key/*", "user/../x", "group/admins", "user/"])
def test_a_target_of_another_form_is_refused(world: World, target: str) -> None:
    aim = {"type": "principal", "account": SHIPPING, "region": REGION, "id": target}

    action = world.propose(CAPTURE, aim)

    assert action.status == "refused"
    assert "access_key/AKIA" in action.note


def test_a_key_of_nobody_known_leaves_its_calls(world: World) -> None:
    action = captured(world, "access_key/AKIA2222222222222222")

    assert action.status == "verified", action.note
    assert [step.name for step in world.steps(action)] == ["calls"]
    assert content(action, "calls")["says"].startswith("No call in the last 90 days")
    assert action.plan
    assert "could not be found out" in action.plan["warnings"][0]


@pytest.mark.parametrize("point", ["saved", "intent", "called", "recorded"])
def test_a_death_leaves_no_half_artefact_and_the_retry_no_second(
    world: World, stolen: dict[str, str], store: Path, point: str
) -> None:
    aim = {
        "type": "principal",
        "account": SHIPPING,
        "region": REGION,
        "id": f"access_key/{stolen['access_key_id']}",
    }
    with dying(lambda at, step: (at, step) == (point, "policies")) as died:
        try:
            action = world.propose(CAPTURE, aim)
            action = world.drive(action)
        except Death:
            world.clock.advance(100)
            action = world.drive(world.fresh(Action.objects.get()))

    assert died
    assert action.status == "verified", action.note
    assert sorted(Evidence.objects.values_list("step", flat=True)) == [
        "calls",
        "credentials",
        "policies",
        "principal",
    ]
    assert {path.parent.name + path.name for path in files(store)} == set(
        Evidence.objects.values_list("sha256", flat=True)
    )


@pytest.mark.parametrize("failure", [Death("dies"), NoAnswer("cut"), OSError(28, "No space left on device")])
def test_whatever_breaks_while_streaming_leaves_no_part(failure: BaseException, store: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise failure

    with pytest.raises(type(failure)):
        evidence_store.keep(chunks())

    assert files(store) == []


def test_a_read_that_stays_unanswered_fails_its_step_alone(world: World, stolen: dict[str, str]) -> None:
    def silent(name: str) -> None:
        if name == "iam:GetLoginProfile":
            raise NoAnswer("time-out")

    world.wire.before_read = silent
    action = captured(world, f"access_key/{stolen['access_key_id']}")

    assert action.status == "partial"
    assert next(s for s in world.steps(action) if s.name == "credentials").state == StepState.FAILED


def test_a_type_whose_code_is_gone_says_so(
    world: World, stolen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(point: str, step: str) -> bool:
        if point == "started":
            monkeypatch.delitem(_types, CAPTURE)
        return False

    with dying(vanish):
        action = captured(world, f"access_key/{stolen['access_key_id']}")

    assert action.status == "failed"
    assert "the code of iam.capture-principal is gone" in action.note
    assert not Evidence.objects.exists()


def test_two_workers_keep_one_artefact(
    world: World, stolen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker loses its lease while it streams; what it read is not recorded."""
    real = evidence_store.keep
    stolen_lease: list[str] = []

    def slow(chunks: Any) -> Any:
        kept = real(chunks)
        if not stolen_lease:
            stolen_lease.append("once")
            Action.objects.update(fence=99, owner="another", lease_until=None)
        return kept

    monkeypatch.setattr(evidence_store, "keep", slow)
    action = captured(world, f"access_key/{stolen['access_key_id']}")

    assert stolen_lease
    assert action.status == "verified", action.note
    steps = list(Evidence.objects.values_list("step", flat=True))
    assert len(steps) == len(set(steps)) == 4


def test_undo_leaves_evidence_where_it_is(world: World) -> None:
    action = world.apply(CAPTURE, *SUBJECTS[CAPTURE].aim(world))

    with pytest.raises(Exception, match="nothing to undo"):
        world.ask_to_undo(action)
    assert Evidence.objects.filter(action=action).count() == 4


def test_the_history_has_pages_filters_and_errors_of_its_own(world: World, stolen: dict[str, str]) -> None:
    trail = world.admin("cloudtrail", region="us-east-1")
    by_key = [{"AttributeKey": "AccessKeyId", "AttributeValue": stolen["access_key_id"]}]

    for _ in range(3):
        client(world.simulator.url, "iam", stolen, "us-east-1").list_users()
    first = trail.lookup_events(LookupAttributes=by_key, MaxResults=3)
    second = trail.lookup_events(LookupAttributes=by_key, MaxResults=3, NextToken=first["NextToken"])

    assert (len(first["Events"]), len(second["Events"])) == (3, 1)
    assert "NextToken" not in second
    event = first["Events"][0]
    assert (event["Username"], event["EventName"], event["ReadOnly"]) == ("ci-deploy", "ListUsers", "true")
    assert "seq" not in json.loads(event["CloudTrailEvent"])
    for wrong in ({"MaxResults": 50, "NextToken": "x"}, {"LookupAttributes": by_key * 2}):
        with pytest.raises(Exception, match=r"InvalidNextToken|InvalidLookupAttributes"):
            trail.lookup_events(**wrong)


def test_the_history_forgets_after_ninety_days() -> None:
    log = [{"seq": 1, **_record("old", days=91)}, {"seq": 2, **_record("kept", days=89)}]
    names = [lookup_events.shown(one)["EventName"] for one in log]

    assert names == ["old", "kept"]
    assert {one["EventName"] for one in _found(log)} == {"kept"}


def _record(name: str, *, days: int) -> dict[str, Any]:
    at = history_clock.now() - timedelta(days=days)
    return {
        "eventID": name,
        "eventName": name,
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "iam.amazonaws.com",
        "awsRegion": "us-east-1",
        "recipientAccountId": SHIPPING,
        "readOnly": True,
        "userIdentity": {"type": "Root"},
    }


def _found(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the history answers from a log of ours."""

    class Asked:
        current_account, region = SHIPPING, "us-east-1"

        def _get_param(self, name: str) -> None:
            return None

    class Log:
        def since(self, seq: int) -> tuple[list[str], int]:
            return [json.dumps(one) for one in log], len(log)

    kept = list(lookup_events._logs)
    lookup_events._logs[:] = [Log()]  # type: ignore[list-item] # all that it asks of a log
    try:
        answer: list[dict[str, Any]] = json.loads(lookup_events.lookup_events(Asked()))["Events"]
        return answer
    finally:
        lookup_events._logs[:] = kept
