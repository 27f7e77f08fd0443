"""An action as a person reads it: what was and what becomes, the exact calls, the live journal.

Everything is derived from the stored plan and the journal; nothing here asks AWS.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cases.models import Action
from containment import approvals, glass, voiding
from containment.actions import UnknownType, action_type
from containment.approvals import May
from containment.models import Approval, StepState
from containment.models import Step as Row
from containment.types import CHANGING, Kind, Plan, Step, plan_of
from containment.undo import REVERTIBLE
from identity.actors import Actor

Parts = tuple[str, str, str]
"""A line in three: what both sides begin with, what differs, what both end with."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a side-by-side difference; `kind` is same, removed, added or changed.

    Of a changed row `left_parts` and `right_parts` say where within the line it differs. A row of the kind
    `fold` stands for the equal lines in `folded`, too many to be read one by one.
    """

    kind: str
    left_number: int | None
    left: str
    right_number: int | None
    right: str
    left_parts: Parts = ("", "", "")
    right_parts: Parts = ("", "", "")
    folded: tuple[Line, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that the plan changes, from first to last; `says` is what that comes to in a few words."""

    changes: str
    lines: tuple[Line, ...]
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class CallView:
    """One AWS call as it is going to be, or was, sent."""

    step: str
    kind: str
    name: str
    account: str
    region: str
    duty: str
    params: str


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One line of the live journal. `seconds`: from the last intent to the end."""

    seq: int
    name: str
    kind: str
    call: str
    changes: str
    state: str
    attempt: int
    error: str
    at: datetime | None
    seconds: float | None
    request_id: str
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Collected:
    """An artefact that a step stored, and what the journal keeps to show of it.

    `calls` is None where it is not about the calls of a credential; `of` is whose they are.
    """

    evidence: str
    name: str
    size: int
    sha256: str
    absent: str
    calls: tuple[Mapping[str, str], ...] | None = None
    of: str = ""
    regions: tuple[str, ...] = ()
    unread: tuple[Mapping[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class ActionView:
    """Everything a screen shows of one action."""

    action: Action
    title: str
    fallback: tuple[str, ...]
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    changes: tuple[Change, ...]
    calls: tuple[CallView, ...]
    affects: tuple[Mapping[str, str], ...]
    affects_incomplete: str
    does_not_stop: tuple[str, ...]
    preflight: tuple[Mapping[str, str], ...]
    steps: tuple[StepView, ...]
    collected: tuple[Collected, ...]
    done: int
    approvals: tuple[Approval, ...]
    may: May
    may_break: bool
    may_revoke: bool
    can_undo: bool
    undone_by: Action | None
    is_moving: bool

    @property
    def has_blanks(self) -> bool:
        """Whether the steps to do by hand hold words that a person has to fill in."""
        return any(word != "AWS" for line in self.fallback for word in re.findall(r"\b[A-Z]{3,}\b", line))


MOVING = frozenset({"proposed", "approved", "applying", "applied", "reverting"})


def present(action: Action, actor: Actor) -> ActionView:
    """The action for this reader. Five queries."""
    plan = plan_of(action.plan) if action.plan else None
    rows = list(Row.objects.filter(action=action).order_by("seq"))
    reversion = action.reversions.order_by("-pk").first()
    declared = _declared(action.type)
    steps = tuple(_step(step, row) for step, row in zip(plan.steps, rows, strict=False)) if plan else ()
    title = declared.title if declared else action.type
    return ActionView(
        action=action,
        title=f"Undo: {title.lower()}" if action.reverts_id else title,
        fallback=_by_hand(declared.fallback, action) if declared else (),
        sentences=plan.changes if plan else (),
        warnings=plan.warnings if plan else (),
        changes=tuple(_changes(plan)) if plan else (),
        calls=tuple(_calls(plan)) if plan else (),
        affects=tuple((action.affects or {}).get("found", [])),
        affects_incomplete=(action.affects or {}).get("incomplete", ""),
        does_not_stop=_parts_of(action.does_not_stop),
        preflight=tuple(action.preflight),
        steps=steps,
        collected=tuple(_collected(rows)),
        done=sum(1 for row in rows if row.state in _DONE),
        approvals=tuple(action.approvals.select_related("person", "voiding", "review").order_by("pk")),
        may=approvals.may_approve(action, actor),
        may_break=action.status in approvals.WAITING and glass.may_break(action, actor).allowed,
        may_revoke=_may_revoke(action, actor),
        can_undo=_can_undo(action, plan, rows, reversion),
        undone_by=reversion,
        is_moving=action.status in MOVING
        or (action.status == "verified" and action.confirmed_at is None and action.reverts_id is None),
    )


def _parts_of(does_not_stop: str) -> tuple[str, ...]:
    """The residual access as a list; of what stops nothing at all, in one sentence with why."""
    parts = tuple(part.strip().rstrip(".") for part in does_not_stop.split(";") if part.strip())
    if parts and parts[0].lower() == "anything":
        why = "; ".join(parts[1:]).removeprefix("and ")
        return (f"Nothing is stopped: {why}" if why else "Nothing is stopped",)
    return parts


def before_and_after(stored: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """For each thing a plan changes: what it was first, and what it is last."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for step in plan_of(stored).steps if stored else ():
        if step.kind in CHANGING and step.seen:
            before.setdefault(step.changes, step.was)
            after[step.changes] = {"$made": True} if step.kind is Kind.CREATE else step.seen.equals
    return before, after


