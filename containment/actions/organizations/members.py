"""The organization as the management account sees it: who belongs to it, and what hangs where. Pure.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
"""

from __future__ import annotations

from typing import Any

from containment.describing import Context, Service
from containment.types import Read, Refused

SCP = "SERVICE_CONTROL_POLICY"
FULL_ACCESS = "p-FullAWSAccess"
NOT_THERE = ("AccountNotFoundException", "ChildNotFoundException", "TargetNotFoundException")

READS = (
    "organizations:DescribeOrganization",
    "organizations:DescribeOrganizationalUnit",
    "organizations:ListParents",
    "organizations:ListPoliciesForTarget",
)


def parents_of(organizations: Service, account: str) -> Read:
    """The read that finds the one parent of an account."""
    return organizations.read("ListParents", ChildId=account, missing=NOT_THERE)


def policies_on(organizations: Service, target: str) -> Read:
    """The read of the service control policies that are attached to an account or unit itself."""
    return organizations.read("ListPoliciesForTarget", TargetId=target, Filter=SCP)


def member(ctx: Context, organizations: Service) -> str:
    """The parent of the target account; raises `Refused` unless it is a member that SCPs can hit."""
    account = ctx.target.id
    if account != ctx.target.account:
        raise Refused("the target's id and its account are not the same account")
    found: Any = ctx.read(organizations.read("DescribeOrganization"))
    if account == found["Organization"]["MasterAccountId"]:
        raise Refused(f"{account} is the management account, which no service control policy restricts")
    parents = ctx.read(parents_of(organizations, account))
    if not parents or not parents["Parents"]:
        raise Refused(f"{account} is not a member of the organization")
    return str(parents["Parents"][0]["Id"])


def unit(ctx: Context, organizations: Service, ou: str) -> str:
    """The name of an organizational unit; raises `Refused` when there is none."""
    missing = ("OrganizationalUnitNotFoundException",)
    found: Any = ctx.read(
        organizations.read("DescribeOrganizationalUnit", OrganizationalUnitId=ou, missing=missing)
    )
    if not found:
        raise Refused(f"there is no organizational unit {ou}")
    return str(found["OrganizationalUnit"]["Name"])
