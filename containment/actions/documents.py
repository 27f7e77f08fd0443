"""What AWS answered, as one JSON document to keep. Pure."""

from __future__ import annotations

import json
from typing import Any

from containment.describing import Context
from containment.types import Artefact, Duty, Place, Read

JSON_TYPE = "application/json"


def document(
    ctx: Context,
    name: str,
    content: Any,
    *,
    source: str,
    region: str = "",
    media_type: str = JSON_TYPE,
    is_sensitive: bool = False,
    shown: Any = None,
) -> Artefact:
    """A JSON document with sorted keys, indented for whoever reads it."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    return Artefact(
        name=f"{name}.json",
        media_type=media_type,
        source=source,
        at=place(ctx, region=region),
        chunks=(text.encode("utf-8", "replace"), b"\n"),
        is_sensitive=is_sensitive,
        shown=shown,
    )


def nothing(ctx: Context, name: str, why: str, *, source: str, region: str = "") -> Artefact:
    """The finding that there is none, and why."""
    return Artefact(name=name, media_type=JSON_TYPE, source=source, at=place(ctx, region=region), absent=why)


def told(ctx: Context, read: Read) -> Any:
    """The answer of a read, or `{"not read": why}` where AWS refused it for good."""
    answer, why = ctx.attempt(read)
    return {"not read": why} if why else answer


def place(ctx: Context, *, region: str = "") -> Place:
    """Where the target is, as the READ role sees it."""
    return Place(account=ctx.target.account, region=region or ctx.target.region or ctx.home, duty=Duty.READ)
