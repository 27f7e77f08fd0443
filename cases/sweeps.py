"""The due work of the record: what intake leaves to be done after the answer."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from lib import clock, doorbell
from lib.errors import Conflict

log = logging.getLogger(__name__)

BATCH = 100
LATER = timedelta(minutes=1)


def register() -> None:
    """Register the sweeps of this package. Called once, when the models are loaded."""
    doorbell.register(doorbell.Sweep(topic="alerts", queue="general", run=sweep_alerts))


def sweep_alerts() -> int:
    """Apply the rules to every alert that is due; how many there were. Safe when run twice at once.

    Each alert is one transaction, claimed by clearing its `due_at`. One that fails is logged, put off
    by a minute and holds up no other.
    """
    from cases.models import Alert  # the registry is not filled when this module is read

    done = 0
    while True:
        now = clock.now()
        due = (
            Alert.objects.filter(due_at__lte=now).order_by("due_at", "pk").values_list("pk", "due_at")[:BATCH]
        )
        claimed = sum(_one(pk, due_at=due_at, at=now) for pk, due_at in due)
        done += claimed
        if not claimed:
            return done


def _one(pk: int, *, due_at: datetime | None, at: datetime) -> bool:
    """Do one alert; whether it was ours to do."""
    from cases.models import Alert

    try:
        return _do(pk, due_at=due_at, at=at)
    except Conflict:  # a person was faster; if there is still something to do, it is still due
        return False
    except Exception:  # one alert must not hold up the others, whatever is wrong with it
        log.exception("alert.sweep_failed", extra={"alert": pk})
        Alert.objects.filter(pk=pk, due_at=due_at).update(due_at=at + LATER)
        return False


@transaction.atomic
def _do(pk: int, *, due_at: datetime | None, at: datetime) -> bool:
    from cases import rules
    from cases.models import Alert
    from identity.actors import system

    by = system("triage-rules")
    alert = Alert.objects.select_related("incident", "team").get(pk=pk)
    if rules.apply(alert=alert, by=by, at=at) is not None:
        return True
    rules.relearn(alert=alert, by=by, at=at)
    # Claimed last, as alerts are locked after incidents everywhere; whoever comes second finds the
    # row changed, and what it did is undone with its transaction.
    if Alert.objects.filter(pk=pk, due_at=due_at).update(due_at=None) != 1:
        transaction.set_rollback(True)
        return False
    return True
