"""The project's only row: which processes are alive."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """When a kind of process last said that it is there; of several of one kind, the last to speak."""

    process = models.CharField(max_length=40, unique=True)
    at = models.DateTimeField()
    pid = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.process} at {self.at:%H:%M:%S}"
