"""Types that only collect: what they change is what the incident has in evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cases.models import Evidence
from tests.containment.subjects.first import instance
from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World


def kept(world: World) -> Any:
    """Names of the artefacts of the incident, one for each row, and why there is none."""
    rows = Evidence.objects.filter(incident=world.incident).values_list("step", "absent")
    return sorted((step, re.sub(r"quell-[0-9a-z]{26}", "quell-…", absent)) for step, absent in rows)


def _key_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    user = next(u for u in world.estate["users"] if u["name"] == "ci-deploy")
    key = user["access_keys"][0]["access_key_id"]
    return {"type": "principal", "account": SHIPPING, "region": REGION, "id": f"access_key/{key}"}, {}


def _instance_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return {"type": "instance", "account": SHIPPING, "region": REGION, "id": instance(world)["id"]}, {}


def _function_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    found = next(f for f in world.estate["functions"] if f["name"] == "label-render")
    return {"type": "function", "account": SHIPPING, "region": REGION, "id": found["name"]}, {}


DOCUMENT = "acquire-memory"
BUCKET = "forensic-memory-output"


def make_document(world: World, name: str = DOCUMENT) -> None:
    """A document of commands in the account, as the one who keeps it would make it."""
    body = {
        "schemaVersion": "2.2",
        "description": "memory",
        "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["true"]}}],
    }
    world.admin("ssm").create_document(
        Content=json.dumps(body), Name=name, DocumentType="Command", DocumentFormat="JSON"
    )


def forensic(world: World) -> str:
    """The account that the estate keeps for security."""
    return str(next(a["id"] for a in world.estate["accounts"] if a["environment"] == "security"))


def _memory_ready(world: World) -> None:
    make_document(world)
    world.admin("s3", forensic(world)).create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )


def _memory_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    target, _ = _instance_aim(world)
    return target, {"document": DOCUMENT, "bucket": BUCKET, "parameters": ["Prefix={mark}"]}


def _memory_look(world: World) -> Any:
    commands = world.admin("ssm").list_commands()["Commands"]
    marked = [one["DocumentName"] for one in commands if one["Comment"].startswith("quell-")]
    return {"kept": kept(world), "commands": marked}


HISTORY = (
    "moto has no LookupEvents; simulator.additions.lookup_events answers from the simulator's own log, "
    "validated by boto3 against botocore's model"
)

SUBJECTS: dict[str, Subject] = {
    "iam.capture-principal": Subject(
        aim=_key_aim, look=kept, has_undo=False, collects=True, where="stub", why=HISTORY
    ),
    "ec2.capture-instance": Subject(
        aim=_instance_aim,
        look=kept,
        has_undo=False,
        collects=True,
        where="stub",
        why="moto has no GetConsoleScreenshot and no DescribeInstanceInformation; simulator.additions "
        "(console, ssm) answers, validated by boto3 against botocore's model; all else is moto's",
    ),
    "lambda.capture-function": Subject(aim=_function_aim, look=kept, has_undo=False, collects=True),
    "ec2.acquire-memory": Subject(
        arrange=_memory_ready,
        aim=_memory_aim,
        look=_memory_look,
        has_undo=False,
        meets_itself=False,
        where="stub",
        why="moto's commands succeed at once on any instance; simulator.additions.ssm knows which it reaches "
        "and lets them take their time, validated by boto3 against botocore's model",
    ),
}
