from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """The mirror."""

    name = "metrics"
    default_auto_field = "django.db.models.BigAutoField"
