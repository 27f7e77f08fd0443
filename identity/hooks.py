"""Hooks: addresses with a secret in them, for senders that can set no header.

The secret is 256 random bits, shown once and kept as a digest, as that of a key is (`identity.keys`). It
opens one door, under `alerts:write` alone. As it stands in the address, it must not stand in a log
(`soc.logs`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from audit.record import record
from identity.actors import Actor
from identity.keys import digest
from identity.models import Hook, HookKind, ServiceAccount, Team
from identity.permissions import Permission
from lib import ids
from lib.errors import Conflict, Invalid
from lib.fields import FieldMap, NoFieldMap

PREFIX = "qh_"
USE_NOTED_EVERY = timedelta(minutes=1)
SCOPES = frozenset({Permission.WRITE_ALERTS.scope})
TOPIC = re.compile(r"arn:aws[a-z-]{0,20}:sns:[a-z0-9-]{1,30}:\d{12}:[A-Za-z0-9_-]{1,256}")


@dataclass(frozen=True, kw_only=True)
class NewHook:
    """A hook just made: its row, and the secret that is never seen again."""

    hook: Hook
    secret: str = field(repr=False)

    @property
    def path(self) -> str:
        """Where its sender posts to."""
        return f"/hooks/{self.hook.kind}/{self.secret}"


def create(
    *,
    name: str,
    kind: HookKind,
    team: Team,
    by: Actor,
    at: datetime,
    topic_arn: str = "",
    field_map: Mapping[str, Any] | None = None,
) -> NewHook:
    """Make a hook for the service account of that name, which is made too when it is new.

    `topic_arn` is needed by SNS and by no other; `field_map` (`lib.fields`) is for webhooks. Raises
    `Invalid`, and `Conflict` when the name belongs to another team.
    """
    if not name or len(name) > 80:
        raise Invalid("a name has 1 to 80 characters", pointer="/name")
    if (kind == HookKind.SNS) != bool(topic_arn):
        raise Invalid("an SNS hook names its topic, and no other does", pointer="/topic_arn")
    if topic_arn and not TOPIC.fullmatch(topic_arn):
        raise Invalid("not the ARN of an SNS topic", pointer="/topic_arn")
    if field_map:
        _check(kind, field_map)
    secret = PREFIX + ids.secret()
    with transaction.atomic():
        account, _ = ServiceAccount.objects.get_or_create(name=name, defaults={"team": team})
        if account.team_id != team.pk:
            raise Conflict(f"the name {name} is used by a program of another team")
        hook = Hook.objects.create(
            kind=kind,
            account=account,
            digest=digest(secret),
            topic_arn=topic_arn,
            field_map=dict(field_map or {}),
            created_at=at,
        )
        details = {"kind": str(kind), "topic_arn": topic_arn}
        record(act="hook-created", by=by, at=at, on=("hook", hook.ulid), details=details)
    return NewHook(hook=hook, secret=secret)


def revoke(*, hook: Hook, by: Actor, at: datetime) -> None:
    """End a hook at once; ending it twice changes nothing."""
    with transaction.atomic():
        if Hook.objects.filter(pk=hook.pk, revoked_at=None).update(revoked_at=at):
            record(act="hook-revoked", by=by, at=at, on=("hook", hook.ulid))


def find(secret: str, *, kind: HookKind, at: datetime) -> Hook | None:
    """The hook of that kind with this secret, its service account loaded, unless revoked. One query.

    Notes the use, at most once a minute, so that reading does not become writing.
    """
    if not secret.startswith(PREFIX) or not secret.isascii():
        return None
    hook = (
        Hook.objects.select_related("account")
        .filter(digest=digest(secret), kind=kind, revoked_at=None)
        .first()
    )
    if hook is not None and (hook.last_used_at is None or hook.last_used_at < at - USE_NOTED_EVERY):
        stale = Q(last_used_at=None) | Q(last_used_at__lt=at - USE_NOTED_EVERY)
        Hook.objects.filter(stale, pk=hook.pk).update(last_used_at=at)
    return hook


def actor_of_hook(hook: Hook, *, ip: str = "", request_id: str = "") -> Actor:
    """The actor behind a hook (with its service account loaded)."""
    return Actor(
        kind="key",
        label=hook.account.name,
        name=hook.account.name,
        scopes=SCOPES,
        team=hook.account.team_id,
        ip=ip,
        request_id=request_id,
        principal=f"hook:{hook.ulid}",
        per_minute=hook.per_minute,
    )


def _check(kind: HookKind, field_map: Mapping[str, Any]) -> None:
    if kind != HookKind.WEBHOOK:
        raise Invalid("only a webhook has a field map", pointer="/field_map")
    try:
        FieldMap.of(field_map)
    except NoFieldMap as failure:
        raise Invalid(failure.reason, pointer=f"/field_map{failure.pointer}") from failure
