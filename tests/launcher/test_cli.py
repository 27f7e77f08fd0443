"""The command line: the shim finds itself and a Python, arguments are read strictly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import cli
from launcher.console import LauncherError
from launcher.layout import ROOT

SHIM = ROOT / "quell"


def quell(
    *arguments: str, shim: Path = SHIM, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shim, *arguments], capture_output=True, text=True, check=False, timeout=60, cwd=cwd, env=env
    )


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    told = quell(*arguments)
    assert told.returncode == 0
    for name in ("demo", "up", "manage", "test", "check", "bench", "lock"):
        assert f"./quell {name}" in told.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["sing"],
        ["demo", "--port", "http"],
        ["demo", "--port", "70000"],
        ["demo", "--port", "-1"],
        ["demo", "--fast"],
        ["demo", "extra"],
        ["demo", "--data", ""],
        ["up", "--fresh"],
        ["check", "everything"],
        ["manage", "check", "--data"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_64_and_one_plain_sentence(arguments: list[str]) -> None:
    told = quell(*arguments)
    assert told.returncode == 64
    assert told.stdout == ""
    assert told.stderr.startswith("quell: ")
    assert "Traceback" not in told.stderr


def test_the_shim_finds_itself_through_links_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "inner").symlink_to(SHIM)
    outer = tmp_path / "outer"
    outer.symlink_to(Path("a b") / "inner")
    assert quell("help", shim=outer, cwd=tmp_path).returncode == 0
    on_path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    told = subprocess.run(
        ["sh", "-c", "outer help"], env=on_path, cwd="/", capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr


def test_a_reader_that_went_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        told = subprocess.run([SHIM, "help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (told.returncode, told.stderr) == (0, b"")


def test_modules_and_variables_of_the_callers_do_not_get_in_the_way(tmp_path: Path) -> None:
    for name in ("argparse.py", "json.py", "launcher.py"):
        (tmp_path / name).write_text("raise SystemExit('hijacked')")
    told = quell("help", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHOME": "/no"})
    assert told.returncode == 0, told.stderr


def test_an_old_python_is_named_and_a_newer_one_preferred(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    for tool in ("sh", "readlink"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}")
    told = quell("help", env={"PATH": str(tmp_path)})
    assert told.returncode == 69
    assert "needs Python 3.11 or newer" in told.stderr
    assert "Python 3.9.2" in told.stderr

    (tmp_path / "python3.13").symlink_to(sys.executable)
    assert quell("help", env={"PATH": str(tmp_path)}).returncode == 0
    told = quell("help", env={"PATH": str(tmp_path), "QUELL_PYTHON": str(old)})
    assert told.returncode == 69
    assert "QUELL_PYTHON" in told.stderr


@pytest.mark.parametrize(
    ("words", "data", "command"),
    [
        (["migrate"], None, ["migrate"]),
        (["--data", "d", "migrate"], "d", ["migrate"]),
        (["ingest", "guardduty", "f.json", "--data=d"], "d", ["ingest", "guardduty", "f.json"]),
        (["shell", "--", "--data", "d"], None, ["shell", "--", "--data", "d"]),
        (["x", "--database", "default"], None, ["x", "--database", "default"]),
    ],
)
def test_manage_takes_only_its_own_option(words: list[str], data: str | None, command: list[str]) -> None:
    assert cli.split_data(words) == (Path(data) if data else None, command)


def test_manage_without_a_directory_for_data_is_refused() -> None:
    with pytest.raises(LauncherError):
        cli.split_data(["migrate", "--data"])
