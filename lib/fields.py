"""A declared field map: where somebody else's document says what, so that it can be read as an alert.

    {"source": "edr", "title": "detection.name", "external_id": "/detection/id",
     "severity": {"path": "detection.level", "map": {"severe": 90}, "default": 50},
     "resolved": {"path": "state", "values": ["closed"]},
     "observables": [{"kind": "ip", "path": "hosts[].ip"}]}

A path is a JSON pointer (RFC 6901, begins with `/`) or a JMESPath expression (https://jmespath.org/)
without what could make more of a document than it holds. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

SINGLE = (
    "title", "external_id", "summary", "type", "account", "region", "link",
    "first_seen_at", "last_seen_at", "detected_at", "updated_at", "techniques", "tags",
)  # fmt: skip
"""The fields that are a path and nothing else."""

LONGEST_PATH = 300
MOST_NODES = 60
MOST_WORDS = 200
MOST_LISTED = 50
SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
FUNCTIONS = frozenset({"not_null", "to_string", "join", "contains", "starts_with", "ends_with"})
MULTIPLIES = frozenset({"multi_select_list", "multi_select_dict", "key_val_pair", "expref"})
"""Expressions by which a short path could double a document again and again."""


class NoFieldMap(ValueError):
    """A field map cannot be meant so: why, and where in it (JSON pointer)."""

    def __init__(self, reason: str, pointer: str) -> None:
        super().__init__(f"{pointer}: {reason}")
        self.reason = reason
        self.pointer = pointer


@dataclass(frozen=True)
class Path:
    """One path, ready to be followed."""

    spelling: str
    find: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Severity:
    """Where the severity stands, and what its words mean, as 0 to 100; lower case."""

    path: Path
    words: Mapping[str, int]
    default: int | None


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Where it is said that an alert is over, and in which words; lower case."""

    path: Path
    values: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A path whose values are all of one kind: observables, or resources of one type."""

    kind: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class FieldMap:
    """A field map that was checked. `source` is the name that its alerts go under."""

    source: str
    paths: Mapping[str, Path]
    severity: Severity | None = None
    resolved: Resolved | None = None
    observables: tuple[Listed, ...] = ()
    resources: tuple[Listed, ...] = ()

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> FieldMap:
        """The map that a JSON object declares. Raises `NoFieldMap`."""
        known = {"source", "severity", "resolved", "observables", "resources", *SINGLE}
        for name in said:
            if name not in known:
                raise NoFieldMap("is not a field of an alert", f"/{str(name)[:60]}")
        source = said.get("source")
        if not isinstance(source, str) or not SOURCE.fullmatch(source):
            raise NoFieldMap(
                "must be 1 to 40 letters, digits, dots, dashes, colons or underscores", "/source"
            )
        if "title" not in said:
            raise NoFieldMap("is needed", "/title")
        return cls(
            source=source,
            paths={name: _path(said[name], f"/{name}") for name in SINGLE if name in said},
            severity=_severity(said["severity"]) if "severity" in said else None,
            resolved=_resolved(said["resolved"]) if "resolved" in said else None,
            observables=tuple(_listed(said, "observables", "kind")),
            resources=tuple(_listed(said, "resources", "type")),
        )

    def find(self, name: str, document: Any) -> Any:
        """What the document holds for a single field; None where nothing is declared or there."""
        path = self.paths.get(name)
        return path.find(document) if path else None


def _severity(said: Any) -> Severity:
    if isinstance(said, str):
        return Severity(path=_path(said, "/severity"), words={}, default=None)
    given = _object(said, "/severity", {"path", "map", "default"})
    words = given.get("map", {})
    if not isinstance(words, dict) or len(words) > MOST_WORDS:
        raise NoFieldMap(f"must be an object of at most {MOST_WORDS} words", "/severity/map")
    for value in (*words.values(), given.get("default", 0)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
            raise NoFieldMap("a severity is a whole number from 0 to 100", "/severity")
    return Severity(
        path=_path(given.get("path"), "/severity/path"),
        words={str(word).strip().lower(): value for word, value in words.items()},
        default=given.get("default"),
    )


def _resolved(said: Any) -> Resolved:
    given = _object(said, "/resolved", {"path", "values"})
    values = given.get("values")
    if not isinstance(values, list) or not 0 < len(values) <= MOST_LISTED:
        raise NoFieldMap(f"must be a list of 1 to {MOST_LISTED} words", "/resolved/values")
    return Resolved(
        path=_path(given.get("path"), "/resolved/path"),
        values=frozenset(str(value).strip().lower() for value in values),
    )


def _listed(said: Mapping[str, Any], name: str, kind: str) -> Iterator[Listed]:
    members = said.get(name, [])
    if not isinstance(members, list) or len(members) > MOST_LISTED:
        raise NoFieldMap(f"must be a list of at most {MOST_LISTED}", f"/{name}")
    for number, member in enumerate(members):
        pointer = f"/{name}/{number}"
        given = _object(member, pointer, {kind, "path"})
        word = given.get(kind)
        if not isinstance(word, str) or not WORD.fullmatch(word):
            raise NoFieldMap("must be a word in lower case", f"{pointer}/{kind}")
        yield Listed(kind=word, path=_path(given.get("path"), f"{pointer}/path"))


def _object(said: Any, pointer: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(said, dict) or set(said) - names:
        raise NoFieldMap(f"must be an object of {', '.join(sorted(names))}", pointer)
    return said


def _path(said: Any, pointer: str) -> Path:
    if not isinstance(said, str) or not said.strip() or len(said) > LONGEST_PATH:
        raise NoFieldMap(f"must be a path of at most {LONGEST_PATH} characters", pointer)
    if said.startswith("/"):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in said[1:].split("/")]
        return Path(said, lambda document: _follow(document, steps))
    try:
        compiled = jmespath.compile(said)
    except (JMESPathError, RecursionError) as failure:
        raise NoFieldMap("neither a JSON pointer nor a JMESPath expression", pointer) from failure
    _check(compiled.parsed, pointer)
    return Path(said, lambda document: _search(compiled, document))


def _check(tree: Any, pointer: str) -> None:
    waiting, seen = [tree], 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if node["type"] in MULTIPLIES or seen > MOST_NODES:
            raise NoFieldMap("an expression that is too large, or builds what is not there", pointer)
        if node["type"] == "function_expression" and node["value"] not in FUNCTIONS:
            raise NoFieldMap(f"of the functions there are {', '.join(sorted(FUNCTIONS))}", pointer)
        waiting += [child for child in node.get("children", ()) if isinstance(child, dict)]


def _follow(document: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif (
            isinstance(document, list) and re.fullmatch(r"0|[1-9]\d{0,5}", step) and int(step) < len(document)
        ):
            document = document[int(step)]
        else:
            return None
    return document


def _search(compiled: Any, document: Any) -> Any:
    """What the expression finds; a function that meets another type than it takes finds nothing."""
    try:
        return compiled.search(document)
    except (JMESPathError, ArithmeticError, TypeError):
        return None
