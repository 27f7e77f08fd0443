"""The door of DFIR-IRIS, under `/compat/iris`: `POST /alerts/add` with a Bearer key or `X-IRIS-AUTH`.

Clients such as ElastAlert2 take exactly 200 for a success. What severity ids mean is the key's
`severity_ids`, else the order of a fresh IRIS (`cases.sources.iris.SEVERITIES`).
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from rest_framework.request import Request

from cases.decoding import JSON
from cases.models import Alert
from cases.sources import iris
from lib.errors import Invalid
from soc.api import bodies
from soc.api.problems import Problem
from soc.doors import compat


class IrisKey(compat.ToolKey):
    """The key as IRIS takes it."""

    header = "HTTP_X_IRIS_AUTH"


class Alerts(compat.Door):
    """`POST /alerts/add`; errors as `{status, message, data}`."""

    authentication_classes = [IrisKey]

    def post(self, request: Request) -> HttpResponse:
        """Take in one alert. 200 once it is stored, also for a repeat."""
        key = compat.key_of(request)
        severities = key.severity_ids if key is not None and isinstance(key.severity_ids, dict) else {}

        def read(document: JSON) -> compat.Parts:
            return compat.one(document, lambda value: [iris.draft_of(value, severities=severities)])

        taken = compat.take(request, bodies.raw(request), source=iris.ID, read=read)
        if not taken.alerts or taken.refused:
            raise Invalid(f"Data error: {taken.reason or 'nothing was sent'}")
        draft, stored = taken.alerts[0]
        if stored.alert is None or not isinstance(draft.raw, dict):
            raise Invalid("Data error")
        return compat.answer(
            200, {"status": "success", "message": "", "data": shown(stored.alert, draft.raw)}
        )

    def refusal(self, problem: Problem) -> HttpResponse:
        status = 400 if problem.status == 422 else problem.status
        return compat.answer(status, {"status": "error", "message": problem.detail, "data": {}})


urlpatterns = [path("alerts/add", Alerts.as_view(), name="compat-iris-alerts")]


def shown(alert: Alert, document: dict[str, JSON]) -> dict[str, Any]:
    """The alert in the fields of IRIS; ids of things that Quell does not have are those that were sent."""
    echoed = ("alert_severity_id", "alert_status_id", "alert_customer_id", "alert_source", "alert_source_ref")
    return {
        "alert_id": alert.ulid,
        "alert_title": alert.title,
        "alert_description": alert.summary,
        "alert_source_link": alert.link,
        "alert_source_event_time": alert.detected_at.isoformat(),
        "alert_creation_time": alert.received_at.isoformat(),
        "alert_tags": ",".join(alert.tags),
        "iocs": [{"ioc_value": one["value"], "ioc_description": one["kind"]} for one in alert.observables],
        **{name: document.get(name) for name in echoed},
    }
