"""Many actions in one incident, much in force: the pages ask the database no more, and stay short."""

from __future__ import annotations

import re
import time

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cases.models import Action
from containment import pages, plan_views
from lib import ids
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import World

KEY = "iam.deactivate-access-key"
ISOLATE = "ec2.isolate-instance"
MANY, FEW = 500, 5
KEPT = re.compile(r'id="keep-(\w{26})"')

MOST_QUERIES = {
    "incident-containment": 26 + 2 * pages.MOST_PLANS,
    "incident-containment-all": 26 + 2 * pages.MOST_PLANS,
    "incident-approve": 18 + 10 * pages.MOST_PLANS,
    "in-force": 14,
    "action": 26,
}
"""How often each page may ask the database. Whether a plan may be approved takes two, to show it eight."""

SLOWEST_SECONDS = 2.0
"""Of the processor, on one that several tests share."""


def copies(action: Action, number: int, *, is_held: bool = False) -> None:
    """As many rows as the one that the worker planned, each about a thing of its own."""
    rows = []
    for count in range(number):
        row = Action.objects.get(pk=action.pk)
        row.pk, row.ulid = None, ids.ulid()
        row.target = {**action.target, "id": f"{action.target['id'][:-4]}{count:04d}"}
        if is_held:
            row.due_at = row.looked_at = None
        rows.append(row)
    Action.objects.bulk_create(rows)


def asked(client: Client, address: str) -> tuple[int, str, float]:
    """How many queries a page took, the page, and the seconds of the processor."""
    client.get(address)  # sessions and caches
    begun = time.process_time()
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    assert answer.status_code == 200
    return len(queries), answer.content.decode(), time.process_time() - begun


def planned(world: World) -> Action:
    target, params = SUBJECTS[ISOLATE].aim(world)
    return world.propose(ISOLATE, target, params)


@pytest.mark.parametrize("name", ["incident-containment", "incident-containment-all", "incident-approve"])
def test_five_hundred_actions_cost_an_incident_no_more_queries(world: World, name: str) -> None:
    action = planned(world)
    client, address = make.browser(world.approves), reverse(name, args=[world.incident.ref])
    copies(action, pages.MOST_PLANS)
    few, _, _ = asked(client, address)
    copies(action, MANY)

    many, page, seconds = asked(client, address)

    assert many <= few <= MOST_QUERIES[name]
    assert seconds < SLOWEST_SECONDS
    if name == "incident-containment":
        assert len(re.findall(r'<tr>\s*<th scope="row"><a href="/actions/', page)) == pages.MOST
        assert f"All {MANY + pages.MOST_PLANS + 1} actions" in page
    if name == "incident-containment-all":
        assert len(re.findall(r'<tr>\s*<th scope="row"><a href="/actions/', page)) > MANY
    if name == "incident-approve":
        assert page.count("approving__one") == pages.MOST_PLANS
        assert f"{MANY + 1} more wait behind them" in page


def test_five_hundred_neighbours_cost_an_action_no_more_queries(world: World) -> None:
    action = planned(world)
    client, address = make.browser(world.approves), reverse("action", args=[action.ulid])
    copies(action, FEW)
    few, _, _ = asked(client, address)
    copies(action, MANY)

    many, _, seconds = asked(client, address)

    assert many <= few <= MOST_QUERIES["action"]
    assert seconds < SLOWEST_SECONDS


def test_two_hundred_in_force_cost_no_more_queries(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    client, address = make.browser(world.approves), reverse("in-force")
    copies(action, FEW, is_held=True)
    few, _, _ = asked(client, address)
    copies(action, 200, is_held=True)

    many, page, seconds = asked(client, address)

    assert many <= few <= MOST_QUERIES["in-force"]
    assert seconds < SLOWEST_SECONDS
    assert page.count('decide" id="keep-') == plan_views.ROWS
    last = client.get(f"{address}?page=3").content.decode()
    assert "201 to 206 of 206" in last
    assert len({*KEPT.findall(page), *KEPT.findall(last)}) == plan_views.ROWS + 6
