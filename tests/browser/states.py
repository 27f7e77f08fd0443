"""Every state that a containment can stand in on a screen, each brought about by the use-cases.

`build` takes a fresh world and returns where each state is seen. Nothing is written past the use-cases
but the alerts of an incident; what AWS refuses, loses or has changed meanwhile is ordered at the wire.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction

from cases import evidence
from cases.models import Action, Incident
from cases.words import ActionStatus
from containment import approvals, auto_rules, automation, glass, in_force, planning, sweeps, tiers
from containment.auto_rules import Wording
from containment.automation_models import Hold
from lib import clock
from lib.aws import AwsError
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.first import instance
from tests.containment.world import REGION, SHIPPING, Death, World, dying

KEY, ISOLATE, SESSIONS = "iam.deactivate-access-key", "ec2.isolate-instance", "iam.revoke-role-sessions"
DENIED = AwsError("AccessDenied", "with an explicit deny in a service control policy", status=403)
LAKE = "777788889999"
CROWD = 40
LONG = "a-name-that-somebody-chose-when-nobody-thought-of-screens-" * 3

Target = Mapping[str, Any]


def build(world: World) -> dict[str, str]:
    """Where each state is to be seen."""
    seen: dict[str, str] = {}
    for state in (nothing, planned, done, troubled, undone, kept, automated, reviewed, held, running):
        seen.update(state(world))
    return seen


def nothing(world: World) -> dict[str, str]:
    """An incident of which nobody has asked for anything, and one whose alerts name nothing."""
    about_key = _incident(world, "Stolen key of anna.lindqvist", "user", "anna.lindqvist")
    return {
        "panel-nothing-proposed": _panel(about_key),
        "panel-nothing-named": _panel(make.incident(title="A caller says that mail was sent")),
        "evidence-empty": f"/incidents/{about_key.ref}/evidence",
        "approve-nothing": f"/incidents/{about_key.ref}/approve",
    }


def planned(world: World) -> dict[str, str]:
    """Eight plans that wait for one approver, one with a long policy, and one that nobody has made yet."""
    many = _incident(world, "Eight plans for one night", "instance", instance(world)["id"])
    for type_id in (ISOLATE, "ec2.lock-metadata-service", "ec2.remove-public-address", "ec2.stop-instance"):
        _propose(world, many, type_id)
    for bucket, account in (("nf-prod-artifacts", SHIPPING), ("nf-prod-manifests", LAKE)):
        _propose(world, many, "s3.restrict-bucket", _at("bucket", bucket, account))
    _propose(world, many, "iam.deny-role", _at("role", "data-export"))
    _propose(world, many, "vpc.isolate-subnet")
    one = _incident(world, "A bucket whose policy is long", "bucket", "nf-prod-labels")
    _long_policy(world, "nf-prod-labels")
    long = _propose(world, one, "s3.restrict-bucket", _at("bucket", "nf-prod-labels"))
    fresh = planning.propose(
        incident=one,
        type_id="s3.enable-versioning",
        target=_at("bucket", "nf-prod-labels"),
        params={},
        by=world.asks,
        at=clock.now(),
    )
    return {
        "panel-waiting": _panel(many),
        "approve-eight": f"/incidents/{many.ref}/approve",
        "panel-proposed": _panel(one),
        "approve-one-long": f"/incidents/{one.ref}/approve",
        "action-long-policy": _page(long),
        "action-proposed": _page(fresh),
        "action-planned": _page(Action.objects.filter(incident=many, type=ISOLATE).get()),
    }


def done(world: World) -> dict[str, str]:
    """What was verified a moment ago: nothing required stands open."""
    incident = _incident(world, "Stolen key of ci-deploy", "access_key", _key_of(world, "ci-deploy"))
    verified = _apply(world, incident, KEY)
    _apply(world, incident, "iam.revoke-user-sessions", _at("user", "ci-deploy"))
    return {"action-verified": _page(verified), "panel-verified": _panel(incident)}


def troubled(world: World) -> dict[str, str]:
    """What failed, is partly in force, unknown, drifted, refused."""
    incident = _incident(world, "A night on which AWS said no", "role", "tracking-api")
    world.wire.faults[len(world.wire.sent) + 1] = DENIED
    failed = _apply(world, incident, SESSIONS)
    host = _at("instance", _host(world, "label-printer"))
    world.wire.faults[len(world.wire.sent) + 7] = DENIED  # two groups and three rules are made first
    partial = _apply(world, incident, ISOLATE, host)
    for number in range(1, 12):
        world.wire.faults[len(world.wire.sent) + number] = "lost"
    unknown = _apply(world, incident, "iam.deny-role", _at("role", "lake-loader", LAKE))
    world.wire.faults.clear()
    loader = _at("instance", _host(world, "manifest-loader"), LAKE)
    drifted = world.approve(_propose(world, incident, ISOLATE, loader))
    _move_an_interface(world, loader)
    drifted = world.drive(drifted)
    refused = _propose(world, incident, SESSIONS, _at("role", LONG[:60]))
    rejected = _propose(world, incident, "ec2.stop-instance", host)
    approvals.reject(
        action=rejected, reason="The printer is needed until 06:00.", by=world.approves, at=clock.now()
    )
    found = {
        "failed": failed,
        "partial": partial,
        "unknown": unknown,
        "drifted": drifted,
        "refused": refused,
        "rejected": rejected,
    }
    return {"panel-troubled": _panel(incident)} | {
        f"action-{name}": _page(action) for name, action in found.items()
    }


def undone(world: World) -> dict[str, str]:
    """An undo that waits, one that is done, and one that met somebody else's change."""
    incident = _incident(world, "Undone again", "user", "marc.oyelaran")
    marc = _at("user", "marc.oyelaran")
    waiting = world.ask_to_undo(_apply(world, incident, "iam.deny-user", marc))
    gone = _apply(world, incident, "iam.quarantine-user", marc)
    done = world.revert(gone)
    contested = _at("instance", _host(world, "payments-gateway"), "888899990000")
    isolated = _apply(world, incident, ISOLATE, contested)
    _move_an_interface(world, contested)
    conflict = world.revert(isolated)
    return {
        "action-undo-waiting": _page(waiting),
        "action-undo-done": _page(done),
        "action-undone": _page(gone),
        "action-conflict": _page(conflict),
        "panel-undone": _panel(incident),
    }


