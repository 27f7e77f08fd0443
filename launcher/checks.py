"""`./quell check`: everything that can be said about the code without running its tests."""

import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from launcher import environment, layout, processes, surroundings
from launcher.console import Console
from launcher.stopping import Stop

# How lint-imports writes an offending import: "cases.intake -> soc.api.views (l.3, l.9)".
_IMPORT = re.compile(r"([a-z_][\w.]*) -> ([a-z_][\w.]*) \(l\.(\d+)")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One program that must end with 0."""

    name: str
    command: tuple[str, ...]


def check(*, console: Console, stop: Stop) -> int:
    """Run every check even when one fails; returns 1 if any did."""
    environment.ensure(environment.DEVELOPMENT, console=console, stop=stop)
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="quell-check-") as scratch_name:
        scratch = Path(scratch_name)
        surrounding = _environment(scratch)
        for one in all_checks():
            console.stage(one.name)
            output = scratch / "output"
            output.write_bytes(b"")
            code = processes.run(one.command, environment=surrounding, log=output, stop=stop)
            if code != 0:
                failed.append(one.name)
                text = output.read_text(encoding="utf-8", errors="replace")
                console.lines(text.splitlines())
                console.lines(offending_lines(text))
                console.stage(f"{one.name}: FAILED (exit status {code})")
    if failed:
        console.line(f"{len(failed)} of {len(all_checks())} checks failed: {', '.join(failed)}")
        return 1
    console.line(f"All {len(all_checks())} checks passed.")
    return 0


def all_checks() -> list[Check]:
    """The checks, quickest first."""
    python = str(layout.python_of(layout.VENV))
    packages = layout.packages()
    checks = [
        Check(name="lint (ruff check)", command=(python, "-m", "ruff", "check", ".")),
        Check(name="format (ruff format)", command=(python, "-m", "ruff", "format", "--check", ".")),
        Check(name="import contracts (lint-imports)", command=(python, "-c", _LINT_IMPORTS)),
        Check(
            name="compose file (check-jsonschema)",
            command=(
                python, "-m", "check_jsonschema",
                "--builtin-schema", "vendor.compose-spec", "docker-compose.yml",
            ),
        ),
        Check(
            name="Django (manage check)",
            command=(python, "manage.py", "check", "--fail-level", "WARNING"),
        ),
        Check(
            name="migrations (makemigrations --check)",
            command=(python, "manage.py", "makemigrations", "--check", "--dry-run"),
        ),
        Check(
            name="types (mypy --strict)",
            command=(python, "-m", "mypy", "--strict", *packages, "manage.py"),
        ),
    ]  # fmt: skip
    if (layout.ROOT / "templates").is_dir():
        checks.insert(
            3,
            Check(name="templates (djlint)", command=(python, "-m", "djlint", "--lint", "templates")),
        )
    if (layout.ROOT / "tests" / "docs").is_dir():
        checks.append(
            Check(name="documents in step (tests/docs)", command=(python, "-m", "pytest", "-q", "tests/docs"))
        )
    return checks


_LINT_IMPORTS = (
    "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
)


def offending_lines(text: str) -> list[str]:
    """`file:line` of each import that lint-imports names, once."""
    found = [
        f"{_file(importer)}:{line}: {importer} imports {imported}"
        for importer, imported, line in _IMPORT.findall(text)
    ]
    return list(dict.fromkeys(found))


def _file(module: str) -> str:
    path = Path(*module.split("."))
    package = path / "__init__.py"
    return str(package if (layout.ROOT / package).exists() else path.with_suffix(".py"))


def _environment(scratch: Path) -> dict[str, str]:
    """Settings under which Django's own checks mean something: production's, on an empty database."""
    return {
        **surroundings.plain(),
        "DATABASE_URL": f"sqlite:///{scratch / 'check.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "soc.settings",
        "MYPYPATH": str(layout.ROOT),
        "NO_COLOR": "1",
        "QUELL_DATA": str(scratch),
        "QUELL_SECRET_KEY": secrets.token_urlsafe(48),
        "QUELL_AUDIT_KEY": secrets.token_urlsafe(48),
        "REDIS_URL": surroundings.NOWHERE,
        "TERM": os.environ.get("TERM", "dumb"),
    }
