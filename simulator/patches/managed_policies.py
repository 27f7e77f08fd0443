"""The few AWS managed policies that incident response uses, in every account.

AWS has them everywhere; moto has all of them or none, and all of them cost over a second and 30 MB
per account touched.
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

# ruff: noqa: SLF001  # reaching into moto is what a patch does
from __future__ import annotations

import json
from functools import cache
from typing import Any

from moto.iam import models
from moto.iam.aws_managed_policies import aws_managed_policies_data

NAMES = frozenset(
    {
        "AdministratorAccess",
        "AmazonEC2ReadOnlyAccess",
        "AmazonS3ReadOnlyAccess",
        "AmazonSSMManagedInstanceCore",
        "AWSCompromisedKeyQuarantine",
        "AWSCompromisedKeyQuarantineV2",
        "AWSCompromisedKeyQuarantineV3",
        "AWSDenyAll",
        "AWSLambdaBasicExecutionRole",
        "IAMReadOnlyAccess",
        "PowerUserAccess",
        "ReadOnlyAccess",
        "SecurityAudit",
        "ViewOnlyAccess",
    }
)


@cache
def _documents() -> dict[str, Any]:
    everything: dict[str, Any] = json.loads(aws_managed_policies_data)
    return {name: data for name, data in everything.items() if name in NAMES}


def apply() -> None:
    """Let each IAM backend start with those, and only those."""

    def init_aws_policies(self: Any) -> list[Any]:
        return [
            models.AWSManagedPolicy.from_data(name, self.account_id, self.region_name, data)
            for name, data in _documents().items()
        ]

    models.IAMBackend._init_aws_policies = init_aws_policies  # type: ignore[method-assign]
