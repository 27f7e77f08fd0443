"""A person's word on whether a tainted target must be contained before the incident is."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from audit.record import record
from cases import timeline
from cases.access import permits
from cases.models import Incident
from containment import consequences, coverage
from containment.models import CoverageChoice
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Conflict, Forbidden, Invalid, NotFound


def choose(
    *,
    incident: Incident,
    kind: str,
    target: str,
    account: str,
    is_required: bool,
    reason: str,
    by: Actor,
    at: datetime,
) -> CoverageChoice:
    """Decide for one row of the coverage; *contained* follows at once, either way.

    Raises `Forbidden` without the right to confirm actions or for a key, `Invalid` without a reason,
    `NotFound` for a target that is not tainted, `Conflict` on a closed incident.
    """
    if by.person_id is None or not permits(
        by, Permission.CONFIRM_ACTIONS, team=incident.team_id, account=account
    ):
        raise Forbidden("Deciding what must be contained needs the role responder or lead.")
    if incident.status == "closed":
        raise Conflict("The incident is closed; reopen it first.")
    if not reason.strip():
        raise Invalid("Say why.", pointer="/reason")
    known = {(row.kind, row.id, row.account) for row in coverage.coverage(incident)}
    if (kind, target, account) not in known:
        raise NotFound("No such target is tainted here.")
    word = "must be contained" if is_required else "need not be contained"
    with transaction.atomic():
        choice = CoverageChoice.objects.create(
            incident=incident,
            kind=kind,
            target=target,
            account=account,
            is_required=is_required,
            reason=reason.strip()[:2000],
            by_id=by.person_id,
            at=at,
        )
        timeline.add(
            incident=incident,
            kind="coverage.decided",
            at=at,
            title=f"{target[:200]} {word}",
            detail=choice.reason,
            by=by,
            recorded_at=at,
        )
        record(
            act="coverage.decided",
            by=by,
            at=at,
            on=("incident", incident.ref),
            details={"kind": kind, "target": target, "account": account, "required": is_required},
        )
        consequences.decided(incident, reason=f"{target[:100]} {word}")
    return choice
