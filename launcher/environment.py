"""The virtual environments: made once from a hashed lock, recognised by a stamp afterwards."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import layout, processes
from launcher.console import Console, LauncherError, last_lines
from launcher.locks import FileLock
from launcher.stopping import Stop

_PIN = re.compile(r"^[A-Za-z0-9][\w.\-]*(\[[^\]]*\])?==", re.MULTILINE)
_SEEN = re.compile(r"^\s*(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9][\w.\-]*)", re.MULTILINE)
_NO_PIP = """\
This Python ({python}) can make no environment: it has neither ensurepip nor pip.
    Debian, Ubuntu:  apt-get install python3-venv
    Fedora, RHEL:    dnf install python3-pip
Then run the same command again."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment and the locks that fill it.

    `name` tells stamps of the same directory apart: `.venv` first gets what Quell needs to run and,
    for tests, the development lock on top, which is compiled against the first (`upon`).
    """

    venv: Path
    name: str
    lock: Path
    upon: "Environment | None" = None

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return layout.python_of(self.venv)

    @property
    def stamp(self) -> Path:
        """Written last, so it exists only after a whole installation."""
        return self.venv / f".quell-{self.name}"

    def wanted_stamp(self) -> str:
        """What the stamp says when the environment fits these locks and this Python."""
        digest = hashlib.sha256()
        for lock in (self.upon.lock, self.lock) if self.upon else (self.lock,):
            digest.update(lock.read_bytes())
        return f"{digest.hexdigest()} {sys.implementation.cache_tag} {sys.version_info[:3]}"

    def is_ready(self) -> bool:
        """Whether nothing needs to be installed: the stamp fits, and the interpreter is there."""
        try:
            stamped = self.stamp.read_text(encoding="utf-8")
        except OSError:
            return False
        return stamped == self.wanted_stamp() and os.access(self.python, os.X_OK)


RUNTIME = Environment(layout.VENV, "runtime", layout.RUNTIME_LOCK)
DEVELOPMENT = Environment(layout.VENV, "development", layout.DEV_LOCK, upon=RUNTIME)
ENFORCING = Environment(layout.ENFORCING_VENV, "enforcing", layout.ENFORCING_LOCK)


def ensure(environment: Environment, *, console: Console, stop: Stop) -> None:
    """Make the environment complete; does nothing when its stamp fits.

    Two starts at once are serialised by a lock file; an installation that was killed is thrown away
    and begun again, because pip takes a half-written package for an installed one. Raises
    `LauncherError` with what to do, `StopRequested` when told to stop.
    """
    if environment.upon is not None:
        ensure(environment.upon, console=console, stop=stop)
    if environment.is_ready():
        return
    if not os.access(environment.venv.parent, os.W_OK):
        raise LauncherError(
            f"{environment.venv.parent} is not writable for this user, and the environment "
            f"({environment.venv.name}) is made there. Copy the checkout to a directory of your own.",
            code=69,
        )
    lock = FileLock(environment.venv.with_name(environment.venv.name + ".lock"))
    with lock.acquire(
        console=console, waiting_for=f"another start is making {environment.venv.name}", stop=stop
    ):
        if not environment.is_ready():
            _install(environment, console=console, stop=stop)


def _install(environment: Environment, *, console: Console, stop: Stop) -> None:
    unfinished = environment.venv.with_name(environment.venv.name + ".unfinished")
    if unfinished.exists():
        console.stage(f"{environment.venv.name}: an earlier installation was cut short, beginning again")
        if environment.venv.exists():
            shutil.rmtree(environment.venv)
    unfinished.touch()
    log = environment.venv.with_name(environment.venv.name + ".log")
    log.write_bytes(b"")
    pip = _create(environment.venv, log=log, console=console, stop=stop)
    _pip_install(environment, pip, log=log, console=console, stop=stop)
    environment.stamp.write_text(environment.wanted_stamp(), encoding="utf-8")
    unfinished.unlink()
    log.unlink()


def install_loose(venv: Path, requirements: Sequence[str], *, console: Console, stop: Stop) -> None:
    """Make an environment for a maintainer's tool that no lock names."""
    log = venv.with_name(venv.name + ".log")
    pip = _create(venv, log=log, console=console, stop=stop)
    if _run([*pip, "install", "--no-input", *requirements], log=log, stop=stop) != 0:
        raise LauncherError("\n".join(["pip failed:", *last_lines(log)]), code=69)
    log.unlink()


