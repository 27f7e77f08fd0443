"""What the launcher says: one line per stage with the seconds since it began."""

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO


class LauncherError(Exception):
    """Something the user has to know or do; shown without a traceback.

    `code` is the exit status, after sysexits(3): 69 something is missing here, 75 try again later.
    """

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Console:
    """Writes whole lines and survives a reader that went away: children must still be stopped then."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._read = True
        self._started = time.monotonic()

    def line(self, text: str) -> None:
        """Write one line as it is."""
        if not self._read:
            return
        try:
            print(text, file=self._stream or sys.stdout, flush=True)
        except OSError:  # the terminal or the pipe is gone; there is nobody left to tell
            self._read = False
            _discard(self._stream or sys.stdout)

    def stage(self, text: str) -> None:
        """Write one line of progress, with elapsed seconds."""
        self.line(f"[{time.monotonic() - self._started:6.1f} s] {text}")

    def lines(self, texts: Iterable[str], *, indent: str = "    ") -> None:
        """Write several lines, indented."""
        for text in texts:
            self.line(indent + text)


def _discard(stream: TextIO) -> None:
    """Send the rest into nothing: Python flushes at exit and would turn a broken pipe into status 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def last_lines(path: Path, count: int = 20) -> list[str]:
    """The end of a log file; empty when there is none. Reads at most the last 64 kB."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 65_536))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:]
