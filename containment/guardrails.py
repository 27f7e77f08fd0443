"""What is never contained, what an account does not grant, and where only plans are made (DESIGN §6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from django.conf import settings

from cases.models import Action
from containment import grants
from containment.actions.addresses import Network, meets
from containment.describing import ActionType
from containment.hitting import account_in, name_of
from containment.keeping_out import KEEP_OUT
from containment.types import Target
from estate.models import Account, Environment, Mode
from estate.queries import account_of

PROTECTED_ENVIRONMENTS = frozenset({Environment.MANAGEMENT, Environment.SECURITY})
RESPONDER_PREFIX = "quell-"
AWS_OWN = ("AWSServiceRoleFor", "AWSReservedSSO_")
AWS_PATHS = ("/aws-service-role/", "/aws-reserved/")
PRINCIPALS = ("user", "role", "principal", "identity_user", "access_key")
NAMES_A_PRINCIPAL = ("user", "role", "principal", "principal_arn", "users", "roles", "principals")
NAMES_AN_ADDRESS = ("address", "addresses", "cidr", "cidrs")
NOT_A_HIT = ("ec2.revoke-security-group-rule",)
"""Types whose address is one that they stop letting in: whoever it is, a rule may be taken away."""


def objection(
    declared: type[ActionType],
    target: Target,
    account: Account | None,
    params: Mapping[str, Any] | None = None,
) -> str:
    """Why this target, or what the parameters name, must not be touched; empty when it may be.

    Evidence is only read, so it may be taken anywhere. The check is on the target itself: a call may
    well have to be made in the management account.
    """
    if account is None:
        return f"account {target.account} is not in the estate"
    withheld = granted(declared, account)
    if withheld or declared.tier == 0:
        return withheld
    if account.is_protected or account.environment in PROTECTED_ENVIRONMENTS:
        return f"{account.name} is protected: it is the {account.environment} account or marked so"
    if KEEP_OUT in account.tags:
        return f"{account.name} carries the tag {KEEP_OUT}"
    for said in (*_of_principals(target, params or {}, account), *_of_addresses(declared, params or {})):
        return said
    return ""


def granted(declared: type[ActionType], account: Account) -> str:
    """Why the account's level of trust does not reach this type; empty when it does."""
    level = grants.level_of(declared)
    if grants.LEVELS.index(level) <= grants.LEVELS.index(account.trust):
        return ""
    return f"not granted here: {account.name} grants {account.trust}, and {declared.id} needs {level}"


def _of_principals(target: Target, params: Mapping[str, Any], account: Account) -> Iterator[str]:
    named = [(target.type, target.arn)] if target.arn else []
    named += [(target.type, target.id)] if target.type in PRINCIPALS else []
    named += [(key.rstrip("s"), one) for key in NAMES_A_PRINCIPAL for one in _texts(params.get(key))]
    for said_to_be, one in named:
        kind, bare = _kind_and_name(said_to_be, one)
        where = account_in(one)
        home = account if where in ("", account.account_id) else account_of(where)
        if bare.startswith(RESPONDER_PREFIX):
            yield f"{one} is one of Quell's own principals"
        if home and any(_is_same(kind, bare, arn) for arn in exempt(home)):
            yield f"{one} is one of Quell's own roles or a break-glass principal"
        if bare.startswith(tuple(prefix.casefold() for prefix in AWS_OWN)) or any(
            path in one for path in AWS_PATHS
        ):
            yield f"{one} belongs to AWS or to Identity Center, which would break or put it back"


def _kind_and_name(said_to_be: str, text: str) -> tuple[str, str]:
    """`user`, `role` or nothing, and the bare name in small letters: IAM tells no names apart by case.

    The text is an ARN, `user/NAME` or `role/NAME` as targets of type principal have it, or a bare name.
    """
    first = text.split(":", 5)[-1].partition("/")[0] if "/" in text else said_to_be
    kind = {"user": "user", "role": "role", "assumed-role": "role"}.get(first, "")
    return kind, name_of(text).casefold()


def _is_same(kind: str, bare: str, arn: str) -> bool:
    """Whether the name is that of an exempt ARN; where its kind is not known, of either kind."""
    known, name = _kind_and_name("", arn)
    return name == bare and (not kind or not known or kind == known)


def _of_addresses(declared: type[ActionType], params: Mapping[str, Any]) -> Iterator[str]:
    if declared.id in NOT_A_HIT:
        return
    for text in (one for key in NAMES_AN_ADDRESS for one in _texts(params.get(key))):
        network = _network(text)
        if network is None:
            continue  # the type itself says what it cannot read
        if network.prefixlen == 0:
            yield f"{text} is everybody"
        for own in settings.QUELL_OWN_NETWORKS:
            if meets(network, ip_network(own, strict=False)):
                yield f"{text} meets {own}, from which Quell itself and its people come"


def _network(text: str) -> Network | None:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list | tuple) else []


def own_roles(account: Account) -> frozenset[str]:
    """The roles by which Quell gets into an account."""
    named = (account.read_role, account.evidence_role, account.contain_role, account.organization_role)
    return frozenset(role for role in named if role)


def exempt(account: Account) -> tuple[str, ...]:
    """The principals whom no deny of ours may hit, sorted: our own roles and the account's break-glass."""
    return tuple(sorted(own_roles(account) | frozenset(account.break_glass)))


def may_act(account: Account | None) -> bool:
    """Whether plans may be carried out in the account, or only made."""
    return account is not None and account.mode in (Mode.APPROVE, Mode.AUTO)


def of_action(action: Action, declared: type[ActionType], account: Account | None) -> str:
    """The objection to a stored action."""
    return objection(declared, Target.of(action.target), account, action.params)
