"""The project: settings, URLs, API router, Celery application. Imported by nobody."""

from soc.celery import app as celery_app

__all__ = ["celery_app"]