def held(world: World) -> dict[str, str]:
    """What is in force, with a review that is overdue and others that are far away."""
    standing = Action.objects.filter(status=ActionStatus.VERIFIED, category__in=in_force.HOLDING)
    for number, action in enumerate(standing.filter(reverts__isnull=True)[:3]):
        in_force.keep(
            action=action,
            until=clock.now() + timedelta(minutes=1 + 3000 * number),
            reason="Until the owner has new keys.",
            by=world.approves,
            at=clock.now(),
        )
    world.clock.advance(120)
    return {
        "in-force": "/in-force",
        "in-force-alarms": "/in-force?only=alarms",
        "in-force-overdue": "/in-force?only=overdue",
    }


def running(world: World) -> dict[str, str]:
    """One in the middle of its steps. Last, for any other sweep would carry it to its end."""
    incident = _incident(world, "In the middle of it", "instance", _host(world, "lake-query"))
    host = {**_at("instance", _host(world, "lake-query"), LAKE), "region": "us-east-1"}
    action = world.approve(_propose(world, incident, ISOLATE, host))
    _until_it_dies(world, lambda point, step: point == "called" and step.startswith("isolate-eni"))
    return {"action-applying": _page(action), "panel-applying": _panel(incident)}


def kept(world: World) -> dict[str, str]:
    """Evidence of many kinds, under long names."""
    incident = _incident(world, "Much to keep", "instance", instance(world)["id"])
    capture = _apply(world, incident, "ec2.capture-instance")
    for number in range(20):
        evidence.upload(
            incident=incident,
            name=f"{number:02d}-{LONG}.log"[: 60 + 7 * number],
            media_type="text/plain",
            source=f"{LONG} line {number}"[: 20 + 12 * number],
            chunks=[b"line\n" * (number + 1) * 500],
            by=world.asks,
            at=clock.now(),
            is_sensitive=number % 5 == 0,
        )
    return {"evidence-many": f"/incidents/{incident.ref}/evidence", "action-collected": _page(capture)}


