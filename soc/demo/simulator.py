"""What the simulated AWS says about itself, over HTTP: no code is shared with it."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import ProxyHandler, build_opener

Json = dict[str, Any]


class NoSimulator(RuntimeError):
    """The simulated AWS does not answer, or not with an estate."""


def estate_of(url: str) -> Json:
    """The estate: `accounts`, `users`, `instances`, `buckets`, `functions`, each a list of objects.

    Raises `NoSimulator`.
    """
    if not url.startswith(("http://", "https://")):
        raise NoSimulator(f"{url} is not an address")
    try:
        # The simulator is on this machine; a proxy for the outside would not find it.
        with build_opener(ProxyHandler({})).open(f"{url.rstrip('/')}/_sim/estate", timeout=30) as answer:
            estate = json.load(answer)
    except (OSError, ValueError) as failure:
        raise NoSimulator(f"{url}/_sim/estate: {failure}") from failure
    if not isinstance(estate, dict) or not estate.get("accounts"):
        raise NoSimulator(f"{url}/_sim/estate names no accounts")
    return estate
