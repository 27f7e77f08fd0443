"""SNS topics that ask to be confirmed: kept by the door, confirmed by the worker that may call AWS.

A subscription is confirmed by `sns:ConfirmSubscription` with the token of a verified message, for the one
topic that its hook names; the address in the message is never opened. Unsubscribing needs AWS credentials
from then on (`AuthenticateOnUnsubscribe`), so nobody who merely reads a message can end it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction

from audit.record import record
from identity.actors import Actor, system
from lib import aws, clock, doorbell
from lib.aws import AwsError, NoAnswer

if TYPE_CHECKING:  # the registry is not filled when this module is read
    from cases.models import TopicSubscription
    from identity.models import Hook

log = logging.getLogger(__name__)

TOPIC = "subscriptions"
LONGEST_TOKEN = 2000
BATCH = 50
LEASE = timedelta(minutes=2)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=3)
"""A token is valid for as long."""


def register() -> None:
    """Register the sweep of this module. Called once, when the models are loaded."""
    doorbell.register(doorbell.Sweep(topic=TOPIC, queue="collect", run=sweep))


def ask(*, hook: Hook, token: str, by: Actor, at: datetime) -> None:
    """Have the subscription of the hook's topic confirmed by this token, once for each token."""
    from cases.models import TopicSubscription

    with transaction.atomic():
        row, is_new = TopicSubscription.objects.get_or_create(
            hook=hook,
            topic_arn=hook.topic_arn,
            defaults={"token": token, "received_at": at, "due_at": at},
        )
        if not is_new:
            changed = TopicSubscription.objects.filter(pk=row.pk).exclude(token=token).update(
                token=token, received_at=at, due_at=at, attempts=0, failure="",
                confirmed_at=None, subscription_arn="",
            )  # fmt: skip
            if not changed:
                return
        doorbell.ring(TOPIC)
        record(act="subscription-asked", by=by, at=at, on=("hook", hook.ulid))


def end(*, hook: Hook, by: Actor, at: datetime) -> None:
    """Note that the topic does not send to the hook any more. Nothing is done about it: AWS was told so."""
    from cases.models import TopicSubscription

    rows = TopicSubscription.objects.filter(hook=hook, topic_arn=hook.topic_arn)
    with transaction.atomic():
        if rows.exclude(failure="unsubscribed").update(
            confirmed_at=None, subscription_arn="", due_at=None, failure="unsubscribed"
        ):
            record(act="subscription-ended", by=by, at=at, on=("hook", hook.ulid))


def sweep() -> int:
    """Confirm every subscription that is due; how many were looked at. Safe when run twice at once."""
    from cases.models import TopicSubscription

    now = clock.now()
    due = TopicSubscription.objects.select_related("hook").filter(due_at__lte=now).order_by("due_at")[:BATCH]
    return sum(_one(row, at=now) for row in due)


def _one(row: TopicSubscription, *, at: datetime) -> bool:
    from cases.models import TopicSubscription

    held = TopicSubscription.objects.filter(pk=row.pk, due_at=row.due_at, token=row.token)
    if held.update(due_at=at + LEASE, attempts=row.attempts + 1) != 1:
        return False
    if row.hook.revoked_at is not None:
        _settle(row, at=at, failure="the hook is revoked")
        return True
    try:
        answer: Any = aws.own(
            region=row.topic_arn.split(":")[3],
            service="sns",
            operation="ConfirmSubscription",
            params={"TopicArn": row.topic_arn, "Token": row.token, "AuthenticateOnUnsubscribe": "true"},
        ).body
    except NoAnswer as silence:
        _put_off(row, reason=str(silence), at=at)
    except AwsError as refusal:
        if aws.is_throttling(refusal.code):
            _put_off(row, reason=str(refusal), at=at)
        else:
            _settle(row, at=at, failure=str(refusal))
    else:
        _settle(row, at=at, arn=str(answer.get("SubscriptionArn", "")))
    return True


def _settle(row: TopicSubscription, *, at: datetime, arn: str = "", failure: str = "") -> None:
    """Write down how it ended, unless another token came meanwhile, which is due by itself."""
    from cases.models import TopicSubscription

    with transaction.atomic():
        done = TopicSubscription.objects.filter(pk=row.pk, token=row.token).update(
            due_at=None,
            confirmed_at=None if failure else at,
            subscription_arn=arn[:400],
            failure=failure[:300],
        )
        if done:
            act = "subscription-refused" if failure else "subscription-confirmed"
            record(act=act, by=system("worker-collect"), at=at, on=("hook", row.hook.ulid))


def _put_off(row: TopicSubscription, *, reason: str, at: datetime) -> None:
    from cases.models import TopicSubscription

    if at > row.received_at + GIVEN_UP_AFTER:
        _settle(row, at=at, failure=reason)
        return
    log.warning("subscription.put_off", extra={"topic_arn": row.topic_arn, "error": reason})
    wait = min(FIRST_WAIT * 2 ** min(row.attempts, 10), LONGEST_WAIT)
    TopicSubscription.objects.filter(pk=row.pk, token=row.token).update(
        due_at=at + wait, failure=reason[:300]
    )
