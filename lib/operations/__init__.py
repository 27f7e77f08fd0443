"""Which IAM actions an AWS operation needs, and on what: one module for each service.

Sources: the Service Authorization Reference,
https://docs.aws.amazon.com/service-authorization/latest/reference/. An operation that is in none of
them cannot be declared by an action type: the build fails.
"""

from __future__ import annotations

import importlib
import pkgutil

from lib.operations.needs import Need


def table() -> dict[str, Need]:
    """Every operation of every module; raises `ValueError` when two modules say different things of one."""
    found: dict[str, Need] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for name, need in getattr(importlib.import_module(module.name), "OPERATIONS", {}).items():
            if found.get(name, need) != need:
                raise ValueError(f"{name} stands in two modules, with different needs")
            found[name] = need
    return found
