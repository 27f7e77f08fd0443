"""Which sources there are: every module of this package whose `ID` is a text."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import cast

import cases.sources
from cases.decoding import JSON
from cases.sources.types import Source


@cache
def sources() -> dict[str, Source]:
    """The sources by id, in the order of their ids."""
    found: dict[str, Source] = {}
    for module in pkgutil.iter_modules(cases.sources.__path__):
        source = importlib.import_module(f"cases.sources.{module.name}")
        if isinstance(getattr(source, "ID", None), str):
            found[source.ID] = cast("Source", source)
    return dict(sorted(found.items()))


def source_of(document: JSON) -> Source | None:
    """The one source whose document this surely is; None when there is none, or more than one."""
    fitting = [source for source in sources().values() if source.matches(document)]
    return fitting[0] if len(fitting) == 1 else None
