"""Choosing ports on the loopback address."""

import socket
import time

from launcher.console import LauncherError

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def becomes_free(port: int, *, seconds: float = 3) -> bool:
    """Whether the port is free, or is so soon: a killed web server's workers take a second to notice."""
    deadline = time.monotonic() + seconds
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def free() -> int:
    """Any free port; the kernel avoids handing the same one out again soon."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def remembered_or_free(port: int | None) -> int:
    """The port of the last run if it is still free, else another: bookmarks and scripts keep working."""
    return port if port and is_free(port) else free()


def choose(asked: int | None, *, preferred: int) -> tuple[int, str | None]:
    """The port for the web server, and what to say about it.

    `asked` None means the preferred port or, if it is taken, a free one; 0 means a free one. A port
    asked for by number that is taken raises `LauncherError`.
    """
    if asked:
        if not becomes_free(asked):
            raise LauncherError(
                f"port {asked} is taken on {LOOPBACK} (or not allowed for this user). "
                "Choose another with --port, or leave --port out to get a free one."
            )
        return asked, None
    if asked is None and is_free(preferred):
        return preferred, None
    port = free()
    return port, None if asked == 0 else f"port {preferred} is taken, using {port}"
