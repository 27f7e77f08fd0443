"""PagerDuty's doors, under `/compat/pagerduty`: Events API v2, and v1 for those who still send it.

The routing key (in v1 the service key) is a Quell key, or the secret of a webhook, which can do nothing but
send. It is used and forgotten: neither the copy of an event nor what lies in quarantine holds it.
"""

from __future__ import annotations

import json

from django.http import HttpResponse
from django.urls import path
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from cases import decoding, triage
from cases.decoding import JSON, Text, Unreadable
from cases.models import Alert
from cases.sources import pagerduty
from identity import hooks, keys
from identity.actors import Actor
from identity.models import HookKind
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Forbidden, Invalid
from soc.api import bodies
from soc.api.problems import Problem
from soc.doors import compat
from soc.doors.hooks import admitted

ACKNOWLEDGED = "pagerduty:acknowledged"


class Enqueue(compat.Door):
    """`POST /v2/enqueue`."""

    secret = "routing_key"  # noqa: S105 - the name of a field
    authentication_classes = []
    permission_classes = []
    permissions_needed = {"POST": Permission.WRITE_ALERTS}

    def post(self, request: Request) -> HttpResponse:
        """Take in one event. 202 once it is stored."""
        event = self.event_of(request)
        body = json.dumps(event, ensure_ascii=False).encode("utf-8")
        taken = compat.take(request, body, source=pagerduty.ID, read=_read)
        if taken.refused:
            raise Invalid(taken.reason)
        if not taken.alerts:
            _acknowledge(request, pagerduty.dedup_key(event))
        return self.accepted(pagerduty.dedup_key(event))

    def event_of(self, request: Request) -> dict[str, JSON]:
        """The event without its key, by which the request is let in."""
        try:
            event = decoding.decode(bodies.raw(request), text=Text.REPLACE)
        except Unreadable as failure:
            raise Invalid(f"the body cannot be read: {failure.reason}") from failure
        if not isinstance(event, dict):
            raise Invalid("the body must be an object")
        secret = event.get(self.secret)
        if not isinstance(secret, str) or not secret:
            raise NotAuthenticated(f"'{self.secret}' is missing or blank")
        actor = _let_in(request, secret)
        if actor is None:
            raise AuthenticationFailed(f"'{self.secret}' is unknown, revoked or expired")
        if not actor.may(Permission.WRITE_ALERTS):
            raise Forbidden(f"'{self.secret}' does not have the scope {Permission.WRITE_ALERTS.scope}")
        return pagerduty.without_secrets(event)

    def accepted(self, key: str) -> HttpResponse:
        """The answer to an event that was taken in."""
        return compat.answer(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def refusal(self, problem: Problem) -> HttpResponse:
        """PagerDuty tells senders of 400, 429 and of faults of its own."""
        if problem.status == 429:
            return compat.answer(429, {"status": "throttle exceeded", "message": problem.detail})
        if problem.status in (405, 413) or problem.status >= 500:
            return compat.answer(problem.status, {"status": "error", "message": problem.detail})
        return compat.answer(
            400,
            {"status": "invalid event", "message": "Event object is invalid", "errors": [problem.detail]},
        )


class CreateEvent(Enqueue):
    """`POST /generic/2010-04-15/create_event.json`, version 1."""

    secret = "service_key"  # noqa: S105 - the name of a field

    def accepted(self, key: str) -> HttpResponse:
        """Version 1 answers 200 and speaks of an incident."""
        return compat.answer(200, {"status": "success", "message": "Event processed", "incident_key": key})


urlpatterns = [
    path("v2/enqueue", Enqueue.as_view(), name="compat-pagerduty-enqueue"),
    path("generic/2010-04-15/create_event.json", CreateEvent.as_view(), name="compat-pagerduty-create-event"),
]


def _let_in(request: Request, secret: str) -> Actor | None:
    """As whose the request goes on, as far as that budget reaches; None for a secret that is nobody's."""
    key = keys.find(secret, at=clock.now())
    if key is not None:
        return compat.admit(request, key)
    hook = hooks.find(secret, kind=HookKind.WEBHOOK, at=clock.now())
    return admitted(request, hook) if hook else None


def _read(document: JSON) -> compat.Parts:
    return compat.one(document, pagerduty.parse)


def _acknowledge(request: Request, key: str) -> None:
    """Tag the team's alert, if there is one: a key cannot take it in anybody's name, nor need it read."""
    actor = actor_of(request)
    ids = (key, compat.own_id(key, team=actor.team))
    rows = Alert.objects.select_related("team", "incident", "assignee")
    alert = rows.filter(team=actor.team, source=pagerduty.ID, external_id__in=ids).first()
    if alert is None or ACKNOWLEDGED in alert.tags:
        return
    triage.amend_alert(alert=alert, changes={"tags": [*alert.tags, ACKNOWLEDGED]}, by=actor, at=clock.now())
