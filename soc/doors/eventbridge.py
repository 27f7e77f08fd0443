"""`POST /hooks/eventbridge`: the target of an EventBridge API destination.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html. EventBridge waits five
seconds, repeats after 429 and 5xx only, and drops an event at any other status from 400 on; so a fault of
ours that will pass is never one of those, and an event that cannot be read is kept and answered 202.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import URLPattern, path
from rest_framework.request import Request
from rest_framework.views import APIView

from cases import ingest
from identity.permissions import Permission
from soc.api import bodies
from soc.doors import compat
from soc.doors.hooks import answered, taken


class ConnectionKey(compat.ToolKey):
    """The key of a connection: `Authorization: Bearer`, Basic with the key as password, or `X-Api-Key`."""

    header = "HTTP_X_API_KEY"


class EventBridge(APIView):
    """The door for events."""

    authentication_classes = [ConnectionKey]
    permissions_needed = {"POST": Permission.WRITE_ALERTS}
    schema = None

    def post(self, request: Request) -> HttpResponse:
        """Take in an event, whatever it holds. 202 once it is stored."""
        received = taken(request, bodies.raw(request), source=ingest.AUTO, door="eventbridge")
        return answered(received, status=202)


urlpatterns: list[URLPattern] = [path("eventbridge", EventBridge.as_view(), name="hook-eventbridge")]
