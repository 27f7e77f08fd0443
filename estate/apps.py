from django.apps import AppConfig


class EstateConfig(AppConfig):
    """The ground."""

    name = "estate"
    default_auto_field = "django.db.models.BigAutoField"
