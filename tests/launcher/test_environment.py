"""Making an environment with real pip, offline: stamped last, repeated never, resumed after a kill."""

import base64
import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from launcher import environment
from launcher.console import Console, LauncherError
from launcher.environment import Environment
from launcher.layout import ROOT
from launcher.stopping import Stop

# Makes the environment in a process of its own, which the test can kill.
MAKE = """
import sys
from pathlib import Path
from launcher import environment
from launcher.console import Console
from launcher.stopping import Stop
directory = Path(sys.argv[1])
one = environment.Environment(directory / ".venv", "runtime", directory / "lock.txt")
environment.ensure(one, console=Console(), stop=Stop())
"""


def wheel(directory: Path, *, content: str = "") -> tuple[Path, str]:
    """A wheel of the tiny package `pebble`, and its hash as a lock writes it."""
    path = directory / "pebble-1.0-py3-none-any.whl"
    files = {
        "pebble.py": content or "SIZE = 'small'\n",
        "pebble-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pebble\nVersion: 1.0\n",
        "pebble-1.0.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("pebble-1.0.dist-info/RECORD", record + "pebble-1.0.dist-info/RECORD,,\n")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def lock(directory: Path, digest: str) -> Path:
    path = directory / "lock.txt"
    path.write_text(f"--no-index\n--find-links '{directory}'\npebble==1.0 \\\n    --hash=sha256:{digest}\n")
    return path


@pytest.fixture
def one(tmp_path: Path) -> Environment:
    """An environment not yet made, in a directory with a space in its name."""
    directory = tmp_path / "a checkout"
    directory.mkdir()
    return Environment(directory / ".venv", "runtime", lock(directory, wheel(directory)[1]))


def make(one: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(one.venv.parent)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_the_stamp_depends_on_lock_and_python_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x==1")
    (tmp_path / "b.txt").write_text("y==1")
    first = Environment(tmp_path / "venv", "runtime", tmp_path / "a.txt")
    second = Environment(tmp_path / "venv", "development", tmp_path / "b.txt", upon=first)
    before = (first.wanted_stamp(), second.wanted_stamp())
    (tmp_path / "b.txt").write_text("y==2")
    assert first.wanted_stamp() == before[0]
    assert second.wanted_stamp() != before[1]
    (tmp_path / "a.txt").write_text("x==2")
    assert first.wanted_stamp() != before[0]
    assert f"{sys.version_info[:3]}" in first.wanted_stamp()


def test_a_stamp_without_an_interpreter_is_worth_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x==1")
    one = Environment(tmp_path / "venv", "runtime", tmp_path / "a.txt")
    one.venv.mkdir()
    one.stamp.write_text(one.wanted_stamp())
    assert not one.is_ready()


def test_two_starts_at_once_make_it_once_and_a_third_does_nothing(one: Environment) -> None:
    makers = [make(one), make(one)]
    outputs = [maker.communicate(timeout=120)[0] for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0]
    assert sum("installing lock.txt" in output for output in outputs) == 1
    assert any("waiting: another start is making .venv (process " in output for output in outputs)
    assert one.is_ready()
    subprocess.run([one.python, "-c", "import pebble"], check=True)

    changed = one.stamp.stat().st_mtime_ns
    started = time.monotonic()
    environment.ensure(one, console=Console(), stop=Stop())
    assert time.monotonic() - started < 0.5
    assert one.stamp.stat().st_mtime_ns == changed


def test_a_killed_first_start_is_begun_again(one: Environment) -> None:
    """pip takes a half-written package for an installed one, so what a kill left is thrown away."""
    maker = make(one)
    deadline = time.monotonic() + 60
    while not (one.venv / "pyvenv.cfg").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    maker.send_signal(signal.SIGKILL)
    maker.communicate()
    half = one.venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (half / "pebble-1.0.dist-info").mkdir(parents=True)
    (half / "pebble-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pebble\nVersion: 1.0\n"
    )

    again = make(one)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "an earlier installation was cut short, beginning again" in output
    subprocess.run([one.python, "-c", "import pebble; assert pebble.SIZE == 'small'"], check=True)


def test_a_package_with_another_hash_is_refused(one: Environment) -> None:
    wheel(one.venv.parent, content="SIZE = 'tampered'\n")
    with pytest.raises(LauncherError, match=r"pip could not install lock\.txt") as refused:
        environment.ensure(one, console=Console(), stop=Stop())
    assert "HASH" in str(refused.value).upper()
    assert not one.is_ready()


def test_an_unwritable_checkout_is_a_plain_sentence(
    one: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(LauncherError, match="is not writable for this user"):
        environment.ensure(one, console=Console(), stop=Stop())
