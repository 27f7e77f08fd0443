"""The pages of action types, the IAM policies and the role templates: in step with the code, and sound."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from containment import catalog, grants, stacks
from containment.actions import catalogue
from containment.describing import ActionType
from launcher import layout
from lib import iam
from simulator import policy
from tests.containment.subjects import SUBJECTS

TYPES = sorted(catalogue(), key=lambda one: one.id)
TEMPLATES = ("member.yaml", "management.yaml")
STACKS = layout.ROOT / "deploy" / "roles"
SAMPLE = {"partition": "aws-us-gov", "account": "444455556666", "region": "us-gov-west-1"}
PERMISSION_ONLY = frozenset(
    {
        "iam:PassRole",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "s3:DeleteObjectVersion",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:GetObjectVersion",
        "s3:GetObjectVersionTagging",
        "s3:GetReplicationConfiguration",
        "s3:PutLifecycleConfiguration",
    }
)
"""Actions that are no operation, or are named otherwise: https://docs.aws.amazon.com/service-authorization/latest/reference/."""


UNDONE_IN_PART = frozenset({"s3.hold-objects"})
"""Types whose subject in the contract tests makes only what is kept, though they can make more."""


def levels_up_to(level: str) -> tuple[str, ...]:
    return grants.LEVELS[: grants.LEVELS.index(level) + 1]


@cache
def allowing(level: str) -> tuple[dict[str, Any], ...]:
    return tuple(document for one in levels_up_to(level) for document in grants.policies(one))


def decision(action: str, resource: str, level: str) -> str:
    """What the level's documents, with the guard, say of an action on a resource."""
    context = {"iam:PolicyARN": "arn:aws-us-gov:iam::aws:policy/AWSDenyAll"}
    said = {
        policy.decide(document, action=action, context=context, resource=resource)
        for document in (*allowing(level), grants.guard())
    }
    return "Deny" if "Deny" in said else "Allow" if "Allow" in said else ""


def on(operation: str) -> Iterator[tuple[str, str]]:
    """Each action of an operation, on the resources that a call with made-up names is about."""
    need = iam.OPERATIONS[operation]
    for template in need.resources:
        named = re.sub(r"\{(\w+)\}", lambda found: SAMPLE.get(found[1], "orders"), template)
        for action in need.actions:
            yield action, named
    for action in need.dependents:
        yield action, "arn:aws-us-gov:iam::444455556666:role/work"


# --- in step ------------------------------------------------------------------------------------------


def test_every_file_is_what_the_code_says() -> None:
    wanted = dict(catalog.files())
    found = {
        str(path.relative_to(layout.ROOT))
        for directory in ("docs/actions", "docs/iam", "deploy/roles")
        for path in (layout.ROOT / directory).iterdir()
    }
    stale = [
        name for name in wanted if name in found and (layout.ROOT / name).read_text("utf-8") != wanted[name]
    ]

    assert (sorted(found ^ set(wanted)), stale) == ([], []), "run ./quell manage catalog"


def test_two_runs_give_the_same() -> None:
    assert list(catalog.files()) == list(catalog.files())


def test_no_partition_is_spelled_out() -> None:
    for name, text in catalog.files():
        if not name.startswith("docs/actions/"):
            assert not re.search(r"arn:aws[a-z-]*:", text), name


@pytest.mark.parametrize("declared", TYPES, ids=lambda one: one.id)
def test_a_page_says_what_a_person_needs(declared: type[ActionType]) -> None:
    text = catalog.page(declared)

    assert declared.does_not_stop()[1:] in text
    assert all(f"`{one}`" in text for one in (*declared.reads, *declared.writes, *declared.pairs_with))
    assert all(line in text for line in declared.fallback)
    can_be_undone = SUBJECTS[declared.id].has_undo or declared.id in UNDONE_IN_PART
    assert catalog.has_undo(declared) is can_be_undone


# --- policies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", grants.LEVELS)
def test_policies_have_the_grammar_and_the_size_of_iam(level: str) -> None:
    for document in (*grants.policies(level), grants.guard()):
        assert set(document) == {"Version", "Statement"}
        assert document["Version"] == "2012-10-17"
        assert len(grants.compact(document)) <= grants.POLICY_CHARACTERS
        for statement in document["Statement"]:
            assert statement["Effect"] in ("Allow", "Deny")
            assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
            assert statement["Action"]
            assert statement["Resource"]
            assert all(
                re.fullmatch(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]*\*?", one) for one in _list(statement["Action"])
            )
            assert all(one == "*" or one.startswith("arn:*:") for one in _list(statement["Resource"]))


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_each_role_has_few_enough_policies() -> None:
    for levels in stacks.OF_STACK.values():
        for role in {grants.ROLES[level] for level in levels}:
            attached = [
                name for level in levels if grants.ROLES[level] == role for name in stacks.numbered(level)
            ]
            assert len(attached) + 1 <= grants.POLICIES_A_ROLE, role