def automated(world: World) -> dict[str, str]:
    """One rule in force, one that waits, one with a long name; and holds."""
    lead, other = world.approves, world.also_approves
    assert other
    for name, type_id, is_live in (
        ("Keys that are used from elsewhere", "UnauthorizedAccess:IAMUser/*", True),
        ("Hosts that speak to their masters", "Backdoor:EC2/*", False),
        (LONG[:118], "CryptoCurrency:EC2/BitcoinTool.B!DNS", False),
    ):
        wording = Wording(
            name=name,
            type=type_id,
            min_severity=70,
            environments=("production", "sandbox"),
            action_types=(KEY, "iam.revoke-user-sessions", "iam.quarantine-user"),
            max_tier=1,
            per_hour=5,
            per_account=3,
            expires_at=clock.now() + timedelta(days=60),
        )
        rule = auto_rules.create(wording=wording, team=make.team(), by=lead, at=clock.now())
        if is_live:
            auto_rules.approve(rule=rule, seen=rule.version, by=other, at=clock.now(), is_fresh=True)
    return {"automation": "/automation", "automation-rule-new": "/automation/rules/new"}


def reviewed(world: World) -> dict[str, str]:
    """A broken glass that was reviewed, one that waits, and versions of the tier policy."""
    incident = _incident(world, "Nobody answered the telephone", "role", "data-export")
    lead, other = world.approves, world.also_approves
    assert other
    for number, type_id in enumerate(("iam.deny-role", "iam.lock-role-trust")):
        action = _propose(world, incident, type_id, _at("role", "data-export"))
        glass.break_glass(
            action=action,
            plan_hash=action.plan_hash,
            reason="The approver does not answer, and the role is copying data now.",
            typed=str(action.target["id"]),
            by=lead,
            at=clock.now(),
            is_fresh=True,
        )
        if number == 0:
            (review,) = glass.reviews_for(other)
            glass.review(
                ulid=review.ulid,
                is_justified=True,
                finding="Two calls were tried and written down; the copying stopped at 02:41.",
                by=other,
                at=clock.now(),
            )
    delivered = tiers.in_force().tiers
    for reason, place in (
        ("Staging holds copies of production now.", "staging"),
        ("And so does development; sandboxes are only ever ours.", "development"),
    ):
        tiers.propose(
            tiers={**delivered, place: {"1": 2, "2": 3}},
            reason=reason,
            by=lead,
            at=clock.now(),
            is_fresh=True,
        )
        waiting = tiers.versions()[0]
        if reason.startswith("Staging"):
            tiers.decide(ulid=waiting.ulid, is_approved=True, by=other, at=clock.now(), is_fresh=True)
    return {"reviews": "/containment/reviews", "policy": "/containment/policy"}


# --- how they come about ------------------------------------------------------------------------------


def _incident(world: World, title: str, kind: str, thing: str) -> Incident:
    """An incident with one alert that names one thing, owned by whoever asks."""
    account = _account_of(world, kind, thing)
    incident: Incident = make.incident(title=title, owner=world.asks, account=account)
    resources = [{"type": kind, "id": thing, "role": "target"}]
    if kind == "access_key":
        resources.append({"type": "user", "id": "ci-deploy"})
    make.alert(incident=incident, account=account, title=title, resources=resources)
    return incident


def _account_of(world: World, kind: str, thing: str) -> str:
    lists = {"user": "users", "role": "roles", "bucket": "buckets", "instance": "instances"}
    named = [
        one for one in world.estate.get(lists.get(kind, ""), []) if thing in (one["name"], one.get("id"))
    ]
    return str(named[0]["account"]) if named else SHIPPING


