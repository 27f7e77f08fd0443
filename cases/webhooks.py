"""How the documents of a webhook are read: by its field map, else by what they show themselves to be."""

from __future__ import annotations

from collections.abc import Callable

from cases.decoding import JSON
from cases.sources.generic import Reading
from cases.sources.registry import source_of
from cases.sources.types import Source
from identity.models import Hook, HookKind
from lib.fields import FieldMap

Choose = Callable[[JSON], Source]
"""Which source reads a document."""

DOOR = "webhook:"


def door_of(hook: Hook) -> str:
    """How an alert of the hook came, so that what lies in quarantine can be read as the hook would."""
    return DOOR + hook.ulid


def reading_of(hook: Hook) -> Choose:
    """What reads the hook's documents (with its service account loaded)."""
    if hook.field_map:
        mapped = Reading(field_map=FieldMap.of(hook.field_map))
        return lambda _: mapped
    plain = Reading(sender=hook.account.name)
    return lambda document: source_of(document) or plain


def reading_at(door: str) -> Choose | None:
    """What reads the documents that came by a door, where a hook decides that; None elsewhere."""
    if not door.startswith(DOOR):
        return None
    hook = (
        Hook.objects.select_related("account")
        .filter(ulid=door.removeprefix(DOOR), kind=HookKind.WEBHOOK)
        .first()
    )
    return reading_of(hook) if hook else None
