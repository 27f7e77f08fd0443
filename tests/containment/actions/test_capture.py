"""Instances, functions and memory as evidence: what is kept, what is refused, what is a finding."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cases import evidence_store
from cases.models import Action, Evidence
from containment import planning
from containment.actions import action_type
from containment.types import plain
from lib.aws import AwsError
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.capture import BUCKET, forensic, make_document
from tests.containment.world import SHIPPING, World

TYPES = ("ec2.acquire-memory", "ec2.capture-instance", "iam.capture-principal", "lambda.capture-function")


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> None:
    settings.QUELL_EVIDENCE_DIR = tmp_path / "evidence"


def applied(world: World, type_id: str, **params: Any) -> Action:
    target, given = SUBJECTS[type_id].aim(world)
    return world.apply(type_id, target, {**given, **params})


def kept(action: Action, step: str) -> Evidence:
    return Evidence.objects.get(action=action, step=step)


def body(action: Action, step: str) -> bytes:
    return b"".join(evidence_store.open_checked(kept(action, step).sha256))


@pytest.mark.parametrize("type_id", TYPES)
def test_no_plan_names_another_partition(world: World, type_id: str) -> None:
    arrange = SUBJECTS[type_id].arrange
    if arrange:
        arrange(world)
    target, params = SUBJECTS[type_id].aim(world)
    action = world.propose(type_id, target, params)
    declared = action_type(type_id)

    context = replace(planning.context_of(action, declared), partition="aws-us-gov")

    assert "arn:aws:" not in json.dumps(plain(declared().plan(context)))


# --- instances ----------------------------------------------------------------------------------------------


def test_user_data_is_kept_as_the_instance_sees_it_and_marked(world: World) -> None:
    target, _ = SUBJECTS["ec2.capture-instance"].aim(world)
    script = "#!/bin/sh\nexport PASSWORD=hunter2\n"
    world.admin("ec2").modify_instance_attribute(
        InstanceId=target["id"], UserData={"Value": b64encode(script.encode()).decode()}
    )

    action = applied(world, "ec2.capture-instance")

    row = kept(action, "user-data")
    assert body(action, "user-data") == script.encode()
    assert row.is_sensitive
    assert kept(action, "screenshot").media_type == "image/jpeg"
    assert body(action, "screenshot").startswith(b"\xff\xd8\xff")
    described = json.loads(body(action, "description"))
    assert described["instance"]["InstanceId"] == target["id"]
    assert len(described["network interfaces"]["NetworkInterfaces"]) == 3
    assert (
        json.loads(body(action, "surroundings"))["ssm"]["InstanceInformationList"][0]["PingStatus"]
        == "Online"
    )


def test_what_an_instance_does_not_have_is_a_finding(world: World) -> None:
    def refuse(name: str) -> None:
        if name == "ec2:GetConsoleScreenshot":
            raise AwsError("UnsupportedOperation", "bare metal has no screen")

    world.wire.before_read = refuse
    action = applied(world, "ec2.capture-instance")

    assert action.status == "verified", action.note
    assert "bare metal has no screen" in kept(action, "screenshot").absent
    assert kept(action, "user-data").absent == "the instance has no user data"


def test_that_config_recorded_nothing_is_a_finding_and_says_so(world: World) -> None:
    """The simulated AWS Config knows no instances, as that of an account without a recorder."""
    action = applied(world, "ec2.capture-instance")

    assert action.status == "verified", action.note
    assert kept(action, "config-history").absent.startswith(
        "AWS Config shows none: ResourceNotDiscoveredException"
    )


@pytest.mark.parametrize("items", [[], [{"configurationItemStatus": "OK", "version": "1.3"}]])
def test_what_config_recorded_is_kept_as_it_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, items: list[dict[str, str]]
) -> None:
    real, asked = world.wire._read, list[dict[str, Any]]()

    def recorded(role: Any, **call: Any) -> Any:
        if call["operation"] != "GetResourceConfigHistory":
            return real(role, **call)
        asked.append(dict(call["params"]))
        return {"configurationItems": items}

    with monkeypatch.context() as patch:  # the wire gives back what it holds when the world ends
        patch.setattr(world.wire, "_read", recorded)
        action = applied(world, "ec2.capture-instance")

    (params,) = asked
    assert params["resourceId"] == action.target["id"]
    assert params["resourceType"] == "AWS::EC2::Instance"
    row = kept(action, "config-history")
    if items:
        assert json.loads(body(action, "config-history")) == {"configurationItems": items}
    assert row.absent == ("" if items else "AWS Config has recorded nothing of it")


@pytest.mark.parametrize("instance", ["i-0123456789abcdef0", "i-*", "tracking-api"])
def test_an_instance_that_is_not_there_is_refused(world: World, instance: str) -> None:
    target, _ = SUBJECTS["ec2.capture-instance"].aim(world)

    assert world.propose("ec2.capture-instance", {**target, "id": instance}).status == "refused"


# --- functions ----------------------------------------------------------------------------------------------


def test_the_package_of_a_function_is_kept_whole(world: World) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return 1\n")
    target, _ = SUBJECTS["lambda.capture-function"].aim(world)
    world.admin("lambda").update_function_code(FunctionName=target["id"], ZipFile=packed.getvalue())

    action = applied(world, "lambda.capture-function")

    assert action.status == "verified", action.note
    assert body(action, "code") == packed.getvalue()
    assert kept(action, "code").sha256 == hashlib.sha256(packed.getvalue()).hexdigest()
    assert "lambda-code" not in json.dumps([step.result for step in world.steps(action)])


@pytest.mark.parametrize(
    "url", ["https://evil.example/x.zip", "http://169.254.169.254/x", "https://amazonaws.com.evil.example/x"]
)
def test_an_address_that_is_not_of_aws_is_not_opened(
    world: World, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    real = world.wire._read

    def lying(role: Any, **asked: Any) -> Any:
        answer = real(role, **asked)
        if asked["operation"] == "GetFunction":
            answer["Code"]["Location"] = url
        return answer

    with monkeypatch.context() as patch:  # the wire gives back what it holds when the world ends
        patch.setattr(world.wire, "_read", lying)
        action = applied(world, "lambda.capture-function")

    assert action.status == "partial"
    assert "is not a host of AWS" in action.note
    assert not Evidence.objects.filter(action=action, step="code").exists()


def test_a_package_that_is_not_what_aws_says_is_not_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = world.wire._read

    def lying(role: Any, **asked: Any) -> Any:
        answer = real(role, **asked)
        if asked["operation"] == "GetFunction":
            answer["Configuration"]["CodeSha256"] = b64encode(b"x" * 32).decode()
        return answer

    with monkeypatch.context() as patch:  # the wire gives back what it holds when the world ends
        patch.setattr(world.wire, "_read", lying)
        action = applied(world, "lambda.capture-function")

    assert action.status == "partial"
    assert "AWS says" in action.note
    assert not Evidence.objects.filter(action=action, step="code").exists()


# --- memory -------------------------------------------------------------------------------------------------


@pytest.fixture
def ready(world: World) -> World:
    arrange = SUBJECTS["ec2.acquire-memory"].arrange
    assert arrange
    arrange(world)
    return world


def test_the_document_runs_by_its_hash_and_its_output_is_listed(ready: World) -> None:
    target, params = SUBJECTS["ec2.acquire-memory"].aim(ready)
    action = ready.propose("ec2.acquire-memory", target, params)
    mark = f"quell-{action.ulid.lower()}"
    ready.admin("s3", forensic(ready)).put_object(Bucket=BUCKET, Key=f"{mark}/memory.lime", Body=b"m" * 64)

    action = ready.drive(ready.approve(action))

    assert action.status == "verified", action.note
    assert action.plan
    sent = action.plan["steps"][0]["call"]["params"]
    assert sent["Parameters"] == {"Prefix": [mark]}
    assert len(sent["DocumentHash"]) == 64
    assert ready.wire.sent == ["ssm:SendCommand"]
    listed = json.loads(body(action, "output"))["objects"]
    assert [(one["Key"], one["Size"]) for one in listed] == [(f"{mark}/memory.lime", 64)]
    assert json.loads(body(action, "invocation"))["invocation"]["Status"] == "Success"


def test_what_a_failed_command_said_is_kept(ready: World) -> None:
    make_document(ready, "memory-fails")

    action = applied(ready, "ec2.acquire-memory", document="memory-fails")

    assert action.status == "partial"
    assert json.loads(body(action, "invocation"))["invocation"]["Status"] == "Failed"
    assert "nothing lies in" in kept(action, "output").absent


@pytest.mark.parametrize(
    "parameter",
    [
        "SecretAccessKey=x",
        "Url=https://b.s3.amazonaws.com/o?X-Amz-Signature=ab",
        "Key=AKIA2222222222222222",
        "SessionToken=abc",
    ],
)
def test_no_secret_goes_into_parameters(ready: World, parameter: str) -> None:
    target, params = SUBJECTS["ec2.acquire-memory"].aim(ready)

    action = ready.propose("ec2.acquire-memory", target, {**params, "parameters": [parameter]})

    assert action.status == "refused"
    assert "looks like a secret" in action.note
    assert ready.wire.sent == []


def test_an_instance_that_ssm_does_not_reach_is_refused(ready: World) -> None:
    target, params = SUBJECTS["ec2.acquire-memory"].aim(ready)
    ready.admin("ec2", SHIPPING).stop_instances(InstanceIds=[target["id"]])

    action = ready.propose("ec2.acquire-memory", target, params)

    assert action.status == "refused"
    assert "SSM does not reach" in action.note


def test_a_document_that_is_not_there_is_refused(ready: World) -> None:
    target, params = SUBJECTS["ec2.acquire-memory"].aim(ready)

    assert (
        "no SSM document" in ready.propose("ec2.acquire-memory", target, {**params, "document": "x-y"}).note
    )
