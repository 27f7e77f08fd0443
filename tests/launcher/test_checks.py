"""`./quell check` on planted defects: it goes red, and says where."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import checks, layout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and the contracts, to break things in."""
    directory = tmp_path_factory.mktemp("checkout")
    shutil.copy(layout.ROOT / "pyproject.toml", directory)
    for package in set(layout.packages()) - {"tests"}:
        shutil.copytree(
            layout.ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__", "static")
        )
    return directory


def lint_imports(directory: Path) -> tuple[int, list[str]]:
    (check,) = (one for one in checks.all_checks() if "import contracts" in one.name)
    told = subprocess.run(
        [sys.executable, *check.command[1:]], cwd=directory, capture_output=True, text=True, check=False
    )
    return told.returncode, checks.offending_lines(told.stdout + told.stderr)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("lib.planted", "cases.models"),
        ("metrics.planted", "containment.types"),
        ("cases.planted", "soc.env"),
        ("soc.planted", "simulator"),
        ("cases.sources.planted", "django"),
        ("containment.planted", "boto3"),
        ("launcher.planted", "celery"),
    ],
)
def test_an_import_against_the_flow_is_named_with_file_and_line(
    copy: Path, importer: str, imported: str
) -> None:
    file = importer.replace(".", "/") + ".py"
    (copy / file).write_text(f'"""Planted."""\n\nimport {imported}\n')
    try:
        code, lines = lint_imports(copy)
    finally:
        (copy / file).unlink()
    assert code != 0
    assert f"{file}:3: {importer} imports {imported}" in lines


def test_an_island_is_also_guarded_against_what_it_imports(copy: Path) -> None:
    """`lib` may use Django, a pure island may not use that part of `lib`."""
    (copy / "lib" / "planted.py").write_text("import django\n")
    (copy / "metrics" / "definitions.py").write_text("import lib.planted\n")
    try:
        code, lines = lint_imports(copy)
    finally:
        (copy / "lib" / "planted.py").unlink()
        shutil.copy(layout.ROOT / "metrics" / "definitions.py", copy / "metrics" / "definitions.py")
    assert code != 0
    assert "metrics/definitions.py:1: metrics.definitions imports lib.planted" in lines


def test_nothing_is_named_where_nothing_is_wrong() -> None:
    assert (
        checks.offending_lines("Analyzed 268 files, 1268 dependencies.\nContracts: 5 kept, 0 broken.") == []
    )


def test_every_kind_of_check_is_there() -> None:
    names = " ".join(one.name for one in checks.all_checks())
    for word in ("ruff check", "ruff format", "lint-imports", "djlint", "check-jsonschema", "manage check",
                 "makemigrations", "mypy"):  # fmt: skip
        assert word in names
