"""A load of keep-alive HTTP/1.1 requests over plain sockets: little work of its own, every answer read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Tally:
    """What came back: how many of each status, how long each took in seconds, and for how long in all."""

    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers of 2xx per second."""
        good = sum(count for status, count in self.statuses.items() if 200 <= status < 300)
        return good / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def request(*, path: str, port: int, body: bytes, headers: dict[str, str]) -> bytes:
    """One POST, ready to be sent."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def run(*, port: int, clients: int, seconds: float, requests: Iterator[bytes]) -> Tally:
    """Send requests over that many connections for that long, each connection one after another."""
    return asyncio.run(_all(port, clients, seconds, requests))


async def _all(port: int, clients: int, seconds: float, requests: Iterator[bytes]) -> Tally:
    tally = Tally()
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_client(port, begun + seconds, requests, tally))
    tally.seconds = time.perf_counter() - begun
    return tally


async def _client(port: int, until: float, requests: Iterator[bytes], tally: Tally) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        while (begun := time.perf_counter()) < until:
            writer.write(next(requests))
            head = await reader.readuntil(b"\r\n\r\n")
            length = _length(head)
            if length:
                await reader.readexactly(length)
            status = int(head[9:12])
            tally.statuses[status] = tally.statuses.get(status, 0) + 1
            tally.latencies.append(time.perf_counter() - begun)
            if b"onnection: close" in head:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    finally:
        writer.close()


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at < 0:
        raise ValueError("an answer without a length")
    return int(lower[at + 15 : lower.index(b"\r\n", at)])
