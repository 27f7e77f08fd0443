"""Lists by cursor: every row once, in order, whatever ties, empty values and newcomers there are."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from cases.models import Alert
from lib import clock
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]


@pytest.fixture(autouse=True)
def _doors(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.soc.doors"


@pytest.fixture
def program() -> Client:
    return make.program(make.key())


def alerts(count: int) -> list[Alert]:
    """Alerts with many ties."""
    drawn, at = random.Random(7), clock.now()
    return [
        make.alert(
            severity=drawn.choice([10, 50, 50, 90]),
            at=at - timedelta(minutes=drawn.randrange(3)),
            first_seen_at=None if drawn.random() < 0.4 else at - timedelta(minutes=drawn.randrange(2)),
        )
        for _ in range(count)
    ]


def pages(client: Client, query: str = "") -> list[list[int]]:
    found, url = [], f"/api/v1/queue?{query}"
    while url:
        body: dict[str, Any] = client.get(url).json()
        found.append(body["results"])
        url = body["next"]
    return found


@pytest.mark.parametrize(
    "order",
    [
        "-severity,-last_seen_at",
        "severity,-last_seen_at",
        "last_seen_at",
        "-first_seen_at,severity",
        "first_seen_at,-severity",
        "severity,first_seen_at,-last_seen_at",
        "id",
    ],
)
def test_every_row_once_and_in_order(program: Client, order: str) -> None:
    made = alerts(40)
    found = [pk for page in pages(program, f"order={order}&limit=7") for pk in page]

    def key(alert: Alert) -> tuple[Any, ...]:
        parts: list[Any] = []
        for column in order.split(","):
            value = getattr(alert, column.removeprefix("-"))
            sign = -1 if column.startswith("-") else 1
            number = value.timestamp() if hasattr(value, "timestamp") else value
            parts.append((1, 0) if number is None else (0, sign * number))
        last = -1 if order.rsplit(",", maxsplit=1)[-1].startswith("-") else 1
        return (*parts, last * alert.pk)

    assert found == [alert.pk for alert in sorted(made, key=key)]


def test_a_page_begins_after_the_last_whatever_came_in_between(program: Client) -> None:
    alerts(10)
    first = program.get("/api/v1/queue?limit=5").json()
    make.alert(severity=100)
    Alert.objects.filter(pk=first["results"][0]).delete()
    second = program.get(first["next"]).json()
    assert len(second["results"]) == 5
    assert not set(first["results"]) & set(second["results"])


def test_sizes(program: Client) -> None:
    alerts(8)
    assert [len(page) for page in pages(program)] == [3, 3, 2]
    assert [len(page) for page in pages(program, "limit=1000")] == [7, 1]
    assert [len(page) for page in pages(program, "limit=4")] == [4, 4], "a full last page has no next"


def test_the_next_link_keeps_the_filters(program: Client) -> None:
    alerts(4)
    link = program.get("/api/v1/queue?status=new&status=acknowledged&limit=3").json()["next"]
    assert link.startswith("http://testserver/api/v1/queue?status=new&status=acknowledged&limit=3&cursor=")


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "\u0663", "9" * 30])
def test_a_limit_that_is_none(program: Client, limit: str) -> None:
    response = program.get("/api/v1/queue", {"limit": limit})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/limit"


def test_a_cursor_that_is_none_or_of_another_order(program: Client) -> None:
    alerts(5)
    cursor = program.get("/api/v1/queue").json()["next"].rsplit("cursor=", 1)[1]
    for forged in ("x", cursor[:-1], "a:b:c", "\0", "é"):
        response = program.get("/api/v1/queue", {"cursor": forged})
        assert (response.status_code, response.json()["type"]) == (400, "urn:quell:problem:unknown-cursor")
    assert program.get(f"/api/v1/queue?order=severity&cursor={cursor}").status_code == 400


def test_nothing_is_an_empty_page(program: Client) -> None:
    assert program.get("/api/v1/queue").json() == {"results": [], "next": None}
