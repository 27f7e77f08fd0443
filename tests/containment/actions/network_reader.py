"""Planning without AWS: answers by operation, and a context around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.session import get_session
from botocore.validate import ParamValidator

from containment.actions import action_type
from containment.describing import Context
from containment.looking import decoded
from containment.parameters import check
from containment.types import Call, Duty, Place, Plan, Read, Target, plain
from lib.canonical import JSON

ACCOUNT = "111122223333"
MANAGEMENT = "999900001111"
EXEMPT = (f"arn:aws:iam::{ACCOUNT}:role/quell-contain", f"arn:aws:iam::{ACCOUNT}:user/break-glass")


@dataclass
class Answers:
    """A reader that answers from a table; a function is asked with the parameters."""

    table: Mapping[str, Any]
    asked: list[Read] = field(default_factory=list)

    def read(self, read: Read) -> JSON:
        self.asked.append(read)
        answer = self.table[read.name]
        return decoded(plain(answer(read.params) if callable(answer) else answer), read.decode)


def context(
    type_id: str,
    target_id: str,
    table: Mapping[str, Any | Callable[..., Any]],
    params: Mapping[str, Any] | None = None,
    *,
    partition: str = "aws",
    region: str = "eu-west-1",
    exempt: tuple[str, ...] = EXEMPT,
) -> Context:
    """What planning of a type is given."""
    declared = action_type(type_id)
    here = Place(account=ACCOUNT, region=region, duty=Duty.CONTAIN)
    edge = Place(account=ACCOUNT, region="us-east-1", duty=Duty.CONTAIN)
    home = Place(account=MANAGEMENT, region=region, duty=Duty.ORGANIZATION)
    return Context(
        id="01M85MG280RBTKVD0GPK58FM2V",
        target=Target(type=declared.target, account=ACCOUNT, region=region, id=target_id),
        params=check(declared.params, params or {}),
        duty=Duty.CONTAIN,
        places={"target": here, "edge": edge, "management": home, "identity": home},
        reader=Answers(table),
        partition=partition,
        exempt=tuple(one.replace("arn:aws:", f"arn:{partition}:") for one in exempt),
    )


def planned(type_id: str, target_id: str, table: Mapping[str, Any], *args: Any, **more: Any) -> Plan:
    """The plan of a type."""
    return action_type(type_id)().plan(context(type_id, target_id, table, *args, **more))


def said(plan: Plan) -> str:
    """Everything of a plan as one text, to look for what must not be in it."""
    return json.dumps(plain(plan))


def misfits(plan: Plan) -> list[str]:
    """What botocore would not send of a plan: unknown operations or parameters, wrong types."""
    return [
        f"{call.name}: {told}"
        for step in plan.steps
        for call in (step.call, step.undo, step.seen.read if step.seen else None)
        if call and (told := _told_of(call))
    ]


def _told_of(call: Call) -> str:
    model = get_session().get_service_model(call.service)
    if call.operation not in model.operation_names:
        return "there is no such operation"
    shape = model.operation_model(call.operation).input_shape
    report = ParamValidator().validate(_filled(plain(call.params)), shape)
    return str(report.generate_report())


def _filled(value: Any) -> Any:
    """Parameters with a text in place of what is known only at run time."""
    if isinstance(value, dict):
        if set(value) & {"$ref", "$now", "$json"}:
            return "known-at-run-time"
        return {key: _filled(member) for key, member in value.items()}
    return [_filled(member) for member in value] if isinstance(value, list) else value
