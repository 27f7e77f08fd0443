from django.apps import AppConfig


class ReadinessConfig(AppConfig):
    """The drill."""

    name = "readiness"
    default_auto_field = "django.db.models.BigAutoField"
