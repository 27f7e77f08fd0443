"""The simulated AWS's one state: applied to under a lock, journalled, put back, started again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from simulator import engine, estate
from simulator.journal import Journal, read_whole, write_whole
from simulator.patches import clock, randomness, sessions
from simulator.wire import Answer, Call

# A client whose clock is behind still sees ExpiredToken, not an unknown key, for this long.
EXPIRED_SESSIONS_KEPT = timedelta(hours=1)


class World:
    """moto's state and what is needed to have it again.

    One lock for every call: moto is not safe for threads, and ids depend on the order of changes.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._directory = directory
        self._number = 0
        # Counts resets, so that a kill in the middle of one leaves no call of the time before.
        self._epoch = 0
        self._journal = Journal(directory) if directory is not None else None
        if not self._resume():
            self._begin()

    @property
    def estate(self) -> Mapping[str, Any]:
        """The estate as first built."""
        return self._estate

    @property
    def root_keys(self) -> Mapping[str, str]:
        """The launcher's own root keys, each with its account."""
        return self._root_keys

    def _begin(self) -> None:
        """Build the estate."""
        if self._journal is not None:
            self._journal.clear()  # first: what is in it belongs to no estate that will be there
        engine.forget()
        self._adopt(estate.build(), number=0, epoch=0)
        self._first = engine.dump()
        if self._directory is not None:
            self._write("estate.bin", self._first)
            self._write("state.bin", self._first)

    def _resume(self) -> bool:
        """Stand where an earlier process stopped; False if there was none of this version."""
        if self._directory is None:
            return False
        first, last = (read_whole(self._directory / name) for name in ("estate.bin", "state.bin"))
        if first is None or last is None:
            return False
        if first[0]["version"] != engine.STATE_VERSION:
            print(
                f"The simulated AWS in {self._directory} was written by {first[0]['version']}; "
                f"this is {engine.STATE_VERSION}: starting anew.",
                file=sys.stderr,
            )
            return False
        self._adopt(first[0]["estate"], number=last[0]["number"], epoch=last[0]["epoch"])
        self._first = first[1]
        engine.load(last[1])
        for entry in self._require_journal().entries(epoch=self._epoch, after=self._number):
            with clock.standing_at(entry.at), randomness.stream(f"call/{entry.number}"):
                engine.serve(entry.call, entry.account)
            self._number = entry.number
        return True

    def _adopt(self, built: Mapping[str, Any], *, number: int, epoch: int) -> None:
        self._estate = built
        self._root_keys = estate.root_keys(built)
        self._number, self._epoch = number, epoch

    def apply(self, call: Call, account: str) -> Answer:
        """Serve a call; a successful change is journalled before this returns."""
        with self._lock:
            if not call.changes_state:
                return engine.serve(call, account)
            number, at = self._number + 1, clock.now()
            with clock.standing_at(at), randomness.stream(f"call/{number}"):
                answer = engine.serve(call, account)
            if answer.status < 400:
                self._number = number
                if self._journal is not None:
                    self._journal.append(number, epoch=self._epoch, at=at, account=account, call=call)
                    if self._journal.full:
                        self.checkpoint()
            return answer

    @property
    def lock(self) -> threading.RLock:
        """Held while a call is decided and applied, so that nothing changes in between."""
        return self._lock

    def checkpoint(self) -> bool:
        """Write the whole state and empty the journal. False, with a notice, if that cannot be done."""
        if self._directory is None:
            return False
        with self._lock:
            sessions.forget_expired(clock.now() - EXPIRED_SESSIONS_KEPT)
            try:
                state = engine.dump()
            except engine.CannotKeepError as error:
                print(f"The simulated AWS goes on without a checkpoint: {error}", file=sys.stderr)
                self._require_journal().postpone()
                return False
            self._write("state.bin", state)
            self._require_journal().clear()
            return True

    def reset(self) -> None:
        """Back to the estate as first built, with the same ids."""
        with self._lock:
            engine.load(self._first)
            self._number, self._epoch = 0, self._epoch + 1
            if self._directory is not None:
                self._write("state.bin", self._first)
                self._require_journal().clear()

    def close(self) -> None:
        """Leave a checkpoint if there is anything to replay, and let moto go."""
        with self._lock:
            if self._journal is not None:
                if not self._journal.empty:
                    self.checkpoint()
                self._journal.close()
            engine.forget()

    def _write(self, name: str, state: bytes) -> None:
        if self._directory is None:
            return
        header: dict[str, Any] = {
            "version": engine.STATE_VERSION,
            "number": self._number,
            "epoch": self._epoch,
        }
        if name == "estate.bin":
            header["estate"] = self._estate
        write_whole(self._directory / name, header, state)

    def _require_journal(self) -> Journal:
        if self._journal is None:
            raise RuntimeError("a world without a directory has no journal")
        return self._journal