def test_every_action_is_one_that_aws_knows() -> None:
    known = _operations_of_aws()
    named = {
        action
        for level in grants.LEVELS
        for document in grants.policies(level)
        for statement in document["Statement"]
        for action in statement["Action"]
    }

    assert sorted(named - known - PERMISSION_ONLY - set(_renamed())) == []


@cache
def _operations_of_aws() -> frozenset[str]:
    """Every operation of botocore's models, under the prefix that its service signs with."""
    session = botocore.session.get_session()
    actions = {action for need in iam.OPERATIONS.values() for action in (*need.actions, *need.dependents)}
    services = {name.partition(":")[0] for name in (*iam.OPERATIONS, *actions)}
    found = set()
    for service in services & set(session.get_available_services()):
        model = session.get_service_model(service)
        prefixes = {service, model.signing_name}
        found |= {f"{prefix}:{name}" for prefix in prefixes for name in model.operation_names}
    return frozenset(found)


def _renamed() -> Iterator[str]:
    """Actions whose name is not their operation's, as the simulated AWS enforces them as well."""
    from simulator.access import ACTIONS

    yield from ACTIONS.values()


def test_an_action_that_nobody_knows_is_found() -> None:
    assert "ec2:DescribeInstancez" not in _operations_of_aws()


# --- each type at its level ---------------------------------------------------------------------------


@pytest.mark.parametrize("declared", TYPES, ids=lambda one: one.id)
def test_a_level_lets_its_types_do_all_they_do(declared: type[ActionType]) -> None:
    level = grants.level_of(declared)

    refused = [
        (action, resource)
        for operation in (*declared.reads, *declared.writes)
        for action, resource in on(operation)
        if decision(action, resource, level) != "Allow"
    ]

    assert refused == []


def added(declared: type[ActionType]) -> set[str]:
    """Writes of a type that no level below its own needs for another type: sharing a snapshot with the
    forensic account is the same operation as ending its sharing, in another role."""
    below = levels_up_to(grants.level_of(declared))[:-1]
    return set(declared.writes).difference(*(grants.operations_of(level) for level in below))


@pytest.mark.parametrize("declared", [one for one in TYPES if added(one)], ids=lambda one: one.id)
def test_the_level_below_does_not(declared: type[ActionType]) -> None:
    below = levels_up_to(grants.level_of(declared))[-2]

    assert any(
        decision(action, resource, below) != "Allow"
        for operation in added(declared)
        for action, resource in on(operation)
    )


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:PutRolePolicy", "arn:aws:iam::444455556666:role/quell-contain"),
        ("iam:UpdateAssumeRolePolicy", "arn:aws:iam::444455556666:role/quell-read"),
        ("iam:SetDefaultPolicyVersion", "arn:aws:iam::444455556666:policy/quell-trust-read-1"),
        ("iam:CreateUser", "arn:aws:iam::444455556666:user/mallory"),
        ("cloudtrail:StopLogging", "arn:aws:cloudtrail:eu-west-1:444455556666:trail/all"),
        ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:444455556666:secret:orders"),
    ],
)
def test_the_highest_level_may_not(action: str, resource: str) -> None:
    assert decision(action, resource, grants.ORGANIZATION) == "Deny"


def test_nothing_that_a_type_does_is_what_no_role_may() -> None:
    done = {operation for one in TYPES for operation in (*one.reads, *one.writes)}

    assert done & set(grants.NEVER) == set()


def test_only_policies_that_take_away_may_be_attached() -> None:
    for document in allowing(grants.ORGANIZATION):
        for statement in document["Statement"]:
            if set(statement["Action"]) & grants.ATTACHING:
                assert statement["Condition"] == {"ArnLike": {"iam:PolicyARN": list(grants.DENYING)}}


# --- templates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_linter_finds_nothing(name: str) -> None:
    pytest.importorskip("cfnlint")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "cfn-lint"), "--format", "json", "--", str(STACKS / name)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout or "[]")) == (0, []), done.stdout + done.stderr


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_the_text_of_a_template_is_the_template(stack: str) -> None:
    yaml = pytest.importorskip("yaml")

    assert yaml.safe_load((STACKS / f"{stack}.yaml").read_text("utf-8")) == stacks.cloudformation(stack)


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_terraform_makes_the_same_roles_and_policies(stack: str) -> None:
    formation = stacks.cloudformation(stack)["Resources"].values()
    made = stacks.terraform(stack)["resource"]

    roles = {one["Properties"]["RoleName"] for one in formation if one["Type"].endswith("Role")}
    assert {one["name"] for one in made["aws_iam_role"].values()} == roles
    policies = {
        one["Properties"]["ManagedPolicyName"]: one["Properties"]["PolicyDocument"]
        for one in formation
        if one["Type"].endswith("ManagedPolicy")
    }
    assert {one["name"]: json.loads(one["policy"]) for one in made["aws_iam_policy"].values()} == policies
    attached = made["aws_iam_role_policy_attachment"]
    assert set(attached) == set(made["aws_iam_policy"]) - {"quell_deny_all"}
