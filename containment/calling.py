"""Ringing for an approval: a plan that waits rings one person after another who may approve it.

The first after `QUELL_APPROVAL_MINUTES`, the next each time these have passed again. Who asked, who has
approved already and who was rung before is left out; a plan that nobody may approve rings nobody.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.urls import reverse

from cases.models import Action
from containment import approvals, glass, planning, voiding
from containment.models import ApprovalCall
from identity.actors import Actor
from identity.permissions import Permission
from notify import outbox

AT_ONCE = 50


def ring_due(at: datetime) -> int:
    """Begin to wait for each new plan, and ring the next person where a wait is over; how many were rung."""
    _begin(at)
    due = ApprovalCall.objects.filter(
        next_at__lte=at,
        action__status__in=approvals.WAITING,
        action__plan_hash=F("plan_hash"),
    )
    return sum(_ring_next(call, at) for call in due.select_related("action__incident")[:AT_ONCE])


def _begin(at: datetime) -> None:
    waiting = Action.objects.filter(status__in=approvals.WAITING, tier__gt=0).exclude(plan_hash="")
    known = ApprovalCall.objects.filter(action__in=waiting).values_list("action_id", "plan_hash")
    rung = set(known)
    ApprovalCall.objects.bulk_create(
        [
            ApprovalCall(action_id=pk, plan_hash=plan_hash, next_at=at + _patience())
            for pk, plan_hash in waiting.values_list("pk", "plan_hash")
            if (pk, plan_hash) not in rung
        ],
        ignore_conflicts=True,
    )


def _ring_next(call: ApprovalCall, at: datetime) -> int:
    action = call.action
    nobody = approvals.objection_to_plan(action) != ""
    asked = None if nobody else next(iter(_candidates(action, set(call.asked))), None)
    with transaction.atomic():
        mine = ApprovalCall.objects.filter(pk=call.pk, next_at=call.next_at)
        names = [*call.asked, asked.person_id] if asked else call.asked
        if mine.update(next_at=at + _patience(), asked=names) != 1 or asked is None:
            return 0
        outbox.ring(
            kind="approval-waits",
            subject=action.ulid,
            title=f"Waits for approval: {planning.title_of(action)}",
            detail=f"{action.incident.ref}: {approvals.NEEDS[action.tier]}",
            link=reverse("action", args=[action.ulid]),
            severity=70,
            to=[asked.person_id] if asked.person_id else [],
            key=f"approval:{action.ulid}:{action.plan_hash[:16]}:{asked.person_id}",
            at=at,
        )
    return 1


def _candidates(action: Action, asked: set[int]) -> list[Actor]:
    permission = Permission.CONFIRM_ACTIONS if action.tier <= 1 else Permission.APPROVE_ACTIONS
    done = set(voiding.live(action).values_list("person_id", flat=True)) | asked
    if action.tier >= 2 and action.requested_by_id:
        done.add(action.requested_by_id)
    return [one for one in glass.persons_with(permission, action) if one.person_id not in done]


def _patience() -> timedelta:
    return timedelta(minutes=settings.QUELL_APPROVAL_MINUTES)
