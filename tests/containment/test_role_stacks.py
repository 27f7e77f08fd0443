"""The generated roles and policies on the simulated AWS: taken as they are, and only Quell gets in.

The stack is made from the very file in `deploy/roles/`. The simulated AWS evaluates the whole trust policy:
principal, external id and source identity. What the policies then allow is tried on ministack, in
`test_blocked_roles.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.models import AuditEvent
from containment import grants, stacks
from estate.models import Account
from estate.queries import Duty
from identity.actors import system
from launcher import layout
from lib import clock
from readiness import entering
from tests.containment.subjects import SUBJECTS
from tests.containment.world import SHIPPING, World, client

PREFIX = "Jw2xTq8RnLk5VbYc"
EXTERNAL_ID = f"{PREFIX}-{SHIPPING}"
DEPLOYED = layout.ROOT / "deploy" / "roles"
DOCUMENTS = sorted((layout.ROOT / "docs" / "iam").glob("*.json"))
ROLES = {
    "read": {"quell-read"},
    "evidence": {"quell-read", "quell-evidence"},
    "contain": {"quell-read", "quell-evidence", "quell-contain"},
    "contain-iam": {"quell-read", "quell-evidence", "quell-contain"},
    "organization": {"quell-read", "quell-organization"},
}


def undeploy(world: World) -> None:
    """Take away the estate's own responder roles, which have the names of the generated ones."""
    iam = world.admin("iam")
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        if name.startswith("quell-"):
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=policy)
            for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=name, PolicyArn=attached["PolicyArn"])
            iam.delete_role(RoleName=name)


