"""A small Quell made of real processes: containment workers, a simulated AWS, this test's own database.

Commands and environments are the launcher's, so what dies here is what `./quell up` runs. The
product's clock is sped up in all processes alike. Judged is by the simulator's own log of calls and
by the state of its world, never by what the product says of itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from django.db import connection

from cases.models import Action, Incident
from cases.words import ActionStatus
from containment import approvals, planning, undo
from containment.models import Step
from identity.actors import Actor
from launcher import demo, layout, ports, processes, surroundings
from launcher.console import Console, last_lines
from launcher.datadir import DataDirectory
from launcher.stack import Stack
from launcher.stopping import Stop
from lib import clock
from lib.clock import SystemClock
from simulator.server import Simulator
from soc.models import Heartbeat
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import TERMINAL, World

RATE = 20
"""Times the machine's clock: a lease of 90 s is over after four and a half."""
PATIENCE = 90.0
WORKER = "worker-containment"

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class FarSimulator:
    """The simulated AWS as a process of its own, with the face of `simulator.server.Simulator`."""

    def __init__(self, *, data: Path, environment: Mapping[str, str]) -> None:
        port = ports.free()
        self.url = f"http://{ports.LOOPBACK}:{port}"
        self._log = data / "simulator.log"
        self._process = processes.spawn(
            [layout.python_of(layout.VENV), "-m", "simulator", "--port", str(port), "--data", data / "state"],
            environment=environment,
            log=self._log,
        )
        until(self._answers, why=lambda: "\n".join(["no simulated AWS:", *last_lines(self._log)]))
        self.estate: Mapping[str, Any] = self._get("estate")

    def reset(self) -> None:
        """Back to the estate as first built."""
        self._post("reset", {})

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """Order faults; none clears them."""
        self._post("faults", list(rules))

    def faults_left(self) -> list[Any]:
        """Rules that did not fire yet."""
        left: list[Any] = self._get("faults")
        return left

    def calls(self) -> list[dict[str, Any]]:
        """Every call since the last reset."""
        found: list[dict[str, Any]] = self._get("calls?since=0")["calls"]
        return found

    def stop(self) -> None:
        processes.end(self._process, patience=5)

    def _answers(self) -> bool:
        try:
            self._get("estate")
        except OSError:
            return False
        return True

    def _get(self, what: str) -> Any:
        with _opener.open(f"{self.url}/_sim/{what}", timeout=30) as answer:
            return json.load(answer)

    def _post(self, what: str, document: object) -> None:
        request = urllib.request.Request(
            f"{self.url}/_sim/{what}", data=json.dumps(document).encode(), method="POST"
        )
        with _opener.open(request, timeout=60) as answer:
            answer.read()


class PassingClock(SystemClock):
    """The sped-up clock with the face of `lib.clock.ManualClock`: nothing moves it, so it is waited for."""

    def advance(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One real Celery containment worker."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_dead(self) -> bool:
        return processes.has_ended(self.process)

    def kill(self) -> None:
        """kill -9, and wait until the kernel has buried it."""
        processes.kill_group(self.process)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def is_up(self) -> bool:
        """Whether it sweeps already."""
        return Heartbeat.objects.filter(process=WORKER, pid=self.pid).exists()

    def told(self, message: str) -> bool:
        """Whether its log has a line with this message."""
        return message in self.log.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, kw_only=True)
class Death:
    """How an action stood when its worker was killed; `in_middle`: it held the action at work."""

    status: str
    owner: str
    step: str
    in_middle: bool


