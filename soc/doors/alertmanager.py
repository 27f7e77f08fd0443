"""Alertmanager's doors, under `/compat/alertmanager`: its webhook, and its own API as if Quell were one.

A receiver posts groups to `webhook`; Prometheus and ElastAlert2 post lists to `api/v2/alerts` and
`api/v1/alerts`. An Alertmanager sends again after 5xx and drops what got a 4xx, 429 included: whoever
sends too much is told 503.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path
from rest_framework.request import Request

from cases.decoding import JSON
from cases.sources import alertmanager
from cases.sources.types import AlertDraft
from lib import clock
from lib.errors import Invalid
from soc.api import bodies
from soc.api.problems import Problem
from soc.doors import compat


class AnyKey(compat.ToolKey):
    """The key as Bearer, or as the password where only Basic can be set."""

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        del request
        return 'Basic realm="quell"'


class Door(compat.Door):
    """A body of one or many alerts."""

    authentication_classes = [AnyKey]

    def take(self, request: Request) -> compat.Taken:
        """Take in what can be read; what cannot is kept. `Invalid` when nothing could be."""
        taken = compat.take(request, bodies.raw(request), source=alertmanager.ID, read=_read)
        if taken.refused and not taken.alerts:
            raise Invalid(taken.reason)
        return taken

    def refusal(self, problem: Problem) -> HttpResponse:
        """The problem in the shape of this address."""
        status = {422: 400, 429: 503}.get(problem.status, problem.status)
        return compat.answer(status, self.error(status, problem.detail))

    def error(self, status: int, detail: str) -> object:
        """`{status, errorType, error}`, as Prometheus and version 1 of the API tell errors."""
        kind = "bad_data" if status < 500 else "server_error"
        return {"status": "error", "errorType": kind, "error": detail}


class Webhook(Door):
    """`POST /webhook`: groups as a receiver gets them, from an Alertmanager or Grafana."""

    def post(self, request: Request) -> HttpResponse:
        """200 once all that can be read is stored: a 4xx would make the sender drop the whole group."""
        taken = self.take(request)
        return compat.answer(
            200, {"status": "success", "alerts": len(taken.alerts), "quarantined": len(taken.refused)}
        )


class AlertsOfVersion1(Door):
    """`POST /api/v1/alerts`."""

    def post(self, request: Request) -> HttpResponse:
        """200; 400 when one of the alerts is wrong, the others being stored, as an Alertmanager does it."""
        taken = self.take(request)
        if taken.refused:
            raise Invalid(taken.reason)
        return compat.answer(200, {"status": "success"})


class AlertsOfVersion2(Door):
    """`POST /api/v2/alerts`; an error is a JSON text."""

    def post(self, request: Request) -> HttpResponse:
        """200 without a body; 400 when one of the alerts is wrong, the others being stored."""
        taken = self.take(request)
        if taken.refused:
            raise Invalid(taken.reason)
        return HttpResponse(status=200)

    def error(self, status: int, detail: str) -> object:
        """The bare text."""
        del status
        return detail


urlpatterns = [
    path("webhook", Webhook.as_view(), name="compat-alertmanager-webhook"),
    path("api/v1/alerts", AlertsOfVersion1.as_view(), name="compat-alertmanager-alerts-v1"),
    path("api/v2/alerts", AlertsOfVersion2.as_view(), name="compat-alertmanager-alerts-v2"),
]


def _read(document: JSON) -> compat.Parts:
    """Each alert of a group by itself, so that one that is wrong costs no other."""
    now = clock.now()
    for single, pointer in alertmanager.parts(document):
        # Bound now: the readers are called after the loop went on.
        def parse(single: dict[str, JSON] = single, pointer: str = pointer) -> list[AlertDraft]:
            return [alertmanager.draft_of(single, pointer=pointer, now=now)]

        yield pointer, single, parse
