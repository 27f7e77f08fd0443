from django.apps import AppConfig

from lib import guards


class SocConfig(AppConfig):
    """The project itself."""

    name = "soc"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        guards.register(*guards.append_only("soc_ledgerexport"))
        # These register what they hold by being loaded, which needs the settings.
        from soc import checks
        from soc.api import openapi
        from soc.ledger import watching

        watching.register()
        del checks, openapi
