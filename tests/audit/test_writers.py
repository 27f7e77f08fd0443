"""Eight processes write the ledger at once, and PostgreSQL is killed under them: no link breaks."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from launcher import layout, postgres
from launcher.console import LauncherError
from launcher.stopping import Stop
from tests import evidence

WRITERS = 8
WRITE = """
import time
from django.db import DatabaseError, connection, transaction
from audit.record import record
from identity.actors import SYSTEM
from lib import clock
written, until = 0, time.monotonic() + SECONDS
while time.monotonic() < until:
    try:
        with transaction.atomic():
            record(act='tested', by=SYSTEM, at=clock.now(), on=('test', str(written)))
        written += 1
    except DatabaseError:
        connection.close()
        time.sleep(0.05)
print(written)
"""


@contextmanager
def durable(scratch: Path) -> Iterator[str]:
    """A PostgreSQL of this test's own, which keeps each commit on disk."""
    found = postgres.find_binaries(Path(psycopg.__file__).parents[1])
    if found is None:
        pytest.skip("there are no PostgreSQL binaries here")
    with postgres.cluster(found, logs=scratch, stop=Stop(), durable=True) as url:
        yield url


def manage(url: str, data: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")},
        "DATABASE_URL": url,
        "QUELL_DATA": str(data),
        "QUELL_SECRET_KEY": os.environ.get("QUELL_SECRET_KEY") or secrets.token_urlsafe(48),
        "DJANGO_SETTINGS_MODULE": "soc.settings",
    }
    command = [sys.executable, str(layout.ROOT / "manage.py"), *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def done(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-2000:]
    return out


class Server:
    """The postmaster behind an address: it can be killed, and started again as it was."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        self.data = Path(row[0])
        self.pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        proc = Path("/proc", str(self.pid))
        self.command = proc.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        self.program = (proc / "exe").readlink()
        self.owner = proc.stat()
        self.again: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """The postmaster, then wait for its children, who end by themselves, and clear away its lock file.

        It stays a zombie until this test's end, and PostgreSQL would take it for a running server.
        """
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(Path("/proc", child).exists() for child in children):
            assert time.monotonic() < deadline, "servers without a master go on"
            time.sleep(0.05)
        (self.data / "postmaster.pid").unlink()

    def start(self) -> None:
        """The same program with the same arguments; returns when it answers."""
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            identity = {"user": self.owner.st_uid, "group": self.owner.st_gid, "extra_groups": []}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.again = subprocess.Popen(
                [self.program, *self.command[1:]],
                cwd=self.data.parent,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **identity,
            )
            while self.again.poll() is None and time.monotonic() < deadline:
                try:
                    psycopg.connect(self.url, connect_timeout=2).close()
                except psycopg.OperationalError:
                    time.sleep(0.1)
                else:
                    return
            time.sleep(0.2)
        raise LauncherError("PostgreSQL did not come up again")

    def stop(self) -> None:
        if self.again is not None:
            self.again.send_signal(signal.SIGINT)
            self.again.wait(timeout=30)


def write_and_kill(scratch: Path, *, seconds: float) -> dict[str, int]:
    """Eight writers for so long, PostgreSQL killed in the middle; what they say and what is there."""
    with durable(scratch) as url:
        data = scratch / "data"
        done(manage(url, data, "migrate", "--no-input"))
        script = WRITE.replace("SECONDS", str(seconds))
        server = Server(url)
        try:
            writers = [manage(url, data, "shell", "--verbosity", "0", "-c", script) for _ in range(WRITERS)]
            _until_written(url, WRITERS)
            time.sleep(seconds / 2)
            server.kill()
            server.start()
            said = sum(int(done(writer).split()[-1]) for writer in writers)
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT count(*), max(seq) FROM audit_auditevent").fetchone()
            assert row is not None
            verified = done(manage(url, data, "verify_audit"))
        finally:
            server.stop()
    assert verified == "the audit chain is whole\n"
    return {
        "writers": WRITERS,
        "seconds": int(seconds),
        "acknowledged": said,
        "events": row[0],
        "last": row[1],
    }


def _until_written(url: str, count: int) -> None:
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute("SELECT count(*) FROM audit_auditevent").fetchone()
            if row is not None and row[0] >= count:
                return
            time.sleep(0.05)
    pytest.fail("the writers write nothing")


def judge(figures: dict[str, int]) -> None:
    """Nothing that was acknowledged is gone; what was cut off may have been committed, once each."""
    assert figures["events"] == figures["last"]
    assert figures["acknowledged"] <= figures["events"] <= figures["acknowledged"] + WRITERS
    assert figures["acknowledged"] > 100


@pytest.mark.slow
def test_eight_writers_and_a_killed_server_for_some_seconds(tmp_path: Path) -> None:
    judge(write_and_kill(tmp_path, seconds=6))


@pytest.mark.exhaustive
def test_eight_writers_and_a_killed_server_for_a_minute(tmp_path: Path) -> None:
    figures = write_and_kill(tmp_path, seconds=60)
    judge(figures)
    told = {**figures, "database": "postgresql", "broken_links": 0, "server_kills": 1}
    evidence.write("5", "ledger_writers", told)
