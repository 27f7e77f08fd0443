"""What is measured against what: a durable PostgreSQL, Quell's web and the naive service, all on loopback."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher import layout, ports, postgres, processes, surroundings, valkey
from launcher.console import LauncherError, last_lines
from launcher.stopping import Stop

WEB = ("--worker-class", "gthread", "--workers", "2", "--threads", "8", "--no-control-socket")
"""As `./quell up` starts it; the naive service gets the same."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The running services: ports, the key that both know, the databases, and where logs are."""

    quell: int
    naive: int
    key: str
    database: str
    naive_database: str
    scratch: Path


@contextlib.contextmanager
def site(stop: Stop) -> Iterator[Site]:
    """Start everything; stop it again."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quell-bench-")))
        url = stack.enter_context(postgres.cluster(binaries(), logs=scratch, stop=stop, durable=True))
        environment = _environment(scratch, url, stack)
        other = {
            **environment,
            "DATABASE_URL": _database(url, "naive"),
            "DJANGO_SETTINGS_MODULE": "bench.naive.settings",
        }
        _manage(environment, "migrate", "--verbosity", "0")
        _manage(environment, "shell", "-c", _TEAM)
        key = _manage(environment, "create_api_key", "--name", "bench", "--scopes", "alerts:write").strip()
        _run(other, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0")
        _run(
            other,
            "-m",
            "django",
            "shell",
            "-c",
            f"from bench.naive.models import Token; Token(key={key!r}).save()",
        )
        ours = _serve(stack, "soc.wsgi", {**environment, "QUELL_PROCESS": "web"}, scratch, "/healthz")
        theirs = _serve(stack, "bench.naive.wsgi", other, scratch, "/alerts")
        yield Site(
            quell=ours,
            naive=theirs,
            key=key,
            database=url,
            naive_database=other["DATABASE_URL"],
            scratch=scratch,
        )


_TEAM = (
    "from identity.models import Team; Team.objects.get_or_create(slug='bench', defaults={'name': 'Bench'})"
)


def _environment(scratch: Path, url: str, stack: contextlib.ExitStack) -> dict[str, str]:
    (scratch / "data").mkdir()
    return {
        **surroundings.plain(),
        "DATABASE_URL": url,
        "REDIS_URL": _broker(scratch, stack),
        "QUELL_DATA": str(scratch / "data"),
        "QUELL_SECRET_KEY": secrets.token_urlsafe(48),
        "QUELL_AUDIT_KEY": secrets.token_urlsafe(48),
        "QUELL_INGEST_PER_MINUTE": "100000000",
        "DJANGO_SETTINGS_MODULE": "soc.settings",
        "PYTHONPATH": str(layout.ROOT),
    }


def _broker(scratch: Path, stack: contextlib.ExitStack) -> str:
    port, password = ports.free(), secrets.token_urlsafe(24)
    command = valkey.command(
        valkey.find_server(Path(sys.executable)), directory=scratch / "valkey", port=port, password=password
    )
    server = processes.spawn(
        command, environment={"PATH": os.defpath}, log=scratch / "valkey.log", directory=scratch
    )
    stack.callback(processes.end, server, patience=5)
    _until(lambda: valkey.answers(port=port, password=password), "Valkey", scratch / "valkey.log")
    return valkey.url(port=port, password=password)


def _database(url: str, name: str) -> str:
    """Make one more database beside the one at `url`."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.rsplit("/", 1)[0] + f"/{name}"


def _serve(
    stack: contextlib.ExitStack, application: str, environment: dict[str, str], scratch: Path, path: str
) -> int:
    port = ports.free()
    log = scratch / f"{application}.log"
    server = processes.spawn(
        [sys.executable, "-m", "gunicorn", application, *WEB, "--bind", f"{ports.LOOPBACK}:{port}"],
        environment=environment,
        log=log,
    )
    stack.callback(processes.end, server, patience=5)
    _until(lambda: _answers(port, path), application, log)
    return port


def _answers(port: int, path: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{ports.LOOPBACK}:{port}{path}", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _until(ready: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if time.monotonic() > deadline:
            raise LauncherError("\n".join([f"{what} did not start:", *last_lines(log)]))
        time.sleep(0.1)


def _manage(environment: dict[str, str], *arguments: str) -> str:
    return _run(environment, str(layout.ROOT / "manage.py"), *arguments)


def _run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=layout.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LauncherError(f"{' '.join(arguments)[:80]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def binaries() -> Path:
    """Where PostgreSQL's programs are; `LauncherError` where there are none."""
    found = postgres.find_binaries(None)
    if found is None:
        raise LauncherError("there are no PostgreSQL binaries here (postgres, initdb)", code=69)
    return found
