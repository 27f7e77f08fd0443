"""Named plans, several approvals at once, what must be contained, and what is in force."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cases.models import Action, Incident
from cases.words import ActionStatus
from containment import coverage, in_force, named_plans, requiring, suggesting, sweeps
from containment.actions import catalogue
from containment.fitting import FITS
from identity.actors import Actor
from lib import clock
from lib.errors import Conflict, Forbidden, Invalid, NotFound
from notify.models import Notice
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import SHIPPING, World

KEY = "iam.deactivate-access-key"


def about_key(world: World) -> Incident:
    """Let the incident's alert name the stolen key and its user."""
    target, params = SUBJECTS[KEY].aim(world)
    resources = [{"type": "access_key", "id": target["id"]}, {"type": "user", "id": params["user"]}]
    kind = "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom"
    make.alert(incident=world.incident, account=SHIPPING, resources=resources, type=kind)
    return world.incident


@pytest.mark.fast
def test_every_type_that_is_offered_is_in_the_catalogue() -> None:
    known = {declared.id: declared for declared in catalogue()}
    offered = {fit.type for fits in FITS.values() for fit in fits}
    offered |= {part.type for plan in named_plans.PLANS for part in plan.parts}

    assert offered <= set(known)
    pairs = {one for declared in known.values() for one in declared.pairs_with}
    assert pairs <= set(known)
    for enough in coverage.ENOUGH.values():
        assert enough <= set(known)


@pytest.mark.fast
def test_every_offer_is_about_the_kind_of_target_that_its_type_takes() -> None:
    from containment.tainted import Naming, Thing

    known = {declared.id: declared for declared in catalogue()}
    for kind, fits in FITS.items():
        things = [
            Thing(kind=one, id=f"x-{one}", account="1" * 12, region="eu-west-1") for one in (kind, "user")
        ]
        things += [
            Thing(kind="role", id="r", account="1" * 12, region="eu-west-1"),
            Thing(kind="role_session", id="AROA:session", account="1" * 12, region="eu-west-1"),
        ]
        named = Naming(
            alert_type="T",
            account="1" * 12,
            region="eu-west-1",
            things=tuple(things),
            addresses=("198.51.100.7",),
            domains=(),
        )
        for fit in fits:
            for thing in things:
                if thing.kind != kind:
                    continue
                for aim in fit.aims(thing, named):
                    declared = known[fit.type]
                    assert aim.kind == declared.target, (fit.type, aim)
                    from containment.parameters import check

                    check(declared.params, aim.params)


def test_a_named_plan_expands_to_single_actions_evidence_first(world: World) -> None:
    incident = about_key(world)

    first = named_plans.named_plans(incident)[0]

    assert first.plan.id == "compromised-access-key"
    assert first.is_likely
    assert [one.type for one in first.actions][:2] == ["iam.capture-principal", KEY]
    assert first.tier == 1


def test_all_of_a_plan_is_asked_for_at_once_and_read_and_approved_at_once(world: World) -> None:
    incident = about_key(world)
    client = make.browser(world.asks)
    page = client.get(reverse("incident-containment", args=[incident.ref])).content.decode()
    form = page.partition('id="plan-compromised-access-key"')[2].partition("</form>")[0]
    picks = re.findall(r'name="pick" value="([0-9a-f]{16})" checked', form)
    assert len(picks) == 4

    answer = client.post(reverse("action-propose", args=[incident.ref]), {"pick": picks})
    assert answer["Location"] == reverse("incident-containment", args=[incident.ref]) + "#actions"
    for _ in range(4):
        sweeps.run_due_actions()
        world.clock.advance(60)
    assert Action.objects.count() == 4

    waiting = client.get(reverse("incident-approve", args=[incident.ref])).content.decode()
    plans = re.findall(r'name="plan" value="([^"]+)" checked', waiting)
    assert len(plans) == 3, "evidence of tier 0 needs no approval"
    assert waiting.count("What this does not stop") == 3
    done = client.post(reverse("incident-approve", args=[incident.ref]), {"plan": plans})
    assert done.status_code == 302
    for action in Action.objects.all():
        assert world.drive(action).status == ActionStatus.VERIFIED, action.note
    rows = coverage.coverage(Incident.objects.get(pk=incident.pk))
    assert not any(row.is_open for row in rows)


def test_a_plan_that_changed_under_the_reader_is_told_and_the_others_are_approved(world: World) -> None:
    incident = about_key(world)
    target, params = SUBJECTS[KEY].aim(world)
    one = world.propose(KEY, target, params)
    two = world.propose("iam.revoke-user-sessions", {**target, "type": "user", "id": params["user"]})
    client = make.browser(world.asks)

    client.post(
        reverse("incident-approve", args=[incident.ref]),
        {"plan": [f"{one.ulid}:{'0' * 64}", f"{two.ulid}:{two.plan_hash}"]},
    )
    page = client.get(reverse("incident-containment", args=[incident.ref])).content.decode()

    assert world.fresh(one).status == ActionStatus.PLANNED
    assert world.fresh(two).status == ActionStatus.APPROVED
    assert "Not approved" in page
    assert "Approved 1 of 2" in page


