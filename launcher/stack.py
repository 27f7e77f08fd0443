"""Quell's processes on one machine: broker, web, three kinds of worker and beat, watched over together."""

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from launcher import layout, ports, processes, surroundings, valkey
from launcher.console import Console, LauncherError, last_lines
from launcher.datadir import DataDirectory
from launcher.stopping import Stop
from launcher.supervisor import Program, Supervisor

_READY_SECONDS = 120
_HOPELESS = 4
_STAGES = {"web": 1, "beat": 1, "worker": 2, "simulator": 3, "valkey": 4}
_QUEUES = {"general": 2, "collect": 4, "containment": 4}
"""Threads per worker."""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Stack:
    """One running Quell: its supervisor, its data directory, its addresses.

    Made by `demo` and `up`; `close` stops everything, whatever has been started so far.
    """

    def __init__(self, *, data: DataDirectory, port: int, console: Console, stop: Stop) -> None:
        self.data, self.port, self.console, self.stop = data, port, console, stop
        self.supervisor = Supervisor(run=data.run, logs=data.logs, console=console)
        self.python = layout.python_of(layout.VENV)
        self.url = f"http://{ports.LOOPBACK}:{port}"
        self.broker = surroundings.NOWHERE
        self.remembered = data.remembered("running")

    # --- broker -----------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """Use `REDIS_URL`, else start a server of our own and wait until it answers."""
        given = surroundings.setting(self.data, "REDIS_URL")
        if given or "REDIS_URL_FILE" in os.environ:
            self.broker = given or Path(os.environ["REDIS_URL_FILE"]).read_text(encoding="utf-8").strip()
            self.console.stage("broker: the one in REDIS_URL")
            return
        server = valkey.find_server(self.python)
        password = surroundings.setting(self.data, "QUELL_VALKEY_PASSWORD")
        if password is None:
            raise LauncherError(f"QUELL_VALKEY_PASSWORD is missing from {self.data.secrets_file}")
        port = ports.remembered_or_free(self.remembered.get("valkey_port"))
        self.remembered["valkey_port"] = port
        self.broker = valkey.url(port=port, password=password)
        self.supervisor.start(
            Program(
                name="valkey",
                command=valkey.command(
                    server, directory=self.data.path / "valkey", port=port, password=password
                ),
                environment={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.data.home)},
                stage=_STAGES["valkey"],
                directory=self.data.path,
            )
        )
        self.wait("Valkey", lambda: valkey.answers(port=port, password=password), of="valkey", seconds=30)
        self.console.stage(f"broker: {server.name} on port {port}")

    # --- commands ---------------------------------------------------------------------------------

    def environment(self, **own: str) -> dict[str, str]:
        """What every process of this stack shares."""
        defaults = {}
        if not surroundings.setting(self.data, "DATABASE_URL") and "DATABASE_URL_FILE" not in os.environ:
            defaults["DATABASE_URL"] = self.data.database_url()
        return surroundings.common(self.data, **defaults, REDIS_URL=self.broker, **own)

    def manage(self, *arguments: str, environment: Mapping[str, str], output: Path | None = None) -> None:
        """Run one management command to its end; its output goes to a log of its name.

        Raises `LauncherError` with the end of the log when it fails.
        """
        log = self.data.logs / f"{arguments[0]}.log"
        log.write_bytes(b"")
        code = processes.run(
            [self.python, layout.ROOT / "manage.py", *arguments],
            environment=environment,
            log=log,
            output=output,
            stop=self.stop,
            while_waiting=self.supervisor.look,
        )
        if code != 0:
            raise LauncherError(
                "\n".join([f"manage {arguments[0]} failed (exit status {code}), {log}:", *last_lines(log)])
            )

    # --- processes --------------------------------------------------------------------------------

    def start_processes(self, *, common: Mapping[str, str], aws: Mapping[str, str]) -> None:
        """Start web, workers and beat; AWS settings go to the two workers that use them."""
        for name, stage, patience, command in self._programs():
            self.supervisor.start(
                Program(
                    name=name,
                    command=(str(self.python), "-m", *command),
                    environment=surroundings.of_process(name, common=common, aws=aws),
                    stage=stage,
                    patience=patience,
                )
            )

    def _programs(self) -> list[tuple[str, int, float, Sequence[str]]]:
        web = (
            "gunicorn", "soc.wsgi", "--worker-class", "gthread", "--workers", "2", "--threads", "8",
            "--bind", f"{ports.LOOPBACK}:{self.port}", "--graceful-timeout", "3", "--no-control-socket",
        )  # fmt: skip
        beat = ("celery", "-A", "soc", "beat", "--schedule", str(self.data.run / "beat-schedule"))
        workers = [
            (
                f"worker-{queue}",
                _STAGES["worker"],
                10.0,
                (
                    "celery", "-A", "soc", "worker", "-Q", queue, "-P", "threads", "-c", str(threads),
                    "-n", f"{queue}@%h", "--without-gossip", "--without-mingle",
                ),
            )
            for queue, threads in _QUEUES.items()
        ]  # fmt: skip
        return [("web", _STAGES["web"], 4.0, web), *workers, ("beat", _STAGES["beat"], 4.0, beat)]

    # --- waiting ----------------------------------------------------------------------------------

    def wait(self, what: str, ready: Callable[[], bool], *, of: str, seconds: float) -> None:
        """Wait for something a child provides, watching all children meanwhile.

        Raises `LauncherError` with the end of that child's log when time runs out, or as soon as a
        child has died so often that waiting is pointless.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.stop.check()
            self.supervisor.look()
            hopeless = self.supervisor.dying(_HOPELESS)
            if hopeless or time.monotonic() > deadline:
                name = hopeless or of
                log = self.supervisor.log(name)
                reason = (
                    f"{name} dies at once, again and again" if hopeless else f"no answer in {seconds:g} s"
                )
                raise LauncherError("\n".join([f"{what}: {reason}. {log} ends:", *last_lines(log)]))
            time.sleep(0.1)

    def wait_until_ready(self) -> None:
        """Wait for `/readyz` to answer 200."""
        self.wait(
            "the web server", lambda: answer(f"{self.url}/readyz") == 200, of="web", seconds=_READY_SECONDS
        )

    def watch(self) -> None:
        """Keep everything running until told to stop."""
        while not self.stop.requested:
            self.supervisor.look()
            time.sleep(0.2)

    def note_running(self, **more: object) -> None:
        """Tell `./quell manage` and the next start about this one."""
        self.remembered.update({"url": self.url, "broker": self.broker, "pid": os.getpid(), **more})
        self.data.remember("running", self.remembered)
        self.data.lock.note(f"process {os.getpid()}, {self.url}")

    def close(self) -> None:
        """Stop all children, in order."""
        self.supervisor.stop()


def answer(url: str) -> int | None:
    """The status of a GET on the loopback address; None when nobody answers."""
    try:
        with _opener.open(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None
