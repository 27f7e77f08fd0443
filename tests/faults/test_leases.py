"""A worker that stands still for longer than its lease: another finishes, the first writes nothing more."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cases.models import Action
from containment.models import Step
from launcher import layout, ports, processes, surroundings
from tests.containment.subjects import SUBJECTS
from tests.containment.world import TERMINAL
from tests.faults.deaths import base_of, verdict_of
from tests.faults.site import FarSimulator, Site, Worker, fresh, until

pytestmark = pytest.mark.slow

KEY, ROLE, HOST = "iam.deactivate-access-key", "iam.revoke-role-sessions", "ec2.isolate-instance"
OTHER = HOST
SEED = 20261124
LEASE = 4.5
"""Seconds of the machine, at the rate of `site.RATE`."""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class FarGate:
    """The gate as a process of its own."""

    def __init__(self, *, to: str, log: Path) -> None:
        port = ports.free()
        self.url = f"http://{ports.LOOPBACK}:{port}"
        self._process = processes.spawn(
            [layout.python_of(layout.VENV), "-m", "tests.faults.gate", "--port", str(port), "--to", to],
            environment=surroundings.plain(),
            log=log,
        )
        until(self._answers, why=log.read_text)

    def hold(self, match: str, when: str) -> None:
        """Hold the next request with this in its body."""
        self._ask("hold", {"match": match, "when": when})

    def is_holding(self) -> bool:
        return bool(self._ask("held"))

    def release(self) -> None:
        self._ask("release", {})

    def stop(self) -> None:
        processes.end(self._process, patience=1)

    def _answers(self) -> bool:
        try:
            self._ask("held")
        except OSError:
            return False
        return True

    def _ask(self, what: str, document: object = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        with _opener.open(urllib.request.Request(f"{self.url}/_gate/{what}", data=data), timeout=5) as answer:
            return json.load(answer)["held"]


@pytest.fixture
def gate(site: Site, far: FarSimulator, tmp_path: Path) -> Iterator[FarGate]:
    standing = FarGate(to=far.url, log=tmp_path / "gate.log")
    yield standing
    standing.stop()


def journal(action: Action) -> tuple[Any, ...]:
    """All that a stale worker could spoil."""
    row = Action.objects.filter(pk=action.pk).values("status", "note", "alarm", "verified_at", "applied_at")
    steps = Step.objects.filter(action=action).order_by("seq").values()
    return (*row, *steps)


def let_the_stale_one_speak(site: Site, gate: FarGate, stale: Worker) -> None:
    """Let it go on, and wait until its sweep has got over the action that it lost: it takes up a new one."""
    gate.release()
    stale.thaw()
    site.workers[-1].kill()
    site.planned(site.propose(OTHER))


def test_the_answer_of_a_call_reaches_a_worker_that_lost_its_lease(site: Site, gate: FarGate) -> None:
    """It was carried out; the other worker sees so and sends nothing; the first is refused by the fence."""
    stale = site.worker(endpoint=gate.url, broker=surroundings.NOWHERE)
    action = site.propose(KEY)
    site.planned(action)
    gate.hold("Action=UpdateAccessKey", "after")
    site.approve(action)
    site.until(gate.is_holding, action)
    stale.freeze()
    site.worker()

    assert site.see_through(action) == []

    assert fresh(action).status == "verified", site.why(action)
    assert site.effects(action) == ["iam:UpdateAccessKey"]
    written, fence = journal(action), fresh(action).fence
    let_the_stale_one_speak(site, gate, stale)
    assert stale.told("action.lease-lost"), "and it says so in its log"
    assert journal(action) == written
    assert fresh(action).fence >= fence
    assert site.effects(action) == ["iam:UpdateAccessKey"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("type_id", [KEY, ROLE])
def test_a_call_held_back_lands_after_another_worker_has_finished(
    site: Site, gate: FarGate, type_id: str
) -> None:
    """It arrives long after the lease; a value that it makes older is set right by the reconciler."""
    stale = site.worker(endpoint=gate.url, broker=surroundings.NOWHERE)
    action = site.propose(type_id)
    site.planned(action)
    operation = "UpdateAccessKey" if type_id == KEY else "PutRolePolicy"
    gate.hold(f"Action={operation}", "before")
    site.approve(action)
    site.until(gate.is_holding, action)
    stale.freeze()
    site.worker()

    assert site.see_through(action) == []

    assert fresh(action).status == "verified", site.why(action)
    after = SUBJECTS[type_id].look(site.world)
    assert site.effects(action) == [f"iam:{operation}"]
    let_the_stale_one_speak(site, gate, stale)
    assert SUBJECTS[type_id].look(site.world) == after
    assert fresh(action).status == "verified"
    if type_id == ROLE:
        # The late request carries an older "until now": sessions issued in between would live.
        site.until(lambda: cut_off(site) == newest(action), action, seconds=40)
        assert fresh(action).status == "verified"


def cut_off(site: Site) -> str:
    """The moment up to which sessions are denied, as AWS has it."""
    iam, role = site.world.admin("iam"), str(SUBJECTS[ROLE].aim(site.world)[0]["id"])
    (name,) = [n for n in iam.list_role_policies(RoleName=role)["PolicyNames"] if n.startswith("quell-")]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return str(document["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"])


def newest(action: Action) -> str:
    """The same, as the journal's last intent has it."""
    sent = Step.objects.get(action=action).attempts[-1]
    return str(sent["equals"]["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"])


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(6))
def test_frozen_at_a_random_moment(site: Site, number: int) -> None:
    """Also in the middle of a database transaction, which may keep others waiting until the thaw.

    A call that was about to be sent is sent after the thaw, as AWS knows nothing of our fence: to the
    same effect, and never an object twice.
    """
    chance = random.Random(SEED + number)
    base = base_of(site, HOST)
    site.start_again()
    frozen = site.worker()
    action = site.propose(HOST)
    site.planned(action)
    site.approve(action)
    site.until(lambda: f":{frozen.pid}:" in fresh(action).owner, action)
    time.sleep(chance.uniform(0, 0.5))
    if fresh(action).status in TERMINAL:
        pytest.skip("it was done before it could be frozen")
    frozen.freeze()
    site.worker()
    time.sleep(LEASE + chance.uniform(0.5, 3.0))
    frozen.thaw()

    deaths = site.see_through(action)

    verdict = verdict_of(site, f"frozen {number}", "apply", base, action, deaths)
    assert (verdict.end, verdict.differs) == ("ok", ()), site.why(action)
    assert verdict.extra <= 1, verdict
    again = Counter(site.effects(action)) - Counter(base.sent)
    assert not any(operation.startswith("ec2:Create") for operation in again)
