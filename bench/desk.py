"""A whole Quell at work: web, workers and beat as `./quell demo` starts them, on a durable PostgreSQL."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.site import binaries
from launcher import demo, ports, postgres
from launcher.console import Console
from launcher.datadir import DataDirectory
from launcher.stack import Stack
from launcher.stopping import Stop


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The running processes: the web server's port, the database and the simulated AWS."""

    stack: Stack
    database: str
    simulator: str
    environment: dict[str, str]

    @property
    def port(self) -> int:
        """Where the web server listens."""
        return self.stack.port

    def ask(self, script: str) -> str:
        """What a script prints that runs in `manage.py shell`; `LauncherError` when it fails."""
        output = self.stack.data.run / f"ask-{secrets.token_hex(4)}"
        self.stack.manage(
            "shell", "--verbosity", "0", "-c", script, environment=self.environment, output=output
        )
        return output.read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def desk(stop: Stop) -> Iterator[Desk]:
    """Start everything, with the demo's company and without its story; stop it again."""
    with contextlib.ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="quell-bench-")))
        url = held.enter_context(postgres.cluster(binaries(), logs=scratch, stop=stop, durable=True))
        data = DataDirectory(scratch / "data")
        data.prepare("demo")
        held.callback(data.lock.release)
        data.keep_secrets()
        data.keep({"DATABASE_URL": url, "QUELL_INGEST_PER_MINUTE": "1000000"})
        stack = Stack(data=data, port=ports.free(), console=Console(), stop=stop)
        held.callback(stack.close)
        simulator = demo.start_simulator(stack)
        common = demo.prepare(stack)
        demo.wait_for_simulator(stack, simulator)
        environment = {**common, "QUELL_DEMO_PASSWORD": secrets.token_urlsafe(12)}
        stack.manage("load_demo", "--simulator", simulator, environment=environment)
        stack.start_processes(common=common, aws=demo.simulated_aws(simulator))
        stack.wait_until_ready()
        yield Desk(stack=stack, database=url, simulator=simulator, environment=environment)
