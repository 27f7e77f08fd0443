"""What is never contained, and where only plans are made (DESIGN §6)."""

from __future__ import annotations

from cases.models import Action
from containment.describing import ActionType
from containment.types import Target
from estate.models import Account, Environment, Mode

PROTECTED_ENVIRONMENTS = frozenset({Environment.MANAGEMENT, Environment.SECURITY})
RESPONDER_PREFIX = "quell-"


def objection(declared: type[ActionType], target: Target, account: Account | None) -> str:
    """Why this target must not be touched; empty when it may be.

    Evidence is only read, so it may be taken anywhere. The check is on the target itself: a call may
    well have to be made in the management account.
    """
    if account is None:
        return f"account {target.account} is not in the estate"
    if declared.tier == 0:
        return ""
    if account.is_protected or account.environment in PROTECTED_ENVIRONMENTS:
        return f"{account.name} is protected: it is the {account.environment} account or marked so"
    if target.type in ("role", "user") and target.id.startswith(RESPONDER_PREFIX):
        return f"{target.id} is one of Quell's own principals"
    if target.arn and target.arn in exempt(account):
        return f"{target.arn} is one of Quell's own roles or a break-glass principal"
    return ""


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
    return objection(declared, Target.of(action.target), account)
