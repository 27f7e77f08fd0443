"""The matrix: which role may do what. Written by hand; tests compare the product with it."""

from __future__ import annotations

from enum import Enum


class Permission(Enum):
    """One thing that can be done; the value is the scope under which a key may do it, if any."""

    READ_ALERTS = "alerts:read"
    WRITE_ALERTS = "alerts:write"
    TRIAGE_ALERTS = "alerts:triage"
    READ_INCIDENTS = "incidents:read"
    WRITE_INCIDENTS = "incidents:write"
    WRITE_MILESTONES = "milestones:write"
    READ_ACTIONS = "actions:read"
    PLAN_ACTIONS = "actions:plan"
    CONFIRM_ACTIONS = "actions:confirm"
    APPROVE_ACTIONS = "actions:approve"
    BREAK_GLASS = "actions:break-glass"
    READ_METRICS = "metrics:read"
    READ_ESTATE = "estate:read"
    READ_AUDIT = "audit:read"
    KEEP_RULES = "rules:keep"
    KEEP_PEOPLE = "people:keep"

    @property
    def scope(self) -> str:
        """The API key scope of the same name."""
        return str(self.value)


KEY_SCOPES = frozenset(
    {
        "alerts:write",
        "alerts:read",
        "incidents:write",
        "incidents:read",
        "actions:plan",
        "actions:read",
        "metrics:read",
        "estate:read",
        "audit:read",
    }
)

_READ = {
    Permission.READ_ALERTS,
    Permission.READ_INCIDENTS,
    Permission.READ_ACTIONS,
    Permission.READ_METRICS,
    Permission.READ_ESTATE,
}
_TRIAGE = _READ | {
    Permission.WRITE_ALERTS,
    Permission.TRIAGE_ALERTS,
    Permission.WRITE_INCIDENTS,
    Permission.PLAN_ACTIONS,
}
_RESPOND = _TRIAGE | {Permission.CONFIRM_ACTIONS, Permission.BREAK_GLASS}
_APPROVE = _READ | {Permission.APPROVE_ACTIONS}

OF_ROLE: dict[str, frozenset[Permission]] = {
    "viewer": frozenset(_READ),
    "auditor": frozenset(_READ | {Permission.READ_AUDIT}),
    "analyst": frozenset(_TRIAGE),
    "responder": frozenset(_RESPOND),
    "approver": frozenset(_APPROVE),
    "lead": frozenset(
        _RESPOND | _APPROVE | {Permission.KEEP_RULES, Permission.WRITE_MILESTONES, Permission.READ_AUDIT}
    ),
    "admin": frozenset(_READ | {Permission.KEEP_PEOPLE}),
}
