"""A deny in a key's policy is not a deny for everyone when it has a condition.

moto looks at such a statement's action and resource alone, so that one for a single principal would hit
the account's administrator as well. Who is really denied is asked of `simulator.enforcing`.
"""

from __future__ import annotations

import json
from typing import Any

from moto.kms import models, policy_validator, responses
from moto.kms.exceptions import AccessDeniedException


def apply() -> None:
    """Let moto judge by the statements without a condition only."""

    def validate_policy(key: models.Key, action: str) -> None:
        for statement in json.loads(key.policy).get("Statement", []):
            denies = statement.get("Effect") == "Deny" and not statement.get("Condition")
            if denies and policy_validator.check_statement(statement, key.arn, action):
                raise AccessDeniedException(message=f"{action} is not allowed by the key's policy")

    target: Any = responses
    target.validate_policy = validate_policy
