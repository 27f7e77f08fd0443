"""How much each key, hook and person may send: a bucket of tokens for each, in this process.

A bucket holds a minute's budget and fills evenly. A request is let in when the bucket holds its weight
(or is full, for a weight above a minute's budget) and may leave it in debt, so that a body whose items
are counted only after it was read is paid for all the same. The web processes do not ask each other:
each has its share of the budget (`QUELL_WEB_PROCESSES`).
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from identity.requests import actor_of
from lib import clock
from lib.errors import TooManyRequests

ALLOWANCE = "quell.allowance"
"""Where a request keeps what was left to its sender, for the answer's headers."""

MINUTE = 60.0
MOST_BUCKETS = 10_000
"""Beyond that the bucket unused for the longest time is forgotten, which fills it."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What a sender has left: tokens now, of so many for each minute."""

    per_minute: int
    left: float

    @property
    def headers(self) -> dict[str, str]:
        """https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/"""
        left = max(0, int(self.left))
        until_full = math.ceil((self.per_minute - self.left) * MINUTE / self.per_minute)
        return {
            "RateLimit-Policy": f'"minute";q={self.per_minute};w={int(MINUTE)}',
            "RateLimit": f'"minute";r={left};t={max(0, until_full)}',
        }


@dataclass(kw_only=True)
class _Bucket:
    tokens: float
    at: float


class Throttle:
    """The buckets of one process. Safe between threads; holds `MOST_BUCKETS` at most."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, principal: str, *, per_minute: int, weight: int) -> Allowance:
        """Take so many tokens. `TooManyRequests`, with nothing taken, when they are not there."""
        with self._lock:
            bucket = self._filled(principal, per_minute)
            needed = min(weight, per_minute)
            # What fills up between two looks is a sum of floats: a grain short still counts as there.
            if bucket.tokens + 1e-6 < needed:
                wait = (needed - bucket.tokens) * MINUTE / per_minute
                raise TooManyRequests(
                    f"More than {per_minute} a minute; wait before sending the rest.",
                    retry_after=max(1, math.ceil(wait)),
                )
            bucket.tokens -= weight
            return Allowance(per_minute=per_minute, left=bucket.tokens)

    def charge(self, principal: str, *, per_minute: int, weight: int) -> Allowance:
        """Take so many tokens whether or not they are there."""
        with self._lock:
            bucket = self._filled(principal, per_minute)
            bucket.tokens -= weight
            return Allowance(per_minute=per_minute, left=bucket.tokens)

    def forget(self) -> None:
        """Fill every bucket. For tests."""
        with self._lock:
            self._buckets.clear()

    def __len__(self) -> int:
        return len(self._buckets)

    def _filled(self, principal: str, per_minute: int) -> _Bucket:
        now = clock.now().timestamp()
        bucket = self._buckets.get(principal)
        if bucket is None:
            bucket = self._buckets[principal] = _Bucket(tokens=per_minute, at=now)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(principal)
        # A clock that was set back gives nothing and takes nothing.
        gained = max(0.0, now - bucket.at) * per_minute / MINUTE
        bucket.tokens, bucket.at = min(float(per_minute), bucket.tokens + gained), now
        return bucket


throttle = Throttle()
"""The buckets of this process."""


def admit(request: HttpRequest | Request, *, principal: str, per_minute: int | None, weight: int = 1) -> None:
    """Let a request of a principal (`key:ulid`, `hook:ulid`, `person:ulid`) in, or raise `TooManyRequests`.

    `per_minute` is the principal's own budget, None the installation's; `weight` how many alerts the
    request brings, as far as that is known. To be called before anything is stored; in the API the error
    becomes a 429 with Retry-After, doors of other shape say it in theirs (`failure.retry_after` seconds).
    """
    allowance = throttle.take(principal, per_minute=budget(per_minute), weight=weight)
    request.META[ALLOWANCE] = allowance


def charge(request: HttpRequest | Request, *, principal: str, per_minute: int | None, weight: int) -> None:
    """Make a request pay for what it turned out to hold, beyond the weight that it was let in with."""
    if weight > 0:
        request.META[ALLOWANCE] = throttle.charge(principal, per_minute=budget(per_minute), weight=weight)


def admit_actor(request: HttpRequest | Request, *, weight: int = 1) -> None:
    """Let the request's actor in, by the budget of its key or hook, or raise `TooManyRequests`."""
    actor = actor_of(request)
    admit(request, principal=actor.principal, per_minute=actor.per_minute, weight=weight)


def charge_actor(request: HttpRequest | Request, *, weight: int) -> None:
    """Make the request's actor pay for what the request turned out to hold."""
    actor = actor_of(request)
    charge(request, principal=actor.principal, per_minute=actor.per_minute, weight=weight)


def budget(per_minute: int | None) -> int:
    """This process's share of a budget, at least one request a minute."""
    whole = settings.QUELL_INGEST_PER_MINUTE if per_minute is None else per_minute
    return max(1, int(whole) // int(settings.QUELL_WEB_PROCESSES))


def tell(request: HttpRequest, response: HttpResponseBase) -> None:
    """Put into the answer's headers what is left, where the request went through here."""
    allowance = request.META.get(ALLOWANCE)
    if isinstance(allowance, Allowance):
        for name, value in allowance.headers.items():
            response[name] = value
