"""Two workers and eight due actions at once: each effect exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.db import transaction

from cases.models import Action
from containment import planning
from lib import clock
from tests.containment.world import TERMINAL
from tests.faults.site import Site, fresh, until

pytestmark = pytest.mark.slow


def targets(site: Site) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any], str]]:
    """Eight different things in four accounts: keys, a role's sessions, and an instance in two ways."""
    estate = site.far.estate
    for user in estate["users"]:
        if user["name"] in ("ci-deploy", "marc.oyelaran", "etl-runner", "settlement-batch"):
            key = user["access_keys"][0]["access_key_id"]
            target = {"type": "access_key", "account": user["account"], "region": "eu-west-1", "id": key}
            yield "iam.deactivate-access-key", target, {"user": user["name"]}, "iam:UpdateAccessKey"
    for role in estate["roles"]:
        if role["name"] in ("tracking-api", "lake-loader"):
            target = {"type": "role", "account": role["account"], "region": "eu-west-1", "id": role["name"]}
            yield "iam.revoke-role-sessions", target, {}, "iam:PutRolePolicy"
    for host in estate["instances"]:
        if host["name"] in ("tracking-api", "lake-query"):
            target = {
                "type": "instance",
                "account": host["account"],
                "region": host["region"],
                "id": host["id"],
            }
            yield "ec2.snapshot-volumes", target, {}, "ec2:CreateSnapshots"


def test_two_workers_share_eight_actions(site: Site) -> None:
    aims = list(targets(site))
    assert len(aims) == 8
    both = {site.worker().pid, site.worker().pid}
    for worker in site.workers:
        until(worker.is_up, why=lambda: "a worker did not come up")

    with transaction.atomic():
        actions = [
            planning.propose(
                incident=site.incident,
                type_id=type_id,
                target=target,
                params=params,
                by=site.asks,
                at=clock.now(),
            )
            for type_id, target, params, _ in aims
        ]
    for action in actions:
        site.planned(action)
    with transaction.atomic():
        for action in actions:
            site.approve(action)
    owners: set[int] = set()

    def all_ended() -> bool:
        held = Action.objects.exclude(owner="").values_list("owner", flat=True)
        owners.update(int(owner.split(":")[1]) for owner in held)
        return all(fresh(action).status in TERMINAL for action in actions)

    until(all_ended, why=lambda: "\n".join(site.why(action) for action in actions))

    assert [fresh(action).status for action in actions] == ["verified"] * 8
    assert [site.effects(action) for action in actions] == [[operation] for *_, operation in aims]
    assert owners == both, "only one of them worked"
