from django.apps import AppConfig


class NotifyConfig(AppConfig):
    """The bell."""

    name = "notify"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from notify import sweeps  # registers the sweep of this package once models are loaded

        sweeps.register()
