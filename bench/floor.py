"""The floor: how many single-row inserts PostgreSQL commits in a second, from threads that only insert."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from bench.site import Site

CLIENTS = (1, 8, 32)
_BODY = "x" * 1000


def measure(site: Site, *, seconds: float) -> dict[str, Any]:
    """Commits per second at each number of connections."""
    with psycopg.connect(site.naive_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, body text)")
    return {str(clients): round(_rate(site.naive_database, clients, seconds), 1) for clients in CLIENTS}


def _rate(url: str, clients: int, seconds: float) -> float:
    counts = [0] * clients
    until = time.perf_counter() + seconds

    def insert(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while time.perf_counter() < until:
                connection.execute("INSERT INTO floor (body) VALUES (%s)", (_BODY,))
                counts[number] += 1

    threads = [threading.Thread(target=insert, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds
