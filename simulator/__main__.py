"""`python -m simulator --port N --data DIR [--reset]`: serve in the foreground until a signal."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from simulator.server import Simulator

KEPT_FILES = ("estate.bin", "state.bin", "journal.jsonl", "calls.jsonl", "calls.1.jsonl")


def main() -> None:
    """Serve until SIGTERM or SIGINT, then leave a checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="A simulated AWS on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, help="keeps state here; without it, nothing is kept")
    parser.add_argument("--reset", action="store_true", help="start from the estate as first built")
    arguments = parser.parse_args()
    if arguments.reset and arguments.data is not None:
        for name in KEPT_FILES:
            (arguments.data / name).unlink(missing_ok=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    simulator = Simulator(arguments.data).start(arguments.port)
    print(f"Simulated AWS: {simulator.url}", flush=True)
    stop.wait()
    simulator.stop()


if __name__ == "__main__":
    main()
