from django.apps import AppConfig
from django.conf import settings

from cases.sources import operators
from lib import guards


class CasesConfig(AppConfig):
    """The record."""

    name = "cases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        guards.register(
            *guards.append_only("cases_timelineentry"),
            *guards.append_only("cases_milestone"),
            *guards.append_only("cases_evidence"),
            *guards.append_only("cases_custody"),
        )
        from cases import (
            once,
            silence,
            subscriptions,
            sweeps,
            tallying,
        )  # register the sweeps once models are loaded

        operators.use(sigma_rules=settings.QUELL_SIGMA_RULES)
        sweeps.register()
        once.register()
        from cases.collecting import sweeps as collecting

        collecting.register()
        silence.register()
        subscriptions.register()
        tallying.register()