def test_the_outsider_and_the_viewer_approve_nothing(world: World, outsider: Actor) -> None:
    incident = about_key(world)
    target, params = SUBJECTS[KEY].aim(world)
    action = world.propose(KEY, target, params)
    address, body = (
        reverse("incident-approve", args=[incident.ref]),
        {"plan": f"{action.ulid}:{action.plan_hash}"},
    )

    assert make.browser(outsider).post(address, body).status_code == 404
    viewer = make.browser(make.person("viewer"))
    assert "Nothing waits here" in viewer.get(address).content.decode()
    viewer.post(address, body)
    assert world.fresh(action).status == ActionStatus.PLANNED


def test_what_was_asked_for_is_not_offered_again_with_the_same_parameters(world: World) -> None:
    incident = about_key(world)
    offered = {one.key: one for one in suggesting.suggestions(incident)}
    one = next(o for o in offered.values() if o.type == "iam.revoke-user-sessions")
    world.propose(one.type, one.target, one.params)

    again = {o.key for o in suggesting.suggestions(incident)}

    assert one.key not in again
    assert set(offered) - again == {one.key}


# --- what must be contained ---------------------------------------------------------------------------


def test_a_person_decides_that_a_target_need_not_be_contained_and_contained_follows(world: World) -> None:
    incident = about_key(world)
    make.alert(incident=incident, account=SHIPPING, resources=[{"type": "role", "id": "billing"}])
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    incident.refresh_from_db()
    assert incident.contained_at is None

    decide(world, incident, is_required=False, reason="A synthetic role of the drill.")
    incident.refresh_from_db()
    assert incident.contained_at == action.verified_at
    row = next(row for row in coverage.coverage(incident) if row.kind == "role")
    assert (row.is_required, row.chosen_by) == (False, "Approves")
    assert row.why == "A synthetic role of the drill."

    decide(world, incident, is_required=True, reason="It is real after all.")
    incident.refresh_from_db()
    assert incident.contained_at is None


def decide(
    world: World, incident: Incident, *, is_required: bool, reason: str, target: str = "billing"
) -> None:
    requiring.choose(
        incident=incident,
        kind="role",
        target=target,
        account=SHIPPING,
        is_required=is_required,
        reason=reason,
        by=world.approves,
        at=clock.now(),
    )


def test_deciding_needs_a_reason_a_tainted_target_and_the_right(world: World) -> None:
    incident = about_key(world)
    make.alert(incident=incident, account=SHIPPING, resources=[{"type": "role", "id": "billing"}])
    with pytest.raises(Invalid):
        decide(world, incident, is_required=False, reason="  ")
    with pytest.raises(NotFound):
        decide(world, incident, is_required=False, reason="x", target="nobody")
    world.approves = make.person("analyst")
    with pytest.raises(Forbidden):
        decide(world, incident, is_required=False, reason="x")


def test_a_tainted_target_that_comes_later_takes_contained_back(world: World) -> None:
    incident = about_key(world)
    world.apply(KEY, *SUBJECTS[KEY].aim(world))
    incident.refresh_from_db()
    assert incident.contained_at
    make.alert(incident=incident, account=SHIPPING, resources=[{"type": "instance", "id": "i-0123456789"}])
    Incident.objects.filter(pk=incident.pk).update(updated_at=clock.now())

    assert sweeps.review_due() == 1

    assert Incident.objects.get(pk=incident.pk).contained_at is None
    assert sweeps.review_due() == 0


def test_a_bucket_beside_a_stolen_key_is_not_required_and_one_alone_is(world: World) -> None:
    incident = about_key(world)
    beside = [{"type": "access_key", "id": "AKIAX"}, {"type": "bucket", "id": "beside"}]
    make.alert(incident=incident, account=SHIPPING, resources=beside)
    make.alert(incident=incident, account=SHIPPING, resources=[{"type": "bucket", "id": "alone"}])

    rows = {row.id: row for row in coverage.coverage(incident)}

    assert not rows["beside"].is_required
    assert "AKIAX" in rows["beside"].why
    assert rows["alone"].is_open
    assert rows["alone"].destination.state == "open"


# --- in force -----------------------------------------------------------------------------------------


