"""The proof that runs by itself: every hour from where the last one ended, and of the whole once a day.

What does not hold is told to leads and auditors once, and stands on the page and in `/readyz` until a proof
of the whole finds nothing any more.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse

from audit import proving
from audit.proving import Point, Proved
from audit.record import Broken
from identity.models import Person, User
from identity.permissions import OF_ROLE, Permission
from lib import canonical, clock, doorbell
from notify import outbox
from soc.models import LedgerProof

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
WHOLE_EVERY = timedelta(days=1)
LOOK_EVERY_SECONDS = 60.0


def register() -> None:
    """Register the sweep. Called once, when the models are loaded."""
    doorbell.register(
        doorbell.Sweep(topic="ledger", queue="general", run=prove_due, every_seconds=LOOK_EVERY_SECONDS)
    )


def prove_due() -> int:
    """Prove the ledger if its time has come and no other worker is at it; how many proofs were made."""
    now = clock.now()
    LedgerProof.objects.bulk_create([LedgerProof(pk=1, due_at=now)], ignore_conflicts=True)
    if not LedgerProof.objects.filter(pk=1, due_at__lte=now).update(due_at=now + EVERY):
        return 0
    known = LedgerProof.objects.get(pk=1)
    is_whole = known.whole_at is None or known.broken_seq is not None or known.whole_at + WHOLE_EVERY <= now
    found = proving.prove(None if is_whole else _point(known))
    if found.broken and not is_whole:
        # The first bad place may lie before the point that this proof began at.
        found, is_whole = proving.prove(), True
    _keep(found, is_whole=is_whole, at=now)
    return 1


def _point(known: LedgerProof) -> Point:
    return Point(seq=known.seq, hash=known.hash, newest_at=known.newest_at, passed_id=known.passed_id)


def _keep(found: Proved, *, is_whole: bool, at: datetime) -> None:
    """Write down how far it holds, or what does not hold, and ring about that."""
    mine = LedgerProof.objects.filter(pk=1)
    if found.broken is not None:
        log.error("ledger.broken", extra={"seq": found.broken.seq, "reason": found.broken.reason})
        with transaction.atomic():
            mine.filter(broken_seq__isnull=True).update(broken_at=at)
            mine.update(
                broken_seq=found.broken.seq,
                broken_reason=found.broken.reason[:300],
                proved_at=at,
                whole_at=at,
            )
            _ring(found.broken, at=at)
        return
    upto = found.upto
    values = {"seq": upto.seq, "hash": upto.hash, "newest_at": upto.newest_at, "passed_id": upto.passed_id}
    mine.update(**values, proved_at=at, **({"whole_at": at} if is_whole else {}))
    if is_whole:
        mine.update(broken_seq=None, broken_reason="", broken_at=None)


def _ring(broken: Broken, *, at: datetime) -> None:
    cause = canonical.sha256([broken.seq, broken.reason])[:16]
    outbox.ring(
        kind="ledger-broken",
        subject="ledger",
        title=f"The ledger does not hold at event {broken.seq}",
        detail=broken.reason,
        link=reverse("audit"),
        severity=100,
        to=_readers(),
        key=f"ledger-broken:{cause}",
        at=at,
    )


def _readers() -> list[int]:
    """The people who read the audit trail of some team and can sign in."""
    roles = [role for role, held in OF_ROLE.items() if Permission.READ_AUDIT in held]
    people = Person.objects.filter(memberships__role__in=roles)
    people = people.filter(Exists(User.objects.filter(person=OuterRef("pk"), is_active=True)))
    return list(people.order_by("pk").values_list("pk", flat=True).distinct())
