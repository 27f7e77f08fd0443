"""`./quell demo` or `up` as processes of their own, for tests that look at them from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.layout import ROOT

STOP_SECONDS = 15


class Running:
    """One `./quell demo` or `./quell up`, and what it said."""

    def __init__(self, command: str, data: Path, given: Mapping[str, str]) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [ROOT / "quell", command, "--port", "0", "--data", data],
            env={
                "PATH": os.environ["PATH"],
                "AWS_ACCESS_KEY_ID": "AKIACALLERSOWNKEY000",
                "AWS_PROFILE": "production",
                **given,
            },
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    def wait_until_ready(self, seconds: float) -> None:
        assert self.process.stdout is not None
        started = time.monotonic()
        for line in self.process.stdout:
            self.output += line
            if line.startswith("Quell is ready: "):
                assert time.monotonic() - started < seconds, self.output
                return
        pytest.fail(f"it ended before it was ready:\n{self.output}")

    def said(self, label: str) -> str:
        found = re.search(rf"^{label}: (\S+)$", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    def pids(self) -> dict[str, int]:
        return {path.stem: int(path.read_text().split()[0]) for path in (self.data / "run").glob("*.pid")}

    def family(self) -> set[int]:
        """All processes of the demo, grandchildren too: they share their leader's group."""
        groups = set(self.pids().values())
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) in groups:
                found.add(int(entry.name))
        return found

    def stop(self, number: signal.Signals) -> None:
        started = time.monotonic()
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=STOP_SECONDS)
        self.output += rest
        assert time.monotonic() - started < STOP_SECONDS


@contextmanager
def quell(command: str, data: Path, **given: str) -> Iterator[Running]:
    """It, started and in the end killed; `given` are environment variables of its own."""
    running = Running(command, data, given)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        if running.process.stdout is not None:
            running.process.stdout.close()