def calls_of(stored: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The calls of a plan as JSON: where, which, with what."""
    if not stored:
        return []
    return [
        {"step": step["name"], "kind": step["kind"], **step["call"]}
        for step in stored["steps"]
        if step["call"]
    ]


_DONE = (
    StepState.APPLIED,
    StepState.ALREADY,
    StepState.DONE,
    StepState.KEPT,
    StepState.UNDONE,
    StepState.SKIPPED,
)


def _may_revoke(action: Action, actor: Actor) -> bool:
    if actor.kind != "person" or action.status not in (*approvals.WAITING, "approved"):
        return False
    standing = [one.person_id for one in voiding.live(action)]
    return bool(standing) and (actor.person_id in standing or approvals.may_decide(action, actor))


def _can_undo(action: Action, plan: Plan | None, rows: list[Row], reversion: Action | None) -> bool:
    if plan is None or action.reverts_id or action.status not in REVERTIBLE:
        return False
    if reversion and reversion.status not in (
        "refused",
        "rejected",
        "expired",
        "withdrawn",
        "failed",
        "conflict",
        "unknown",
        "partial",
    ):
        return False
    pairs = zip(plan.steps, rows, strict=False)
    return any(
        (step.undo or step.edit) and row.state in ("applied", "intent", "unknown") for step, row in pairs
    )


def _changes(plan: Plan) -> Iterable[Change]:
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    edited: set[str] = set()
    for step in plan.steps:
        if step.kind in CHANGING and step.seen:
            first.setdefault(step.changes, step.was)
            last[step.changes] = _made(step) if step.kind is Kind.CREATE else step.seen.equals
            if step.kind is Kind.EDIT:
                edited.add(step.changes)
    for changes, was in first.items():
        becomes = last[changes]
        yield Change(
            changes=changes,
            lines=tuple(folded(side_by_side(_text(was), _text(becomes)))),
            says=_comes_to(was, becomes, is_edit=changes in edited),
        )


def _comes_to(was: Any, becomes: Any, *, is_edit: bool) -> str:
    beside = "; all else in it stays as it is" if is_edit else ""
    if was is None:
        return f"not there before{beside}"
    if becomes is None:
        return f"taken away{beside}"
    return beside.removeprefix("; ")


def _made(step: Step) -> Any:
    """What a step makes: the parameters of its call."""
    return dict(step.call.params) if step.call else {}


def _text(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return json.dumps(_readable(value), indent=2, sort_keys=True, ensure_ascii=False).split("\n")


def _readable(value: Any) -> Any:
    """Run-time forms in words: a reader should not have to know `$ref`."""
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            return f"(made by step {value['$ref']})"
        if set(value) == {"$now"}:
            return f"(the moment of the call, plus {value['$now']} s)"
        if set(value) == {"$json"}:
            return _readable(value["$json"])
        return {key: _readable(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(member) for member in value]
    return value


def side_by_side(left: list[str], right: list[str]) -> Iterable[Line]:
    """A difference in rows, as a responder reads it: old on the left, new on the right."""
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(a=left, b=right, autojunk=False).get_opcodes():
        if tag == "equal":
            for offset in range(i2 - i1):
                yield _line("same", left, i1 + offset, right, j1 + offset)
            continue
        for offset in range(max(i2 - i1, j2 - j1)):
            i = i1 + offset if i1 + offset < i2 else None
            j = j1 + offset if j1 + offset < j2 else None
            kind = "changed" if i is not None and j is not None else "removed" if i is not None else "added"
            yield _line(kind, left, i, right, j)


CONTEXT = 3
"""Equal lines that stay beside a difference."""

FOLDED = 4
"""So many equal lines are worth folding."""


def folded(lines: Iterable[Line]) -> Iterable[Line]:
    """The rows with long runs of equal ones folded, so that a difference is found in a long policy."""
    runs = [(kind, list(run)) for kind, run in itertools.groupby(lines, key=lambda line: line.kind == "same")]
    for number, (is_same, run) in enumerate(runs):
        head = CONTEXT if number > 0 else 0
        tail = CONTEXT if number < len(runs) - 1 else 0
        hidden = run[head : len(run) - tail]
        if not is_same or len(runs) == 1 or len(hidden) < FOLDED:
            yield from run
            continue
        yield from run[:head]
        yield Line(kind="fold", left_number=None, left="", right_number=None, right="", folded=tuple(hidden))
        yield from run[len(run) - tail :]


def _line(kind: str, left: list[str], i: int | None, right: list[str], j: int | None) -> Line:
    was = "" if i is None else left[i]
    becomes = "" if j is None else right[j]
    left_parts, right_parts = _parted(was, becomes) if kind == "changed" else (("", "", ""), ("", "", ""))
    return Line(
        kind=kind,
        left_number=None if i is None else i + 1,
        left=was,
        right_number=None if j is None else j + 1,
        right=becomes,
        left_parts=left_parts,
        right_parts=right_parts,
    )


_WORD = re.compile(r"\w+|\W")


def _parted(was: str, becomes: str) -> tuple[Parts, Parts]:
    """Where two lines differ, in whole words. Lines without a word in common differ as a whole."""
    old, new = _WORD.findall(was), _WORD.findall(becomes)
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    if not any(word.isalnum() for word in (*old[:head], *old[len(old) - tail :])):
        return (was, "", ""), (becomes, "", "")
    return _three(old, head, tail), _three(new, head, tail)


def _three(words: list[str], head: int, tail: int) -> Parts:
    end = len(words) - tail
    return "".join(words[:head]), "".join(words[head:end]), "".join(words[end:])


def _alike(one: list[str], other: list[str]) -> int:
    """How many words two lines begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _calls(plan: Plan) -> Iterable[CallView]:
    for step in plan.steps:
        if step.call:
            yield CallView(
                step=step.name,
                kind=step.kind.value,
                name=step.call.name,
                account=step.call.at.account,
                region=step.call.at.region,
                duty=step.call.at.duty.value,
                params=json.dumps(_readable(step.call.params), indent=2, sort_keys=True, ensure_ascii=False),
            )


def _collected(rows: Iterable[Row]) -> Iterable[Collected]:
    for row in rows:
        if row.kind != Kind.COLLECT or not row.result:
            continue
        kept = row.result["value"]
        names = ("evidence", "name", "size", "sha256", "absent")
        shown = kept.get("shown") or {}
        is_calls = shown.get("kind") == "calls"
        yield Collected(
            **{name: kept[name] for name in names},
            calls=tuple(shown["calls"]) if is_calls else None,
            of=shown.get("of", ""),
            regions=tuple(shown.get("regions", ())),
            unread=tuple(shown.get("unread", ())),
            left_out=tuple(shown.get("left_out", ())),
            says=shown.get("says", ""),
        )


def _step(step: Step, row: Row) -> StepView:
    seconds = None
    if row.finished_at and row.intent_at:
        seconds = max(0.0, (row.finished_at - row.intent_at).total_seconds())
    return StepView(
        seq=row.seq,
        name=step.name,
        kind=step.kind.value,
        call=step.call.name if step.call else _reading(step),
        changes=step.changes,
        state=row.state,
        attempt=row.attempt,
        error=row.error,
        at=row.finished_at or row.intent_at,
        seconds=seconds,
        request_id=str(row.attempts[-1].get("request_id", "")) if row.attempts else "",
        until=row.until,
    )


def _reading(step: Step) -> str:
    if step.kind is Kind.PAUSE:
        return f"wait {step.within} s"
    if step.kind is Kind.COLLECT:
        return "read and kept as evidence"
    return step.seen.read.name if step.seen else ""


_NAMED = {
    "access_key": "KEY",
    "bucket": "BUCKET",
    "eks_cluster": "CLUSTER",
    "function": "NAME",
    "image": "IMAGE",
    "instance": "INSTANCE",
    "kms_key": "KEY",
    "role": "ROLE",
    "secret": "SECRET",
    "snapshot": "SNAPSHOT",
    "subnet": "SUBNET",
    "user": "USER",
    "vpc": "VPC",
}
"""The word by which a fallback names a target of each kind."""


def _by_hand(lines: Iterable[str], action: Action) -> tuple[str, ...]:
    """The steps to do by hand, with what is known filled in, quoted as a shell reads it.

    Names come from alerts, and a person is going to paste these lines.
    """
    kind, name = str(action.target.get("type", "")), str(action.target.get("id", ""))
    if kind == "principal":
        kind, _, name = name.partition("/")
    known = {_NAMED[kind]: name} if kind in _NAMED else {}
    if isinstance(user := action.params.get("user"), str):
        known["USER"] = user
    region = str(action.target.get("region", ""))
    known["PARTITION"] = "aws-cn" if region.startswith("cn-") else "aws"
    if region.startswith("us-gov-"):
        known["PARTITION"] = "aws-us-gov"
    return tuple(re.sub(r"\b[A-Z]+\b", lambda word: _filled(word[0], known), line) for line in lines)


def _filled(word: str, known: Mapping[str, str]) -> str:
    return shlex.quote(known[word]) if word in known else word


def _declared(type_id: str) -> Any:
    try:
        return action_type(type_id)
    except UnknownType:
        return None
