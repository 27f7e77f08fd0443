"""What the database itself demands of automation, in SQL that both engines understand."""

from __future__ import annotations

from lib import guards

AUTHORISED = (
    "NEW.tier <= 2 AND EXISTS (SELECT 1 FROM containment_authorisation z "
    "WHERE z.action_id = NEW.id AND z.plan_hash = NEW.plan_hash)"
)
"""That a rule said yes to the present plan of an action; its row was checked when it was written."""

_WORDS = ("name", "type", "min_severity", "max_tier", "per_hour", "per_account", "written_by_id", "team_id")
_LISTS = ("environments", "action_types")
_DIFFER = " OR ".join(
    [f"OLD.{name} <> NEW.{name}" for name in _WORDS]
    + [f"CAST(OLD.{name} AS TEXT) <> CAST(NEW.{name} AS TEXT)" for name in _LISTS]
    + ["OLD.expires_at <> NEW.expires_at"]
)

_COVERED = (
    "SELECT 1 FROM cases_action a "
    "JOIN cases_incident i ON i.id = a.incident_id "
    "JOIN containment_autorule r ON r.id = NEW.rule_id "
    "JOIN estate_account e ON e.account_id = NEW.account "
    "JOIN containment_automation s ON s.id = 1 "
    "WHERE a.id = NEW.action_id AND a.status = 'planned' AND a.plan_hash = NEW.plan_hash "
    "AND a.requested_by_id IS NULL AND a.reverts_id IS NULL "
    "AND a.tier <= r.max_tier AND r.max_tier <= 2 "
    "AND (a.target ->> 'account') = NEW.account "
    "AND CAST(r.action_types AS TEXT) LIKE '%\"' || a.type || '\"%' "
    "AND r.version = NEW.rule_version AND r.approved_by_id IS NOT NULL "
    "AND r.approved_by_id <> r.written_by_id AND r.removed_at IS NULL AND r.expires_at > NEW.at "
    "AND r.team_id = i.team_id AND i.is_exercise = FALSE "
    "AND e.mode = 'auto' AND e.is_protected = FALSE AND e.environment NOT IN ('management', 'security') "
    "AND CAST(r.environments AS TEXT) LIKE '%\"' || e.environment || '\"%' "
    "AND s.stopped_at IS NULL AND s.breaker_opened_at IS NULL "
    "AND (SELECT COUNT(*) FROM containment_authorisation x "
    "WHERE x.rule_id = r.id AND x.second > NEW.second - 3600) < r.per_hour "
    "AND (SELECT COUNT(*) FROM containment_authorisation y WHERE y.rule_id = r.id "
    "AND y.account = NEW.account AND y.second > NEW.second - 3600) < r.per_account "
    "AND NOT EXISTS (SELECT 1 FROM containment_hold h WHERE h.released_at IS NULL "
    "AND h.account = NEW.account AND h.thing = NEW.thing AND h.finding = NEW.finding)"
)


def all_guards() -> tuple[guards.Guard, ...]:
    """The guards of automation's tables."""
    return (
        *guards.append_only("containment_authorisation"),
        guards.Guard(
            table="containment_authorisation",
            event="INSERT",
            name="covered",
            when=f"NOT EXISTS ({_COVERED})",
            says="a rule authorises what it covers, while it is live and has budget left",
        ),
        guards.Guard(
            table="containment_autorule",
            event="UPDATE",
            name="new_version",
            when=f"NEW.version = OLD.version AND ({_DIFFER})",
            says="what a rule says changes with its version only",
        ),
        guards.Guard(
            table="containment_autorule",
            event="UPDATE",
            name="approval",
            when="NEW.version <> OLD.version AND NEW.approved_by_id IS NOT NULL",
            says="a new version of a rule is approved anew",
        ),
    )
