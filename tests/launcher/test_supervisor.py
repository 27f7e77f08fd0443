"""The supervisor with real children: what dies comes back, and nothing is ever left behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher import processes, supervisor
from launcher.console import Console, LauncherError
from launcher.layout import ROOT
from launcher.stopping import Stop, StopRequested
from launcher.supervisor import Program, Supervisor


@contextmanager
def driver(directory: Path, scenario: str) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in its own process, killed at the end whatever the test did."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.launcher.driver", str(directory), scenario],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def diary(directory: Path) -> list[tuple[str, str, int]]:
    path = directory / "diary"
    if not path.exists():
        return []
    entries = (line.split() for line in path.read_text().splitlines())
    return [(name, word, int(pid)) for name, word, pid in entries]


def eventually(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def started(directory: Path, name: str) -> list[int]:
    return [pid for who, word, pid in diary(directory) if (who, word) == (name, "started")]


def runs(pid: int) -> bool:
    return processes.identity(pid) is not None


def test_a_child_that_dies_is_started_again_and_its_last_words_are_shown(tmp_path: Path) -> None:
    with driver(tmp_path, "crash") as process:
        eventually(lambda: len(started(tmp_path, "fragile")) >= 3)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "fragile ended unexpectedly (exit status 3), time 1 in a row; starting it again in 0.5 s" in output
    assert "time 2 in a row; starting it again in 1 s" in output
    assert "    boom" in output
    assert len(started(tmp_path, "steady")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_children_stage_by_stage(tmp_path: Path, number: signal.Signals) -> None:
    with driver(tmp_path, "ordered") as process:
        eventually(lambda: len(diary(tmp_path)) == 3)
        process.send_signal(number)
        process.communicate(timeout=10)
    assert process.returncode == 0
    told = [(name, word) for name, word, _ in diary(tmp_path) if word != "started"]
    assert told == [(name, word) for name in ("first", "second", "third") for word in ("told", "stopped")]
    assert not any(runs(pid) for _, _, pid in diary(tmp_path))
    assert list(tmp_path.glob("*.pid")) == []


def test_a_child_that_does_not_stop_is_killed_and_the_rest_still_stop(tmp_path: Path) -> None:
    with driver(tmp_path, "stubborn") as process:
        eventually(lambda: len(diary(tmp_path)) == 2)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "stubborn did not stop in time and is killed" in output
    assert ("calm", "stopped") in {(name, word) for name, word, _ in diary(tmp_path)}
    assert not any(runs(pid) for _, _, pid in diary(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux only")
def test_killing_the_supervisor_itself_leaves_no_child(tmp_path: Path) -> None:
    with driver(tmp_path, "ordered") as process:
        eventually(lambda: len(diary(tmp_path)) == 3)
        process.kill()
        process.communicate()
        eventually(lambda: not any(runs(pid) for _, _, pid in diary(tmp_path)), seconds=3)


def test_a_group_goes_with_its_leader(tmp_path: Path) -> None:
    """A grandchild must not keep the port that the restarted child needs."""
    with driver(tmp_path, "family") as process:
        eventually(lambda: len(diary(tmp_path)) == 2)
        (leader,), (grandchild,) = started(tmp_path, "parent"), started(tmp_path, "parent-grandchild")
        subprocess.run(["kill", "-9", str(leader)], check=True)
        eventually(lambda: not runs(grandchild))
        eventually(lambda: len(started(tmp_path, "parent")) == 2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert not any(runs(pid) for _, _, pid in diary(tmp_path))


def test_a_log_is_rotated_in_place_while_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 2_000)
    watcher = Supervisor(run=tmp_path, logs=tmp_path, console=Console())
    talk = "import time\nwhile True:\n    print('x' * 100, flush=True); time.sleep(0.002)"
    watcher.start(Program(name="talker", command=(sys.executable, "-c", talk), environment={}, stage=1))
    try:
        rotated = tmp_path / f"talker.log.{supervisor.LOG_COPIES}"

        def grown() -> bool:
            watcher.look()
            return rotated.exists()

        eventually(grown)
    finally:
        watcher.stop()
    names = sorted(path.name for path in tmp_path.glob("talker.log*"))
    assert names == ["talker.log", "talker.log.1", "talker.log.2", "talker.log.3"]
    assert all(path.stat().st_size < 20_000 for path in tmp_path.glob("talker.log*"))
    assert watcher_is_sparse_free(tmp_path / "talker.log.1")


def watcher_is_sparse_free(path: Path) -> bool:
    """Emptying a file under a writer that does not append would leave a hole of NUL bytes."""
    return b"\0" not in path.read_bytes()


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    watcher = Supervisor(run=tmp_path, logs=tmp_path, console=Console())
    with pytest.raises(LauncherError, match="ghost cannot be started"):
        watcher.start(Program(name="ghost", command=("/nonexistent/ghost",), environment={}, stage=1))


def test_run_gives_the_exit_status_and_ends_the_program_when_told_to_stop(tmp_path: Path) -> None:
    stop = Stop()
    log = tmp_path / "log"
    assert processes.run([sys.executable, "-c", "exit(7)"], environment={}, log=log, stop=stop) == 7

    pid_path = tmp_path / "pid"
    code = f"import os, time; open({str(pid_path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    def stop_when_started() -> None:
        stop.requested = pid_path.exists() and pid_path.read_text() != ""

    with pytest.raises(StopRequested):
        processes.run(
            [sys.executable, "-c", code], environment={}, log=log, stop=stop, while_waiting=stop_when_started
        )
    assert not runs(int(pid_path.read_text()))


def test_a_pid_file_never_takes_a_stranger_for_its_own(tmp_path: Path) -> None:
    """After a reboot or a wrap-around the pid may belong to anybody."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        file = processes.PidFile(tmp_path / "web.pid")
        file.path.write_text(f"{stranger.pid}\nanother-boot 12345\n")
        assert file.living() is None
        assert not file.end_leftover()
        assert stranger.poll() is None

        file.write(stranger.pid)
        assert file.living() == stranger.pid
        assert file.end_leftover()
        assert stranger.wait(5) < 0
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("text", ["", "12", "abc\nx\n", "0\nNone\n", "1\nNone\n"])
def test_a_damaged_pid_file_means_nobody(tmp_path: Path, text: str) -> None:
    file = processes.PidFile(tmp_path / "web.pid")
    file.path.write_text(text)
    assert file.living() is None
