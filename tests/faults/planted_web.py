"""The application of `soc.wsgi` with the defect that `QUELL_PLANT` names, for processes that are killed."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from soc.wsgi import application as sound

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

MOMENT = 0.05
"""How long, in seconds, what is wrong stays wrong; a kill every 300 ms has to fall into it."""


def slow_answers() -> Application:
    """No defect: the work is committed, and the answer takes a moment, which is when a client loses it."""

    def slow(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        answer = sound(environ, start)
        time.sleep(MOMENT)
        return answer

    return slow


def unheard(_: bytes) -> None:
    """Where the answer goes that was given already."""


def answered_before_the_commit() -> Application:
    """A 2xx is sent first, and the work is done in a thread."""

    def early(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return sound(environ, start)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        later = {**environ, "wsgi.input": io.BytesIO(body)}

        def work() -> None:
            time.sleep(MOMENT)
            b"".join(sound(later, lambda *_: unheard))

        threading.Thread(target=work).start()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
        return [b"{}"]

    return early


def stored_in_parts() -> Application:
    """An alert, its copy and its receipt are committed one after the other."""
    from cases import ingest, inserting, storing

    keep = storing._keep_copies

    def late(*given: Any, **more: Any) -> None:
        time.sleep(MOMENT)
        keep(*given, **more)

    inserting.is_possible = lambda: False
    storing._keep_copies = late
    ingest.__dict__["transaction"] = SimpleNamespace(atomic=nullcontext)
    return sound


def key_ignored() -> Application:
    """A request with an Idempotency-Key is carried out each time it comes."""
    from cases import once

    claim = once.claim
    once.claim = lambda **given: claim(**{**given, "key": os.urandom(16).hex()})
    return slow_answers()


def key_committed_before_the_work() -> Application:
    """The key of a batch counts as used, with an answer, although the work may never be done."""
    from cases import once
    from soc.api import idempotency

    idempotency.__dict__["transaction"] = SimpleNamespace(atomic=nullcontext)
    claim = once.claim

    def early(**given: Any) -> Any:
        row = claim(**given)
        if given["route"] == "api-alerts-batch" and not row.status:
            once.keep(row, status=200, answer='{"results": []}', names={})
            time.sleep(MOMENT)
        return row

    once.claim = early
    return sound


PLANTS: dict[str, Callable[[], Application]] = {
    plant.__name__.replace("_", "-"): plant
    for plant in (
        slow_answers,
        answered_before_the_commit,
        stored_in_parts,
        key_ignored,
        key_committed_before_the_work,
    )
}

application = PLANTS[os.environ["QUELL_PLANT"]]()
