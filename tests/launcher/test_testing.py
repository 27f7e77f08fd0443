"""`./quell test` itself: what it passes to pytest, and what it says about what could not run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import testing
from launcher.console import Console, LauncherError
from launcher.layout import ROOT
from launcher.stopping import Stop


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        ([], True),
        (["-m", "fast"], True),
        (["-k", "reopen", "-q"], True),
        (["tests/launcher"], False),
        (["tests/launcher/test_ports.py::test_zero_asks_for_any"], False),
        (["-n", "0"], False),
        (["-n4"], False),
        (["--collect-only"], False),
    ],
)
def test_two_workers_for_the_whole_suite_unless_the_caller_decides(
    arguments: list[str], workers: bool
) -> None:
    assert bool(testing._workers(arguments)) is workers


def test_an_unknown_engine_is_refused() -> None:
    assert testing._engines("both") == ("sqlite", "postgres")
    with pytest.raises(LauncherError, match="it is sqlite, postgres or both") as refused:
        testing._engines("mysql")
    assert refused.value.code == 64


@pytest.mark.parametrize(
    ("codes", "missing", "ci", "verdict"),
    [
        ([0, 0], [], "true", 0),
        ([0, 1], [], "", 1),
        ([2, 1], [], "", 2),
        ([0, 0], ["browser tests: none"], "", 0),
        ([0, 0], ["browser tests: none"], "true", 1),
        ([0, 5], [], "true", 0),
        ([5, 5], [], "", 5),
        ([], ["PostgreSQL: none"], "", 5),
    ],
)
def test_the_verdict(
    codes: list[int],
    missing: list[str],
    ci: str,
    verdict: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CI", ci)
    run = testing._Run(tmp_path, console=Console(), stop=Stop())
    run.missing = missing
    assert run._verdict(codes) == verdict
    assert all(line in capsys.readouterr().out for line in missing)


def test_tests_that_could_not_run_reach_the_list_and_notices_theirs(tmp_path: Path) -> None:
    (tmp_path / "test_skips.py").write_text(
        "import pytest\nfrom tests import needs\n"
        "def test_a(): needs.cannot_run('no Chromium')\n"
        "def test_b(): needs.notice('no samples')\n"
        "def test_c(): pytest.skip('another reason')\n"
    )
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_terminal_summary\n")
    report = tmp_path / "report.json"
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", tmp_path],
        cwd=ROOT,
        env={**os.environ, "QUELL_TEST_REPORT": str(report)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 skipped" in told.stdout, told.stdout + told.stderr
    noted = json.loads(report.read_text())
    assert [line.partition(": ")[2] for line in noted["cannot_run"]] == ["no Chromium"]
    assert [line.partition(": ")[2] for line in noted["notices"]] == ["no samples"]
