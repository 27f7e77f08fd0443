from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """The people."""

    name = "identity"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from identity import ending  # noqa: F401 - its receivers listen from here on
