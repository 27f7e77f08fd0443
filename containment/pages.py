"""What the pages of the hand show beyond one action's view: the incident's panel, neighbours, conflicts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from cases.access import permits
from cases.models import Action, Incident
from cases.words import IN_FORCE, ActionStatus
from containment import approvals, planning, preflight, tiers
from containment import coverage as covering
from containment.models import StepState
from containment.named_plans import Expanded, named_plans
from containment.presentation import MOVING, ActionView, StepView
from containment.queries import briefly_of
from containment.suggesting import Suggestion, suggestions
from identity.actors import Actor
from identity.permissions import Permission

MOST = 30
"""Actions, and coverage rows, of an incident's panel; the page with all of them is one click away."""

MOST_PLANS = 20
"""Plans that are read and approved at once: as many as a person reads before the first has run out."""

SOON = 1
WATCHED = 3
IN_FORCE_EVERY = 10
_THREE = re.compile(
    r"^(?P<what>.*?): was (?P<was>.*), we made it (?P<made>.*), now it is (?P<now>.*)$", re.DOTALL
)

STEP_SAYS = {
    StepState.PENDING: ("proposed", ""),
    StepState.INTENT: ("applying", "sent, no answer read yet"),
    StepState.RETRY: ("applying", "refused for now, trying again"),
    StepState.WAITING: ("waiting", "waiting"),
    StepState.APPLIED: ("applied", "applied, not verified"),
    StepState.ALREADY: ("applied", "was so already; not ours, never undone"),
    StepState.DONE: ("applied", "done"),
    StepState.SKIPPED: ("none", "not needed"),
    StepState.UNDONE: ("reverted", "undone"),
    StepState.KEPT: ("none", "kept"),
    StepState.FAILED: ("failed", "failed"),
    StepState.UNKNOWN: ("unknown", "unknown: it may or may not have been done"),
    StepState.CONFLICT: ("conflict", "conflict: someone else changed it"),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An action in a list: its title, the same without its target, and how far it is in words."""

    action: Action
    title: str
    name: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many of the required coverage rows are contained and open; how many are not required."""

    required: int
    contained: int
    open: int
    not_required: int

    @property
    def is_complete(self) -> bool:
        """Whether something had to be contained, and all of it is."""
        return self.required > 0 and self.open == 0


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The plans that somebody may approve now, first asked first, and how many more wait behind them."""

    first: list[Action]
    more: int


@dataclass(frozen=True, kw_only=True)
class Panel:
    """An incident's containment. `every`: seconds until it is worth asking again, or 0.

    `more_coverage` and `more_actions` are how many of each are left to the page with all of them.
    """

    coverage: list[covering.Row]
    more_coverage: int
    more_actions: int
    total_actions: int
    hidden: int
    tally: Tally
    plans: list[Expanded]
    suggestions: list[Suggestion]
    others: list[Suggestion]
    actions: list[Entry]
    waiting: Waiting
    may_decide: bool
    every: int


@dataclass(frozen=True, kw_only=True)
class StepLine:
    """A step with the drawing and the words of its state."""

    step: StepView
    drawing: str
    says: str


@dataclass(frozen=True, kw_only=True)
class ThreeValues:
    """Where a thing stands that an undo will not touch: what it was, what we made of it, what it is."""

    what: str
    was: str
    made: str
    now: str


@dataclass(frozen=True, kw_only=True)
class TierChange:
    """What a version of the policy makes of a tier at a place, where that differs from what holds now."""

    place: str
    tier: str
    was: int
    becomes: int


def tier_changes(proposed: tiers.Tiers, *, now: tiers.Tiers) -> list[TierChange]:
    """Everything that would be different; a tier that a version does not name stays what it is called."""
    return [
        TierChange(place=place, tier=tier, was=was, becomes=becomes)
        for (place, before), (_, after) in zip(tiers.grid(now), tiers.grid(proposed), strict=True)
        for (tier, was), (_, becomes) in zip(before, after, strict=True)
        if was != becomes
    ]


def panel(actor: Actor, incident: Incident, *, most: int | None = MOST) -> Panel:
    """The incident's containment, as far as the actor's accounts reach; the rest is counted.

    At most so many rows of each kind, open targets and new actions first; None for all of them.
    """

    def is_seen(account: str) -> bool:
        if account not in seen:
            seen[account] = permits(actor, Permission.READ_ACTIONS, team=incident.team_id, account=account)
        return seen[account]

    seen: dict[str, bool] = {}
    everything = covering.coverage(incident)
    rows = [row for row in everything if is_seen(row.account)]
    actions = [action for action in briefly_of(incident) if is_seen(action.target.get("account", ""))]
    is_open = incident.status != "closed"
    offered = [one for one in suggestions(incident) if is_seen(one.target["account"])] if is_open else []
    plans = [_seen_of(plan, is_seen) for plan in named_plans(incident)] if is_open else []
    return Panel(
        may_decide=is_open and actor.kind == "person" and actor.may(Permission.CONFIRM_ACTIONS),
        plans=[plan for plan in plans if plan.actions or plan.asked],
        waiting=waiting_for(actor, reversed(actions)),
        hidden=len(everything) - len(rows),
        coverage=rows[:most],
        more_coverage=len(rows) - len(rows[:most]),
        tally=_tally(rows),
        suggestions=[one for one in offered if one.is_first],
        others=[one for one in offered if not one.is_first],
        actions=entries(actions[:most]),
        more_actions=len(actions) - len(actions[:most]),
        total_actions=len(actions),
        every=_soonest(actions),
    )


def _tally(rows: list[covering.Row]) -> Tally:
    required = [row for row in rows if row.is_required]
    is_open = sum(1 for row in required if row.is_open)
    return Tally(
        required=len(required),
        contained=len(required) - is_open,
        open=is_open,
        not_required=len(rows) - len(required),
    )


def _seen_of(plan: Expanded, is_seen: Callable[[str], bool]) -> Expanded:
    """The plan without the actions in accounts that the reader does not cover."""
    return replace(plan, actions=tuple(one for one in plan.actions if is_seen(one.target["account"])))


def waiting_for(actor: Actor, actions: Iterable[Action]) -> Waiting:
    """What of these waits for this person; needs `action.incident`.

    Whether a plan can be approved is asked of the database for each, so only as many are asked about as are
    read at once. Those behind them are counted by the person's role alone.
    """
    found = [one for one in actions if one.status in approvals.WAITING and approvals.may_decide(one, actor)]
    asked = found[:MOST_PLANS]
    first = [one for one in asked if approvals.may_approve(one, actor).allowed]
    return Waiting(first=first, more=len(found) - len(asked) if first else 0)


def entries(actions: Iterable[Action]) -> list[Entry]:
    """Actions as lines of a list; needs `action.reverts` for undos only."""
    return [_entry(action) for action in actions]


def _entry(action: Action) -> Entry:
    title = planning.title_of(action)
    target = str(action.target.get("id", ""))
    return Entry(action=action, title=title, name=title.removesuffix(target).strip(), says=_says(action))


def every(view: ActionView) -> int:
    """After how many seconds an action's page should ask again; 0 when nothing can change any more."""
    action, undone_by = view.action, view.undone_by
    if action.status in MOVING or (undone_by and undone_by.status in MOVING):
        return SOON
    if view.is_moving or action.status in {ActionStatus.PLANNED, ActionStatus.DRIFTED, ActionStatus.UNKNOWN}:
        return WATCHED
    return IN_FORCE_EVERY if action.status in IN_FORCE else 0


def step_lines(view: ActionView) -> list[StepLine]:
    """The live journal; a step counts as verified only with the whole action."""
    is_verified = view.action.status in {ActionStatus.VERIFIED, ActionStatus.REVERTED}
    lines = []
    for step in view.steps:
        drawing, says = STEP_SAYS[StepState(step.state)]
        if is_verified and step.state == StepState.APPLIED:
            drawing, says = "verified", "read back"
        lines.append(StepLine(step=step, drawing=drawing, says=says))
    return lines


def answers(view: ActionView) -> dict[str, int]:
    """How many of the calls AWS would permit, would deny, and could not be asked about."""
    given = [one["answer"] for one in view.preflight]
    return {
        "permitted": given.count(preflight.PERMITTED),
        "denied": given.count(preflight.DENIED),
        "untested": given.count(preflight.NOT_TESTED),
    }


def three_values(note: str) -> list[ThreeValues]:
    """The three values of each conflict that the executor wrote down; empty for any other note."""
    found = [_THREE.match(part) for part in note.split("; ")]
    return [ThreeValues(**match.groupdict()) for match in found if match]


def _says(action: Action) -> str:
    if action.status == ActionStatus.PLANNED:
        return "Planned, waits for approval"
    if action.status == ActionStatus.VERIFIED and action.verified_at:
        return f"{'Done, read back' if action.reverts_id else 'Verified'} {action.verified_at:%H:%M:%S}"
    return ""


def _soonest(actions: list[Action]) -> int:
    statuses = {action.status for action in actions}
    if statuses & MOVING:
        return SOON
    waiting = {ActionStatus.PLANNED, ActionStatus.DRIFTED, ActionStatus.UNKNOWN}
    if statuses & waiting or any(
        a.status == ActionStatus.VERIFIED and a.confirmed_at is None for a in actions
    ):
        return WATCHED
    return IN_FORCE_EVERY if statuses & IN_FORCE else 0
