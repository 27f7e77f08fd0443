"""A data directory: database, broker files, secrets, logs and pid files of one Quell on this machine."""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from launcher.console import LauncherError
from launcher.locks import FileLock
from launcher.processes import PidFile

_MARK = "quell-data"
_KINDS = ("demo", "up")
_SECRETS = ("QUELL_SECRET_KEY", "QUELL_AUDIT_KEY", "QUELL_VALKEY_PASSWORD")


class DataDirectory:
    """Everything the launcher keeps under `--data DIR`; mode 0700, and its files are its own.

    The file `quell-data` marks it and says what for ("demo" or "up"); nothing is ever deleted in a
    directory without it, and a demo's directory never becomes a real one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.lock = FileLock(self.path / "lock")

    # --- places -----------------------------------------------------------------------------------

    @property
    def logs(self) -> Path:
        """One log per process, rotated by size."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Pid files, ports and the environment of the running processes."""
        return self.path / "run"

    @property
    def home(self) -> Path:
        """An empty home directory: no `~/.aws` of the caller is found through it."""
        return self.path / "home"

    @property
    def secrets_file(self) -> Path:
        """`NAME=value` lines, mode 0600; in `up` also the place for the user's own settings."""
        return self.path / ".env"

    @property
    def told_story(self) -> Path:
        """Exists when the demo's story has been played into this directory's database."""
        return self.path / "story.json"

    def pid_file(self, name: str) -> PidFile:
        """The pid file of one process."""
        return PidFile(self.run / f"{name}.pid")

    # --- life -------------------------------------------------------------------------------------

    def kind(self) -> str | None:
        """What the directory is for; None when it is not a Quell data directory (yet)."""
        try:
            said = (self.path / _MARK).read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return said if said in _KINDS else None

    def prepare(self, kind: str, *, fresh: bool = False) -> None:
        """Make the directory and take its lock; with `fresh`, empty it first.

        Raises `LauncherError` when another launcher runs on it, when it is of the other kind, or when
        it holds somebody else's files.
        """
        self._claim(kind)
        if not self.lock.try_acquire():
            raise LauncherError(
                f"Quell already runs on {self.path}: {self.lock.holder()}. "
                "Stop that one first, or choose another directory with --data.",
                code=75,
            )
        if fresh:
            self._stop_leftovers()
            self._empty()
        (self.path / _MARK).write_text(kind + "\n", encoding="utf-8")
        for directory in (self.logs, self.run, self.home):
            directory.mkdir(mode=0o700, exist_ok=True)
        self._stop_leftovers()

    def open_for_command(self) -> None:
        """Make the directory usable for one command beside whatever runs on it; takes no lock.

        A new directory becomes one of `./quell up`.
        """
        kind = self.kind() or "up"
        self._claim(kind)
        if self.kind() is None:
            (self.path / _MARK).write_text(kind + "\n", encoding="utf-8")
        for directory in (self.logs, self.run, self.home):
            directory.mkdir(mode=0o700, exist_ok=True)
        self.keep_secrets()

    def _claim(self, kind: str) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LauncherError(f"cannot make the data directory {self.path}: {error.strerror}") from error
        known = self.kind()
        if known is None and any(self.path.iterdir()) and not self._only_a_lock():
            raise LauncherError(
                f"{self.path} has files in it and is not a Quell data directory. "
                "Choose an empty one with --data."
            )
        if known is not None and known != kind:
            raise LauncherError(
                f"{self.path} belongs to `./quell {known}`. Choose another directory with --data."
            )
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise LauncherError(f"{self.path} is not writable for this user. Choose another with --data.")
        self.path.chmod(0o700)

    def _only_a_lock(self) -> bool:
        """A first start that was killed between its lock and its mark."""
        return [entry.name for entry in self.path.iterdir()] == [self.lock.path.name]

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.name == self.lock.path.name:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _stop_leftovers(self) -> None:
        """End what a killed launcher left behind (where the kernel does not do it for us)."""
        if self.run.is_dir():
            for path in self.run.glob("*.pid"):
                PidFile(path).end_leftover()

    # --- what is kept -----------------------------------------------------------------------------

    def settings(self) -> dict[str, str]:
        """The settings kept in `.env`."""
        try:
            text = self.secrets_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        return parse_settings(text, name=str(self.secrets_file))

    def keep(self, values: Mapping[str, str], *, replace: bool = False) -> None:
        """Add settings to `.env`; those already there stay as they are unless `replace` is set."""
        kept = self.settings()
        if replace:
            values = {name: value for name, value in values.items() if kept.get(name) != value}
        else:
            values = {name: value for name, value in values.items() if name not in kept}
        if not values:
            return
        text = self.secrets_file.read_text(encoding="utf-8") if self.secrets_file.exists() else ""
        lines = [line for line in text.splitlines() if line.partition("=")[0].strip() not in values]
        lines += [f"{name}={value}" for name, value in values.items()]
        write_private(self.secrets_file, "\n".join(lines) + "\n")

    def keep_secrets(self) -> None:
        """Make the secrets this directory lives with, once. Those given in the environment are not kept."""
        given = {name for name in _SECRETS if name in os.environ or f"{name}_FILE" in os.environ}
        self.keep({name: secrets.token_urlsafe(48) for name in _SECRETS if name not in given})

    def database_url(self) -> str:
        """SQLite in this directory."""
        return "sqlite:///" + quote(str(self.path / "quell.sqlite3"))

    def remember(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a small JSON document among the run files, readable by the owner only."""
        write_private(self.run / f"{name}.json", json.dumps(value, indent=1) + "\n")

    def remembered(self, name: str) -> dict[str, Any]:
        """What `remember` kept; empty when there is nothing or it was cut short."""
        try:
            value = json.loads((self.run / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, with mode 0600 from its first byte."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def parse_settings(text: str, *, name: str = ".env") -> dict[str, str]:
    """Read `NAME=value` lines: comments with #, optional `export`, optional quotes around the value.

    Nothing is expanded. Raises `LauncherError` for a line that is none of these.
    """
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip().isidentifier():
            raise LauncherError(f"{name}, line {number}: expected NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[key.strip()] = value
    return values
