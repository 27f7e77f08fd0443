"""What each level of trust lets Quell do in an account: IAM policies, from the catalogue alone. Pure.

An account grants a level (`estate.models.Trust`) with everything that stands before it. A level is a
set of roles and policies: reads go to the READ role, evidence to the EVIDENCE role, and containment to
the CONTAIN role, whose policies for writing IAM documents are of a level of their own.
"""

from __future__ import annotations

import json
import string
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containment.actions import catalogue
from containment.describing import OF_ORGANIZATION, ActionType
from containment.types import Category
from lib import iam

READ, EVIDENCE, CONTAIN, CONTAIN_IAM, ORGANIZATION = LEVELS = (
    "read",
    "evidence",
    "contain",
    "contain-iam",
    "organization",
)
ROLES = {
    READ: "quell-read",
    EVIDENCE: "quell-evidence",
    CONTAIN: "quell-contain",
    CONTAIN_IAM: "quell-contain",
    ORGANIZATION: "quell-organization",
}
"""The role that the policies of a level are attached to."""

POLICY_CHARACTERS = 6144
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
POLICIES_A_ROLE = 10

IAM_DOCUMENTS = frozenset(
    {
        "iam:CreatePolicyVersion",
        "iam:DeleteGroupPolicy",
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteRolePolicy",
        "iam:DeleteUserPermissionsBoundary",
        "iam:DeleteUserPolicy",
        "iam:PutGroupPolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
        "iam:PutUserPermissionsBoundary",
        "iam:PutUserPolicy",
        "iam:SetDefaultPolicyVersion",
        "iam:UpdateAssumeRolePolicy",
    }
)
"""Operations that write or choose what IAM documents say: whoever has them can give themselves more."""

ATTACHING = frozenset(
    {"iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:DetachRolePolicy", "iam:DetachUserPolicy"}
)
DENYING = (
    "arn:*:iam::aws:policy/AWSCompromisedKeyQuarantine*",
    "arn:*:iam::aws:policy/AWSDenyAll",
    "arn:*:iam::*:policy/quell-deny*",
)
"""Managed policies that may be attached and detached: they can only take away."""

OF_THE_PRODUCT = (
    "cloudtrail:LookupEvents",
    "guardduty:GetFindings",
    "guardduty:ListDetectors",
    "guardduty:ListFindings",
    "iam:GetLoginProfile",
    "iam:GetRole",
    "iam:ListAccessKeys",
    "iam:ListAttachedRolePolicies",
    "iam:ListAttachedUserPolicies",
    "iam:ListGroupsForUser",
    "iam:ListMFADevices",
    "iam:ListRolePolicies",
    "iam:ListUserPolicies",
    "iam:SimulatePrincipalPolicy",
    "securityhub:GetFindings",
)
"""What the product reads beside its action types: the watch after identity actions, the pre-flight, and
findings that are collected."""

OWN = ("arn:*:iam::*:policy/quell-deny*", "arn:*:iam::*:policy/quell-trust-*", "arn:*:iam::*:role/quell-*")
NEVER = (
    "cloudtrail:DeleteTrail",
    "cloudtrail:StopLogging",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreateRole",
    "iam:CreateUser",
    "kms:ScheduleKeyDeletion",
    "secretsmanager:GetSecretValue",
)
NOT_ON_OWN = (
    "iam:Attach*",
    "iam:Create*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:Put*",
    "iam:Set*",
    "iam:Tag*",
    "iam:Untag*",
    "iam:Update*",
)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """IAM actions on the same resources, under the same condition."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None


def level_of(declared: type[ActionType]) -> str:
    """The lowest level of trust at which an account lets this type be carried out."""
    levels = {_acts_at(declared, operation) for operation in declared.writes}
    if declared.category is Category.EVIDENCE:
        levels.add(EVIDENCE)
    return max(levels, key=LEVELS.index)


def operations_of(level: str) -> frozenset[str]:
    """The operations that a level adds to those before it."""
    if level == READ:
        reads = {operation for declared in catalogue() for operation in declared.reads}
        return frozenset(reads | set(OF_THE_PRODUCT))
    return frozenset(_writes(level)) - (operations_of(CONTAIN) if level == CONTAIN_IAM else frozenset())


def policies(level: str) -> list[dict[str, Any]]:
    """The documents of a level, each small enough for a managed policy; the same each time."""
    return list(_packed(_statements(_grants(operations_of(level)))))


def guard() -> dict[str, Any]:
    """What no role of Quell may do, whatever else allows it."""
    return _document(
        [
            {"Sid": "NeverOnOwn", "Effect": "Deny", "Action": list(NOT_ON_OWN), "Resource": list(OWN)},
            {"Sid": "Never", "Effect": "Deny", "Action": list(NEVER), "Resource": "*"},
        ]
    )


def trust(hub: Any, external_id: Any) -> dict[str, Any]:
    """The trust policy of every role: the hub alone, under this account's external id and named as Quell.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    expected = {
        "StringEquals": {"sts:ExternalId": external_id},
        "StringLike": {"sts:SourceIdentity": "quell-*"},
    }
    return _document(
        [
            {
                "Sid": "Hub",
                "Effect": "Allow",
                "Principal": {"AWS": hub},
                "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
                "Condition": expected,
            },
            {
                "Sid": "HubTags",
                "Effect": "Allow",
                "Principal": {"AWS": hub},
                "Action": "sts:TagSession",
                "Condition": {**expected, "ForAllValues:StringLike": {"aws:TagKeys": "quell:*"}},
            },
        ]
    )


