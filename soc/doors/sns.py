"""`POST /hooks/sns/{secret}`: messages of one SNS topic over HTTPS, each verified before it counts.

https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html. In this order: the
secret, the size, the type in header and body, the topic, the signature, the time. No address out of a
message is ever opened but that of the certificate, and a subscription is confirmed by the worker that may
call AWS (`cases.subscriptions`). What is not verified is refused and not kept: anybody could have written it.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError, transaction
from django.http import HttpResponse, JsonResponse
from django.urls import URLPattern, path
from rest_framework.request import Request

from cases import decoding, ingest, subscriptions
from cases.decoding import Text, Unreadable
from cases.ingest import Received
from cases.models import IdempotentAnswer
from cases.sources.reading import time_or_none
from identity.models import Hook, HookKind
from identity.requests import actor_of
from lib import clock
from lib.errors import Invalid
from soc.api import bodies
from soc.doors import signing
from soc.doors.hooks import HookDoor, answered, taken
from soc.doors.signing import NOTIFICATION, SIGNED, SUBSCRIPTION, NotVerified

LARGEST_BODY = 1024 * 1024
"""A message of 256 KiB with every character escaped, and what SNS puts around it."""

LARGEST_MESSAGE = 256 * 1024
"""What SNS carries, in bytes."""

WINDOW = timedelta(hours=1)
"""How far a message's time may lie from ours; SNS gives a delivery up after an hour."""

MESSAGE_ID = re.compile(r"[0-9A-Za-z-]{1,100}")


class Sns(HookDoor):
    """The door for one topic."""

    kind = HookKind.SNS

    def post(self, request: Request, secret: str) -> HttpResponse:
        """Take in a message. 200 once it is stored, and again when it comes again."""
        hook = self.opened(request, secret)
        message = _message(request)
        kind = _kind(request, message)
        if message.get("TopicArn") != hook.topic_arn:
            raise NotVerified("This hook takes messages of another topic.")
        at = clock.now()
        signing.verify(message, kind=kind, now=at, takes_v1=settings.QUELL_SNS_SIGNATURE_V1)
        identity = str(message["MessageId"])
        if not MESSAGE_ID.fullmatch(identity):
            raise NotVerified("A message of SNS has an id.")
        if kind == NOTIFICATION and _seen(hook, identity).exists():
            return _again()
        sent = time_or_none(message, "Timestamp")
        if sent is None or abs(at - sent) > WINDOW:
            raise NotVerified("The message is more than an hour old, or from the future.")
        if kind != NOTIFICATION:
            return _about_subscription(request, hook, message, kind=kind)
        received = _once(request, hook, message, identity=identity)
        return answered(received) if received else _again()


def _message(request: Request) -> dict[str, Any]:
    body = bodies.raw(request)
    if len(body) > LARGEST_BODY:
        raise RequestDataTooBig
    try:
        message = decoding.decode(body, text=Text.REFUSE)
    except Unreadable as failure:
        raise Invalid(f"The body cannot be read: {failure.reason}.", pointer=failure.pointer) from failure
    if not isinstance(message, dict):
        raise Invalid("A message of SNS is a JSON object.")
    if len(str(message.get("Message", "")).encode("utf-8", "replace")) > LARGEST_MESSAGE:
        raise RequestDataTooBig
    return message


def _kind(request: Request, message: dict[str, Any]) -> str:
    """The type, the same in header and body. A raw delivery has no type and no signature, and is refused."""
    kind = message.get("Type")
    if not isinstance(kind, str) or kind not in SIGNED:
        raise NotVerified("This is not one of the three types of SNS messages; raw delivery is not signed.")
    if request.META.get("HTTP_X_AMZ_SNS_MESSAGE_TYPE") != kind:
        raise NotVerified("The type in the header is not that of the body.")
    return kind


def _about_subscription(request: Request, hook: Hook, message: dict[str, Any], *, kind: str) -> HttpResponse:
    by, at = actor_of(request), clock.now()
    if kind == SUBSCRIPTION:
        token = str(message["Token"])
        if not 0 < len(token) <= subscriptions.LONGEST_TOKEN:
            raise NotVerified("A subscription is confirmed by a token.")
        subscriptions.ask(hook=hook, token=token, by=by, at=at)
    else:
        subscriptions.end(hook=hook, by=by, at=at)
    return JsonResponse({"status": "received"})


def _once(request: Request, hook: Hook, message: dict[str, Any], *, identity: str) -> Received | None:
    """What became of a notification; None for one that another request took in at the same moment."""
    text = str(message["Message"]).encode("utf-8")
    mark = IdempotentAnswer(
        principal=f"hook:{hook.ulid}",
        route="sns",
        key=identity,
        digest=hashlib.sha256(text).hexdigest(),
        status=200,
        at=clock.now(),
    )
    with transaction.atomic():
        try:
            with transaction.atomic():
                mark.save(force_insert=True)
        except IntegrityError:
            return None
        return taken(request, text, source=ingest.AUTO, door="sns")


def _seen(hook: Hook, identity: str) -> Any:
    return IdempotentAnswer.objects.filter(principal=f"hook:{hook.ulid}", route="sns", key=identity)


def _again() -> HttpResponse:
    return JsonResponse({"status": "received", "repeated": True})


urlpatterns: list[URLPattern] = [path("sns/<str:secret>", Sns.as_view(), name="hook-sns")]