def deploy(world: World, *, trust: str, stack: str = stacks.MEMBER) -> Any:
    """Make the stack in the account as its owner would; what CloudFormation says of it."""
    undeploy(world)
    formation = world.admin("cloudformation")
    given = {
        "HubRoleArn": world.estate["hub"]["arn"],
        "ExternalIdPrefix": PREFIX,
        "Trust": trust,
    }
    formation.create_stack(
        StackName="quell",
        TemplateBody=(DEPLOYED / f"{stack}.yaml").read_text("utf-8"),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (made,) = formation.describe_stacks(StackName="quell")["Stacks"]
    return made


def hub(world: World) -> Any:
    return client(world.simulator.url, "sts", world.estate["hub"], "us-east-1")


def is_let_in(world: World, role: str, **asked: str) -> bool:
    """Whether the hub gets a session of a role; any refusal but a denial fails the test."""
    try:
        hub(world).assume_role(
            RoleArn=f"arn:aws:iam::{SHIPPING}:role/{role}", RoleSessionName="INC-2026-0001-test", **asked
        )
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True


def account(**values: Any) -> Account:
    """The row of the account in which the stack was made."""
    Account.objects.filter(account_id=SHIPPING).update(external_id=EXTERNAL_ID, **values)
    return Account.objects.get(account_id=SHIPPING)


def checked(row: Account) -> dict[Duty, entering.Entrance]:
    found = entering.check(accounts=[row], by=system("test"), at=clock.now())
    return {one.duty: one for one in found}


# --- taken as they are --------------------------------------------------------------------------------


@pytest.mark.parametrize("trust", ROLES)
def test_a_stack_makes_the_roles_of_its_level_with_their_policies(world: World, trust: str) -> None:
    stack = stacks.MANAGEMENT if trust == grants.ORGANIZATION else stacks.MEMBER
    made = deploy(world, trust=trust, stack=stack)

    assert made["StackStatus"] == "CREATE_COMPLETE"
    assert {one["OutputValue"].rsplit("/")[-1] for one in made["Outputs"]} == ROLES[trust]
    levels = stacks.OF_STACK[stack]
    given = levels[: levels.index(trust) + 1]
    for role in ROLES[trust]:
        mine = [f"quell-trust-{level}-[0-9]" for level in given if grants.ROLES[level] == role]
        wanted = [
            json.loads(path.read_text("utf-8"))
            for path in DOCUMENTS
            if any(path.match(f"{name}.json") for name in [*mine, "quell-trust-guard"])
        ]
        found = list(documents_of(world, role))
        assert len(wanted) > 1
        assert sorted(found, key=json.dumps) == sorted(wanted, key=json.dumps)


def documents_of(world: World, role: str) -> Iterator[Mapping[str, Any]]:
    """The documents attached to a role, as IAM gives them back."""
    iam = world.admin("iam")
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        yield iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_iam_takes_each_policy_document(world: World, path: Any) -> None:
    text = json.dumps(json.loads(path.read_text("utf-8")), separators=(",", ":"))
    assert len(text) <= grants.POLICY_CHARACTERS
    iam = world.admin("iam")

    arn = iam.create_policy(PolicyName=f"try-{path.stem}", PolicyDocument=text)["Policy"]["Arn"]
    iam.put_role_policy(RoleName="quell-read", PolicyName=path.stem, PolicyDocument=text)

    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert version["Document"] == json.loads(text)


@pytest.mark.parametrize(
    "planted",
    [
        {"Statement": []},
        {"Statement": [{"Effect": "Permit", "Action": "s3:GetObject", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": "GetObject", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "all"}]},
        {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}]},
    ],
    ids=["no statement", "effect", "action", "resource", "no resource"],
)
def test_iam_does_not_take_any_document(world: World, planted: Mapping[str, Any]) -> None:
    text = json.dumps({"Version": "2012-10-17", **planted})

    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        world.admin("iam").create_policy(PolicyName="planted", PolicyDocument=text)


# --- who gets in --------------------------------------------------------------------------------------


def test_only_the_right_external_id_under_a_name_of_quells_gets_in(world: World) -> None:
    deploy(world, trust="contain-iam")
    named = {"SourceIdentity": "quell-01KXAMPLE"}

    for role in ROLES["contain-iam"]:
        assert not is_let_in(world, role, **named)
        assert not is_let_in(world, role, ExternalId=f"{PREFIX}-111122223333", **named)
        assert is_let_in(world, role, ExternalId=EXTERNAL_ID, **named)
        assert not is_let_in(world, role, ExternalId=EXTERNAL_ID)
        assert not is_let_in(world, role, ExternalId=EXTERNAL_ID, SourceIdentity="mallory")


def test_nobody_but_the_hub_gets_in(world: World) -> None:
    deploy(world, trust="contain")
    iam = world.admin("iam")
    made = iam.create_access_key(UserName="ci-deploy")["AccessKey"]
    key = {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}
    stranger = client(world.simulator.url, "sts", key, "us-east-1")

    with pytest.raises(ClientError, match="AccessDenied"):
        stranger.assume_role(
            RoleArn=f"arn:aws:iam::{SHIPPING}:role/quell-contain",
            RoleSessionName="stranger",
            ExternalId=EXTERNAL_ID,
            SourceIdentity="quell-stranger",
        )


def test_an_account_with_the_generated_roles_is_sound(world: World) -> None:
    deploy(world, trust="contain")
    found = checked(account(organization_role=""))

    assert {duty: one.problems for duty, one in found.items()} == {
        Duty.READ: (),
        Duty.EVIDENCE: (),
        Duty.CONTAIN: (),
    }
    event = AuditEvent.objects.get(act="readiness.entered")
    assert event.details == {"roles": 3, "wrong": 0}


def test_a_role_that_asks_for_no_external_id_is_named(world: World) -> None:
    deploy(world, trust="contain")
    open_to_all = grants.trust(world.estate["hub"]["arn"], EXTERNAL_ID)
    for statement in open_to_all["Statement"]:
        del statement["Condition"]["StringEquals"]
    world.admin("iam").update_assume_role_policy(
        RoleName="quell-evidence", PolicyDocument=json.dumps(open_to_all)
    )

    found = checked(account())

    assert found[Duty.EVIDENCE].problems == (
        "it can be assumed without an external id: anybody may have it assumed for them",
        "it can be assumed with any external id",
    )
    assert found[Duty.READ].is_sound
    assert found[Duty.CONTAIN].is_sound


def test_a_wrong_external_id_in_the_row_is_named_and_nothing_is_done_with_it(world: World) -> None:
    deploy(world, trust="contain")
    row = account()
    Account.objects.filter(pk=row.pk).update(external_id=f"{PREFIX}-111122223333")

    found = checked(Account.objects.get(pk=row.pk))
    action = world.propose("iam.deactivate-access-key", *_aim(world))

    assert all("cannot be assumed with its external id" in one.problems[0] for one in found.values())
    assert action.status == "refused"
    assert "AccessDenied" in action.note


def test_the_right_external_id_lets_an_action_through_under_its_own_name(world: World) -> None:
    """CloudTrail shows the action's id with each call: in the session's name and as its source identity."""
    deploy(world, trust="contain")
    account()
    action = world.apply("iam.deactivate-access-key", *_aim(world))

    assert action.status == "verified", action.note
    calls = [one for one in world.simulator.calls() if one["eventName"] == "UpdateAccessKey"]
    (identity,) = [one["userIdentity"] for one in calls if one["userIdentity"]["type"] == "AssumedRole"]
    assert identity["arn"].endswith(f"assumed-role/quell-contain/{action.incident.ref}-{action.ulid}")
    assert identity["sessionContext"]["sourceIdentity"] == f"quell-{action.ulid}"


def _aim(world: World) -> Any:
    return SUBJECTS["iam.deactivate-access-key"].aim(world)


def test_an_account_without_an_external_id_is_named(world: World) -> None:
    deploy(world, trust="read")
    row = account(evidence_role="", contain_role="", organization_role="")
    Account.objects.filter(pk=row.pk).update(external_id="")

    found = checked(Account.objects.get(pk=row.pk))
    action = world.propose("iam.deactivate-access-key", *_aim(world))

    assert found[Duty.READ].problems == ("the account has no external id here",)
    assert (action.status, "NoExternalId" in action.note) == ("refused", True)


def test_what_is_tried_can_do_nothing(world: World) -> None:
    """A session that is given by mistake is given with a policy that denies everything."""
    checked(Account.objects.get(account_id=SHIPPING))

    tried = [one for one in world.simulator.calls() if one["eventName"] == "AssumeRole"]
    policies = {one["requestParameters"]["policy"] for one in tried}
    assert policies == {entering.NOTHING}
    given = [one for one in tried if "errorCode" not in one]
    assert given
    assert len(given) * 3 == len(tried)


def test_the_command_says_so(world: World) -> None:
    out = io.StringIO()
    call_command("check_readiness", account=SHIPPING, format="json", stdout=out)
    told = json.loads(out.getvalue())["entrances"]
    assert [(one["duty"], one["is_sound"], one["problems"]) for one in told] == [
        (duty.value, True, []) for duty in Duty
    ]

    Account.objects.filter(account_id=SHIPPING).update(external_id="")
    out = io.StringIO()
    call_command("check_readiness", stdout=out)
    assert f"{SHIPPING} contain: the account has no external id here" in out.getvalue()
    with pytest.raises(CommandError, match="no account"):
        call_command("check_readiness", account="000000000000")


def test_one_that_cannot_be_asked_is_not_called_sound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    from lib import aws

    aws._clients.clear()
    try:
        found = checked(Account.objects.get(account_id=SHIPPING))
    finally:
        aws._clients.clear()

    assert all(not one.is_sound for one in found.values())
    assert all("is not known" in one.problems[-1] for one in found.values())
