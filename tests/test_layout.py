"""The shape of the repository: packages, contracts and licence are where the tools look for them."""

import tomllib
from typing import Any

import pytest

from launcher import layout

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def contracts() -> dict[str, Any]:
    text = (layout.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text)["tool"]["importlinter"]
    return found


def test_no_package_is_forgotten_in_the_import_contracts(contracts: dict[str, Any]) -> None:
    assert set(contracts["root_packages"]) == set(layout.packages()) - {"tests"}


def test_every_production_package_has_its_layer(contracts: dict[str, Any]) -> None:
    (layers,) = (one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    named = {part.strip(" ()") for layer in layers for part in layer.split("|")}
    production = set(layout.packages()) - {"bench", "launcher", "simulator", "tests"}
    assert production <= named
    for one in contracts["contracts"]:
        if one["id"] in {"production", "aws"}:
            assert set(one["source_modules"]) == production


def test_optional_layers_are_those_that_do_not_exist_yet(contracts: dict[str, Any]) -> None:
    (layers,) = (one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    parts = {part.strip() for layer in layers for part in layer.split("|")}
    optional = {part.strip("()") for part in parts if part.startswith("(")}
    assert optional.isdisjoint(layout.packages())


def test_every_test_directory_is_a_package() -> None:
    """Two test modules of the same name in different directories would otherwise be one."""
    bare = [
        path.parent.relative_to(layout.ROOT)
        for path in (layout.ROOT / "tests").rglob("test_*.py")
        if not (path.parent / "__init__.py").exists()
    ]
    assert bare == []
