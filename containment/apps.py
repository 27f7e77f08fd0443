from django.apps import AppConfig

from containment import approval_guards, automation_guards
from lib import guards


class ContainmentConfig(AppConfig):
    """The hand."""

    name = "containment"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        guards.register(
            *guards.append_only("containment_approval"),
            *guards.append_only("containment_coveragechoice"),
            *guards.append_only("containment_handover"),
            *approval_guards.all_guards(),
            *automation_guards.all_guards(),
            guards.Guard(
                table="containment_approval",
                event="INSERT",
                name="four_eyes",
                when=(
                    "NEW.decision = 'approve' AND EXISTS (SELECT 1 FROM cases_action a "
                    "WHERE a.id = NEW.action_id AND a.tier >= 2 AND a.requested_by_id = NEW.person_id)"
                ),
                says="who asked for a disruptive plan does not approve it",
            ),
            guards.Guard(
                table="cases_action",
                event="UPDATE",
                name="approved",
                when=(
                    "NEW.status = 'approved' AND OLD.status <> 'approved' AND NEW.tier > 0 AND "
                    "(NEW.approved_hash <> NEW.plan_hash OR NOT EXISTS ("
                    + approval_guards.live("NEW.id", "NEW.plan_hash", "'approve', 'break-glass'")
                    + f") AND NOT ({automation_guards.AUTHORISED}))"
                ),
                says="an action is approved by a person, or by a rule of two, for its present plan",
            ),
            guards.Guard(
                table="cases_action",
                event="UPDATE",
                name="handed_over",
                when=(
                    "NEW.incident_id <> OLD.incident_id AND NOT EXISTS (SELECT 1 FROM containment_handover h "
                    "WHERE h.action_id = NEW.id AND h.source_id = OLD.incident_id "
                    "AND h.to_id = NEW.incident_id)"
                ),
                says="an action changes its incident only by being handed over",
            ),
        )
        from cases import ground
        from containment import answering, approvals, automation, sweeps  # once models are loaded

        approvals.also_by(automation.authority)
        ground.answered_by(answering.is_journalled)
        sweeps.register()
