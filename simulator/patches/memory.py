"""Objects that left the simulated AWS leave memory too.

moto keeps every model object ever made in a list per class, for its own dashboard. A server that
runs for days, and resets often, would grow without end. S3 objects that are dropped close their
buffers themselves; moto warns about each, since in a test it wants them closed by hand.
"""

from __future__ import annotations

from typing import Any

from moto.core.common_models import BaseModel
from moto.s3.models import FakeKey


def _untracked(cls: type[Any], *_: Any, **__: Any) -> Any:
    return object.__new__(cls)


def apply() -> None:
    """Create model objects without remembering them, and let S3's close in peace."""
    FakeKey.__del__ = FakeKey.dispose  # type: ignore[method-assign]
    BaseModel.__new__ = _untracked  # type: ignore[method-assign]
