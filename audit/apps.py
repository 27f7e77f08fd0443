from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate, pre_migrate

from lib import grants, guards


class AuditConfig(AppConfig):
    """The ledger. It also installs every package's guard triggers once all tables are migrated."""

    name = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        guards.register(
            *guards.append_only("audit_auditevent"),
            *guards.append_only("audit_receipt"),
            *guards.append_only("audit_sealed"),
            guards.Guard(table="audit_audithead", event="DELETE", says="the audit head stays"),
            guards.Guard(
                table="audit_audithead",
                event="UPDATE",
                when="NEW.seq <> OLD.seq + 1 AND NEW.seq <> OLD.seq",
                says="the audit head only moves forward, one event at a time",
            ),
        )
        from audit import anchors, receipts  # their rows are models

        receipts.register()
        anchors.register()
        checks.register(grants.check_role, checks.Tags.database, deploy=True)
        pre_migrate.connect(guards.drop_before_migrate, dispatch_uid="quell.guards")
        post_migrate.connect(guards.install_after_migrate, dispatch_uid="quell.guards")
