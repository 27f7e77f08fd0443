"""Codes of an authenticator app (RFC 6238), and recovery codes for the day it is lost. Each opens once.

A code of the app stands for a time step. The newest step that was used is remembered for good and for all
web processes: neither that code nor an older one opens anything again. Recovery codes are 80 random bits,
shown once and kept as keyed digests.
"""

from __future__ import annotations

import base64
import re
import secrets
from datetime import datetime

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from identity.models import LastStep, RecoveryCode, User

PERIOD = 30
DRIFT = 1
"""Steps by which the clock of a telephone may be off, to either side."""

RECOVERY_CODES = 10
_DIGITS = re.compile(r"\d{6}")


def new_secret() -> str:
    """A secret for an authenticator app: 160 random bits in base 32."""
    return str(totp.generate_totp_secret())


def has_app(user: User) -> bool:
    """Whether the login has an authenticator app."""
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def take_app_code(*, user: User, code: str, at: datetime) -> bool:
    """Whether it is a code of the login's app that was not used; it is used afterwards."""
    app = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if app is None:
        return False
    return take_code_of(user=user, secret=decrypt(app.data["secret"]), code=code, at=at)


def take_code_of(*, user: User, secret: str, code: str, at: datetime) -> bool:
    """The same for a secret that is just being set up."""
    step = _step_of(secret, code, at=at)
    if step is None:
        return False
    LastStep.objects.get_or_create(user=user, defaults={"step": 0})
    return LastStep.objects.filter(user=user, step__lt=step).update(step=step) == 1


def take_recovery_code(*, user: User, code: str, at: datetime) -> bool:
    """Whether it is a recovery code of the login that was not used; it is used afterwards."""
    unused = RecoveryCode.objects.filter(user=user, digest=_digest(user, code), used_at=None)
    return unused.update(used_at=at) == 1


def make_recovery_codes(*, user: User, at: datetime) -> tuple[str, ...]:
    """Ten new codes in place of all earlier ones. They are never seen again."""
    made = tuple(_new_code() for _ in range(RECOVERY_CODES))
    with transaction.atomic():
        RecoveryCode.objects.filter(user=user).delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(user=user, digest=_digest(user, code), made_at=at) for code in made
        )
    return made


def recovery_codes_left(user: User) -> int:
    """How many of the codes were not used."""
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


def _step_of(secret: str, code: str, *, at: datetime) -> int | None:
    typed = re.sub(r"\s", "", code)
    if not _DIGITS.fullmatch(typed) or not typed.isascii():
        return None
    present = int(at.timestamp()) // PERIOD
    found = None
    for step in range(present - DRIFT, present + DRIFT + 1):
        if constant_time_compare(typed, totp.format_hotp_value(totp.hotp_value(secret, step))):
            found = step
    return found


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, 16, 4))


def _digest(user: User, code: str) -> str:
    bare = re.sub(r"[^a-z2-7]", "", code.lower())
    return salted_hmac("quell.recovery-code", f"{user.ulid}\n{bare}", algorithm="sha256").hexdigest()
