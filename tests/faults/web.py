"""Web processes as `./quell up` starts them, on a test's own database, and clients that give them work."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher import layout, ports, processes, surroundings
from launcher.console import Console, last_lines
from launcher.datadir import DataDirectory
from launcher.stack import Stack, answer
from launcher.stopping import Stop
from tests.faults.site import database_url, until

APPLICATION = "soc.wsgi"
PATIENCE = 60.0
"""Seconds after which a client that gets no answer, or no good one, gives up."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """One request, to be sent by a program."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back in the end, and the tries before it: without an answer (0), or with another status."""

    post: Post
    status: int
    body: Any
    headers: dict[str, str]
    before: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Web:
    """A running server: a master, and the worker processes that answer."""

    port: int
    master: int
    log: Path

    def workers(self) -> list[int]:
        """The worker processes that there are now."""
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in found if _parent(pid) == self.master]

    def memory(self, what: str) -> dict[int, int]:
        """A figure of /proc/PID/status of each worker, in MiB: `RssAnon` its own memory, `VmHWM` the peak."""
        return {pid: _mib(pid, what) for pid in self.workers()}

    def answers(self) -> bool:
        return answer(f"http://{ports.LOOPBACK}:{self.port}/healthz") == 200


@contextlib.contextmanager
def serving(directory: Path, *options: str, application: str = APPLICATION, **own: str) -> Iterator[Web]:
    """Start a server with the launcher's own command and environment; stop it again."""
    data = DataDirectory(directory / "data")
    data.open_for_command()
    stack = Stack(data=data, port=ports.free(), console=Console(), stop=Stop())
    command = next(command for name, _, _, command in stack._programs() if name == "web")
    environment = {
        "DATABASE_URL": database_url(),
        "REDIS_URL": surroundings.NOWHERE,
        "QUELL_TESTING": "1",
        "QUELL_LOG": "text",
        **own,
    }
    log = data.logs / "web.log"
    process = processes.spawn(
        [
            layout.python_of(layout.VENV),
            "-m",
            *(application if one == APPLICATION else one for one in command),
            *options,
        ],
        environment=surroundings.of_process("web", common=surroundings.common(data, **environment), aws={}),
        log=log,
    )
    web = Web(port=stack.port, master=process.pid, log=log)
    try:
        until(web.answers, why=lambda: "\n".join(["no web:", *last_lines(log, 30)]))
        yield web
    finally:
        processes.end(process, patience=5)


def send_all(
    web: Web, posts: Iterable[Post], *, secret: str, clients: int, retry: bool = False
) -> list[Answer]:
    """Send every request, that many at a time; with `retry` each until it gets a 2xx."""
    waiting, lock = iter(posts), threading.Lock()
    answers: list[Answer] = []
    failures: list[BaseException] = []
    start = threading.Barrier(clients)

    def client() -> None:
        connection = Connection(web.port, secret)
        try:
            start.wait()
            while True:
                with lock:
                    post = next(waiting, None)
                if post is None:
                    return
                told = connection.insist(post) if retry else connection.ask(post)
                with lock:
                    answers.append(told)
        except BaseException as failure:  # noqa: BLE001 - told by the test that waits for this thread
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return answers


class Connection:
    """One client, which keeps its connection as long as it lasts."""

    def __init__(self, port: int, secret: str) -> None:
        self._http = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=PATIENCE)
        self._secret = secret

    def ask(self, post: Post) -> Answer:
        """Send once. `OSError` or `HTTPException` when the answer does not come, or not whole."""
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        try:
            with contextlib.suppress(BrokenPipeError):  # who is told 413 early need not send it all
                self._http.request("POST", post.path, post.body, {**headers, **post.headers})
            got = self._http.getresponse()
            body = got.read()
            if got.status == 413:  # gunicorn closes what it did not read to the end, and does not say so
                self._http.close()
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise
        is_json = "json" in (got.headers["Content-Type"] or "")
        return Answer(
            post=post,
            status=got.status,
            body=json.loads(body) if is_json else body,
            headers=dict(got.headers),
        )

    def insist(self, post: Post) -> Answer:
        """Send again and again, as clients do, until there is an answer that says it is done."""
        before: list[int] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                told = self.ask(post)
            except (OSError, http.client.HTTPException):
                before.append(0)
                time.sleep(0.02)
                continue
            if told.status < 300:
                return Answer(**{**vars(told), "before": tuple(before)})
            before.append(told.status)
            time.sleep(0.1)
        raise AssertionError(f"no good answer in {PATIENCE:g} s: {before[-20:]}")

    def close(self) -> None:
        self._http.close()


class Killer:
    """Kills one worker process with -9, again and again, for as long as it is entered."""

    def __init__(self, web: Web, *, every: float) -> None:
        self._web, self._every = web, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.kills = 0

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ended.wait(self._every):
            # The oldest has done the most, and is in the middle of something.
            for pid in sorted(self._web.workers(), key=_started)[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    """How many answers there were of each status."""
    return {
        status: sum(one.status == status for one in answers) for status in {one.status for one in answers}
    }


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none of a process that is gone."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields and fields[0] != "Z" else 0


def _started(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def _mib(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return int(next(line for line in lines if line.startswith(f"{what}:")).split()[1]) // 1024
