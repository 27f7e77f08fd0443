"""The due work of the hand: planning, executing, expiring, looking again.

Whoever rings or sweeps, the rows say what is due; two workers doing the same sweep at once share the
rows between them by claims.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db.models import Q

from cases.models import Action
from cases.words import ActionStatus
from lib import clock, doorbell

log = logging.getLogger(__name__)

AFTER_A_FAULT = timedelta(seconds=30)


def register() -> None:
    """Register the sweeps of this package. Called once, when the models are loaded."""
    doorbell.register(doorbell.Sweep(topic="actions", queue="containment", run=run_due_actions))
    doorbell.register(doorbell.Sweep(topic="in-force", queue="containment", run=look_at_due))
    doorbell.register(doorbell.Sweep(topic="watches", queue="containment", run=watch_due))
    doorbell.register(
        doorbell.Sweep(topic="reviews", queue="containment", run=review_due, every_seconds=20.0)
    )
    doorbell.register(
        doorbell.Sweep(topic="glass", queue="containment", run=ring_overdue_reviews, every_seconds=60.0)
    )
    doorbell.register(
        doorbell.Sweep(topic="approvals", queue="containment", run=ring_for_approvals, every_seconds=20.0)
    )
    doorbell.register(
        doorbell.Sweep(
            topic="automation",
            queue="containment",
            run=run_automation,
            every_seconds=1.0,
            hears=("alerts-settled",),
        )
    )


def ring_for_approvals() -> int:
    """Ring the next person for each plan that has waited long enough; how many were rung."""
    from containment import calling

    return calling.ring_due(clock.now())


def ring_overdue_reviews() -> int:
    """Ring about what was started by break-glass and nobody has reviewed in time; how many."""
    from containment import glass

    return glass.ring_overdue(clock.now())


def run_due_actions(limit: int = 20) -> int:
    """Plan and carry out what is due, at most `limit` actions; how many were taken."""
    from containment import approvals, journal

    taken = approvals.expire_due()
    for _ in range(limit):
        pk = _next_due(journal.CLAIMABLE)
        if pk is None:
            return taken
        if advance(pk):
            taken += 1
    return taken


def advance(pk: int) -> bool:
    """Take one action as far as it goes; False when another worker has it or nothing is due."""
    from containment import failpoints, journal

    action = journal.claim(pk, owner=journal.me())
    if action is None:
        return False
    failpoints.reach("claimed")
    try:
        due = _work(action)
    except journal.LostLease:
        log.info("action.lease-lost", extra={"action": action.ulid})
        return True
    except Exception as failure:  # the boundary of a worker's turn: one bad action must not stop the others
        log.exception("action.fault", extra={"action": action.ulid})
        journal.release(action, due_at=clock.now() + AFTER_A_FAULT, alarm=journal.fault(failure))
        return True
    journal.release(action, due_at=due, alarm="")
    return True


def look_at_due() -> int:
    """Look at what is in force, where a look is due; how many were looked at."""
    from containment import reconciling

    return sum(1 for pk in reconciling.due() if reconciling.look_at(pk) is not None)


def watch_due() -> int:
    """Look again at the principals that were contained; how many were looked at."""
    from containment import watching

    return watching.look_at_due()


def review_due() -> int:
    """Ring for reviews that are due, and look at what incidents rest their *contained* on."""
    from containment import consequences, in_force

    in_force.ring_overdue()
    return consequences.recheck(since=clock.now() - timedelta(minutes=10))


def run_automation() -> int:
    """Let the live rules look at the alerts that fit them; how many were looked at."""
    from containment import automation

    return automation.run()


def _work(action: Action) -> datetime | None:
    from containment import automation, execution, planning, undo

    if action.status != ActionStatus.PROPOSED:
        return execution.advance(action)
    due = undo.plan_claimed(action) if action.reverts_id else planning.plan_claimed(action)
    automation.authorise(action)
    if action.status == ActionStatus.APPROVED:
        return execution.advance(action)
    return due


def _next_due(statuses: tuple[ActionStatus, ...]) -> int | None:
    now = clock.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    found = Action.objects.filter(free, due_at__lte=now, status__in=statuses).order_by("due_at", "pk")
    return found.values_list("pk", flat=True).first()
