"""What the database itself refuses about approvals, whoever writes (DESIGN §6; docs/adr/0032).

The conditions are SQL that both engines understand. They cannot know whether a session is fresh, nor
the accounts and units that limit a seat: that stays with `containment.approvals`.
"""

from __future__ import annotations

from identity.permissions import OF_ROLE, Permission
from lib.guards import Guard, append_only

SHORTEST_REASON = 20
"""Characters that somebody who breaks the glass has to write."""


def live(of_action: str, plan_hash: str, decisions: str) -> str:
    """SQL that selects the approvals of a plan that nobody took back."""
    return (
        f"SELECT 1 FROM containment_approval p WHERE p.action_id = {of_action} "  # noqa: S608 - words of ours
        f"AND p.plan_hash = {plan_hash} AND p.decision IN ({decisions}) "
        "AND NOT EXISTS (SELECT 1 FROM containment_voiding v WHERE v.approval_id = p.id)"
    )


def _roles(permission: Permission) -> str:
    return ", ".join(f"'{role}'" for role in sorted(OF_ROLE) if permission in OF_ROLE[role])


def _seated(permission: Permission) -> str:
    return (
        "EXISTS (SELECT 1 FROM identity_membership m JOIN cases_incident i ON i.team_id = m.team_id "  # noqa: S608 - words of ours
        "JOIN cases_action a ON a.incident_id = i.id WHERE a.id = NEW.action_id "
        f"AND m.person_id = NEW.person_id AND m.role IN ({_roles(permission)}))"
    )


def _tier(condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM cases_action a WHERE a.id = NEW.action_id AND a.tier {condition})"  # noqa: S608


APPROVAL = "containment_approval"
ACTION = "cases_action"
NOT_YET = "'proposed', 'planned', 'drifted'"


def all_guards() -> tuple[Guard, ...]:
    """Every guard of this module."""
    return (
        *append_only("containment_voiding"),
        *_of_approvals(),
        *_of_actions(),
        *_of_reviews(),
        *_of_policies(),
    )


def _of_approvals() -> tuple[Guard, ...]:
    return (
        Guard(
            table=APPROVAL,
            event="INSERT",
            name="present_plan",
            when=(
                "NOT EXISTS (SELECT 1 FROM cases_action a WHERE a.id = NEW.action_id AND a.plan_hash <> '' "
                "AND a.plan_hash = NEW.plan_hash AND a.status IN ('planned', 'drifted'))"
            ),
            says="a decision is about the present plan of an action that waits",
        ),
        Guard(
            table=APPROVAL,
            event="INSERT",
            name="own_login",
            when=(
                "NOT EXISTS (SELECT 1 FROM identity_user u WHERE u.username = NEW.login "
                "AND u.person_id = NEW.person_id AND u.is_active)"
            ),
            says="a decision is made by a person under a login of their own",
        ),
        Guard(
            table=APPROVAL,
            event="INSERT",
            name="role",
            when=(
                "NEW.decision = 'approve' AND ("
                f"({_tier('>= 2')} AND NOT {_seated(Permission.APPROVE_ACTIONS)}) OR "
                f"({_tier('< 2')} AND NOT {_seated(Permission.CONFIRM_ACTIONS)}))"
            ),
            says="the person's roles do not approve this tier",
        ),
        Guard(
            table=APPROVAL,
            event="INSERT",
            name="once",
            when=(
                "NEW.nth <> (SELECT COUNT(*) FROM containment_approval p "
                "JOIN containment_voiding v ON v.approval_id = p.id WHERE p.action_id = NEW.action_id "
                "AND p.plan_hash = NEW.plan_hash AND p.person_id = NEW.person_id)"
            ),
            says="a person decides once about a plan, and again only after taking it back",
        ),
        Guard(
            table=APPROVAL,
            event="INSERT",
            name="glass",
            when=(
                f"NEW.decision = 'break-glass' AND (LENGTH(TRIM(NEW.reason)) < {SHORTEST_REASON} "
                f"OR NOT {_tier('BETWEEN 1 AND 2')} OR NOT {_seated(Permission.BREAK_GLASS)})"
            ),
            says="break-glass needs a reason, a role, and something that can be undone",
        ),
    )


