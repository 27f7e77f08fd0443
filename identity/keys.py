"""API keys: 256 random bits, shown once, kept as a digest, so cheap to check and useless when stolen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from audit.record import record
from identity.actors import Actor
from identity.models import ApiKey, ServiceAccount, Team
from identity.permissions import KEY_SCOPES
from lib import ids
from lib.errors import Conflict, Invalid

PREFIX = "qk_"
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key just made: its row, and the secret that is never seen again."""

    key: ApiKey
    secret: str = field(repr=False)


def digest(secret: str) -> str:
    """What is kept of a key. Plain SHA-256 is enough for 256 random bits; nobody can guess those."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create(
    *,
    name: str,
    team: Team,
    scopes: frozenset[str],
    by: Actor,
    at: datetime,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for the service account of that name, which is made too when it is new.

    `Invalid` for scopes that do not exist or none, `Conflict` when the name belongs to another team.
    """
    if unknown := scopes - KEY_SCOPES:
        raise Invalid(f"there is no scope {', '.join(sorted(unknown))}", pointer="/scopes")
    if not scopes:
        raise Invalid("a key without scopes could do nothing", pointer="/scopes")
    if not name or len(name) > 80:
        raise Invalid("a name has 1 to 80 characters", pointer="/name")
    secret = PREFIX + ids.secret()
    with transaction.atomic():
        account, _ = ServiceAccount.objects.get_or_create(name=name, defaults={"team": team})
        if account.team_id != team.pk:
            raise Conflict(f"the name {name} is used by a program of another team")
        key = ApiKey.objects.create(
            account=account,
            digest=digest(secret),
            scopes=sorted(scopes),
            created_at=at,
            expires_at=expires_at,
        )
        details = {"scopes": sorted(scopes), "expires_at": expires_at.isoformat() if expires_at else None}
        record(act="key-created", by=by, at=at, on=("api_key", key.ulid), details=details)
    return NewKey(key=key, secret=secret)


def revoke(*, key: ApiKey, by: Actor, at: datetime) -> None:
    """End a key at once; ending it twice changes nothing."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at):
            record(act="key-revoked", by=by, at=at, on=("api_key", key.ulid))


def find(secret: str, *, at: datetime) -> ApiKey | None:
    """The key with this secret, its service account loaded, if it may be used at that time. One query.

    Notes the use, at most once a minute, so that reading does not become writing.
    """
    if not secret.startswith(PREFIX) or not secret.isascii():
        return None
    valid = Q(expires_at=None) | Q(expires_at__gt=at)
    key = (
        ApiKey.objects.select_related("account").filter(valid, digest=digest(secret), revoked_at=None).first()
    )
    if key is not None and (key.last_used_at is None or key.last_used_at < at - USE_NOTED_EVERY):
        stale = Q(last_used_at=None) | Q(last_used_at__lt=at - USE_NOTED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=at)
    return key
