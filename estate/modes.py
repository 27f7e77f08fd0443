"""Changing how far containment may go in an account."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from audit.record import record
from estate.models import Account, Mode
from identity.actors import Actor
from lib import canonical
from lib.errors import Conflict


@transaction.atomic
def set_mode(*, account: Account, mode: Mode, reason: str, by: Actor, at: datetime) -> Account:
    """Set the mode, if it is still as it was read (`Conflict`); the same again changes nothing.

    The audit chain keeps a digest of the reason, as it holds no text.
    """
    before = account.mode
    if mode == before:
        return account
    if Account.objects.filter(pk=account.pk, mode=before).update(mode=mode) != 1:
        raise Conflict("Somebody changed the mode of this account meanwhile.")
    account.mode = mode
    details = {"from": str(before), "to": mode.value, "reason": canonical.sha256(reason)}
    record(act="account.mode-set", by=by, at=at, on=("account", account.account_id), details=details)
    return account
