"""`./quell bench [floor] [ingest] [contain]`: one run, printed as it goes, kept as JSON in bench/results/."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import contain, floor, ingest
from bench.desk import desk
from bench.site import Site, site
from launcher import layout
from launcher.console import LauncherError
from launcher.stopping import Stop
from lib import clock

NAMES = ("floor", "ingest", "contain")
RESULTS = layout.ROOT / "bench" / "results"


def main(arguments: list[str]) -> int:
    """Run what was named, or everything; 0 when it could be measured, whatever the figures."""
    asked = _parser().parse_args(arguments)
    names = asked.name or list(NAMES)
    begun = clock.now()
    try:
        figures = _of_intake([name for name in dict.fromkeys(names) if name != "contain"], asked)
        if "contain" in names:
            with desk(Stop()) as whole:
                figures["contain"] = _show("contain", contain.measure(whole, runs=asked.runs))
    except LauncherError as failure:
        print(failure, file=sys.stderr)
        return failure.code
    path = _keep(figures, begun=begun, asked=asked)
    print(f"kept in {path.relative_to(layout.ROOT)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./quell bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=(*NAMES, []), help="which; all when none is named")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each, alternating")
    parser.add_argument("--runs", type=int, default=100, help="alerts that are contained, 1 to 100")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _of_intake(names: list[str], asked: argparse.Namespace) -> dict[str, Any]:
    if not names:
        return {}
    with site(Stop()) as running:
        return {name: _show(name, _measure(name, running, asked)) for name in names}


def _measure(name: str, running: Site, asked: argparse.Namespace) -> dict[str, Any]:
    if name == "floor":
        return floor.measure(running, seconds=asked.seconds)
    return ingest.measure(running, seconds=asked.seconds, rounds=asked.rounds, seed=asked.seed)


def _show(name: str, found: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps({name: found}, indent=1))
    return found


def _keep(figures: dict[str, Any], *, begun: datetime, asked: argparse.Namespace) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{'-'.join(figures)}-{begun:%Y%m%dT%H%M%SZ}.json"
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
        cwd=layout.ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    whole = {
        "at": begun.isoformat(),
        "commit": commit,
        "machine": {"python": platform.python_version(), "cores": _cores(), "system": platform.platform()},
        "settings": {
            "seconds": asked.seconds,
            "rounds": asked.rounds,
            "runs": asked.runs,
            "seed": asked.seed,
        },
        **figures,
    }
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return path


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
