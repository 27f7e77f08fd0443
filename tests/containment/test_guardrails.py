"""What is never contained, what an account does not grant, and plans that would lock us out."""

from __future__ import annotations

from typing import Any

import pytest

from containment import grants, guardrails, planning
from containment.actions import action_type, catalogue
from containment.hitting import hits
from containment.types import Call, Check, Duty, Kind, Place, Plan, Read, Refused, Step, Target
from estate.models import Account, Environment, Mode, Trust
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import SHIPPING, World

OWN = f"arn:aws:iam::{make.ACCOUNT}:role/quell/contain"
DOOR = f"arn:aws:iam::{make.ACCOUNT}:role/break-glass"


def account(**given: Any) -> Account:
    return Account(
        account_id=make.ACCOUNT,
        name="Shipping",
        mode=Mode.APPROVE,
        **{"environment": Environment.PRODUCTION, "contain_role": OWN, "break_glass": [DOOR], **given},
    )


def said(type_id: str, target: dict[str, str], params: dict[str, Any] | None = None, **of: Any) -> str:
    aim = Target.of({"account": make.ACCOUNT, "region": "eu-west-1", **target})
    return guardrails.objection(action_type(type_id), aim, account(**of), params)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({"type": "role", "id": "quell-read"}, "Quell's own"),
        ({"type": "role", "id": "contain"}, "Quell's own roles or a break-glass"),
        ({"type": "role", "id": "break-glass"}, "break-glass"),
        ({"type": "role", "id": "x", "arn": DOOR}, "break-glass"),
        ({"type": "role", "id": "AWSServiceRoleForAutoScaling"}, "belongs to AWS"),
        ({"type": "role", "id": "AWSReservedSSO_Admin_0123456789abcdef"}, "belongs to AWS"),
        ({"type": "role", "id": "x", "arn": f"arn:aws:iam::{make.ACCOUNT}:role/aws-reserved/x"}, "AWS"),
        ({"type": "role", "id": "tracking-api"}, ""),
    ],
)
def test_principals_that_are_never_contained(target: dict[str, str], why: str) -> None:
    found = said("iam.revoke-role-sessions", target)

    assert why in found if why else found == ""


GLASS_USER = f"arn:aws:iam::{make.ACCOUNT}:user/staff/glass"


@pytest.mark.fast
@pytest.mark.parametrize("type_id", ["iam.deny-technique", "iam.set-boundary"])
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({"id": "role/quell-read"}, "Quell's own"),
        ({"id": "role/Quell-Read"}, "Quell's own"),
        ({"id": "user/quell-hub"}, "Quell's own"),
        ({"id": "role/contain"}, "Quell's own roles or a break-glass"),
        ({"id": "role/break-glass"}, "break-glass"),
        ({"id": "role/BREAK-GLASS"}, "break-glass"),
        ({"id": "user/glass"}, "break-glass"),
        ({"id": "role/x", "arn": DOOR}, "break-glass"),
        ({"id": "user/x", "arn": GLASS_USER}, "break-glass"),
        ({"id": "role/x", "arn": f"arn:aws:sts::{make.ACCOUNT}:assumed-role/break-glass/me"}, "break-glass"),
        ({"id": "role/AWSServiceRoleForAutoScaling"}, "belongs to AWS"),
        ({"id": "role/AWSReservedSSO_Admin_0123456789abcdef"}, "belongs to AWS"),
        ({"id": "role/x", "arn": f"arn:aws:iam::{make.ACCOUNT}:role/aws-service-role/a/x"}, "belongs to AWS"),
        ({"id": "role/tracking-api"}, ""),
        ({"id": "user/ci-deploy"}, ""),
        # Whoever names a user like a role of ours does not get its protection, nor the other way round.
        ({"id": "user/break-glass"}, ""),
        ({"id": "user/contain"}, ""),
        ({"id": "role/glass"}, ""),
        ({"id": "role/break-glass-2"}, ""),
    ],
)
def test_a_target_of_type_principal_is_protected_by_kind_and_name(
    type_id: str, target: dict[str, str], why: str
) -> None:
    found = said(type_id, {"type": "principal", **target}, break_glass=[DOOR, GLASS_USER])

    assert why in found if why else found == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("principal", "why"),
    [
        (f"arn:aws:iam::{make.ACCOUNT}:role/break-glass", "break-glass"),
        ("arn:aws:iam::222233334444:role/break-glass", ""),
        ("arn:aws:iam::222233334444:role/their-door", "break-glass"),
        ("arn:aws:iam::999999999999:role/their-door", ""),
    ],
)
def test_a_principal_of_another_account_has_the_protection_of_that_account(principal: str, why: str) -> None:
    make.account("222233334444", break_glass=["arn:aws:iam::222233334444:role/their-door"])

    found = said("kms.deny-principal", {"type": "kms_key", "id": "k"}, {"principal": principal})

    assert why in found if why else found == ""


