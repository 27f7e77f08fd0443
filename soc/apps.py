from django.apps import AppConfig


class SocConfig(AppConfig):
    """The project itself."""

    name = "soc"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from soc import checks  # registers the system checks; needs settings

        del checks
