"""The data directory: private, one launcher at a time, and never somebody else's files."""

import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.console import LauncherError
from launcher.datadir import DataDirectory, parse_settings
from launcher.layout import ROOT

pytestmark = pytest.mark.fast


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_private_and_its_secrets_last(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "a" / "demo")
    data.prepare("demo")
    data.keep_secrets()
    first = data.settings()
    assert mode(data.path) == 0o700
    assert mode(data.secrets_file) == 0o600
    assert {"QUELL_SECRET_KEY", "QUELL_AUDIT_KEY", "QUELL_VALKEY_PASSWORD"} <= first.keys()
    assert all(len(value) >= 32 for value in first.values())
    data.keep_secrets()
    assert data.settings() == first


def test_secrets_of_the_environment_are_not_made_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUELL_SECRET_KEY", "given")
    monkeypatch.setenv("QUELL_AUDIT_KEY_FILE", "/run/secrets/audit")
    data = DataDirectory(tmp_path / "demo")
    data.prepare("demo")
    data.keep_secrets()
    assert "QUELL_SECRET_KEY" not in data.settings()
    assert "QUELL_AUDIT_KEY" not in data.settings()


def test_the_users_own_lines_survive(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "up")
    data.prepare("up")
    data.secrets_file.write_text(
        "# mine\nexport QUELL_BASE_URL='https://quell.example'\nQUELL_SECRET_KEY=short"
    )
    data.keep_secrets()
    assert data.secrets_file.read_text().startswith("# mine\nexport QUELL_BASE_URL=")
    assert data.settings()["QUELL_BASE_URL"] == "https://quell.example"
    assert data.settings()["QUELL_SECRET_KEY"] == "short"


def test_a_second_launcher_is_told_who_runs_and_a_dead_one_is_no_obstacle(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from launcher.datadir import DataDirectory\n"
        "data = DataDirectory(Path(sys.argv[1])); data.prepare('demo'); data.lock.note('process 42, http://x')\n"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "demo")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LauncherError, match=r"already runs on .*: process 42, http://x") as refused:
            DataDirectory(tmp_path / "demo").prepare("demo")
        assert refused.value.code == 75
        holder.send_signal(signal.SIGKILL)
    DataDirectory(tmp_path / "demo").prepare("demo")


def test_somebody_elses_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    before = mode(tmp_path)
    with pytest.raises(LauncherError, match="is not a Quell data directory"):
        DataDirectory(tmp_path).prepare("demo", fresh=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert mode(tmp_path) == before
    with pytest.raises(LauncherError, match="is not a Quell data directory"):
        DataDirectory(tmp_path).open_for_command()


def test_a_demo_never_becomes_real_nor_the_other_way(tmp_path: Path) -> None:
    DataDirectory(tmp_path / "demo").prepare("demo")
    with pytest.raises(LauncherError, match=r"belongs to `./quell demo`"):
        DataDirectory(tmp_path / "demo").prepare("up")


def test_fresh_empties_a_demo_and_follows_no_link_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    data = DataDirectory(tmp_path / "demo")
    data.prepare("demo")
    data.keep_secrets()
    (data.path / "link").symlink_to(outside)
    (data.path / "quell.sqlite3").touch()
    data.lock.release()
    data.prepare("demo", fresh=True)
    assert sorted(path.name for path in data.path.iterdir()) == ["home", "lock", "logs", "quell-data", "run"]
    assert (outside / "kept").exists()


def test_a_start_killed_between_lock_and_mark_is_picked_up(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 1")
    DataDirectory(tmp_path).prepare("demo")


def test_a_leftover_process_is_stopped_at_the_next_start(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "demo")
    data.prepare("demo")
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    data.pid_file("valkey").write(left.pid)
    data.lock.release()
    started = time.monotonic()
    data.prepare("demo")
    assert left.wait(5) == -signal.SIGTERM
    assert time.monotonic() - started < 3
    assert not data.pid_file("valkey").path.exists()


def test_commands_work_beside_a_running_launcher(tmp_path: Path) -> None:
    running = DataDirectory(tmp_path / "demo")
    running.prepare("demo")
    DataDirectory(tmp_path / "demo").open_for_command()
    fresh = DataDirectory(tmp_path / "new")
    fresh.open_for_command()
    assert fresh.kind() == "up"


def test_a_directory_that_cannot_be_made_is_a_plain_sentence() -> None:
    with pytest.raises(LauncherError, match="cannot make the data directory"):
        DataDirectory(Path("/proc/quell")).prepare("demo")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# comment\n\nA=1\n", {"A": "1"}),
        ("export A='x y'\n", {"A": "x y"}),
        ('A="#1=2"', {"A": "#1=2"}),
        ("A = b = c ", {"A": "b = c"}),
        ("A=", {"A": ""}),
        ("A='", {"A": "'"}),
        ("A=$HOME", {"A": "$HOME"}),
    ],
)
def test_settings_files(text: str, values: dict[str, str]) -> None:
    assert parse_settings(text) == values


@pytest.mark.parametrize("text", ["A", "1A=2", "A B=2", "=2"])
def test_a_line_that_is_no_setting_is_named(text: str) -> None:
    with pytest.raises(LauncherError, match=r"\.env, line 2"):
        parse_settings("# first\n" + text)