def test_what_is_in_force_is_listed_with_its_review_and_its_place_in_undoing(world: World) -> None:
    about_key(world)
    target, params = SUBJECTS[KEY].aim(world)
    first = world.apply(KEY, target, params)
    world.clock.advance(60)
    second = world.apply("iam.revoke-user-sessions", {**target, "type": "user", "id": params["user"]})

    held = in_force.holdings(world.asks, at=clock.now())

    assert {row.action.pk: row.lift for row in held.rows} == {first.pk: 2, second.pk: 1}
    assert (held.overdue, held.alarms) == (0, 0)
    page = make.browser(world.asks).get(reverse("in-force")).content.decode()
    assert first.ulid in page
    assert second.ulid in page


def test_a_review_that_is_due_rings_once_and_keeping_moves_it_on(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    assert action.review_at
    world.clock.move_to(action.review_at + timedelta(minutes=1))
    sweeps.review_due()
    sweeps.review_due()
    assert Notice.objects.filter(kind="action.review-due").count() == 1
    assert in_force.holdings(world.asks, at=clock.now(), only="overdue").rows

    until = clock.now() + timedelta(days=7)
    in_force.keep(
        action=world.fresh(action), until=until, reason="Still hunting.", by=world.asks, at=clock.now()
    )

    assert world.fresh(action).review_at == until
    assert not in_force.holdings(world.asks, at=clock.now(), only="overdue").rows
    assert world.incident.timeline.filter(kind="action.kept").exists()


def test_keeping_needs_a_reason_a_date_and_something_in_force(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    now = clock.now()
    with pytest.raises(Invalid, match="why"):
        in_force.keep(action=action, until=now + timedelta(days=1), reason="", by=world.asks, at=now)
    for until in (now, now + timedelta(days=91)):
        with pytest.raises(Invalid, match="90 days"):
            in_force.keep(action=action, until=until, reason="x", by=world.asks, at=now)
    with pytest.raises(Forbidden):
        in_force.keep(
            action=action, until=now + timedelta(days=1), reason="x", by=make.person("analyst"), at=now
        )
    world.revert(action)
    with pytest.raises(Conflict):
        in_force.keep(
            action=world.fresh(action),
            until=clock.now() + timedelta(days=1),
            reason="x",
            by=world.asks,
            at=now,
        )


def test_the_outsider_sees_nothing_in_force(world: World, outsider: Actor) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))

    page = make.browser(outsider).get(reverse("in-force")).content.decode()

    assert action.ulid not in page
    assert "Nothing is in force" in page
    keep = make.browser(outsider).post(reverse("action-keep", args=[action.ulid]), {"until": "x"})
    assert keep.status_code == 404


def test_what_only_helps_is_shown_as_open_and_partly_stopped(world: World) -> None:
    target, params = SUBJECTS[KEY].aim(world)
    make.alert(incident=world.incident, account=SHIPPING, resources=[{"type": "user", "id": params["user"]}])
    helping = world.apply("iam.quarantine-user", {**target, "type": "user", "id": params["user"]})
    assert helping.status == ActionStatus.VERIFIED, helping.note

    row = coverage.coverage(world.incident)[0]
    page = make.browser(world.asks).get(reverse("incident-containment", args=[world.incident.ref]))

    assert (row.technique.state, row.is_open) == ("partly", True)
    assert "Open, partly stopped" in page.content.decode()
    assert "Coverage complete" not in page.content.decode()


def test_a_decision_about_coverage_is_never_changed_in_the_database(world: World) -> None:
    incident = about_key(world)
    make.alert(incident=incident, account=SHIPPING, resources=[{"type": "role", "id": "billing"}])
    decide(world, incident, is_required=False, reason="A drill.")

    for statement in (
        "UPDATE containment_coveragechoice SET is_required = NULL",
        "DELETE FROM containment_coveragechoice",
    ):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_in_force_costs_the_same_queries_and_finds_the_alarm_behind_a_thousand_rows(world: World) -> None:
    def fill(count: int) -> None:
        Action.objects.bulk_create(
            Action(
                incident=world.incident,
                type=KEY,
                target={"type": "access_key", "account": SHIPPING, "region": "", "id": f"AKIA{n:016}"},
                category="technique",
                tier=1,
                status=ActionStatus.VERIFIED,
                requested_label="someone",
                requested_at=clock.now(),
                review_at=clock.now() + timedelta(hours=n + 1),
                updated_at=clock.now(),
            )
            for n in range(count)
        )

    def cost() -> tuple[int, str]:
        with CaptureQueriesContext(connection) as asked:
            page = client.get(reverse("in-force")).content.decode()
        return len(asked), page

    client = make.browser(world.asks)
    fill(3)
    client.get(reverse("in-force"))
    few, _ = cost()
    fill(1000)
    last = Action.objects.order_by("-review_at").first()
    assert last
    Action.objects.filter(pk=last.pk).update(alarm="someone switched it on again")
    many, page = cost()

    assert many == few <= 20
    assert "503 more are not shown" in page
    alarms = client.get(reverse("in-force") + "?only=alarms").content.decode()
    assert "someone switched it on again" in alarms
    assert last.ulid in alarms
