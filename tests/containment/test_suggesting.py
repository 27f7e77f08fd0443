"""What an account says of itself goes into what is suggested for it."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from containment import suggesting
from containment.named_plans import named_plans
from estate.models import Account
from tests import make
from tests.containment.world import SHIPPING, World

OTHER = "222233334444"


@pytest.fixture
def rolled_out(world: World) -> str:
    """A policy that denies everything, in the shipping account and named in its row."""
    document = {"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    made = world.admin("iam").create_policy(
        PolicyName="quell-deny-all", PolicyDocument=json.dumps(document | {"Version": "2012-10-17"})
    )
    arn: str = made["Policy"]["Arn"]
    Account.objects.filter(account_id=SHIPPING).update(deny_policy=arn)
    return arn


def about(world: World, *things: tuple[str, str], account: str = SHIPPING) -> None:
    make.alert(
        incident=world.incident,
        account=account,
        region="eu-west-1",
        resources=[{"type": kind, "id": name, "arn": "", "role": "target"} for kind, name in things],
    )


def test_a_suggestion_names_the_deny_policy_of_its_account(world: World, rolled_out: str) -> None:
    about(world, ("user", "ci-deploy"), ("role", "tracking-api"))
    about(world, ("user", "somebody"), account=OTHER)

    offered = make.browser(world.asks).get(reverse("api-suggestions", args=[world.incident.ref])).json()

    found = {(one["type"], one["target"]["id"]): one["params"] for one in offered["results"]}
    assert found["iam.deny-user", "ci-deploy"] == {"policy_arn": rolled_out}
    assert found["iam.deny-role", "tracking-api"] == {"policy_arn": rolled_out}
    assert found["iam.deny-user", "somebody"] == {}, "that account rolled none out"
    assert all("policy_arn" not in params for (type_id, _), params in found.items() if "deny" not in type_id)


def test_what_is_suggested_is_planned_with_that_policy(world: World, rolled_out: str) -> None:
    about(world, ("user", "ci-deploy"))
    one = next(one for one in suggesting.suggestions(world.incident) if one.type == "iam.deny-user")

    action = world.apply(one.type, one.target, one.params)

    assert action.status == "verified", action.note
    attached = world.admin("iam").list_attached_user_policies(UserName="ci-deploy")["AttachedPolicies"]
    assert rolled_out in {policy["PolicyArn"] for policy in attached}


def test_a_named_plan_names_it_too(world: World, rolled_out: str) -> None:
    about(world, ("user", "ci-deploy"))

    insider = next(one for one in named_plans(world.incident) if one.plan.id == "malicious-insider")

    assert {one.type: one.params for one in insider.actions}["iam.deny-user"] == {"policy_arn": rolled_out}


def test_a_denial_that_was_asked_for_is_not_offered_again_with_another_policy(
    world: World, rolled_out: str
) -> None:
    about(world, ("user", "ci-deploy"))
    target = {"type": "user", "account": SHIPPING, "region": "", "id": "ci-deploy"}
    assert world.propose("iam.deny-user", target).status == "planned"

    offered = {one.type for one in suggesting.suggestions(world.incident)}

    assert "iam.deny-user" not in offered
    assert "iam.quarantine-user" in offered


def test_the_number_of_queries_does_not_grow_with_the_accounts(
    world: World, django_assert_num_queries: object
) -> None:
    about(world, ("user", "ci-deploy"))
    for account in (OTHER, "333344445555", "666677778888"):
        about(world, ("user", "ci-deploy"), account=account)

    with django_assert_num_queries(3):  # type: ignore[operator]
        suggesting.suggestions(world.incident)
