"""Taking approvals back, so that none of them counts for a later plan, not even for one of the same hash."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from cases.models import Action
from containment.models import Approval, Voiding

YES = ("approve", "break-glass")


def live(action: Action, *decisions: str) -> QuerySet[Approval]:
    """The decisions about the action's present plan that stand, oldest first; without words, every yes."""
    found = Approval.objects.filter(
        action=action, plan_hash=action.plan_hash, decision__in=decisions or YES, voiding__isnull=True
    )
    return found.select_related("person").order_by("pk")


def void(approvals: Iterable[Approval], *, why: str, at: datetime, person_id: int | None = None) -> int:
    """Let approvals count no more; how many there were. Inside a transaction, the action's row locked."""
    made = Voiding.objects.bulk_create(
        [Voiding(approval=one, why=why[:300], at=at, person_id=person_id) for one in approvals]
    )
    return len(made)


def void_all(action: Action, *, why: str, at: datetime) -> int:
    """Let no approval of an action count any more, of whichever plan."""
    every = Approval.objects.filter(action=action, decision__in=YES, voiding__isnull=True)
    return void(every, why=why, at=at)
