"""IAM's unique ids begin with what they are of: AIDA users, AIPA profiles, AGPA groups, ANPA policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
"""

from __future__ import annotations

import base64
from typing import Any

from moto.iam import models

PREFIXES = {"User": "AIDA", "Group": "AGPA", "InstanceProfile": "AIPA", "ManagedPolicy": "ANPA"}


def _prefixed(model: Any, prefix: str) -> None:
    original = model.__init__

    def init(self: Any, *arguments: Any, **more: Any) -> None:
        original(self, *arguments, **more)
        self.id = prefix + base64.b32encode(self.id.encode()).decode()[:17]

    model.__init__ = init


def apply() -> None:
    """Give the models ids like AWS's, drawn from what moto drew."""
    for name, prefix in PREFIXES.items():
        _prefixed(getattr(models, name), prefix)
