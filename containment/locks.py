"""What an action holds (CONTRACT §7): own locks while it is in force, a document's lock for one edit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from cases.models import Action
from cases.words import ActionStatus
from containment.models import Lock
from containment.types import Edit, Kind, Plan, plain
from lib import canonical, clock

DOCUMENT_LEASE = timedelta(seconds=60)
UNDER_WAY = (ActionStatus.APPROVED, ActionStatus.APPLYING, ActionStatus.APPLIED)


class Held(Exception):
    """Another action holds a key; `holder` is its row."""

    def __init__(self, key: str, holder: Action) -> None:
        super().__init__(f"{key} is held by action {holder.ulid}")
        self.key = key
        self.holder = holder


def own_keys(plan: Plan) -> list[str]:
    """What a plan sets or edits, sorted: the keys that two actions cannot hold at once."""
    return sorted(
        {
            f"{step.call.at.account}/{step.changes}"
            for step in plan.steps
            if step.kind in (Kind.SET, Kind.EDIT) and step.call
        }
    )


def holder_of(keys: Iterable[str], *, besides: Action) -> Held | None:
    """The first of the keys that another action holds."""
    taken = Lock.objects.filter(key__in=list(keys), mode="own").exclude(action=besides)
    lock = taken.select_related("action").order_by("key").first()
    return Held(lock.key, lock.action) if lock else None


def needed_by(plan: Plan, *, besides: Action) -> Held | None:
    """The first thing that a plan breaks (`facts["breaks"]`) and an action under way needs (`facts["uses"]`).

    Under way is what was approved and has not come to an end, waits of AWS's own included: a snapshot
    that is being copied is lost with its key.
    """
    breaks = set(plan.facts.get("breaks", ()))
    if not breaks:
        return None
    others = Action.objects.filter(status__in=UNDER_WAY, reverts__isnull=True).exclude(pk=besides.pk)
    for other in others.order_by("pk"):
        needed = breaks & set((other.plan or {}).get("facts", {}).get("uses", ()))
        if needed:
            return Held(min(needed), other)
    return None


def take_own(action: Action, plan: Plan) -> None:
    """Take every own lock of a plan, in sorted order; raises `Held`. Inside a transaction."""
    for key in own_keys(plan):
        try:
            with transaction.atomic():
                Lock.objects.create(
                    key=key, action=action, mode="own", fence=action.fence, taken_at=clock.now()
                )
        except IntegrityError:
            held = Lock.objects.select_related("action").get(key=key)
            if held.action_id != action.pk:
                raise Held(key, held.action) from None


def free_own(action: Action) -> None:
    """Give up everything an action holds."""
    Lock.objects.filter(action=action).delete()


def document_key(edit: Edit) -> str:
    """The name of the document that an edit reads and writes."""
    at = edit.read.at
    return f"{at.account}/{at.region}/{edit.read.name}/{canonical.sha256(plain(edit.read.params))[:16]}"


def take_document(action: Action, edit: Edit) -> bool:
    """Take the document's lock, or one whose lease ran out; False when another action holds it."""
    now, key = clock.now(), document_key(edit)
    until = now + DOCUMENT_LEASE
    taken = Lock.objects.filter(key=key, mode="document")
    if taken.filter(action=action).update(until=until, fence=action.fence):
        return True
    if taken.filter(until__lt=now).update(action=action, until=until, fence=F("fence") + 1):
        return True
    try:
        with transaction.atomic():
            Lock.objects.create(key=key, action=action, mode="document", fence=action.fence, until=until)
    except IntegrityError:
        return False
    return True


def free_document(action: Action) -> None:
    """Give up the document's lock, if the action has it."""
    Lock.objects.filter(action=action, mode="document").delete()
