from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """The people."""

    name = "identity"
    default_auto_field = "django.db.models.BigAutoField"
