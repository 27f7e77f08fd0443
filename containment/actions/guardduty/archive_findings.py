"""https://docs.aws.amazon.com/guardduty/latest/APIReference/API_ArchiveFindings.html

Of an organization's findings only the administrator account may archive any.
https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_accounts.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused


@dataclass(frozen=True, kw_only=True)
class Params:
    others: tuple[str, ...] = param(
        "ids of further findings of this detector, archived in the same action",
        default=(),
        maximum=19,
        pattern=r"[A-Za-z0-9]{1,300}",
    )


@register
class ArchiveFindings(ActionType):
    """Archive GuardDuty findings at source, so that its console shows only what is still open.

    Does not stop: anything, and closes nothing in Quell; the activity that was found, which GuardDuty
    reports again as a new finding; copies of the finding in Security Hub.
    """

    id = "guardduty.archive-findings"
    title = "Archive findings at source"
    target = "finding"
    category = Category.RECOVERY
    tier = 0
    order = 98
    params = Params
    reads = ("guardduty:ListDetectors", "guardduty:GetAdministratorAccount", "guardduty:GetFindings")
    writes = ("guardduty:ArchiveFindings", "guardduty:UnarchiveFindings")
    fallback = ("aws guardduty archive-findings --detector-id DETECTOR --finding-ids ID",)

    def plan(self, ctx: Context) -> Plan:
        if not ctx.write_back:
            raise Refused("write-back is switched off (QUELL_WRITE_BACK)")
        guardduty, detector = ctx.aws("guardduty"), _detector(ctx)
        steps = Steps(ctx)
        findings = sorted({ctx.target.id, *ctx.params.others})
        for number, finding in enumerate(findings):
            named: dict[str, Any] = {"DetectorId": detector, "FindingIds": [finding]}
            seen = Check(
                read=guardduty.read("GetFindings", **named),
                select="Findings[0].Service.Archived",
                equals=True,
            )
            was = ctx.look(seen)
            if was is None:
                raise Refused(f"detector {detector} has no finding {finding}")
            steps.set(
                f"archive-{number}",
                changes=f"guardduty:detector/{detector}/finding/{finding}/archived",
                lane=finding,
                was=was,
                call=guardduty.call("ArchiveFindings", **named),
                seen=seen,
                undo=guardduty.call("UnarchiveFindings", **named),
            )
        return steps.plan(
            facts={"detector": detector},
            changes=tuple(f"Finding {finding} is archived in GuardDuty" for finding in findings),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for finding in sorted({ctx.target.id, *ctx.params.others}):
            yield Affected(what=f"whoever reads {finding} in GuardDuty", then="finds it among the archived")


def _detector(ctx: Context) -> str:
    """The one detector of the account in this region. Raises `Refused`."""
    guardduty, account = ctx.aws("guardduty"), ctx.target.account
    detectors = sorted(ctx.read(guardduty.read("ListDetectors"))["DetectorIds"])
    if not detectors:
        raise Refused(f"account {account} has no GuardDuty detector in {ctx.target.region}")
    detector = str(detectors[0])
    found = ctx.read(guardduty.read("GetAdministratorAccount", DetectorId=detector))
    administrator = (found.get("Administrator") or {}).get("AccountId", account)
    if administrator != account:
        raise Refused(
            f"account {account} is a GuardDuty member; only {administrator} may archive its findings"
        )
    return detector
