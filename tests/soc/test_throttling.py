"""What a key, a hook or a person may send in a minute, and what is said to one who sends more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from cases.models import Alert
from identity.models import ApiKey, Role
from lib import clock
from lib.clock import ManualClock
from lib.errors import TooManyRequests
from soc import throttling
from soc.throttling import Throttle
from tests import make

pytestmark = pytest.mark.fast


@pytest.fixture(autouse=True)
def full() -> None:
    throttling.throttle.forget()


@pytest.fixture
def still() -> Iterator[ManualClock]:
    """A clock that stands until it is moved."""
    manual = ManualClock(clock.now())
    with clock.using(manual):
        yield manual


def take(throttle: Throttle, who: str = "key:1", *, per_minute: int = 60, weight: int = 1) -> int:
    """0 when let in, else the seconds to wait."""
    try:
        throttle.take(who, per_minute=per_minute, weight=weight)
    except TooManyRequests as failure:
        return failure.retry_after or -1
    return 0


def alert(number: int = 0) -> dict[str, Any]:
    return {"source": "test", "external_id": f"a-{number}", "title": "Something"}


# --- the bucket ----------------------------------------------------------------------------------------


def test_a_minute_of_requests_at_once_and_then_one_each_second(still: ManualClock) -> None:
    throttle = Throttle()
    assert [take(throttle) for _ in range(60)] == [0] * 60
    assert take(throttle) == 1
    still.advance(1)
    assert take(throttle) == 0
    assert take(throttle) == 1
    still.advance(3600)
    assert [take(throttle) for _ in range(60)] == [0] * 60
    assert take(throttle) == 1, "an idle hour does not save up more than a minute"


def test_principals_do_not_pay_for_each_other(still: ManualClock) -> None:
    throttle = Throttle()
    assert take(throttle, weight=60) == 0
    assert take(throttle) == 1
    assert take(throttle, "key:2") == 0


def test_waiting_as_long_as_told_is_enough(still: ManualClock) -> None:
    throttle = Throttle()
    take(throttle, per_minute=7, weight=7)
    wait = take(throttle, per_minute=7, weight=3)
    assert wait == 26
    still.advance(wait)
    assert take(throttle, per_minute=7, weight=3) == 0


def test_more_than_a_minutes_budget_goes_through_when_full_and_is_paid_for(still: ManualClock) -> None:
    throttle = Throttle()
    assert take(throttle, weight=180) == 0
    assert take(throttle) == 121
    still.advance(121)
    assert take(throttle) == 0


def test_a_refusal_costs_nothing(still: ManualClock) -> None:
    throttle = Throttle()
    take(throttle, weight=60)
    for _ in range(100):
        assert take(throttle) == 1
    still.advance(1)
    assert take(throttle) == 0


def test_a_clock_set_back_gives_and_takes_nothing(still: ManualClock) -> None:
    throttle = Throttle()
    take(throttle, weight=30)
    still.move_to(still.now() - timedelta(hours=1))
    assert take(throttle, weight=30) == 0
    assert take(throttle) == 1


def test_buckets_are_bounded(still: ManualClock) -> None:
    throttle = Throttle()
    for number in range(throttling.MOST_BUCKETS + 50):
        throttle.take(f"key:{number}", per_minute=60, weight=1)
    assert len(throttle) == throttling.MOST_BUCKETS


def test_threads_share_one_bucket_exactly(still: ManualClock) -> None:
    throttle = Throttle()
    let_in: list[int] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        let_in.extend(1 for _ in range(500) if take(throttle, per_minute=1000) == 0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 1000


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0, 120), st.integers(1, 50)), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_never_more_than_a_full_bucket_and_what_has_flown_in(
    per_minute: int, asked: list[tuple[float, int]]
) -> None:
    manual = ManualClock(clock.now())
    with clock.using(manual):
        throttle, began, taken = Throttle(), manual.now(), 0
        for pause, weight in asked:
            manual.advance(pause)
            if take(throttle, per_minute=per_minute, weight=weight) == 0:
                passed = (manual.now() - began).total_seconds()
                assert taken + min(weight, per_minute) <= per_minute * (1 + passed / 60) + 1e-3
                taken += weight


# --- over HTTP -----------------------------------------------------------------------------------------


def limited(per_minute: int) -> str:
    """The secret of a key with a budget of its own."""
    secret = make.key("alerts:write")
    ApiKey.objects.update(per_minute=per_minute)
    return secret


@pytest.mark.django_db
def test_too_many_is_a_problem_that_says_when(still: ManualClock, settings: Settings) -> None:
    settings.QUELL_WEB_PROCESSES = 1
    program = make.program(limited(2))
    for number in range(2):
        answer = program.post("/api/v1/alerts", alert(number), content_type="application/json")
        assert answer.status_code == 201
        assert answer.headers["RateLimit-Policy"] == '"minute";q=2;w=60'
        assert answer.headers["RateLimit"] == f'"minute";r={1 - number};t={30 * (number + 1)}'
    answer = program.post("/api/v1/alerts", alert(2), content_type="application/json")
    assert answer.status_code == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:quell:problem:too-many-requests"
    assert answer.headers["Retry-After"] == "30"
    assert Alert.objects.count() == 2
    still.advance(30)
    assert program.post("/api/v1/alerts", alert(2), content_type="application/json").status_code == 201


@pytest.mark.django_db
def test_a_batch_weighs_what_it_holds(still: ManualClock, settings: Settings) -> None:
    settings.QUELL_WEB_PROCESSES = 1
    program = make.program(limited(10))
    batch = [alert(number) for number in range(8)]
    assert program.post("/api/v1/alerts/batch", batch, content_type="application/json").status_code == 200
    answer = program.post("/api/v1/alerts/batch", batch, content_type="application/json")
    assert answer.status_code == 429
    assert program.post("/api/v1/alerts", alert(99), content_type="application/json").status_code == 201


@pytest.mark.django_db
def test_documents_are_paid_for_after_they_were_counted(still: ManualClock, settings: Settings) -> None:
    settings.QUELL_WEB_PROCESSES = 1
    program = make.program(limited(10))
    batch = [alert(number) for number in range(30)]
    answer = program.post("/api/v1/ingest/native", batch, content_type="application/json")
    assert answer.status_code == 200
    assert len(answer.json()["alerts"]) == 30
    answer = program.post("/api/v1/ingest/native", [alert(1)], content_type="application/json")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "126"


@pytest.mark.django_db
def test_each_web_process_has_its_share(still: ManualClock, settings: Settings) -> None:
    settings.QUELL_WEB_PROCESSES = 3
    settings.QUELL_INGEST_PER_MINUTE = 6
    program = make.program(make.key("alerts:write"))
    answers = [
        program.post("/api/v1/alerts", alert(n), content_type="application/json").status_code
        for n in range(3)
    ]
    assert answers == [201, 201, 429]


@pytest.mark.django_db
def test_a_person_has_a_bucket_too_and_reading_is_free(still: ManualClock, settings: Settings) -> None:
    settings.QUELL_WEB_PROCESSES = 1
    settings.QUELL_INGEST_PER_MINUTE = 1
    first, second = (make.browser(make.person(Role.ANALYST)) for _ in range(2))
    assert first.post("/api/v1/alerts", alert(1), content_type="application/json").status_code == 201
    assert first.post("/api/v1/alerts", alert(2), content_type="application/json").status_code == 429
    assert second.post("/api/v1/alerts", alert(3), content_type="application/json").status_code == 201
    for _ in range(5):
        answer = first.get("/api/v1/alerts")
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers


@pytest.mark.django_db
def test_whoever_may_not_send_takes_no_token(still: ManualClock, settings: Settings) -> None:
    settings.QUELL_WEB_PROCESSES = 1
    settings.QUELL_INGEST_PER_MINUTE = 1
    program = make.program(make.key("alerts:read"))
    for _ in range(3):
        assert program.post("/api/v1/alerts", alert(), content_type="application/json").status_code == 403
    assert len(throttling.throttle) == 0
