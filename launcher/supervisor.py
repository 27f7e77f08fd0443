"""Keeps processes running: starts them, restarts what dies, shows what keeps dying, stops all in order."""

import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher import processes
from launcher.console import Console, LauncherError, last_lines
from launcher.processes import Account, PidFile

LOG_BYTES = 5_000_000
LOG_COPIES = 3
_STEADY = 60.0
_LONGEST_PAUSE = 30.0
_STOP_BUDGET = 13.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process to keep running.

    `stage` orders the stopping: lower first, equal together. `patience` is how many seconds it may
    take to stop by itself.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stage: int
    patience: float = 5
    directory: Path | None = None
    account: Account | None = None


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0
    history: list[float] = field(default_factory=list)


class Supervisor:
    """Runs programs as children of this process. Not thread-safe: one thread calls it, often.

    Each child's output goes to `logs/NAME.log`; its pid file lies in `run`.
    """

    def __init__(self, *, run: Path, logs: Path, console: Console) -> None:
        self._run, self._logs, self._console = run, logs, console
        self._children: dict[str, _Child] = {}

    def log(self, name: str) -> Path:
        """The log file of a child."""
        return self._logs / f"{name}.log"

    def pid(self, name: str) -> int | None:
        """The process id of a child; None while it is down."""
        process = self._children[name].process
        return None if process is None or processes.has_ended(process) else process.pid

    def restarts(self, name: str) -> int:
        """How often a child died unasked since the supervisor began."""
        return len(self._children[name].history)

    def dying(self, times: int) -> str | None:
        """A child that has died so often in a row, if there is one."""
        return next((name for name, child in self._children.items() if child.failures >= times), None)

    def start(self, program: Program) -> None:
        """Start a program and keep it running from now on."""
        if program.name in self._children:
            raise LauncherError(f"{program.name} was started already")
        self._children[program.name] = child = _Child(program)
        self._spawn(child)

    def look(self) -> None:
        """One round: notice deaths, restart what is due, rotate logs. Call it a few times a second."""
        for child in self._children.values():
            if child.process is None:
                if time.monotonic() >= child.due:
                    self._spawn(child)
            elif processes.has_ended(child.process):
                self._bury(child)
        for child in self._children.values():
            _rotate(self.log(child.program.name))

    def stop(self) -> None:
        """Stop all children, stage by stage; kills what does not stop in time. Never raises for a child."""
        deadline = time.monotonic() + _STOP_BUDGET
        for stage in sorted({child.program.stage for child in self._children.values()}):
            self._stop_stage([c for c in self._children.values() if c.program.stage == stage], deadline)
        self._children.clear()

    def _spawn(self, child: _Child) -> None:
        program = child.program
        try:
            child.process = processes.spawn(
                program.command,
                environment=program.environment,
                log=self.log(program.name),
                account=program.account,
                **({} if program.directory is None else {"directory": program.directory}),
            )
        except OSError as error:
            raise LauncherError(f"{program.name} cannot be started: {error}") from error
        child.started = time.monotonic()
        self._pid_file(child).write(child.process.pid)

    def _bury(self, child: _Child) -> None:
        """A child died unasked: clear its group away, say so, and set when it starts again."""
        process = child.process
        if process is None:
            return
        processes.kill_group(process)
        child.process = None
        now = time.monotonic()
        child.history.append(now)
        child.failures = 1 if now - child.started > _STEADY else child.failures + 1
        pause = min(_LONGEST_PAUSE, 0.5 * 2 ** (child.failures - 1))
        child.due = now + pause
        name = child.program.name
        self._console.stage(
            f"{name} ended unexpectedly ({_how(process.returncode)}), "
            f"time {child.failures} in a row; starting it again in {pause:g} s"
        )
        self._console.lines(last_lines(self.log(name), 5 if child.failures == 1 else 15))

    def _stop_stage(self, children: list[_Child], deadline: float) -> None:
        living = [(c, c.process) for c in children if c.process is not None]
        for _, process in living:
            processes.ask(process)
        asked = time.monotonic()
        for child, process in living:
            until = min(deadline, asked + child.program.patience)
            while not processes.has_ended(process) and time.monotonic() < until:
                time.sleep(0.02)
            if not processes.has_ended(process):
                self._console.stage(f"{child.program.name} did not stop in time and is killed")
            processes.kill_group(process)
            self._pid_file(child).clear()

    def _pid_file(self, child: _Child) -> PidFile:
        return PidFile(self._run / f"{child.program.name}.pid")


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


def _rotate(log: Path) -> None:
    """Keep a log small. It is copied and emptied in place: the child goes on appending to the same file."""
    try:
        if log.stat().st_size < LOG_BYTES:
            return
    except FileNotFoundError:
        return
    for number in range(LOG_COPIES, 1, -1):
        older = log.with_name(f"{log.name}.{number - 1}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    with log.open("r+b") as file:
        file.truncate(0)
