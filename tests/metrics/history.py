"""A made-up history of a desk, as another system would hand it over, from a fixed seed."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

ACCOUNTS = ("111122223333", "222233334444", "333344445555")
VERDICTS = ["true_positive"] * 12 + ["false_positive", "benign", "duplicate", "sample"]


def lines(n: int, *, before: datetime, days: float, seed: int, prefix: str = "OLD") -> list[dict[str, Any]]:
    """That many incidents detected in the days before a moment, some open, some odd."""
    chance = random.Random(seed)
    return [_one(chance, f"{prefix}-{number}", before, days) for number in range(n)]


def ndjson(documents: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(document).encode() for document in documents)


def _one(chance: random.Random, name: str, before: datetime, days: float) -> dict[str, Any]:
    detected = before - timedelta(days=chance.random() * days)
    at = {"detected_at": detected, "received_at": detected + timedelta(seconds=chance.randint(3, 400))}
    if chance.random() < 0.85:
        at["first_ioc_at"] = detected - _around(chance, 38)
    if chance.random() < 0.65:
        at["attacker_access_at"] = detected - _around(chance, 400)
    if chance.random() < 0.05:
        at["first_ioc_at"] = detected + timedelta(minutes=2)
    moment = detected
    steps = (
        "acknowledged_at",
        "prioritised_at",
        "responded_at",
        "contained_at",
        "eradicated_at",
        "recovered_at",
    )
    for kind, minutes in zip((*steps, "closed_at"), (6, 2, 12, 33, 150, 300, 2600), strict=True):
        moment += _around(chance, minutes)
        if moment > before or chance.random() < 0.02:
            break
        if chance.random() < 0.96:
            at[kind] = moment
    return {
        "external_id": name,
        "title": "Credentials of web-frontend used from outside AWS <b>",
        "severity": chance.choice([95, 80, 80, 50, 50, 20]),
        "kind": chance.choice(["compromised_credentials", "crypto_mining", ""]),
        "account": chance.choice(ACCOUNTS),
        "verdict": chance.choice(VERDICTS) if "closed_at" in at else None,
        "is_exercise": chance.random() < 0.06,
        "milestones": {kind: _told(chance, kind, when) for kind, when in at.items()},
    }


def _around(chance: random.Random, minutes: float) -> timedelta:
    return timedelta(seconds=60 * minutes * chance.lognormvariate(0, 0.8))


def _told(chance: random.Random, kind: str, at: datetime) -> object:
    if kind == "attacker_access_at" and chance.random() < 0.5:
        return {"at": at.isoformat(), "estimated": True}
    return at.isoformat()