def _propose(world: World, incident: Incident, type_id: str, target: Target | None = None) -> Action:
    aimed, params = SUBJECTS[type_id].aim(world)
    arrange = SUBJECTS[type_id].arrange
    if arrange and target is None:
        arrange(world)
    world.incident = incident
    return world.propose(type_id, target or aimed, {} if target else params)


def _apply(world: World, incident: Incident, type_id: str, target: Target | None = None) -> Action:
    return world.drive(world.approve(_propose(world, incident, type_id, target)))


def _at(kind: str, thing: str, account: str = SHIPPING) -> Target:
    return {"type": kind, "account": account, "region": REGION, "id": thing}


def _host(world: World, name: str) -> str:
    return str(next(one["id"] for one in world.estate["instances"] if one["name"] == name))


def _key_of(world: World, name: str) -> str:
    user = next(one for one in world.estate["users"] if one["name"] == name)
    return str(user["access_keys"][0]["access_key_id"])


def _panel(incident: Incident) -> str:
    return f"/incidents/{incident.ref}/containment"


def _page(action: Action) -> str:
    return f"/actions/{action.ulid}"


def _until_it_dies(world: World, at: Callable[[str, str], bool]) -> None:
    """Let the worker go on until it dies there; it leaves behind what is seen in that moment."""
    with dying(at) as died:
        while not died:
            with contextlib.suppress(Death):
                sweeps.run_due_actions()
            world.clock.advance(1)


def _move_an_interface(world: World, host: Target) -> None:
    """Somebody else puts an interface of a machine into the default group of its network."""
    ec2 = world.admin("ec2", host["account"])
    machine = next(one for one in world.estate["instances"] if one["id"] == host["id"])
    groups = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [machine["vpc"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"]
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=machine["interfaces"][0]["id"], Groups=[groups[0]["GroupId"]]
    )


def _long_policy(world: World, bucket: str) -> None:
    """Thirty statements, as a bucket has after ten years."""
    statements = [
        {
            "Sid": f"Reader{number:02d}",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{LAKE}:role/lake-loader"},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/years/{2000 + number}/*"],
        }
        for number in range(30)
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    world.admin("s3").put_bucket_policy(Bucket=bucket, Policy=policy)


def crowd(world: World) -> None:
    """Many things that automation leaves alone, and as many notices for a lead."""
    for number in range(CROWD):
        at = clock.now() - timedelta(minutes=number)
        Hold.objects.create(
            team=make.team(),
            account=SHIPPING,
            thing=f"user/{LONG[: 20 + number]}",
            finding="UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
            cause=f"alert:{number}",
            reason="dismissed as benign",
            placed_by="analyst",
            placed_at=at,
        )
        make.inbox_item(
            world.approves,
            title=f"{number + 1}. {LONG[: 40 + 3 * number]}",
            detail="A plan waits for your approval." if number % 3 else "",
            severity=20 + 2 * number,
        )


def stop_automation(world: World) -> None:
    """Somebody pulls the switch."""
    auto_rules.stop(reason="The scanner is being replaced.", by=world.asks, at=clock.now())


def open_breaker(world: World) -> None:
    """The switch is reset, and then a rule spends more than its budget."""
    auto_rules.resume(reason="Replaced.", by=world.approves, at=clock.now(), is_fresh=True)
    rule = auto_rules.rules_for(world.approves).filter(approved_by__isnull=False).get()
    with transaction.atomic():
        assert automation.open_breaker(rule, f"{rule.name} wanted a sixth action in an hour", at=clock.now())


def reject_one(world: World, panel: str) -> None:
    """Somebody else turns down a plan of the incident that a panel shows."""
    action = Action.objects.filter(incident__ref=panel.split("/")[2], status=ActionStatus.PLANNED).earliest(
        "pk"
    )
    other = world.also_approves
    assert other
    approvals.reject(action=action, reason="Not this one.", by=other, at=clock.now())


def approve_at(world: World, page: str) -> None:
    """Somebody else approves the plan that a page shows."""
    action = Action.objects.get(ulid=page.rpartition("/")[2])
    other = world.also_approves
    assert other
    approvals.approve(action=action, plan_hash=action.plan_hash, by=other, at=clock.now(), is_fresh=True)
