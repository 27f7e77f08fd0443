"""The second factors of a login: which there are, who must have one, adding and removing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import encrypt
from django.conf import settings
from django.db import transaction

from audit.record import record
from identity import codes, security_keys
from identity.actors import Actor
from identity.models import RecoveryCode, User
from identity.permissions import Permission
from lib import ids
from lib.errors import Conflict, Invalid, NotFound

MOST_KEYS = 10
KINDS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
PRIVILEGED = (Permission.APPROVE_ACTIONS, Permission.KEEP_PEOPLE)


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One second factor as its owner sees it; `kind` is `app` or `key`."""

    ulid: str
    kind: str
    name: str
    added_at: datetime
    used_at: datetime | None


def factors_of(user: User) -> list[Factor]:
    """The login's factors, oldest first."""
    return [_factor(row) for row in _rows(user).order_by("pk")]


def has_factor(user: User) -> bool:
    """Whether a password alone does not sign this login in."""
    return bool(_rows(user).exists())


def must_have(actor: Actor) -> bool:
    """Whether this person must have a factor before anything else (`QUELL_SECOND_FACTOR`)."""
    if settings.QUELL_SECOND_FACTOR == "optional":
        return False
    return settings.QUELL_SECOND_FACTOR == "everyone" or any(actor.may(one) for one in PRIVILEGED)


def add_app(*, user: User, secret: str, code: str, by: Actor, at: datetime) -> None:
    """Keep an authenticator app that shows the right code. Raises `Invalid` and `Conflict`."""
    if _rows(user).filter(type=Authenticator.Type.TOTP).exists():
        raise Conflict("There is an authenticator app already. Remove it first.")
    if not codes.take_code_of(user=user, secret=secret, code=code, at=at):
        raise Invalid("This is not the code that the app should show now.", pointer="/code")
    with transaction.atomic():
        ulid = ids.ulid()
        Authenticator.objects.create(
            user=user, type=Authenticator.Type.TOTP, data={"secret": encrypt(secret), "ulid": ulid}
        )
        record(act="factor-added", by=by, at=at, on=("login", user.ulid), details=_details("app", ulid))


def add_key(*, user: User, name: str, credential: str, by: Actor, at: datetime) -> None:
    """Keep a security key that answered. Raises `Invalid` and `Conflict`."""
    name = name.strip()
    if not name or len(name) > security_keys.LONGEST_NAME:
        raise Invalid("A name has 1 to 60 characters.", pointer="/name")
    if len(security_keys.keys_of(user)) >= MOST_KEYS:
        raise Conflict("Ten keys are enough. Remove one first.")
    with transaction.atomic():
        ulid = security_keys.add(user=user, name=name, credential=credential)
        record(act="factor-added", by=by, at=at, on=("login", user.ulid), details=_details("key", ulid))


def remove(*, user: User, ulid: str, by: Actor, at: datetime) -> None:
    """Forget one factor; with the last one the recovery codes go too. Raises `NotFound`."""
    row = next((one for one in _rows(user) if one.data.get("ulid") == ulid), None)
    if row is None:
        raise NotFound
    with transaction.atomic():
        kind = _factor(row).kind
        row.delete()
        if not has_factor(user):
            RecoveryCode.objects.filter(user=user).delete()
        record(act="factor-removed", by=by, at=at, on=("login", user.ulid), details=_details(kind, ulid))


def remove_all(*, user: User, by: Actor, at: datetime) -> None:
    """Forget every factor and recovery code of a login whose owner lost them."""
    with transaction.atomic():
        count = _rows(user).count()
        _rows(user).delete()
        RecoveryCode.objects.filter(user=user).delete()
        record(act="factors-reset", by=by, at=at, on=("login", user.ulid), details={"factors": count})


def make_recovery_codes(*, user: User, by: Actor, at: datetime) -> tuple[str, ...]:
    """New recovery codes in place of the earlier ones, to be shown once. Raises `Conflict`."""
    if not has_factor(user):
        raise Conflict("Recovery codes stand in for a second factor. Set one up first.")
    with transaction.atomic():
        made = codes.make_recovery_codes(user=user, at=at)
        record(act="recovery-codes-made", by=by, at=at, on=("login", user.ulid))
    return made


def take(*, user: User, code: str, credential: str, at: datetime) -> str:
    """With what the second factor was shown: `app`, `key`, `recovery-code`; empty when it was not."""
    if credential:
        return "key" if security_keys.prove(user=user, credential=credential) else ""
    if codes.take_app_code(user=user, code=code, at=at):
        _rows(user).filter(type=Authenticator.Type.TOTP).update(last_used_at=at)
        return "app"
    return "recovery-code" if codes.take_recovery_code(user=user, code=code, at=at) else ""


def _rows(user: User) -> Any:
    return Authenticator.objects.filter(user=user, type__in=KINDS)


def _factor(row: Any) -> Factor:
    is_key = row.type == Authenticator.Type.WEBAUTHN
    return Factor(
        ulid=row.data["ulid"],
        kind="key" if is_key else "app",
        name=row.data["name"] if is_key else "Authenticator app",
        added_at=row.created_at,
        used_at=row.last_used_at,
    )


def _details(kind: str, ulid: str) -> dict[str, str]:
    return {"kind": kind, "factor": ulid}
