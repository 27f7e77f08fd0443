"""The responder roles as CloudFormation and Terraform, from `containment.grants`. Pure.

One stack serves every member account, new ones included: the external id is the organization's random
prefix and the account's own id, put together in the template. The management account, or the one that
administers for it, has a stack of its own.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-manage-auto-deployment.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from containment import grants
from containment.grants import CONTAIN, CONTAIN_IAM, EVIDENCE, ORGANIZATION, READ, ROLES

MEMBER, MANAGEMENT = STACKS = ("member", "management")
OF_STACK = {MEMBER: (READ, EVIDENCE, CONTAIN, CONTAIN_IAM), MANAGEMENT: (READ, ORGANIZATION)}
SESSION_SECONDS = 3600
PREFIX_PATTERN = "[A-Za-z0-9]{16,64}"
DENY_ALL = "quell-deny-all"
DESCRIPTIONS = {
    MEMBER: "Quell's responder roles in a member account, up to the level of trust that it grants.",
    MANAGEMENT: "Quell's responder roles in the management account or the delegated administrator's.",
}
_LICENSED = "# Made by `./quell manage catalog` from the catalogue of action types; edit nothing here.\n"


def files() -> Iterator[tuple[str, str]]:
    """File name and text of every template, the same each time."""
    for stack in STACKS:
        yield f"{stack}.yaml", _LICENSED + "".join(f"{line}\n" for line in _yaml(cloudformation(stack)))
        yield f"{stack}.tf.json", json.dumps(terraform(stack), indent=2) + "\n"


def cloudformation(stack: str) -> dict[str, Any]:
    """The stack as a CloudFormation template."""
    levels = OF_STACK[stack]
    conditions = {
        _camel(level): {"Fn::Or": [_is(other) for other in levels[levels.index(level) :]]}
        if level != levels[-1]
        else _is(level)
        for level in levels[1:]
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": DESCRIPTIONS[stack],
        "Parameters": _parameters(levels),
        "Conditions": conditions,
        "Resources": dict(_resources(stack)),
        "Outputs": {
            f"{_camel(role)}Arn": {
                **({"Condition": _camel(level)} if level != READ else {}),
                "Value": {"Fn::GetAtt": [_camel(role), "Arn"]},
            }
            for level, role in _roles(levels)
        },
    }


def _parameters(levels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "HubRoleArn": {
            "Type": "String",
            "Description": "ARN of the principal that Quell's workers run as.",
            "AllowedPattern": "arn:[a-z-]+:iam::[0-9]{12}:(role|user)/.+",
        },
        "ExternalIdPrefix": {
            "Type": "String",
            "Description": "The organization's random prefix; the account id follows it.",
            "AllowedPattern": PREFIX_PATTERN,
        },
        "Trust": {
            "Type": "String",
            "Description": "The level of trust, with every level before it.",
            "Default": READ,
            "AllowedValues": list(levels),
        },
    }


def _is(level: str) -> dict[str, Any]:
    return {"Fn::Equals": [{"Ref": "Trust"}, level]}


def _roles(levels: tuple[str, ...]) -> list[tuple[str, str]]:
    """The first level at which each role is there, and the role."""
    found: dict[str, str] = {}
    for level in levels:
        found.setdefault(ROLES[level], level)
    return [(level, role) for role, level in found.items()]


def _resources(stack: str) -> Iterator[tuple[str, Any]]:
    levels = OF_STACK[stack]
    external_id = {"Fn::Sub": "${ExternalIdPrefix}-${AWS::AccountId}"}
    for level, role in _roles(levels):
        yield (
            _camel(role),
            {
                "Type": "AWS::IAM::Role",
                **_when(level),
                "Properties": {
                    "RoleName": role,
                    "Description": f"Quell responder: {level}",
                    "MaxSessionDuration": SESSION_SECONDS,
                    "AssumeRolePolicyDocument": grants.trust({"Ref": "HubRoleArn"}, external_id),
                },
            },
        )
    for level in levels:
        for name, document in numbered(level):
            yield _camel(name), _managed(name, document, level, roles=[ROLES[level]])
    for level, role in _roles(levels):
        yield (
            f"{_camel(role)}Guard",
            _managed(f"quell-trust-guard-{level}", grants.guard(), level, roles=[role]),
        )
    if stack == MEMBER:
        denied = {"Effect": "Deny", "Action": "*", "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [denied]}
        yield _camel(DENY_ALL), _managed(DENY_ALL, document, CONTAIN, roles=[])


def numbered(level: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and document of each policy of a level."""
    for number, document in enumerate(grants.policies(level), start=1):
        yield f"quell-trust-{level}-{number}", document


