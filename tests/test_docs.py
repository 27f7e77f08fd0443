"""The documents say what the code has: commands, packages, paths, settings, addresses, links."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve

from cases.sources.registry import sources
from identity.permissions import KEY_SCOPES
from launcher import cli, layout
from soc import env
from tests.api.test_access import ROUTES

pytestmark = pytest.mark.fast

DOCUMENTS = [
    layout.ROOT / name
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/settings.md")
] + sorted((layout.ROOT / "docs").glob("[ah]*/*.md"))
INTAKE = layout.ROOT / "docs" / "howto" / "point-alerts-here.md"

TOP = r"(?:soc|containment|metrics|cases|estate|identity|audit|lib|simulator|launcher|tests|docs|templates)"
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"{TOP}/[\w./-]*|[\w-]+\.(?:py|md|toml|yml)")
MODULE = re.compile(rf"({TOP}(?:\.\w+)+)")
COMMAND = re.compile(r"\./quell ([a-z]+)(?: ([a-z_]+))?")
PLACEHOLDER = re.compile(r"\$REF|\{\w+\}")


def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def lost_paths(written: str) -> list[str]:
    """Paths in backticks that do not exist."""
    named = [one for one in QUOTED.findall(written) if PATH.fullmatch(one)]
    return [one for one in named if not (layout.ROOT / one).exists()]


def lost_names(written: str) -> list[str]:
    """Dotted names of ours in backticks that cannot be imported or looked up."""
    return [one for one in QUOTED.findall(written) if MODULE.fullmatch(one) and not is_there(one)]


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            fields = getattr(found, "__dataclass_fields__", {})
            if name not in fields and not hasattr(found, name):
                return False
            found = getattr(found, name, None)
        return True
    return False


def lost_commands(written: str) -> list[str]:
    """Commands of `./quell`, and of `./quell manage`, that do not exist."""
    lost = []
    for command, word in COMMAND.findall(written):
        if command not in cli.COMMANDS or (command == "manage" and word and word not in manageable()):
            lost.append(f"{command} {word}".strip())
    return lost


def manageable() -> set[str]:
    return {*get_commands(), "help"}


def table(document: Path, heading: str) -> Iterator[list[str]]:
    """The cells of each row of the table whose first column has this heading."""
    rows = text(document).split(f"| {heading} |", 1)[1].splitlines()[2:]
    for row in rows:
        if not row.startswith("|"):
            return
        yield [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_exists(document: Path) -> None:
    written = text(document)
    assert lost_paths(written) == []
    assert lost_names(written) == []
    assert lost_commands(written) == []


def test_a_wrong_path_name_or_command_is_found() -> None:
    assert lost_paths("`cases/ingset.py` and `cases/ingest.py`") == ["cases/ingset.py"]
    assert lost_names("`lib.clock.now` and `lib.clock.later`") == ["lib.clock.later"]
    assert lost_commands("./quell demo, ./quell deploy, ./quell manage verify_everything") == [
        "deploy",
        "manage verify_everything",
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text(document))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_readme_begins_with_the_two_commands() -> None:
    first = [line.split("#")[0].strip() for line in text(layout.ROOT / "README.md").splitlines()[1:8]]
    assert [line for line in first if line.startswith("./quell")] == ["./quell demo", "./quell test"]


def test_the_addresses_of_the_readme_are_answered() -> None:
    written = text(layout.ROOT / "README.md")
    named = re.findall(r"\$URL(/[^\s\"?]+)", written)
    named += re.findall(r"`(/[\w/-]+)`", written)
    assert len(named) >= 8
    for address in named:
        try:
            resolve(PLACEHOLDER.sub("INC-2026-0001", address))
        except Resolver404:
            pytest.fail(f"README.md names {address}, which has no view")


def test_the_page_of_intake_names_every_source_and_no_other() -> None:
    assert [row[0].strip("`") for row in table(INTAKE, "Source")] == list(sources())


def test_the_page_of_intake_names_every_hook_and_every_tool_with_a_door() -> None:
    named = [row[0].strip("`") for row in table(INTAKE, "Send to")]
    pages = re.findall(r"`(/[\w/-]+)`", text(INTAKE))
    found = {str(resolve(PLACEHOLDER.sub("auto", address)).url_name) for address in (*named, *pages)}
    doors = {name for name in ROUTES if name.startswith(("hook-", "compat-"))}
    assert {name for name in doors if name.startswith("hook-")} <= found
    assert {name.split("-")[1] for name in doors} == {
        name.split("-")[1] for name in found if name.startswith(("hook-", "compat-"))
    }


@pytest.mark.parametrize("document", [layout.ROOT / "README.md", INTAKE], ids=lambda path: path.name)
def test_the_scopes_and_options_that_a_document_names_exist(document: Path) -> None:
    written = text(document)
    for scopes in re.findall(r"--scopes ([\w:,]+)", written):
        assert set(scopes.split(",")) <= KEY_SCOPES
    for command, arguments in re.findall(r"\./quell manage (\w+)((?: --?[\w-]+ (?:'[^']*'|\S+))+)", written):
        parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"--[a-z-]+", arguments)) <= known, command


def test_the_architecture_names_every_package_and_no_other() -> None:
    rows = table(layout.ROOT / "ARCHITECTURE.md", "Package")
    assert {row[0].strip("`") for row in rows} == set(layout.packages()) - {"tests", "bench"}


def test_the_architecture_names_models_that_are_there() -> None:
    for rows, where, _ in table(layout.ROOT / "ARCHITECTURE.md", "Row"):
        module = importlib.import_module(where.strip("`").removesuffix(".py").replace("/", "."))
        for model in QUOTED.findall(rows):
            assert hasattr(module, model), f"{where} has no {model}"


def test_the_readme_names_every_action_type() -> None:
    from containment.actions import catalogue

    listed = (
        text(layout.ROOT / "README.md").partition("action types, each with a page")[2].partition("Not yet")[0]
    )
    named = re.findall(r"`([a-z0-9-]+\.[a-z0-9-]+)`", listed)
    assert sorted(named) == sorted(declared.id for declared in catalogue())


def test_every_setting_is_documented_with_its_meaning_and_default() -> None:
    importlib.import_module("soc.settings")
    rows = {row[0].strip("`"): row for row in table(layout.ROOT / "docs" / "settings.md", "Name")}
    assert set(rows) == set(env.DECLARED)
    in_words = {"QUELL_DATA", "DATABASE_URL"}  # their defaults are paths that hang on the checkout
    for name, declared in env.DECLARED.items():
        _, meaning, default = rows[name]
        assert meaning == declared.meaning
        if declared.default and name not in in_words:
            assert default == f"`{declared.default}`"


def test_decisions_are_numbered_once_and_carry_a_status() -> None:
    records = sorted((layout.ROOT / "docs" / "adr").glob("*.md"))
    numbers = [record.name[:4] for record in records]
    assert len(set(numbers)) == len(numbers)
    for record in records:
        title, *rest = text(record).splitlines()
        assert title.startswith(f"# {int(record.name[:4])}. "), record.name
        assert any(line.startswith("**Status**: ") for line in rest), record.name
