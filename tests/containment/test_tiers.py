"""What a tier becomes where, and that it takes two people to change that."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from containment import tiers
from containment.models import TierPolicy
from estate.models import Account, Environment
from identity.actors import Actor
from identity.requests import NotFresh
from lib import clock
from lib.errors import Conflict, Forbidden, Invalid
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import SHIPPING, World

pytestmark = pytest.mark.django_db
STRICTER = {"production": {"1": 2}, "sandbox": {"2": 1}}


def account(environment: str, *, critical: bool = False) -> Account:
    return Account(account_id=make.ACCOUNT, name="x", environment=environment, is_critical=critical)


def made(by: Actor, policy: Any = STRICTER, **given: Any) -> TierPolicy:
    return tiers.propose(
        **{"tiers": policy, "reason": "audit", "by": by, "at": clock.now(), "is_fresh": True, **given}
    )


def decided(policy: TierPolicy, by: Actor, *, yes: bool = True) -> TierPolicy:
    return tiers.decide(ulid=policy.ulid, is_approved=yes, by=by, at=clock.now(), is_fresh=True)


def test_as_delivered_a_sandbox_lowers_critical_production_raises_and_nothing_else_changes() -> None:
    found = {
        (environment, critical, tier): tiers.effective(tier, account(environment, critical=critical))
        for environment in Environment.values
        for critical in (False, True)
        for tier in range(4)
    }
    changed = {where: becomes for where, becomes in found.items() if becomes != where[2]}

    assert changed == {("sandbox", False, 2): 1, ("sandbox", True, 2): 1, ("production", True, 1): 2}


def test_a_version_holds_once_another_lead_has_put_it_into_force(lead: Actor) -> None:
    other, policy = make.person("lead", login="other"), made(lead)

    assert tiers.in_force().version == 0
    with pytest.raises(Forbidden, match="someone else"):
        decided(policy, lead)
    with pytest.raises(Conflict, match="waits already"):
        made(other)
    decided(policy, other)

    assert tiers.in_force() == tiers.InForce(version=1, tiers=STRICTER)
    assert tiers.effective(1, account("production")) == 2
    with pytest.raises(Conflict):
        decided(policy, other, yes=False)


def test_a_version_that_was_turned_down_never_holds(lead: Actor) -> None:
    decided(made(lead), make.person("lead", login="other"), yes=False)

    assert tiers.in_force().version == 0
    assert made(lead).version == 2


def test_only_leads_of_whole_teams_with_a_fresh_sign_in(lead: Actor, admin: Actor, responder: Actor) -> None:
    for by in (admin, responder, make.person("lead", login="part", accounts=[make.ACCOUNT])):
        with pytest.raises(Forbidden):
            made(by)
    with pytest.raises(NotFresh):
        made(lead, is_fresh=False)


@pytest.mark.parametrize(
    "policy",
    [
        {"production": {"2": 1}},
        {"sandbox": {"3": 2}},
        {"sandbox": {"1": 0}},
        {"sandbox": {"2": 4}},
        {"sandbox": {"2": True}},
        {"moon": {"1": 2}},
        {"sandbox": 1},
        ["sandbox"],
    ],
)
def test_what_no_policy_may_say(lead: Actor, policy: Any) -> None:
    with pytest.raises(Invalid):
        made(lead, policy)


def test_a_change_of_policy_between_approval_and_start_is_drift_with_the_higher_tier(
    world: World, lead: Actor
) -> None:
    target, params = SUBJECTS["iam.deactivate-access-key"].aim(world)
    environment = Account.objects.get(account_id=SHIPPING).environment
    action = world.propose("iam.deactivate-access-key", target, params)
    assert (action.tier, (action.plan or {})["facts"]["tier"]["policy"]) == (1, 0)
    world.approve(action)
    decided(made(lead, {environment: {"1": 2}}), make.person("lead", login="other"))

    action = world.drive(action)

    assert (action.status, action.tier, world.wire.sent) == ("drifted", 2, [])
    assert (action.plan or {})["facts"]["tier"]["policy"] == 1
    assert world.drive(world.approve(action)).status == "verified"


def test_sql_cannot_decide_ones_own_version_nor_change_one(lead: Actor) -> None:
    policy, other = made(lead), make.person("lead", login="other")
    decide = "UPDATE containment_tierpolicy SET decided_by_id = %s, decided_at = %s, is_approved = %s"
    for statement, values in (
        (decide, [lead.person_id, clock.now(), True]),
        ("UPDATE containment_tierpolicy SET tiers = %s", ['{"production": {"2": 1}}']),
        ("UPDATE containment_tierpolicy SET proposed_by_id = %s", [other.person_id]),
        ("DELETE FROM containment_tierpolicy", []),
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, values)
    assert TierPolicy.objects.get().ulid == policy.ulid


def test_who_decides_about_a_version_reads_what_it_would_change(lead: Actor) -> None:
    """Also what it leaves out: a place that is not named goes back to what its tiers are called."""
    made(lead, {"production": {"1": 2}, "sandbox": {"2": 1}, "sandbox:critical": {"2": 1}})
    address = reverse("tier-policy")

    page = make.browser(make.person("lead", login="other")).get(address).content.decode()

    shown = " ".join(page.partition("What it changes")[2].partition("</table>")[0].split())
    assert re.findall(
        r'<th scope="row">([^<]+)</th><td class="num">(\d)</td><td class="num"><b>(\d)', shown
    ) == [
        ("Production, tier 1", "1", "2"),
        ("Production, critical, tier 1", "2", "1"),
    ]
    assert shown.count("lower") == 1
    assert "Put version 1 into force" in page