def _create(venv: Path, *, log: Path, console: Console, stop: Stop) -> list[str]:
    """Make the bare environment if it is not usable; returns the pip command that fills it."""
    python = layout.python_of(venv)
    own_pip = [str(python), "-P", "-m", "pip"]
    if _same_python(python):
        return own_pip if _runs([*own_pip, "--version"]) else _outer_pip(python)
    console.stage(f"making {venv.name} with Python {sys.version.split()[0]} ({sys.executable})")
    command = [sys.executable, "-I", "-m", "venv", "--clear"]
    if _run([*command, str(venv)], log=log, stop=stop) == 0:
        return own_pip
    # Debian without python3-venv: the module is there, ensurepip is not. The outer pip can fill an
    # environment that has none; "externally managed" (PEP 668) does not apply to it.
    outer = _outer_pip(python)
    if _run([*command, "--without-pip", str(venv)], log=log, stop=stop) != 0:
        raise LauncherError("\n".join(["python -m venv failed:", *last_lines(log)]), code=69)
    return outer


def _outer_pip(python: Path) -> list[str]:
    if not _runs([sys.executable, "-P", "-m", "pip", "--version"]):
        raise LauncherError(_NO_PIP.format(python=sys.executable), code=69)
    return [sys.executable, "-P", "-m", "pip", "--python", str(python)]


def _same_python(python: Path) -> bool:
    """Whether the environment's interpreter runs and is the version we are."""
    other = f"sys.version_info[:3] != {sys.version_info[:3]!r} or sys.prefix == sys.base_prefix"
    code = f"import sys; sys.exit({other})"
    return _runs([str(python), "-I", "-c", code])


def _runs(command: Sequence[str]) -> bool:
    try:
        return (
            subprocess.run(command, capture_output=True, env=_pip_environment(), check=False).returncode == 0
        )
    except OSError:
        return False


def _run(command: Sequence[str], *, log: Path, stop: Stop) -> int:
    return processes.run(command, environment=_pip_environment(), log=log, stop=stop)


def _pip_environment() -> dict[str, str]:
    """The caller's environment (proxies, mirrors, certificates) without what would misdirect pip."""
    unwanted = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON"}
    unwanted |= {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def _pip_install(
    environment: Environment, pip: Sequence[str], *, log: Path, console: Console, stop: Stop
) -> None:
    lock = environment.lock
    total = len(_PIN.findall(lock.read_text(encoding="utf-8")))
    console.stage(f"installing {lock.name} into {environment.venv.name} (up to {total} packages)")
    progress = _Progress(log=log, total=total, console=console)
    code = processes.run(
        [
            *pip, "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
            "--require-hashes", "-r", lock,
        ],
        environment=_pip_environment(),
        log=log,
        stop=stop,
        while_waiting=progress.look,
    )  # fmt: skip
    if code != 0:
        raise LauncherError(
            "\n".join([f"pip could not install {lock.name} (exit status {code}):", *last_lines(log)]), code=69
        )


class _Progress:
    """Turns pip's growing log into a line every few seconds."""

    def __init__(self, *, log: Path, total: int, console: Console) -> None:
        self._log, self._total, self._console = log, total, console
        self._offset = log.stat().st_size
        self._next = time.monotonic() + 5
        self._said = ""

    def look(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 5
        with self._log.open("rb") as file:
            file.seek(self._offset)
            text = file.read().decode("utf-8", "replace")
        if "Installing collected packages" in text:
            said = "unpacking the packages"
        else:
            said = f"downloading: {len(set(_SEEN.findall(text)))} of {self._total}"
        if said != self._said:
            self._console.stage(f"    {said}")
            self._said = said
