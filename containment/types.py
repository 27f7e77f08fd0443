"""The contract between action types and the executor, as frozen data. Pure: no Django, no boto3.

An action type describes: it reads AWS and returns a `Plan`. The executor acts, from the stored plan
and its journal alone. Everything here is JSON-safe: no floats, no bytes (CONTRACT §1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lib.canonical import JSON

CONTRACT_VERSION = 1


class Refused(Exception):
    """The action cannot be planned, and why; shown to the person who asked."""


class Duty(StrEnum):
    """Which role is assumed at a place."""

    READ = "READ"
    EVIDENCE = "EVIDENCE"
    CONTAIN = "CONTAIN"
    ORGANIZATION = "ORGANIZATION"


class Category(StrEnum):
    """What an action is for, in the guide's words."""

    SOURCE = "source"
    TECHNIQUE = "technique"
    DESTINATION = "destination"
    EVIDENCE = "evidence"
    ERADICATION = "eradication"
    RECOVERY = "recovery"


class Kind(StrEnum):
    """How a step behaves when it is repeated or waited for."""

    SET = "SET"
    CREATE = "CREATE"
    EDIT = "EDIT"
    WAIT = "WAIT"
    PAUSE = "PAUSE"
    COLLECT = "COLLECT"


CHANGING = frozenset({Kind.SET, Kind.CREATE, Kind.EDIT})


class Compare(StrEnum):
    """How the value that a check selects is compared."""

    VALUE = "VALUE"
    SET = "SET"
    POLICY = "POLICY"
    PRESENT = "PRESENT"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where, and in which role, a call is made."""

    account: str
    region: str
    duty: Duty


@dataclass(frozen=True, kw_only=True)
class Call:
    """One AWS operation as data, in botocore's names."""

    at: Place
    service: str
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`service:Operation`, as `reads` and `writes` spell it."""
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True, kw_only=True)
class Read(Call):
    """A call that only reads. `decode`: paths in the answer that hold JSON text. `missing`: error
    codes that mean "not there" and make the answer null."""

    decode: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """What AWS says about one thing: a read, the small value it selects, and what that should equal."""

    read: Read
    select: str
    equals: Any
    compare: Compare = Compare.VALUE


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Our members of a document that other people edit too.

    `at` is the list's place in the answer of `read`, `into` the parameter of the call, or a dotted path
    within one (`Attributes.Policy`). Members are matched by `id`, or by value. `token` and `copy` are
    parameters taken from the same answer; a copy may be put at a dotted path too (docs/adr/0020). With
    `text` the parameter is a JSON document around the list, begun from `seed` when there is none. `empty`
    is the call for when nothing is left; the tokens go with it as well.
    """

    read: Read
    at: str
    into: str
    add: tuple[Any, ...] = ()
    remove: tuple[Any, ...] = ()
    id: str | None = None
    token: Mapping[str, str] = field(default_factory=dict)
    copy: Mapping[str, str] = field(default_factory=dict)
    text: bool = False
    seed: Any = None
    empty: Call | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One planned step; see CONTRACT §1 for each field.

    `also` lists further values that count as `was`: what a thing that we are about to make may be
    born with (docs/adr/0010).
    """

    name: str
    kind: Kind
    changes: str = ""
    call: Call | None = None
    edit: Edit | None = None
    seen: Check | None = None
    was: Any = None
    also: tuple[Any, ...] = ()
    answer: str | None = None
    value: str | None = None
    content: Check | None = None
    undo: Call | None = None
    unless: Check | None = None
    undo_seen: Check | None = None
    undo_after: int = 0
    lane: str | None = None
    open: bool = False
    settle: int = 30
    within: int = 120
    every: int = 15
    fails: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a person approves. `notes` is for the reader and outside the hash."""

    steps: tuple[Step, ...]
    holds: tuple[Check, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Target:
    """The one thing an action is about."""

    type: str
    account: str
    region: str
    id: str
    arn: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Target:
        """From the JSON of an action's row."""
        return cls(
            type=str(stored["type"]),
            account=str(stored["account"]),
            region=str(stored.get("region") or ""),
            id=str(stored["id"]),
            arn=str(stored.get("arn") or ""),
        )


@dataclass(frozen=True, kw_only=True)
class Affected:
    """Something else that an action touches, and what happens to it."""

    what: str
    then: str


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """What one COLLECT step found: never part of a plan (docs/adr/0028).

    `chunks` are read once, while they are written to the evidence store. `absent` says, in place of
    them, why there is nothing: a finding like any other. `shown` is a small JSON value, of at most some
    64 KB, that the journal keeps and the action's page shows. `sha256` is what AWS says the content has,
    in hexadecimal; other content is then not kept. `source` is the ARN or the call it is from.
    """

    name: str
    media_type: str
    source: str
    at: Place
    chunks: Iterable[bytes] = ()
    absent: str = ""
    is_sensitive: bool = False
    shown: Any = None
    sha256: str = ""


def plain(value: Any) -> JSON:
    """A value of this module, or JSON, as plain JSON (dicts, lists, text, whole numbers)."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{type(value).__name__} does not belong into a plan")


def place_of(stored: Mapping[str, Any]) -> Place:
    """A place from its JSON."""
    return Place(account=stored["account"], region=stored["region"], duty=Duty(stored["duty"]))


def call_of(stored: Mapping[str, Any] | None) -> Call | None:
    """A call from its JSON."""
    if stored is None:
        return None
    return Call(
        at=place_of(stored["at"]),
        service=stored["service"],
        operation=stored["operation"],
        params=stored["params"],
    )


def read_of(stored: Mapping[str, Any]) -> Read:
    """A read from its JSON."""
    return Read(
        at=place_of(stored["at"]),
        service=stored["service"],
        operation=stored["operation"],
        params=stored["params"],
        decode=tuple(stored["decode"]),
        missing=tuple(stored["missing"]),
    )


def check_of(stored: Mapping[str, Any] | None) -> Check | None:
    """A check from its JSON."""
    if stored is None:
        return None
    return Check(
        read=read_of(stored["read"]),
        select=stored["select"],
        equals=stored["equals"],
        compare=Compare(stored["compare"]),
    )


def edit_of(stored: Mapping[str, Any] | None) -> Edit | None:
    """An edit from its JSON."""
    if stored is None:
        return None
    return Edit(
        read=read_of(stored["read"]),
        at=stored["at"],
        into=stored["into"],
        add=tuple(stored["add"]),
        remove=tuple(stored["remove"]),
        id=stored["id"],
        token=stored["token"],
        copy=stored["copy"],
        text=stored["text"],
        seed=stored["seed"],
        empty=call_of(stored["empty"]),
    )


def step_of(stored: Mapping[str, Any]) -> Step:
    """A step from its JSON."""
    values = dict(stored)
    values["kind"] = Kind(stored["kind"])
    values["fails"] = tuple(stored["fails"])
    values["also"] = tuple(stored["also"])
    values["edit"] = edit_of(stored["edit"])
    for name in ("call", "undo"):
        values[name] = call_of(stored[name])
    for name in ("seen", "content", "unless", "undo_seen"):
        values[name] = check_of(stored[name])
    return Step(**values)


def plan_of(stored: Mapping[str, Any]) -> Plan:
    """A plan from its JSON; inverse of `plain`."""
    return Plan(
        steps=tuple(step_of(step) for step in stored["steps"]),
        holds=tuple(check for check in map(check_of, stored["holds"]) if check),
        facts=stored["facts"],
        notes=stored["notes"],
        changes=tuple(stored["changes"]),
        warnings=tuple(stored["warnings"]),
    )
