from django.apps import AppConfig


class NaiveConfig(AppConfig):
    """The naive service; its tables are made by `migrate --run-syncdb`."""

    name = "bench.naive"
    label = "naive"
    default_auto_field = "django.db.models.BigAutoField"