@dataclass
class Site:
    """The processes of one test, and what a person does to an action."""

    far: FarSimulator
    data: DataDirectory
    broker: str
    incident: Incident
    asks: Actor
    approves: Actor
    plant: str = ""
    failpoint: str = ""
    workers: list[Worker] = field(default_factory=list)

    @property
    def world(self) -> World:
        """The same world as `tests.containment`'s subjects know, over HTTP."""
        return World(
            simulator=cast(Simulator, self.far),
            clock=cast(Any, PassingClock(rate=RATE)),
            wire=cast(Any, None),
            incident=self.incident,
            asks=self.asks,
            approves=self.approves,
        )

    # --- processes --------------------------------------------------------------------------------

    def worker(self, *, failpoint: str = "", broker: str = "", endpoint: str = "") -> Worker:
        """Start a worker with the launcher's own command and environment.

        Of `site.failpoint`, which every worker gets, the first to meet it dies.
        """
        stack = Stack(data=self.data, port=0, console=Console(), stop=Stop())
        command = next(command for name, _, _, command in stack._programs() if name == WORKER)
        own = {
            "DATABASE_URL": database_url(),
            "REDIS_URL": broker or self.broker,
            "QUELL_CLOCK_RATE": str(RATE),
            "QUELL_TESTING": "1",
            "QUELL_LOG": "text",
            "QUELL_FAILPOINT": failpoint or self.failpoint,
            "QUELL_WRITE_BACK": "1",
        }
        aws = {**demo.simulated_aws(self.far.url), **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})}
        if self.plant:
            command = ("tests.faults.planted", self.plant, *command[1:])
        log = self.data.logs / f"worker-{len(self.workers) + 1}.log"
        process = processes.spawn(
            [stack.python, "-m", *command],
            environment=surroundings.of_process(
                WORKER, common=surroundings.common(self.data, **own), aws=aws
            ),
            log=log,
        )
        self.workers.append(Worker(process=process, log=log))
        return self.workers[-1]

    def start_again(self) -> None:
        """The world as at the start, a new incident, and no worker."""
        self.close()
        self.far.reset()
        self.incident = make.incident()

    def close(self) -> None:
        """Kill every worker."""
        for worker in self.workers:
            worker.kill()

    # --- what people do ---------------------------------------------------------------------------

    def propose(self, type_id: str) -> Action:
        """Ask for an action on the type's usual target."""
        target, params = SUBJECTS[type_id].aim(self.world)
        return planning.propose(
            incident=self.incident,
            type_id=type_id,
            target=target,
            params=params,
            by=self.asks,
            at=clock.now(),
        )

    def ask_to_undo(self, action: Action) -> Action:
        return undo.propose_revert(action=fresh(action), reason="test", by=self.asks, at=clock.now())

    def approve(self, action: Action) -> None:
        """Approve the present plan, if it waits for that."""
        action = fresh(action)
        if action.status in (ActionStatus.PLANNED, ActionStatus.DRIFTED):
            approvals.approve(
                action=action, plan_hash=action.plan_hash, by=self.approves, at=clock.now(), is_fresh=True
            )

    def planned(self, action: Action) -> Action:
        """Wait for the worker's plan."""
        self.until(lambda: fresh(action).status != ActionStatus.PROPOSED, action)
        return fresh(action)

    def see_through(self, action: Action) -> list[Death]:
        """Approve when it is planned, start a fresh worker whenever one died, until the action ended."""
        deaths: list[Death] = []
        deadline = time.monotonic() + PATIENCE
        while (now := fresh(action)).status not in TERMINAL:
            assert time.monotonic() < deadline, self.why(action)
            if now.status == ActionStatus.PLANNED:
                self.approve(action)
            if self.workers[-1].is_dead:
                self.workers[-1].kill()
                deaths.append(death_of(fresh(action)))
                self.worker()
            time.sleep(0.05)
        time.sleep(0.2)  # a worker that dies at the very end does so just after its last commit
        if self.workers[-1].is_dead:
            self.workers[-1].kill()
            deaths.append(death_of(fresh(action)))
        return deaths

    # --- judging ----------------------------------------------------------------------------------

    def effects(self, action: Action) -> list[str]:
        """What AWS carried out in the name of an action: its own log of mutating calls, dry runs apart."""
        return [
            f"{call['eventSource'].split('.')[0]}:{call['eventName']}"
            for call in self.far.calls()
            if not call["readOnly"]
            and not call["dryRun"]
            and "errorCode" not in call
            and call["userIdentity"].get("sessionContext", {}).get("sourceIdentity") == f"quell-{action.ulid}"
        ]

    def until(self, condition: Callable[[], bool], action: Action, *, seconds: float = PATIENCE) -> None:
        until(condition, seconds=seconds, why=lambda: self.why(action))

    def why(self, action: Action) -> str:
        """Everything that helps to understand a run that went wrong."""
        now = fresh(action)
        lines = [f"{now.type} is {now.status}: {now.note} (owner {now.owner}, due {now.due_at})"]
        lines += [f"  {row}: {row.error}" for row in steps_of(action)]
        for worker in self.workers:
            lines += [f"--- {worker.log.name}, {'dead' if worker.is_dead else 'alive'}"]
            lines += last_lines(worker.log, 30)
        return "\n".join(lines)


def fresh(action: Action) -> Action:
    """The action's row as it is now."""
    return Action.objects.select_related("incident").get(pk=action.pk)


def steps_of(action: Action) -> list[Step]:
    """The action's journal."""
    return list(Step.objects.filter(action=action).order_by("seq"))


def death_of(action: Action) -> Death:
    """How an action stands whose worker has just died."""
    at_work = action.status not in TERMINAL and bool(action.owner)
    begun = [row for row in steps_of(action) if row.state != "pending"]
    return Death(
        status=action.status,
        owner=action.owner,
        step=f"{begun[-1].name}:{begun[-1].state}" if begun else "",
        in_middle=at_work,
    )


def until(condition: Callable[[], bool], *, why: Callable[[], str], seconds: float = PATIENCE) -> None:
    """Wait for a condition; fails the test with the reason when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def database_url() -> str:
    """The `DATABASE_URL` of this test's own database, for other processes."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "postgresql":
        return f"sqlite:///{name}"
    server, _, options = os.environ["DATABASE_URL"].partition("?")
    return f"{server.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
