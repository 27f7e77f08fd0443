"""Approvals, taken one by one: who may, what takes them back, break-glass, and what SQL may not do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, connection, transaction

from cases.models import Action
from containment import approvals, calling, execution, glass, planning, sweeps, voiding
from containment.models import Approval, GlassReview, Voiding
from containment.types import Plan, plain
from estate.models import Account, Mode
from identity.actors import Actor, of_user
from identity.models import Membership, Person, User
from lib import clock
from lib.errors import Conflict, Forbidden, Invalid
from notify.models import Delivery, Notice
from tests import make

pytestmark = pytest.mark.django_db

INSTANCE = {"type": "instance", "account": make.ACCOUNT, "region": "eu-west-1", "id": "i-0123456789abcdef0"}
ALONE = "nobody who may approve can be reached"
EMPTY = plain(Plan(steps=()))


@pytest.fixture
def started() -> Iterator[list[str]]:
    """The actions that came to their first call; what comes after is not the matter here."""
    found: list[str] = []

    def made(action: Action, declared: Any) -> planning.Planned:
        assert isinstance(EMPTY, dict)
        return planning.Planned(plan=EMPTY, digest=planning.hash_of(action, EMPTY))

    with (
        mock.patch.object(planning, "make_plan", made),
        mock.patch.object(planning, "_affects", return_value={"found": [], "incomplete": ""}),
        mock.patch.object(execution, "_carry_out", lambda turn: found.append(turn.action.ulid)),
    ):
        yield found


def waiting(asks: Actor, *, tier: int = 2) -> Action:
    """A planned action that waits for approval."""
    if not Account.objects.exists():
        make.account(mode=Mode.APPROVE)
    now = clock.now()
    action = Action.objects.create(
        incident=make.incident(),
        type="ec2.isolate-instance",
        target=INSTANCE,
        category="source",
        tier=tier,
        requested_by_id=asks.person_id,
        requested_label=asks.label,
        requested_at=now,
        due_at=now,
        updated_at=now,
    )
    sweeps.run_due_actions()
    return fresh(action)


def person_of(actor: Actor) -> Person:
    return Person.objects.get(ulid=actor.person_ulid)


def fresh(action: Action) -> Action:
    return Action.objects.select_related("incident").get(pk=action.pk)


def say_yes(action: Action, by: Actor) -> Action:
    return approvals.approve(
        action=fresh(action), plan_hash=action.plan_hash, by=by, at=clock.now(), is_fresh=True
    )


def test_a_second_login_of_the_same_person_does_not_approve(
    started: list[str], lead: Actor, responder: Actor
) -> None:
    action = waiting(lead)
    person = person_of(lead)
    other = of_user(User.objects.create(username="lead-admin", person=person))

    with pytest.raises(Forbidden, match="someone else must approve"):
        say_yes(action, other)
    assert not Approval.objects.exists()


def test_tier_three_needs_two_persons_besides_who_asked(started: list[str], lead: Actor) -> None:
    action = waiting(lead, tier=3)
    one, two = make.person("approver", login="one"), make.person("lead", login="two")

    assert say_yes(action, one).status == "planned"
    assert say_yes(action, one).status == "planned", "once more is the same yes"
    assert say_yes(action, two).status == "approved"
    sweeps.run_due_actions()
    assert started == [action.ulid]


def test_a_role_that_was_lost_before_the_start_sends_the_plan_back(
    started: list[str], responder: Actor, approver: Actor
) -> None:
    action = say_yes(waiting(responder), approver)
    Membership.objects.filter(person=person_of(approver)).update(role="viewer")

    sweeps.run_due_actions()

    action = fresh(action)
    assert (action.status, action.approved_hash, started) == ("planned", "", [])
    assert "may not approve this any more" in action.note
    assert Voiding.objects.get().approval.person_id == approver.person_id


def test_a_login_that_was_closed_before_the_start_sends_the_plan_back(
    started: list[str], responder: Actor, approver: Actor
) -> None:
    action = say_yes(waiting(responder), approver)
    User.objects.filter(person=person_of(approver)).update(is_active=False)

    sweeps.run_due_actions()

    assert (fresh(action).status, started) == ("planned", [])


def test_an_approval_is_taken_back_before_the_start_and_given_again(
    started: list[str], responder: Actor, approver: Actor
) -> None:
    action = say_yes(waiting(responder), approver)

    approvals.revoke(action=fresh(action), reason="wrong host", by=approver, at=clock.now())
    sweeps.run_due_actions()
    assert (fresh(action).status, started) == ("planned", [])

    assert say_yes(fresh(action), approver).status == "approved"
    assert sorted(Approval.objects.values_list("nth", flat=True)) == [0, 1]
    sweeps.run_due_actions()
    assert started == [action.ulid]
    with pytest.raises(Conflict, match="undone, not taken back"):
        approvals.revoke(action=fresh(action), reason="late", by=approver, at=clock.now())


def test_a_colleague_takes_back_only_with_the_right_to_decide(
    started: list[str], responder: Actor, approver: Actor, analyst: Actor, lead: Actor
) -> None:
    action = say_yes(waiting(responder), approver)

    with pytest.raises(Forbidden):
        approvals.revoke(action=fresh(action), reason="no", by=analyst, at=clock.now())
    approvals.revoke(action=fresh(action), reason="no", by=lead, at=clock.now())

    assert fresh(action).status == "planned"


def test_an_approval_does_not_last_for_ever(started: list[str], responder: Actor, approver: Actor) -> None:
    action = say_yes(waiting(responder), approver)
    Action.objects.filter(pk=action.pk).update(approved_at=clock.now() - timedelta(hours=2))

    sweeps.run_due_actions()

    assert (fresh(action).status, started) == ("planned", [])


# --- break-glass -------------------------------------------------------------------------------------


def broken(action: Action, by: Actor, **given: Any) -> Action:
    asked = {"reason": ALONE, "typed": INSTANCE["id"], "plan_hash": action.plan_hash, **given}
    return glass.break_glass(action=fresh(action), by=by, at=clock.now(), is_fresh=True, **asked)


def test_break_glass_starts_alone_loudly_and_waits_for_another_persons_review(
    started: list[str], responder: Actor, lead: Actor, outsider: Actor
) -> None:
    action = waiting(responder)

    assert broken(action, responder).status == "approved"
    sweeps.run_due_actions()

    assert started == [action.ulid]
    notice = Notice.objects.get(kind="break-glass")
    assert (notice.severity, ALONE in notice.detail) == (90, True)
    assert list(Delivery.objects.filter(notice=notice).values_list("person_id", flat=True)) == [
        lead.person_id
    ]
    review = GlassReview.objects.get()
    assert review.due_at - review.approval.at == timedelta(hours=24)
    with pytest.raises(Forbidden):
        glass.review(ulid=review.ulid, is_justified=True, finding="fine", by=responder, at=clock.now())
    done = glass.review(ulid=review.ulid, is_justified=False, finding="I was there", by=lead, at=clock.now())
    assert (done.reviewer_id, done.is_justified) == (lead.person_id, False)
    with pytest.raises(Conflict):
        glass.review(ulid=review.ulid, is_justified=True, finding="changed", by=lead, at=clock.now())


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"reason": "urgent"}, Invalid),
        ({"typed": "i-0"}, Invalid),
        ({"plan_hash": "0" * 64}, Conflict),
    ],
)
def test_break_glass_needs_reason_target_and_plan(
    started: list[str], responder: Actor, given: dict[str, str], refusal: type[Exception]
) -> None:
    action = waiting(responder)

    with pytest.raises(refusal):
        broken(action, responder, **given)

    assert (fresh(action).status, GlassReview.objects.count()) == ("planned", 0)


def test_break_glass_is_not_for_tier_three_nor_for_every_role(
    started: list[str], responder: Actor, analyst: Actor, approver: Actor
) -> None:
    with pytest.raises(Forbidden, match="two persons"):
        broken(waiting(responder, tier=3), responder)
    action = waiting(responder)
    for by in (analyst, approver):
        with pytest.raises(Forbidden):
            broken(action, by)


def test_a_review_that_is_overdue_rings_once(started: list[str], responder: Actor, lead: Actor) -> None:
    broken(waiting(responder), responder)
    later = clock.now() + timedelta(hours=25)

    assert (glass.ring_overdue(later), glass.ring_overdue(later)) == (1, 0)
    assert Notice.objects.filter(kind="break-glass").count() == 2


# --- ringing for an approval ---------------------------------------------------------------------------


def test_a_plan_that_waits_rings_one_approver_after_another_and_never_who_asked(
    started: list[str], lead: Actor, approver: Actor, analyst: Actor, outsider: Actor
) -> None:
    action = waiting(lead)
    other = make.person("lead", login="other")
    rung: list[list[int]] = []

    for minutes in (0, 4, 6, 7, 12, 20):
        calling.ring_due(clock.now() + timedelta(minutes=minutes))
        rows = Delivery.objects.filter(notice__kind="approval-waits", notice__subject=action.ulid)
        rung.append(list(rows.order_by("pk").values_list("person_id", flat=True)))

    first, second = [approver.person_id], [approver.person_id, other.person_id]
    assert rung == [[], [], first, first, second, second]


def test_a_plan_that_nobody_may_carry_out_rings_nobody(
    started: list[str], lead: Actor, approver: Actor
) -> None:
    waiting(lead)
    Account.objects.update(mode=Mode.OBSERVE)

    rung = [calling.ring_due(clock.now() + timedelta(minutes=minutes)) for minutes in (0, 6, 12)]

    assert rung == [0, 0, 0]


# --- what SQL may not do -----------------------------------------------------------------------------


def sql(statement: str, *values: Any) -> None:
    """As the application's own role, around all of its code."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def put_approval(action: Action, by: Actor, **given: Any) -> None:
    row = {
        "action_id": action.pk,
        "plan_hash": action.plan_hash,
        "person_id": by.person_id,
        "login": by.label,
        "decision": "approve",
        "nth": 0,
        "reason": "",
        "at": clock.now(),
        **given,
    }
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    sql(f"INSERT INTO containment_approval ({names}) VALUES ({marks})", *row.values())  # noqa: S608


