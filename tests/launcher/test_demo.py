"""`./quell demo` and `up` as a stranger runs them: ready, used, stopped, nothing left behind."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from launcher import ports, processes, surroundings, valkey
from launcher.layout import ROOT
from tests.launcher.running import Running, quell

pytestmark = pytest.mark.slow

CHILDREN = {"web", "worker-general", "worker-collect", "worker-containment", "beat", "simulator", "valkey"}
FIRST_START_SECONDS = 240
SECOND_START_SECONDS = 30 if "PYTEST_XDIST_WORKER" in os.environ else 15
"""Fifteen on a machine of its own; beside another worker of the suite there is one core for all."""


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.status, response.read().decode()


def all_gone(pids: set[int], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while any(processes.identity(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def aws_variables(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry.startswith("AWS_"))


def check_who_has_aws(running: Running) -> None:
    for name, pid in running.pids().items():
        aws = aws_variables(pid)
        if name in surroundings.AWS_PROCESSES:
            assert aws["AWS_ENDPOINT_URL"] == running.said("Simulated AWS")
            assert aws["AWS_ACCESS_KEY_ID"] != "AKIACALLERSOWNKEY000"
            assert "AWS_PROFILE" not in aws
        else:
            assert aws == {}, name


def check_a_second_launcher_is_refused(running: Running) -> None:
    told = subprocess.run(
        [ROOT / "quell", "demo", "--data", running.data],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 75
    assert running.said("Quell is ready") in told.stderr


def check_a_killed_worker_comes_back(running: Running) -> None:
    before = running.pids()["worker-general"]
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while running.pids()["worker-general"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_demo_from_first_start_to_last_port(tmp_path: Path) -> None:
    data = tmp_path / "demo data"
    with quell("demo", data) as first:
        first.wait_until_ready(FIRST_START_SECONDS)
        assert set(first.pids()) == CHILDREN
        status, page = get(first.said("Quell is ready"))
        assert status == 200
        assert 'type="password"' in page
        assert get(f"{first.said('Simulated AWS')}/_sim/estate")[0] == 200
        for name in ("analyst", "responder", "approver", "lead", "outsider", "admin"):
            assert re.search(rf"^ +{name} ", first.output, re.MULTILINE)
        broker = re.fullmatch(r"redis://:(.+)@127\.0\.0\.1:(\d+)/0", first.said("Valkey"))
        assert broker
        assert valkey.answers(port=int(broker[2]), password=broker[1])
        check_who_has_aws(first)
        check_a_second_launcher_is_refused(first)
        check_a_killed_worker_comes_back(first)

        family = first.family()
        assert len(family) >= len(CHILDREN) + 2, "gunicorn's workers count too"
        first.stop(signal.SIGTERM)
        assert first.process.returncode == 0
        assert all_gone(family, seconds=0.5)
        for address in (first.said("Quell is ready"), first.said("Simulated AWS"), first.said("Valkey")):
            assert ports.is_free(port_of(address))

    with quell("demo", data) as second:
        second.wait_until_ready(SECOND_START_SECONDS)
        assert "playing the story" not in second.output
        assert second.said("Simulated AWS") == first.said("Simulated AWS")
        family = second.family()
        second.process.kill()  # not even this leaves anything
        second.process.wait()
        assert all_gone(family)

    with quell("demo", data) as third:
        third.wait_until_ready(SECOND_START_SECONDS)
        family = third.family()
        third.stop(signal.SIGINT)
        assert third.process.returncode == 0
        assert all_gone(family, seconds=0.5)


def test_being_stopped_half_way_through_the_start_leaves_nothing(tmp_path: Path) -> None:
    with quell("demo", tmp_path / "demo") as running:
        assert running.process.stdout is not None
        for line in running.process.stdout:
            running.output += line
            if "bringing the database up to date" in line:
                break
        family = running.family()
        running.stop(signal.SIGTERM)
        assert running.process.returncode == 0
        assert "stopped before it was ready" in running.output
        assert all_gone(family, seconds=0.5)


def test_up_simulates_nothing_and_gives_the_callers_aws_to_two_workers(tmp_path: Path) -> None:
    with quell("up", tmp_path / "data") as running:
        running.wait_until_ready(FIRST_START_SECONDS)
        assert set(running.pids()) == CHILDREN - {"simulator"}
        assert get(f"{running.said('Quell is ready')}/readyz")[0] == 200
        for name, pid in running.pids().items():
            expected = {"AWS_ACCESS_KEY_ID": "AKIACALLERSOWNKEY000", "AWS_PROFILE": "production"}
            assert aws_variables(pid) == (expected if name in surroundings.AWS_PROCESSES else {}), name

        told = subprocess.run(
            [
                ROOT / "quell", "manage", "create_person", "--login", "first", "--name", "First",
                "--roles", "admin", "--data", running.data,
            ],
            env={"PATH": os.environ["PATH"], "QUELL_NEW_PASSWORD": "correct horse battery"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (told.returncode, told.stdout) == (0, "first may sign in\n"), told.stderr
        family = running.family()
        running.stop(signal.SIGTERM)
        assert running.process.returncode == 0
        assert all_gone(family, seconds=0.5)