def test_a_protected_user_or_role_is_refused_as_a_principal(world: World) -> None:
    """From the request to the worker, for both kinds, and with nothing read of IAM before."""
    Account.objects.filter(account_id=SHIPPING).update(
        break_glass=[f"arn:aws:iam::{SHIPPING}:user/ci-deploy", f"arn:aws:iam::{SHIPPING}:role/tracking-api"]
    )
    for name in ("user/ci-deploy", "role/tracking-api", "role/quell-contain"):
        target = {"type": "principal", "account": SHIPPING, "region": "", "id": name}

        action = world.propose("iam.deny-technique", target, {"techniques": ["persistence"]})

        assert action.status == "refused"
        assert "Quell's own" in action.note
        assert not [one for one in world.wire.reads if one.startswith("iam:")]


@pytest.mark.fast
def test_what_parameters_name_is_looked_at_as_well() -> None:
    key = {"type": "access_key", "id": "AKIAEXAMPLE0000001"}

    assert "break-glass" in said(
        "iam.deactivate-access-key", key, {"user": "glass"}, break_glass=[GLASS_USER]
    )
    assert said("iam.deactivate-access-key", key, {"user": "break-glass"}) == "", "the door is a role"
    assert said("iam.deactivate-access-key", key, {"user": "ci-deploy"}) == ""


@pytest.mark.fast
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0/0", "everybody"),
        ("::/0", "everybody"),
        ("198.51.100.7/32", "Quell itself"),
        ("198.0.0.0/8", "Quell itself"),
        ("203.0.113.9/32", ""),
    ],
)
def test_everybody_and_our_own_networks_are_never_blocked(settings: Any, address: str, why: str) -> None:
    settings.QUELL_OWN_NETWORKS = ["198.51.100.0/24"]

    for type_id, target, params in (
        ("vpc.deny-address", {"type": "subnet", "id": "subnet-1"}, {"address": address}),
        ("s3.deny-address", {"type": "bucket", "id": "invoices"}, {"addresses": ["192.0.2.1/32", address]}),
    ):
        found = said(type_id, target, params)
        assert why in found if why else found == "", type_id


@pytest.mark.fast
@pytest.mark.parametrize(
    "of",
    [
        {"tags": {"quell:do-not-contain": ""}},
        {"is_protected": True},
        {"environment": "management"},
        {"environment": "security"},
    ],
)
def test_accounts_that_are_never_contained(of: dict[str, Any]) -> None:
    assert said("ec2.isolate-instance", {"type": "instance", "id": "i-1"}, **of)
    assert said("ec2.snapshot-volumes", {"type": "instance", "id": "i-1"}, **of) == "", (
        "evidence may be taken"
    )