def test_sql_cannot_approve_ones_own_plan_by_whatever_login(started: list[str], lead: Actor) -> None:
    action = waiting(lead)
    person = person_of(lead)
    User.objects.create(username="lead-admin", person=person)

    for login in (lead.label, "lead-admin"):
        with pytest.raises(IntegrityError, match="does not approve"):
            put_approval(action, lead, login=login)
    assert not Approval.objects.exists()


def test_sql_cannot_put_an_approval_into_somebody_elses_mouth(
    started: list[str], lead: Actor, approver: Actor, analyst: Actor
) -> None:
    action = waiting(lead)
    attempts: list[Callable[[], None]] = [
        lambda: put_approval(action, approver, login=lead.label),
        lambda: put_approval(action, analyst),
        lambda: put_approval(action, approver, plan_hash="0" * 64),
        lambda: put_approval(action, approver, nth=1),
        lambda: put_approval(action, lead, decision="break-glass", reason="short"),
        lambda: put_approval(action, approver, decision="break-glass", reason=ALONE),
    ]
    for attempt in attempts:
        with pytest.raises(IntegrityError, match="guard: "):
            attempt()
    put_approval(action, approver)  # what is left is what an approver may do anyway


def test_sql_cannot_start_or_rewrite_an_action(
    started: list[str], lead: Actor, approver: Actor, responder: Actor
) -> None:
    action, irreversible = waiting(responder), waiting(responder, tier=3)
    put_approval(irreversible, approver)
    approved = say_yes(waiting(responder), approver)
    attempts = [
        ("UPDATE cases_action SET status = 'approved', approved_hash = plan_hash WHERE id = %s", action.pk),
        (
            "UPDATE cases_action SET status = 'approved', approved_hash = plan_hash WHERE id = %s",
            irreversible.pk,
        ),
        ("UPDATE cases_action SET status = 'applying' WHERE id = %s", action.pk),
        ("UPDATE cases_action SET status = 'applied' WHERE id = %s", action.pk),
        ("UPDATE cases_action SET tier = 0 WHERE id = %s", action.pk),
        ("UPDATE cases_action SET requested_by_id = NULL WHERE id = %s", action.pk),
        ("UPDATE cases_action SET plan_hash = 'x', approved_hash = 'x' WHERE id = %s", approved.pk),
        ("UPDATE cases_action SET target = '{}' WHERE id = %s", approved.pk),
        ("UPDATE containment_approval SET decision = 'reject' WHERE action_id = %s", approved.pk),
        ("DELETE FROM containment_approval WHERE action_id = %s", approved.pk),
    ]
    for statement, pk in attempts:
        with pytest.raises(IntegrityError, match="guard: "):
            sql(statement, pk)
    assert fresh(approved).status == "approved"


def test_sql_cannot_review_ones_own_broken_glass(started: list[str], lead: Actor) -> None:
    broken(waiting(lead), lead)

    with pytest.raises(IntegrityError, match="another person reviews"):
        sql(
            "UPDATE containment_glassreview SET reviewer_id = %s, reviewed_at = %s, is_justified = %s",
            lead.person_id,
            clock.now(),
            True,
        )


# --- at once -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_hundred_approvals_and_turns_at_once_are_one_execution(started: list[str]) -> None:
    action = waiting(make.person("responder", login="asks"))
    people = [make.person("lead", login=f"lead-{number}") for number in range(5)]
    gate, failures = threading.Barrier(20), []

    def take_part(number: int) -> None:
        gate.wait()
        try:
            for turn in range(10):
                try:
                    if (number + turn) % 2:
                        say_yes(action, people[number % 5])
                    else:
                        sweeps.run_due_actions()
                except Conflict:
                    continue
        except Exception as failure:  # noqa: BLE001 - whatever it is, the test has to see it
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=take_part, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sweeps.run_due_actions()

    assert failures == []
    assert started == [action.ulid]
    assert voiding.live(fresh(action)).count() == 1
