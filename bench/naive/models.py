"""One table of tokens and one of alerts, with no rule but what a column has."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Token(models.Model):
    """A key as it was given out, in the clear."""

    key = models.CharField(max_length=64, unique=True)

    objects: ClassVar[models.Manager[Token]] = models.Manager()

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return self.key


class Alert(models.Model):
    """An alert as it came; twice is two rows."""

    source = models.CharField(max_length=40)
    external_id = models.CharField(max_length=300)
    title = models.CharField(max_length=500)
    summary = models.TextField(blank=True)
    severity = models.IntegerField()
    type = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=12, blank=True)
    region = models.CharField(max_length=30, blank=True)
    resources = models.JSONField(default=list)
    observables = models.JSONField(default=list)
    detected_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Alert]] = models.Manager()

    class Meta:
        app_label = "naive"

    def __str__(self) -> str:
        return self.external_id
