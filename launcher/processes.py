"""Starting, recognising and ending operating-system processes.

Every process is started in a session of its own, so a Ctrl-C in the terminal reaches the launcher
only, and a whole group can be ended at once. On Linux the kernel also kills it when the launcher
dies (`PR_SET_PDEATHSIG`), so that even `kill -9` of the launcher leaves nothing running. That is
safe to set between fork and exec because the launcher never has a second thread.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.layout import ROOT
from launcher.stopping import Stop

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True)
class Account:
    """The system user a program runs as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "Account | None":
        """The account of that name, if this machine has it."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    log: Path | int,
    output: Path | None = None,
    directory: Path = ROOT,
    account: Account | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in its own session, tied to this process's life.

    Standard output and error are appended to `log` (a path, or a descriptor such as `sys.stderr`'s);
    with `output`, standard output goes to that file alone. Raises `OSError` when it cannot start.
    """
    with contextlib.ExitStack() as files:
        error = log if isinstance(log, int) else files.enter_context(log.open("ab"))
        out = error if output is None else files.enter_context(output.open("wb"))
        return subprocess.Popen(
            [str(part) for part in command],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509  (one thread only, see the module's docstring)
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )


def _die_with(parent: int) -> Callable[[], None] | None:
    libc = _LIBC
    if libc is None:
        return None

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    return before_exec


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    log: Path | int,
    stop: Stop,
    output: Path | None = None,
    while_waiting: Callable[[], None] = lambda: None,
    directory: Path = ROOT,
    account: Account | None = None,
) -> int:
    """Run a program to its end and return its exit status; ends it first when told to stop.

    Raises `StopRequested` then.
    """
    process = spawn(
        command, environment=environment, log=log, output=output, directory=directory, account=account
    )
    try:
        while not has_ended(process):
            stop.check()
            while_waiting()
            time.sleep(0.05)
    finally:
        end(process, patience=3)
    return process.returncode


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the leader has exited. It is not reaped, so its pid cannot become a stranger's yet."""
    if process.returncode is not None:
        return True
    if sys.platform != "linux":
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ask(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to the leader of the group (it passes it on as it sees fit)."""
    if not has_ended(process):
        os.kill(process.pid, signal.SIGTERM)


def end(process: subprocess.Popen[bytes], *, patience: float) -> None:
    """Ask a program to stop, wait so many seconds, then kill whatever is left of its group."""
    ask(process)
    deadline = time.monotonic() + patience
    while not has_ended(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill all members of the group, also when only the leader is gone, and reap the leader."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same pid; None when there is none.

    On Linux boot id and start time in clock ticks; elsewhere what `ps` says of its start.
    """
    return _linux_identity(pid) if sys.platform == "linux" else _other_identity(pid)


def _linux_identity(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold anything
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"


def _other_identity(pid: int) -> str | None:
    told = subprocess.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or None


class PidFile:
    """Remembers a process over the launcher's own death, without ever mistaking a stranger for it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, pid: int) -> None:
        """Remember this process."""
        self.path.write_text(f"{pid}\n{identity(pid)}\n", encoding="utf-8")

    def living(self) -> int | None:
        """The remembered process's id if that very process still runs."""
        try:
            pid_line, identity_line = self.path.read_text(encoding="utf-8").splitlines()[:2]
            pid = int(pid_line)
        except (FileNotFoundError, ValueError):  # none, or one whose writing was cut short
            return None
        return pid if pid > 1 and identity(pid) == identity_line else None

    def clear(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)

    def end_leftover(self, *, patience: float = 5) -> bool:
        """End the remembered process and its group if it still runs; True if there was one."""
        pid = self.living()
        if pid is None:
            self.clear()
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            deadline = time.monotonic() + patience
            while self.living() is not None and time.monotonic() < deadline:
                time.sleep(0.05)
        self.clear()
        return True
