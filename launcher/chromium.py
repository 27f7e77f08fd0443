"""A real browser for the tests: the one on PATH, else Debian's."""

import os
import shutil
from pathlib import Path

from launcher import processes
from launcher.console import Console
from launcher.stopping import Stop

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The browser's path, if one is installed."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def find_or_install(*, logs: Path, console: Console, stop: Stop) -> tuple[str | None, str]:
    """The browser's path, installed with apt-get when this is root on Debian or Ubuntu; else None and why."""
    if path := find():
        return path, ""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return None, "no Chromium on PATH, and only root on Debian or Ubuntu gets one installed"
    console.stage("installing Chromium with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = logs / "apt-get.log"
    for command in (
        [apt, "update"],
        [apt, "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
    ):
        if processes.run(command, environment=environment, log=log, stop=stop) != 0:
            return None, f"apt-get {command[1]} failed, see {log}"
    path = find()
    return path, "" if path else "apt-get installed no browser that is found on PATH"
