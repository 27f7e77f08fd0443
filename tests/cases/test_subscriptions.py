"""Topics that ask to be confirmed: by AWS's API alone, once, for as long as a token is good."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from audit.models import AuditEvent
from cases import subscriptions
from cases.models import TopicSubscription
from identity import hooks
from identity.actors import SYSTEM
from identity.models import Hook, HookKind
from lib import clock, doorbell
from lib.clock import ManualClock
from simulator.server import Simulator
from tests import make
from tests.cases import cloud

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
CONFIRM = "ConfirmSubscription"
TOKEN = "2336412f37fb687f5d51e6e241d1"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with cloud.running() as found:
        yield found


@pytest.fixture
def now(simulator: Simulator) -> Iterator[ManualClock]:
    manual = ManualClock(START)
    with clock.using(manual):
        simulator.reset()
        yield manual


@pytest.fixture
def topic(simulator: Simulator, now: ManualClock) -> str:
    return str(cloud.client(simulator, "sns").create_topic(Name="alarms")["TopicArn"])


def hook(topic: str, name: str = "alarms") -> Hook:
    return hooks.create(
        name=name, kind=HookKind.SNS, team=make.team(), by=SYSTEM, at=clock.now(), topic_arn=topic
    ).hook


def ask(to: Hook, token: str = TOKEN) -> TopicSubscription:
    subscriptions.ask(hook=to, token=token, by=SYSTEM, at=clock.now())
    return TopicSubscription.objects.get(hook=to)


def acts() -> list[str]:
    return list(
        AuditEvent.objects.filter(act__startswith="subscription").order_by("pk").values_list("act", flat=True)
    )


def test_a_topic_is_confirmed_by_its_token_and_can_be_left_by_its_owner_alone(
    simulator: Simulator, topic: str
) -> None:
    row = ask(hook(topic))

    assert subscriptions.sweep() == 1
    assert subscriptions.sweep() == 0

    [call] = cloud.calls(simulator, CONFIRM)
    assert call["eventSource"] == "sns.amazonaws.com"
    assert call["requestParameters"] == {
        "topicArn": topic,
        "token": TOKEN,
        "authenticateOnUnsubscribe": "true",
    }
    row.refresh_from_db()
    assert row.subscription_arn.startswith(f"{topic}:")
    assert (row.confirmed_at, row.due_at, row.failure, row.attempts) == (START, None, "", 1)
    assert acts() == ["subscription-asked", "subscription-confirmed"]


def test_the_worker_that_may_call_aws_does_it() -> None:
    assert doorbell.sweep_of(subscriptions.TOPIC).queue == "collect"


def test_asking_again_with_one_token_changes_nothing_and_another_begins_anew(
    simulator: Simulator, topic: str
) -> None:
    mine = hook(topic)
    ask(mine)
    subscriptions.sweep()

    ask(mine)
    assert subscriptions.sweep() == 0

    row = ask(mine, "another")
    assert (row.confirmed_at, row.subscription_arn, row.due_at) == (None, "", START)
    assert subscriptions.sweep() == 1
    assert [one["requestParameters"]["token"] for one in cloud.calls(simulator, CONFIRM)] == [
        TOKEN,
        "another",
    ]


def test_what_aws_refuses_is_not_asked_again(simulator: Simulator, topic: str) -> None:
    row = ask(hook(f"{topic}-that-is-gone"))

    assert subscriptions.sweep() == 1

    row.refresh_from_db()
    assert (row.confirmed_at, row.due_at) == (None, None)
    assert "NotFound" in row.failure
    assert acts() == ["subscription-asked", "subscription-refused"]
    assert subscriptions.sweep() == 0


TROUBLE: dict[str, list[Mapping[str, Any]]] = {
    "no answer": [{"match": "sns:*", "times": 2, "status": 0}],
    "503": [{"match": "sns:*", "times": 2, "status": 503, "code": "ServiceUnavailable"}],
    "too fast": [{"match": "sns:*", "times": 2, "status": 400, "code": "Throttling"}],
}


@pytest.mark.parametrize("name", TROUBLE)
def test_when_aws_is_away_it_is_asked_later(
    simulator: Simulator, topic: str, now: ManualClock, name: str
) -> None:
    row = ask(hook(topic))
    simulator.faults(TROUBLE[name])

    assert subscriptions.sweep() == 1
    row.refresh_from_db()
    assert (row.confirmed_at, row.due_at) == (None, START + timedelta(seconds=30))
    assert row.failure
    assert subscriptions.sweep() == 0

    now.advance(30)
    assert subscriptions.sweep() == 1
    row.refresh_from_db()
    assert (row.confirmed_at, row.failure) == (START + timedelta(seconds=30), "")


def test_it_waits_longer_each_time_and_gives_up_when_the_token_is_over(
    simulator: Simulator, topic: str, now: ManualClock
) -> None:
    row = ask(hook(topic))
    waits: list[float] = []
    with cloud.away():
        for _ in range(90):
            assert subscriptions.sweep() == 1
            row.refresh_from_db()
            if row.due_at is None:
                break
            waits.append((row.due_at - clock.now()).total_seconds())
            now.move_to(row.due_at)

    assert waits[:5] == [30, 60, 120, 240, 480]
    assert sorted(waits) == waits
    assert waits[-1] == 3600
    assert row.due_at is None
    assert timedelta(days=3) < clock.now() - START < timedelta(days=3, hours=2)
    assert acts() == ["subscription-asked", "subscription-refused"]


def test_a_hook_that_ended_confirms_nothing(simulator: Simulator, topic: str) -> None:
    mine = hook(topic)
    row = ask(mine)
    hooks.revoke(hook=mine, by=SYSTEM, at=clock.now())

    subscriptions.sweep()

    row.refresh_from_db()
    assert (row.confirmed_at, row.failure, row.due_at) == (None, "the hook is revoked", None)
    assert cloud.calls(simulator, CONFIRM) == []


def test_a_topic_that_left_is_asked_for_again_by_its_next_token(simulator: Simulator, topic: str) -> None:
    mine = hook(topic)
    row = ask(mine)
    subscriptions.sweep()
    for _ in range(2):
        subscriptions.end(hook=mine, by=SYSTEM, at=clock.now())

    row.refresh_from_db()
    assert (row.confirmed_at, row.subscription_arn, row.failure) == (None, "", "unsubscribed")
    assert acts()[-1] == "subscription-ended"
    assert acts().count("subscription-ended") == 1
    ask(mine, "another")
    subscriptions.sweep()
    row.refresh_from_db()
    assert (row.confirmed_at, row.failure) == (START, "")


def test_one_topic_over_two_hooks_is_confirmed_for_each(simulator: Simulator, topic: str) -> None:
    ask(hook(topic, "one"), "token-1")
    ask(hook(topic, "two"), "token-2")

    assert subscriptions.sweep() == 2
    assert TopicSubscription.objects.filter(confirmed_at=START).count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_ask_aws_once(simulator: Simulator, topic: str) -> None:
    for number in range(5):
        ask(hook(topic, f"hook-{number}"), f"token-{number}")
    start, looked = threading.Barrier(4), []

    def go() -> None:
        try:
            start.wait(30)
            looked.append(subscriptions.sweep())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(looked) == 5
    tokens = [one["requestParameters"]["token"] for one in cloud.calls(simulator, CONFIRM)]
    assert sorted(tokens) == [f"token-{number}" for number in range(5)]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_died_in_the_middle_is_followed_by_another(
    simulator: Simulator, topic: str, now: ManualClock
) -> None:
    """Its call was applied and its note is missing: the next one asks again, which AWS allows."""
    row = ask(hook(topic))
    TopicSubscription.objects.update(due_at=START + subscriptions.LEASE, attempts=1)

    assert subscriptions.sweep() == 0
    now.advance(subscriptions.LEASE.total_seconds())
    assert subscriptions.sweep() == 1
    row.refresh_from_db()
    assert (row.confirmed_at, row.attempts) == (START + subscriptions.LEASE, 2)
