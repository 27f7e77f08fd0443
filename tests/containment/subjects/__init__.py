"""For each action type: what it is tried on, and how its piece of the world looks. One entry per type.

One module for each group of types, each with `SUBJECTS`. The contract tests run for every registered
type and fail for a type that has no entry.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.containment.subjects.subject import Subject

SUBJECTS: dict[str, Subject] = {}

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    for _type_id, _subject in getattr(importlib.import_module(_module.name), "SUBJECTS", {}).items():
        if _type_id in SUBJECTS:
            raise ValueError(f"{_type_id} has two subjects")
        SUBJECTS[_type_id] = _subject
