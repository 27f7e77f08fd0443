"""The alerts that are posted: seeded, each with an id of its own, about a kilobyte."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

TYPES = (
    "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom",
    "CryptoCurrency:EC2/BitcoinTool.B!DNS",
    "Recon:EC2/PortProbeUnprotectedPort",
    "Exfiltration:S3/AnomalousBehavior",
)
ACCOUNTS = tuple(f"{number:012d}" for number in range(111122223333, 111122223353))
_numbers = itertools.count(1)


def alerts(seed: int) -> Iterator[dict[str, Any]]:
    """Alerts without end; the same seed gives the same ones, but for their ids, which never come twice."""
    draw = random.Random(seed)
    while True:
        number = next(_numbers)
        kind = draw.choice(TYPES)
        yield {
            "source": "bench",
            "external_id": f"bench-{seed}-{number}",
            "title": f"{kind} seen from 198.51.100.{draw.randrange(256)}",
            "summary": "An address on a list of known bad ones called an API with this credential. " * 3,
            "severity": draw.randrange(101),
            "type": kind,
            "account": draw.choice(ACCOUNTS),
            "region": "eu-west-1",
            "resources": [
                {"type": "access_key", "id": f"AKIA{draw.randrange(10**15):016d}", "role": "target"},
                {"type": "user", "id": f"deploy-{draw.randrange(100)}"},
            ],
            "observables": [
                {"kind": "ip", "value": f"198.51.100.{draw.randrange(256)}"},
                {"kind": "user_agent", "value": "aws-cli/2.15.0 Python/3.11 Linux/6.1 exe/x86_64"},
            ],
            "detected_at": "2026-11-24T02:13:00Z",
        }
