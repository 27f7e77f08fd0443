"""What GuardDuty and Security Hub are told: only when it is switched on, and each finding by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from containment.actions import action_type
from containment.types import Plan, Refused
from lib.errors import Invalid
from tests.containment.actions.network_reader import ACCOUNT, MANAGEMENT, context, misfits, said
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.data import (
    FINDINGS,
    PRODUCT,
    archived,
    make_guardduty_findings,
    make_hub_findings,
    workflow,
)
from tests.containment.world import World

WRITE_BACK = ("guardduty.archive-findings", "securityhub.set-workflow-status")
DETECTOR = "12abc34d567e8fa901bc2d34e56789f0"


def plan_of(
    type_id: str, target: str, table: Mapping[str, Any], params: Mapping[str, Any] | None = None, **more: Any
) -> Plan:
    """The plan where write-back is switched on."""
    return action_type(type_id)().plan(
        replace(context(type_id, target, table, params, **more), write_back=True)
    )


def sent(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(step.call.name, dict(step.call.params)) for step in plan.steps if step.call]


def undone(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(step.undo.name, dict(step.undo.params)) for step in plan.steps if step.undo]


# --- GuardDuty --------------------------------------------------------------------------------------


def guarded(
    archived: Mapping[str, bool], *, detectors: tuple[str, ...] = (DETECTOR,), administrator: str = ""
) -> dict[str, Any]:
    """A detector with findings, and whether each is archived."""

    def findings(params: Mapping[str, Any]) -> Any:
        (asked,) = params["FindingIds"]
        listed = [{"Id": asked, "Service": {"Archived": archived[asked]}}] if asked in archived else []
        return {"Findings": listed}

    above = {"Administrator": {"AccountId": administrator}} if administrator else {}
    return {
        "guardduty:ListDetectors": {"DetectorIds": list(detectors)},
        "guardduty:GetAdministratorAccount": above,
        "guardduty:GetFindings": findings,
    }


@pytest.mark.fast
def test_each_finding_is_archived_by_itself_and_what_was_archived_stays_so() -> None:
    plan = plan_of(
        "guardduty.archive-findings", "bb", guarded({"aa": True, "bb": False}), {"others": ["aa", "bb"]}
    )

    named = [{"DetectorId": DETECTOR, "FindingIds": [one]} for one in ("aa", "bb")]
    assert sent(plan) == [("guardduty:ArchiveFindings", one) for one in named]
    assert undone(plan) == [("guardduty:UnarchiveFindings", one) for one in named]
    assert [step.was for step in plan.steps] == [True, False]
    assert [step.lane for step in plan.steps] == ["aa", "bb"]
    assert misfits(plan) == []


@pytest.mark.fast
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (guarded({}), f"detector {DETECTOR} has no finding bb"),
        (guarded({}, detectors=()), f"account {ACCOUNT} has no GuardDuty detector in eu-west-1"),
        (
            guarded({"bb": False}, administrator=MANAGEMENT),
            f"is a GuardDuty member; only {MANAGEMENT} may archive its findings",
        ),
    ],
)
def test_findings_that_cannot_be_archived_here_are_refused(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        plan_of("guardduty.archive-findings", "bb", table)


@pytest.mark.fast
def test_the_administrator_itself_may_archive() -> None:
    plan = plan_of("guardduty.archive-findings", "bb", guarded({"bb": False}, administrator=ACCOUNT))

    assert len(plan.steps) == 1


# --- Security Hub -----------------------------------------------------------------------------------


def hub(statuses: Mapping[str, str]) -> dict[str, Any]:
    def findings(params: Mapping[str, Any]) -> Any:
        asked = params["Filters"]["Id"][0]["Value"]
        listed = [{"Id": asked, "Workflow": {"Status": statuses[asked]}}] if asked in statuses else []
        return {"Findings": listed}

    return {"securityhub:GetFindings": findings}


@pytest.mark.fast
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_only_the_status_is_written_and_each_finding_gets_back_its_own(partition: str) -> None:
    product = f"arn:{partition}:securityhub:cn-north-1::product/aws/guardduty"
    plan = plan_of(
        "securityhub.set-workflow-status",
        "f/2",
        hub({"f/1": "NEW", "f/2": "NOTIFIED"}),
        {"product_arn": product, "others": ["f/1"]},
        partition=partition,
    )

    def call(finding: str, status: str) -> tuple[str, dict[str, Any]]:
        named = [{"Id": finding, "ProductArn": product}]
        asked = {"FindingIdentifiers": named, "Workflow": {"Status": status}}
        return "securityhub:BatchUpdateFindings", asked

    assert sent(plan) == [call("f/1", "RESOLVED"), call("f/2", "RESOLVED")]
    assert undone(plan) == [call("f/1", "NEW"), call("f/2", "NOTIFIED")]
    assert partition == "aws" or "arn:aws:" not in said(plan)
    assert misfits(plan) == []
    assert plan.changes == (
        "Finding f/1 becomes RESOLVED in Security Hub (it is NEW)",
        "Finding f/2 becomes RESOLVED in Security Hub (it is NOTIFIED)",
    )


@pytest.mark.fast
def test_a_finding_that_security_hub_does_not_have_is_refused() -> None:
    with pytest.raises(Refused, match=f"Security Hub has no finding f/1 of {PRODUCT}"):
        plan_of("securityhub.set-workflow-status", "f/1", hub({}), {"product_arn": PRODUCT})


@pytest.mark.fast
@pytest.mark.parametrize(
    "params",
    [
        {"product_arn": "https://evil.example"},
        {"product_arn": PRODUCT, "status": "CLOSED"},
        {"product_arn": PRODUCT, "others": ["f"] * 20},
        {},
    ],
)
def test_parameters_that_security_hub_would_not_take_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        plan_of("securityhub.set-workflow-status", "f/1", hub({"f/1": "NEW"}), params)


# --- both, over the wire ----------------------------------------------------------------------------


@pytest.mark.parametrize("type_id", WRITE_BACK)
def test_nothing_is_told_where_write_back_is_switched_off(
    world: World, settings: Settings, type_id: str
) -> None:
    settings.QUELL_WRITE_BACK = False
    subject = SUBJECTS[type_id]
    assert subject.arrange
    subject.arrange(world)

    action = world.propose(type_id, *subject.aim(world))

    assert action.status == "refused"
    assert action.note == "write-back is switched off (QUELL_WRITE_BACK)"
    assert world.wire.sent == []


def test_a_finding_that_security_hub_did_not_process_is_not_said_to_be_done(world: World) -> None:
    """BatchUpdateFindings answers 200 and lists what it left as it was."""
    make_hub_findings(world)
    before = workflow(world)
    real = world.wire._send

    def left_out(role: Any, **asked: Any) -> Any:
        if asked["operation"] == "BatchUpdateFindings":
            named = [{"Id": "no-such-finding", "ProductArn": PRODUCT}]
            asked["params"] = {**asked["params"], "FindingIdentifiers": named}
        return real(role, **asked)

    world.wire._send = left_out
    action = world.apply("securityhub.set-workflow-status", *SUBJECTS[WRITE_BACK[1]].aim(world))
    world.wire._send = real

    assert action.status not in ("verified", "applied"), action.note
    assert workflow(world) == before


def test_findings_that_others_touched_meanwhile_are_left_as_they_are(world: World) -> None:
    make_hub_findings(world)
    action = world.apply("securityhub.set-workflow-status", *SUBJECTS[WRITE_BACK[1]].aim(world))
    assert dict(workflow(world)) == dict.fromkeys(FINDINGS, "RESOLVED") | {"finding/3": "NOTIFIED"}
    world.admin("securityhub").batch_update_findings(
        FindingIdentifiers=[{"Id": FINDINGS[0], "ProductArn": PRODUCT}], Workflow={"Status": "SUPPRESSED"}
    )

    back = world.revert(action)

    assert back.status == "conflict"
    assert dict(workflow(world))[FINDINGS[0]] == "SUPPRESSED"
    assert dict(workflow(world))[FINDINGS[1]] == "RESOLVED"


def test_archived_findings_come_back_one_by_one(world: World) -> None:
    make_guardduty_findings(world)
    before = archived(world)

    action = world.apply("guardduty.archive-findings", *SUBJECTS["guardduty.archive-findings"].aim(world))

    assert action.status == "verified", action.note
    assert world.wire.sent == ["guardduty:ArchiveFindings"] * 2
    assert [state for _, state in archived(world)].count(True) == 2
    back = world.revert(action)
    assert back.status == "verified", back.note
    assert archived(world) == before
