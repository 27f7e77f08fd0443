"""Intake beside what it is measured by: one alert a request at 1, 8 and 32 clients, and batches of 500.

Rounds alternate between ours and the naive service, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterator
from typing import Any

import psycopg

from bench import bodies, load
from bench.site import Site

CLIENTS = (1, 8, 32)
BATCH = 500
BATCH_CLIENTS = 2


def measure(site: Site, *, seconds: float, rounds: int, seed: int) -> dict[str, Any]:
    """Requests per second of both, alerts per second in batches of both, and their ratios."""
    seeds = itertools.count(seed)
    _warm(site, next(seeds))
    single = {clients: _single(site, clients, seconds, rounds, seeds) for clients in CLIENTS}
    return {
        "single": single,
        "batch": _batch(site, seconds, rounds, seeds),
        "rows": {
            "quell": _count(site.database, "cases_alert"),
            "naive": _count(site.naive_database, "naive_alert"),
        },
    }


def _single(site: Site, clients: int, seconds: float, rounds: int, seeds: Iterator[int]) -> dict[str, Any]:
    found: dict[str, list[load.Tally]] = {"quell": [], "naive": []}
    for _ in range(rounds):
        for name, port, path in (("naive", site.naive, "/alerts"), ("quell", site.quell, "/api/v1/alerts")):
            requests = _posts(path, port, site.key, next(seeds))
            found[name].append(load.run(port=port, clients=clients, seconds=seconds, requests=requests))
    return _compared(found, scale=1)


def _batch(site: Site, seconds: float, rounds: int, seeds: Iterator[int]) -> dict[str, Any]:
    found: dict[str, list[load.Tally]] = {"quell": [], "naive": []}
    for _ in range(rounds):
        for name, port, path in (
            ("naive", site.naive, "/bulk"),
            ("quell", site.quell, "/api/v1/alerts/batch"),
        ):
            requests = _batches(path, port, site.key, next(seeds), amount=int(100 * seconds))
            found[name].append(load.run(port=port, clients=BATCH_CLIENTS, seconds=seconds, requests=requests))
    return _compared(found, scale=BATCH)


def _compared(found: dict[str, list[load.Tally]], *, scale: int) -> dict[str, Any]:
    rates = {name: [tally.per_second * scale for tally in tallies] for name, tallies in found.items()}
    ratios = [ours / theirs for ours, theirs in zip(rates["quell"], rates["naive"], strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        **{f"{name}_per_second": round(statistics.median(rates[name]), 1) for name in rates},
        **{
            f"{name}_p95_ms": round(statistics.median(t.percentile(0.95) for t in tallies) * 1000, 1)
            for name, tallies in found.items()
        },
        "n": {name: sum(len(t.latencies) for t in tallies) for name, tallies in found.items()},
        "statuses": {name: _statuses(tallies) for name, tallies in found.items()},
    }


def _statuses(tallies: list[load.Tally]) -> dict[int, int]:
    return {
        status: sum(tally.statuses.get(status, 0) for tally in tallies)
        for status in sorted({status for tally in tallies for status in tally.statuses})
    }


def _posts(path: str, port: int, key: str, seed: int) -> Iterator[bytes]:
    headers = {"Authorization": f"Bearer {key}"}
    for alert in bodies.alerts(seed):
        yield load.request(path=path, port=port, body=json.dumps(alert).encode(), headers=headers)


def _batches(path: str, port: int, key: str, seed: int, *, amount: int) -> Iterator[bytes]:
    """Made beforehand: spelling 500 alerts takes the generator longer than it takes us to read them."""
    headers = {"Authorization": f"Bearer {key}"}
    alerts = bodies.alerts(seed)
    return iter(
        [
            load.request(
                path=path,
                port=port,
                body=json.dumps(list(itertools.islice(alerts, BATCH))).encode(),
                headers=headers,
            )
            for _ in range(amount)
        ]
    )


def _warm(site: Site, seed: int) -> None:
    for port, path in ((site.naive, "/alerts"), (site.quell, "/api/v1/alerts")):
        load.run(port=port, clients=16, seconds=1.0, requests=_posts(path, port, site.key, seed))


def _count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608 - names of ours
    return int(row[0]) if row else 0
