"""The Celery application: it starts processes and passes bells, and holds no work of its own."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "soc.settings")

app = Celery("quell")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ("soc.tasks",)
