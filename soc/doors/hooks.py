"""Doors whose address is the secret: `/hooks/{kind}/{secret}` for Wazuh, Splunk and anything that posts JSON.

An unknown or revoked secret is answered as any address that does not exist. What cannot be read is kept in
quarantine and answered like the rest: these senders ignore what they are told.
"""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse
from django.urls import URLPattern, path
from rest_framework.request import Request
from rest_framework.views import APIView

from cases import ingest, webhooks
from cases.ingest import Received
from cases.sources import splunk, wazuh
from cases.webhooks import Choose
from identity import hooks
from identity.actors import Actor
from identity.models import Hook, HookKind
from identity.requests import actor_of, bind, client_ip, request_id
from lib import clock
from lib.errors import AppError, Conflict, NotFound
from soc import throttling
from soc.api import bodies


class Busy(AppError):
    """Others keep changing the same alerts; send it again in a moment."""

    status = 503
    code = "busy"
    retry_after = 1


class HookDoor(APIView):
    """A door that a hook of one kind opens. No header and no session counts."""

    authentication_classes = []
    permission_classes = []
    kind = HookKind.WEBHOOK
    schema = None

    def opened(self, request: Request, secret: str) -> Hook:
        """The hook with this secret, as whose the request goes on. Raises `NotFound`, `TooManyRequests`."""
        hook = hooks.find(secret, kind=self.kind, at=clock.now())
        if hook is None:
            raise NotFound
        admitted(request, hook)
        return hook


class Wazuh(HookDoor):
    """What Wazuh's `shuffle` integration posts, or an alert of Wazuh as it is."""

    kind = HookKind.WAZUH

    def post(self, request: Request, secret: str) -> HttpResponse:
        """Take in an alert. 200 once it is stored."""
        self.opened(request, secret)
        return answered(taken(request, bodies.raw(request), source=wazuh.ID, door="wazuh"))


class Splunk(HookDoor):
    """What Splunk's webhook alert action posts."""

    kind = HookKind.SPLUNK

    def post(self, request: Request, secret: str) -> HttpResponse:
        """Take in an alert. 200 once it is stored."""
        self.opened(request, secret)
        return answered(taken(request, bodies.raw(request), source=splunk.ID, door="splunk"))


class Webhook(HookDoor):
    """Any JSON, by the hook's own field map or by what it shows itself to be."""

    kind = HookKind.WEBHOOK

    def post(self, request: Request, secret: str) -> HttpResponse:
        """Take in documents. 200 once they are stored."""
        hook = self.opened(request, secret)
        received = taken(
            request,
            bodies.raw(request),
            source="generic",
            door=webhooks.door_of(hook),
            choose=webhooks.reading_of(hook),
        )
        return answered(received)


def admitted(request: Request, hook: Hook) -> Actor:
    """Let a request in as this hook's, as far as the hook's budget reaches."""
    actor = hooks.actor_of_hook(hook, ip=client_ip(request), request_id=request_id(request))
    bind(request, actor)
    throttling.admit_actor(request)
    return actor


def taken(request: Request, body: bytes, *, source: str, door: str, choose: Choose | None = None) -> Received:
    """Take a body in for the request's actor, who pays for what it held. `Busy` where races go on and on."""
    try:
        received = ingest.receive(
            source=source, body=body, by=actor_of(request), at=clock.now(), door=door, choose=choose
        )
    except Conflict as race:
        raise Busy from race
    throttling.charge_actor(request, weight=len(received.alerts) + len(received.quarantined) - 1)
    return received


def answered(received: Received, *, status: int = 200) -> HttpResponse:
    """How much became what; nothing of what is in it."""
    told = {
        "status": "received",
        "alerts": len(received.alerts),
        "quarantined": len(received.quarantined),
        "passed": received.passed,
    }
    return JsonResponse(told, status=status)


urlpatterns: list[URLPattern] = [
    path("wazuh/<str:secret>", Wazuh.as_view(), name="hook-wazuh"),
    path("splunk/<str:secret>", Splunk.as_view(), name="hook-splunk"),
    path("webhook/<str:secret>", Webhook.as_view(), name="hook-webhook"),
]
