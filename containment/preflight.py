"""Asking AWS beforehand whether the calls of a plan, and their undo, would be permitted.

EC2 calls whose parameters are known are sent with DryRun, which changes nothing; IAM calls are put to
the policy simulator. What can be asked neither way is shown as not tested.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from containment.describing import HOME_REGIONS
from containment.looking import holds_form
from containment.refusals import Refusal, classify
from containment.types import CHANGING, Call, Duty, Plan, Read, Step
from containment.wire import Eyes, Hand, role_at
from estate.queries import account_of
from lib import canonical, iam
from lib.aws import AwsError, NoAnswer, WrongAccount

PERMITTED = "permitted"
DENIED = "denied"
NOT_TESTED = "not tested"

READS = frozenset({"iam:SimulatePrincipalPolicy"})


@dataclass(frozen=True, kw_only=True)
class Found:
    """The answer for one call; `part` is `call` or `undo`."""

    step: str
    part: str
    call: str
    answer: str
    detail: str = ""


def check(plan: Plan, *, hand: Hand, eyes: Eyes) -> list[Found]:
    """Ask about every call and undo of a plan. Raises nothing: what fails is not tested.

    Dry runs share sessions of their own, which may undo as well; `eyes` may read what `READS` names.
    """
    found: list[Found] = []
    dry = hand.apart()
    tried = [call for _, _, call in calls_of(plan) if call.service == "ec2" and not _is_open(call)]
    simulated: dict[str, tuple[str, str]] = {}
    for step, part, call in calls_of(plan):
        if call.service == "ec2":
            answer, detail = _dry_run(call, dry, tried)
        else:
            key = canonical.dumps([call.at.account, call.name, call.at.duty.value, _about(call)])
            if key not in simulated:
                simulated[key] = _simulate(call, eyes)
            answer, detail = simulated[key]
        found.append(Found(step=step, part=part, call=call.name, answer=answer, detail=detail))
    return found


def calls_of(plan: Plan) -> Iterator[tuple[str, str, Call]]:
    """Each call that carrying a plan out or undoing it may send: step, `call` or `undo`, and the call.

    An edit is undone by the opposite edit, and where nothing is left of a document afterwards another call
    is sent (`Edit.empty`): which of the two it will be depends on what others keep in there by then.
    """
    for step in plan.steps:
        if step.kind in CHANGING:
            told = set[tuple[str, str]]()
            for part, call in _of_step(step):
                if call and (part, call.name) not in told:
                    told.add((part, call.name))
                    yield step.name, part, call


def _of_step(step: Step) -> Iterator[tuple[str, Call | None]]:
    edit = step.edit
    yield "call", step.call
    if edit and not edit.add:
        yield "call", edit.empty
    yield "undo", step.undo or (step.call if edit else None)
    if edit and not edit.remove:
        yield "undo", edit.empty


def _is_open(call: Call) -> bool:
    """Whether a value of the call is known only at run time."""
    return holds_form(call.params, "$ref") or holds_form(call.params, "$now")


def _dry_run(call: Call, hand: Hand, beside: list[Call]) -> tuple[str, str]:
    if _is_open(call):
        return NOT_TESTED, "a value is known only at run time"
    try:
        hand.ready(call, beside)
        hand.send(replace(call, params={**call.params, "DryRun": True}))
    except AwsError as refusal:
        if refusal.code == "DryRunOperation":
            return PERMITTED, "DryRun"
        if classify(refusal) is Refusal.DENIED:
            return DENIED, refusal.message[:300]
        return NOT_TESTED, refusal.code
    except (NoAnswer, WrongAccount) as failure:
        return NOT_TESTED, str(failure)[:300]
    return NOT_TESTED, "the service answered a dry run as if it had been carried out"


def _about(call: Call) -> dict[str, Any]:
    """What the policy simulator must be told of a call: without its resource, it means `*`, which a policy
    that names resources does not allow.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    account = account_of(call.at.account)
    resource = iam.about(
        call.name,
        call.params,
        partition=account.partition if account else "aws",
        account=call.at.account,
        region=call.at.region,
    )
    told: dict[str, Any] = {"ResourceArns": [resource]} if resource != "*" else {}
    policy = call.params.get("PolicyArn")
    if isinstance(policy, str):
        entry = {"ContextKeyName": "iam:PolicyARN", "ContextKeyValues": [policy], "ContextKeyType": "string"}
        told["ContextEntries"] = [entry]
    return told


def _simulate(call: Call, eyes: Eyes) -> tuple[str, str]:
    """What the policy simulator says about the role that would act; it knows no SCPs."""
    need = iam.OPERATIONS[call.name]
    try:
        acting = role_at(call.at, names=eyes.names, duty=call.at.duty)
        asked = {"PolicySourceArn": acting.arn, "ActionNames": sorted(need.actions), **_about(call)}
        home = HOME_REGIONS.get(acting.arn.split(":")[1], call.at.region)
        at = replace(call.at, region=home, duty=Duty.READ)
        answer: Any = eyes.read(Read(at=at, service="iam", operation="SimulatePrincipalPolicy", params=asked))
    except (AwsError, NoAnswer, WrongAccount) as failure:
        return NOT_TESTED, str(failure)[:300]
    decisions = {one["EvalActionName"]: one["EvalDecision"] for one in answer.get("EvaluationResults", [])}
    denied = sorted(action for action, decision in decisions.items() if decision != "allowed")
    if denied:
        return DENIED, f"the role does not allow {', '.join(denied)}"
    return (PERMITTED, "policy simulator") if decisions else (NOT_TESTED, "the simulator said nothing")