def compact(document: Mapping[str, Any]) -> str:
    """A document without spaces, as its size is counted."""
    return json.dumps(document, separators=(",", ":"), sort_keys=False)


def _writes(level: str) -> Iterator[str]:
    for declared in catalogue():
        for operation in declared.writes:
            if _acts_at(declared, operation) == level:
                yield operation


def _acts_at(declared: type[ActionType], operation: str) -> str:
    """The level whose role sends this operation of a type (`Context.aws` chooses the role alike)."""
    if _service(operation) in OF_ORGANIZATION:
        return ORGANIZATION
    if declared.category is Category.EVIDENCE:
        return EVIDENCE
    return CONTAIN_IAM if IAM_DOCUMENTS & set(declared.writes) else CONTAIN


def _service(operation: str) -> str:
    return operation.partition(":")[0]


def _grants(operations: Iterable[str]) -> list[Grant]:
    """One grant for each set of resources; dependents lie on other resources and go by themselves."""
    found: dict[tuple[tuple[str, ...], bool], set[str]] = defaultdict(set)
    for operation in operations:
        need = iam.OPERATIONS[operation]
        resources = tuple(sorted({_anywhere(template) for template in need.resources}))
        found[resources, operation in ATTACHING].update(need.actions)
        if need.dependents:
            found[("*",), False].update(need.dependents)
    return [
        Grant(
            actions=tuple(sorted(actions)),
            resources=resources,
            condition={"ArnLike": {"iam:PolicyARN": DENYING}} if attaching else None,
        )
        for (resources, attaching), actions in sorted(found.items())
    ]


def _anywhere(template: str) -> str:
    """A template of resources with `*` for everything that a call would say."""
    filled = template.format(**{name: "*" for _, name, _, _ in string.Formatter().parse(template) if name})
    return "*" if set(filled) <= set("*/") else filled


def _statements(grants: Iterable[Grant]) -> Iterator[dict[str, Any]]:
    for grant in grants:
        for actions in _short_enough(grant):
            statement: dict[str, Any] = {
                "Effect": "Allow",
                "Action": list(actions),
                "Resource": list(grant.resources),
            }
            if grant.condition:
                statement["Condition"] = {
                    operator: {key: list(values) for key, values in tests.items()}
                    for operator, tests in grant.condition.items()
                }
            yield statement


def _short_enough(grant: Grant) -> Iterator[tuple[str, ...]]:
    """The actions in pieces that fit into one document each."""
    piece: list[str] = []
    room = POLICY_CHARACTERS - 300 - len(json.dumps(grant.resources)) - len(json.dumps(grant.condition))
    for action in grant.actions:
        if piece and sum(len(one) + 3 for one in (*piece, action)) > room:
            yield tuple(piece)
            piece = []
        piece.append(action)
    yield tuple(piece)


def _packed(statements: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Statements in as many documents as their size demands, in order."""
    page: list[dict[str, Any]] = []
    for statement in statements:
        if page and len(compact(_document([*page, statement]))) > POLICY_CHARACTERS:
            yield _document(page)
            page = []
        page.append(statement)
    if page:
        yield _document(page)


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}