def _of_actions() -> tuple[Guard, ...]:
    two = live("NEW.id", "NEW.plan_hash", "'approve'").replace(
        "SELECT 1", "SELECT COUNT(DISTINCT p.person_id)", 1
    )
    return (
        Guard(
            table=ACTION,
            event="INSERT",
            name="born_unapproved",
            when="NEW.tier > 0 AND NEW.status IN ('approved', 'applying', 'applied')",
            says="an action begins with a request",
        ),
        Guard(
            table=ACTION,
            event="UPDATE",
            name="asked_once",
            when=(
                "COALESCE(NEW.requested_by_id, 0) <> COALESCE(OLD.requested_by_id, 0) "
                "OR NEW.type <> OLD.type OR NEW.target <> OLD.target OR NEW.params <> OLD.params"
            ),
            says="who asked, and for what, does not change",
        ),
        Guard(
            table=ACTION,
            event="UPDATE",
            name="tier_rises",
            when="NEW.tier < OLD.tier",
            says="the tier of an action does not fall",
        ),
        Guard(
            table=ACTION,
            event="UPDATE",
            name="plan_fixed",
            when=(
                f"OLD.status NOT IN ({NOT_YET}) AND NEW.status NOT IN ('planned', 'drifted') AND "
                "(NEW.plan_hash <> OLD.plan_hash OR NEW.approved_hash <> OLD.approved_hash "
                "OR NEW.tier <> OLD.tier)"
            ),
            says="an approved plan is not changed; it is planned and approved again",
        ),
        Guard(
            table=ACTION,
            event="UPDATE",
            name="starts_approved",
            when=(
                "NEW.tier > 0 AND ((NEW.status = 'applying' AND OLD.status NOT IN ('approved', 'applying')) "
                "OR (NEW.status = 'applied' AND OLD.status NOT IN ('applying', 'applied', 'reverting')))"
            ),
            says="only what was approved is started",
        ),
        Guard(
            table=ACTION,
            event="UPDATE",
            name="approved_by_two",
            when=(
                "NEW.status = 'approved' AND OLD.status <> 'approved' AND NEW.tier >= 3 AND "
                f"({two} AND p.person_id <> COALESCE(NEW.requested_by_id, 0)) < 2"
            ),
            says="what cannot be undone is approved by two persons besides who asked",
        ),
    )


def _of_reviews() -> tuple[Guard, ...]:
    table = "containment_glassreview"
    return (
        Guard(table=table, event="DELETE", says="a review stays"),
        Guard(
            table=table,
            event="UPDATE",
            name="other_person",
            when=(
                "NEW.approval_id <> OLD.approval_id OR OLD.reviewed_at IS NOT NULL OR EXISTS "
                "(SELECT 1 FROM containment_approval p WHERE p.id = NEW.approval_id "
                "AND p.person_id = NEW.reviewer_id)"
            ),
            says="another person reviews, once",
        ),
        Guard(
            table=table,
            event="INSERT",
            name="begins_open",
            when="NEW.reviewed_at IS NOT NULL",
            says="a review begins unwritten",
        ),
    )


def _of_policies() -> tuple[Guard, ...]:
    table = "containment_tierpolicy"
    return (
        Guard(table=table, event="DELETE", says="a version of the tier policy stays"),
        Guard(
            table=table,
            event="INSERT",
            name="begins_open",
            when="NEW.decided_by_id IS NOT NULL",
            says="a tier policy is decided by another person after it was made",
        ),
        Guard(
            table=table,
            event="UPDATE",
            name="fixed",
            when=(
                "NEW.version <> OLD.version OR NEW.tiers <> OLD.tiers OR NEW.reason <> OLD.reason "
                "OR NEW.proposed_by_id <> OLD.proposed_by_id OR OLD.decided_by_id IS NOT NULL"
            ),
            says="a version of the tier policy is not changed, and decided once",
        ),
    )