@pytest.mark.fast
def test_no_type_goes_beyond_the_level_of_trust() -> None:
    levels = {}
    for declared in catalogue():
        reached = [trust for trust in Trust.values if not guardrails.granted(declared, account(trust=trust))]
        assert reached == list(Trust.values)[len(Trust.values) - len(reached) :], declared.id
        levels[declared.id] = reached[0]
        assert set(declared.writes) & grants.IAM_DOCUMENTS == set() or reached[0] in (
            Trust.CONTAIN_IAM,
            Trust.ORGANIZATION,
        ), declared.id

    assert levels["iam.deactivate-access-key"] == Trust.CONTAIN
    assert levels["iam.revoke-role-sessions"] == Trust.CONTAIN_IAM
    assert levels["ec2.isolate-instance"] == Trust.CONTAIN
    assert levels["organizations.deny-technique"] == Trust.ORGANIZATION
    assert levels["ec2.snapshot-volumes"] == Trust.EVIDENCE
    assert set(levels.values()) == set(Trust.values) - {Trust.READ}


# --- plans that would lock us out ---------------------------------------------------------------------


def plan_of(call: Call) -> Plan:
    read = Read(at=call.at, service="s3", operation="GetBucketPolicy", params={})
    seen = Check(read=read, select="x", equals=1)
    return Plan(steps=(Step(name="one", kind=Kind.SET, changes="x", call=call, seen=seen),))


def call_of(service: str, operation: str, **params: Any) -> Call:
    at = Place(account=make.ACCOUNT, region="eu-west-1", duty=Duty.CONTAIN)
    return Call(at=at, service=service, operation=operation, params=params)


def deny(**given: Any) -> dict[str, Any]:
    return {"$json": {"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", **given}]}}


EVERYONE = {"Principal": "*"}


@pytest.mark.fast
@pytest.mark.parametrize(
    ("statement", "count"),
    [
        (EVERYONE, 2),
        ({"Principal": {"AWS": "*"}}, 2),
        ({}, 2),
        ({"Principal": {"AWS": [OWN]}}, 1),
        ({"Principal": {"AWS": f"arn:aws:iam::{make.ACCOUNT}:root"}}, 2),
        ({"Principal": {"AWS": "arn:aws:iam::999999999999:role/other"}}, 0),
        ({"NotPrincipal": {"AWS": [OWN, DOOR]}}, 0),
        ({**EVERYONE, "Condition": {"ArnNotLike": {"aws:PrincipalArn": [OWN, DOOR]}}}, 0),
        ({**EVERYONE, "Condition": {"ArnNotLike": {"aws:PrincipalArn": [OWN]}}}, 1),
        ({**EVERYONE, "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/x"}}}, 0),
        ({**EVERYONE, "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.9/32"}}}, 2),
    ],
)
def test_a_deny_that_would_hit_us_is_seen(statement: dict[str, Any], count: int) -> None:
    plan = plan_of(call_of("s3", "PutBucketPolicy", Bucket="invoices", Policy=deny(**statement)))

    assert len(hits(plan, (OWN, DOOR))) == count


@pytest.mark.fast
def test_changing_our_own_role_is_seen_whatever_is_written() -> None:
    own = plan_of(call_of("iam", "PutRolePolicy", RoleName="contain", PolicyName="p", PolicyDocument=deny()))
    other = plan_of(call_of("iam", "PutRolePolicy", RoleName="api", PolicyName="p", PolicyDocument=deny()))

    assert hits(own, (OWN, DOOR)) == [f"iam:PutRolePolicy would change {OWN}, which has to stay as it is"]
    assert hits(other, (OWN, DOOR)) == []


@pytest.mark.django_db
def test_planning_refuses_a_plan_that_would_lock_us_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type that forgets the exemption does not get as far as a plan."""
    target, params = SUBJECTS["ec2.isolate-instance"].aim(world)
    bad = plan_of(call_of("s3", "PutBucketPolicy", Bucket="b", Policy=deny(**EVERYONE)))
    monkeypatch.setattr(action_type("ec2.isolate-instance"), "plan", lambda *_: bad)

    action = world.propose("ec2.isolate-instance", target, params)

    assert action.status == "refused"
    assert "which has to be able to undo it" in action.note
    with pytest.raises(Refused):
        planning.make_plan(action, action_type("ec2.isolate-instance"))
