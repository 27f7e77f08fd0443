"""Locks between launchers: one holder per file, freed by the kernel when the holder dies."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from launcher.console import Console, LauncherError
from launcher.stopping import Stop


class FileLock:
    """An exclusive `flock` on a file that also says who holds it.

    The kernel drops the lock when its holder dies, however it died, so there is nothing stale to
    find. The descriptor is not inherited by children.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """True when the lock is now ours."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            raise LauncherError(f"{self.path} belongs to another user; run as that one") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self.note(f"process {os.getpid()}")
        return True

    def acquire(self, *, console: Console, waiting_for: str, stop: Stop) -> Self:
        """Wait until the lock is ours, saying once why we wait."""
        told = False
        while not self.try_acquire():
            if not told:
                console.stage(f"waiting: {waiting_for} ({self.holder()})")
                told = True
            stop.check()
            time.sleep(0.2)
        return self

    def note(self, text: str) -> None:
        """Say who holds the lock, for the one who finds it taken."""
        if self._descriptor is None:
            raise LauncherError(f"{self.path} is not locked by this process")
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def holder(self) -> str:
        """What the holder wrote about itself."""
        try:
            return self.path.read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Give the lock back; the file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
