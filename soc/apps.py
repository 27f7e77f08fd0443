from django.apps import AppConfig


class SocConfig(AppConfig):
    """The project itself."""

    name = "soc"
    default_auto_field = "django.db.models.BigAutoField"