def _managed(name: str, document: Mapping[str, Any], level: str, *, roles: list[str]) -> dict[str, Any]:
    attached = {"Roles": [{"Ref": _camel(role)} for role in roles]} if roles else {}
    properties = {"ManagedPolicyName": name, **attached, "PolicyDocument": document}
    return {"Type": "AWS::IAM::ManagedPolicy", **_when(level), "Properties": properties}


def _when(level: str) -> dict[str, str]:
    return {} if level == READ else {"Condition": _camel(level)}


def terraform(stack: str) -> dict[str, Any]:
    """The stack as Terraform's JSON configuration.

    https://developer.hashicorp.com/terraform/language/syntax/json
    """
    levels = OF_STACK[stack]
    roles = {_snake(role): _terraform_role(level, role, levels) for level, role in _roles(levels)}
    made: dict[str, Any] = {}
    attached: dict[str, Any] = {}
    for level in levels:
        for name, document in [*numbered(level), *_guards(level, levels)]:
            counted = _count(level, levels)
            made[_snake(name)] = {**counted, "name": name, "policy": grants.compact(document)}
            attached[_snake(name)] = {
                **counted,
                "role": f"${{aws_iam_role.{_snake(ROLES[level])}[0].name}}",
                "policy_arn": f"${{aws_iam_policy.{_snake(name)}[0].arn}}",
            }
    return {
        "//": "Made by ./quell manage catalog from the catalogue of action types; edit nothing here.",
        "variable": {
            "hub_role_arn": {
                "type": "string",
                "description": "ARN of the principal that Quell's workers run as.",
            },
            "external_id_prefix": {
                "type": "string",
                "description": "The organization's random prefix; the account id follows it.",
            },
            "trust": {
                "type": "string",
                "default": READ,
                "description": f"The level of trust, with every level before it: {', '.join(levels)}.",
            },
        },
        "data": {"aws_caller_identity": {"this": {}}},
        "resource": {
            "aws_iam_role": roles,
            "aws_iam_policy": made | (_terraform_deny(levels) if stack == MEMBER else {}),
            "aws_iam_role_policy_attachment": attached,
        },
    }


def _guards(level: str, levels: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    first = dict(_roles(levels))
    return [(f"quell-trust-guard-{level}", grants.guard())] if level in first else []


def _count(level: str, levels: tuple[str, ...]) -> dict[str, str]:
    enough = ", ".join(f'"{one}"' for one in levels[levels.index(level) :])
    return {"count": f"${{contains([{enough}], var.trust) ? 1 : 0}}"}


def _terraform_role(level: str, role: str, levels: tuple[str, ...]) -> dict[str, Any]:
    external_id = "${var.external_id_prefix}-${data.aws_caller_identity.this.account_id}"
    return {
        **_count(level, levels),
        "name": role,
        "description": f"Quell responder: {level}",
        "max_session_duration": SESSION_SECONDS,
        "assume_role_policy": grants.compact(grants.trust("${var.hub_role_arn}", external_id)),
    }


def _terraform_deny(levels: tuple[str, ...]) -> dict[str, Any]:
    denied = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [denied]}
    policy = {**_count(CONTAIN, levels), "name": DENY_ALL, "policy": grants.compact(document)}
    return {_snake(DENY_ALL): policy}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _snake(name: str) -> str:
    return name.replace("-", "_")


def _yaml(value: Any, indent: int = 0) -> Iterator[str]:
    """A value of dictionaries, lists and scalars as block YAML; texts are quoted as JSON."""
    pad = "  " * indent
    if isinstance(value, Mapping):
        for key, member in value.items():
            shown = key if key.isalnum() else json.dumps(key)
            yield from _yaml_member(f"{pad}{shown}:", member, indent)
        return
    for member in value:
        if isinstance(member, Mapping | list) and member:
            first, *rest = _yaml(member, indent + 1)
            yield f"{pad}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{pad}- {json.dumps(member)}"


def _yaml_member(head: str, member: Any, indent: int) -> Iterator[str]:
    if isinstance(member, Mapping | list) and member:
        yield head
        yield from _yaml(member, indent + 1)
    else:
        yield f"{head} {json.dumps(member)}"
