"""Which tainted things of an incident are contained, and which stand open.

A thing is tainted when an alert of the incident names it, when an action of the incident is about it,
or when the watch found it made by a principal after that was contained. Whether it has to be contained
before the incident is, and why, is said for each; a person may decide otherwise, with a reason. Only a
verified action covers anything, and only of a type that is enough by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q

from cases.models import Action, Incident
from cases.words import ActionStatus
from containment.models import CoverageChoice, Watch
from containment.queries import BULKY
from containment.tainted import Naming, Thing, namings
from containment.types import Category

REQUIRED: Mapping[str, tuple[Category, str]] = {
    "access_key": (Category.TECHNIQUE, "Signs requests until it is off"),
    "user": (Category.TECHNIQUE, "Temporary credentials from its keys live up to 36 hours"),
    "role": (Category.TECHNIQUE, "Its sessions live until they are revoked"),
    "role_session": (Category.TECHNIQUE, "Lives until it is denied or runs out"),
    "instance": (Category.SOURCE, "Runs what the attacker runs"),
    "function": (Category.DESTINATION, "Runs what the attacker put there"),
    "policy": (Category.TECHNIQUE, "Grants what it says now"),
}
"""What each kind of tainted thing needs before it counts as contained, and why."""

STORES: Mapping[str, str] = {
    "bucket": "Can be read by whoever its policy lets in",
    "db_instance": "Can be reached by whoever its network lets in",
    "db_snapshot": "Can be copied by whoever it is shared with",
    "snapshot": "Can be copied by whoever it is shared with",
    "image": "Can be started by whoever it is shared with",
    "kms_key": "Decrypts for whoever its policy lets in",
    "secret": "Can be read by whoever its policy lets in",
    "table": "Can be read by whoever its policy lets in",
    "queue": "Can be read by whoever its policy lets in",
    "topic": "Can be read by whoever its policy lets in",
    "eks_cluster": "Can be used by whoever has an access entry",
}
"""Kinds that hold something; required when no credential or host stands beside them."""

ACTORS = ("access_key", "session_key", "user", "role", "role_session", "instance")

ENOUGH: Mapping[str, frozenset[str]] = {
    "access_key": frozenset({"iam.deactivate-access-key", "iam.delete-access-key", "iam.deny-user"}),
    "user": frozenset({"iam.revoke-user-sessions", "iam.deny-user"}),
    "role": frozenset({"iam.revoke-role-sessions", "iam.deny-role"}),
    "role_session": frozenset({"iam.deny-role-session", "iam.revoke-role-sessions", "iam.deny-role"}),
    "instance": frozenset({"ec2.isolate-instance", "ec2.stop-instance", "ec2.terminate-instance"}),
    "function": frozenset({"lambda.throttle-function"}),
    "policy": frozenset({"iam.restore-policy-version"}),
    "bucket": frozenset({"s3.restrict-bucket", "s3.block-public-access"}),
    "db_instance": frozenset({"rds.isolate-instance"}),
    "db_snapshot": frozenset({"rds.unshare-snapshot"}),
    "snapshot": frozenset({"ec2.unshare-snapshot"}),
    "image": frozenset({"ec2.unshare-image"}),
    "kms_key": frozenset({"kms.disable-key", "kms.deny-principal"}),
    "secret": frozenset({"secretsmanager.restrict-secret"}),
    "table": frozenset({"dynamodb.restrict-table"}),
    "queue": frozenset({"sqs.restrict-queue"}),
    "topic": frozenset({"sns.restrict-topic"}),
    "eks_cluster": frozenset({"eks.revoke-access"}),
    **dict.fromkeys(
        ("inline_policy", "attached_policy", "group", "mfa_device", "trust"),
        frozenset({"iam.deny-user", "iam.deny-role"}),
    ),
    "password": frozenset({"iam.remove-console-access", "iam.deny-user"}),
}
"""The types one of which, verified, is enough for a kind; others help and are shown as partly.

What the watch finds is covered by whatever denies its principal everything; a call that went through
although it was denied is covered by nothing but a person's word.
"""

COUNTS = {Category.SOURCE, Category.TECHNIQUE, Category.DESTINATION}
AGAINST = frozenset({*COUNTS, Category.ERADICATION})
PLANNED = (ActionStatus.PROPOSED, ActionStatus.PLANNED, ActionStatus.APPROVED, ActionStatus.DRIFTED)
NEVER_STARTED = (
    ActionStatus.REFUSED,
    ActionStatus.REJECTED,
    ActionStatus.EXPIRED,
    ActionStatus.WITHDRAWN,
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One category of one target.

    `contained`, `elsewhere`, `applying`, `unknown`, `planned`, `partly`, `open`, or `none` with the reason.
    """

    state: str
    text: str
    action: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One tainted target with its three cells.

    `is_open` when it is required and what it needs is not verified; `why` says why it is required, or
    why not; `chosen_by` names the person who decided that.
    """

    kind: str
    id: str
    account: str
    region: str
    source: Cell
    technique: Cell
    destination: Cell
    is_open: bool
    since: datetime | None
    is_required: bool = True
    why: str = ""
    chosen_by: str = ""
    found_by_watch: bool = False


@dataclass(frozen=True)
class _Key:
    kind: str
    id: str
    account: str
    region: str


@dataclass(frozen=True, kw_only=True)
class _Need:
    """Whether a target has to be contained, by which category, and why."""

    category: Category
    is_required: bool
    why: str
    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    found_by_watch: bool = False


def coverage(incident: Incident) -> list[Row]:
    """All tainted targets of an incident, open ones first. Four queries.

    What was handed over to another incident still contains what it contained here.
    """
    answering = _answering_for(incident)
    found = Action.objects.filter(answering, reverts__isnull=True).distinct()
    actions = list(found.defer(*BULKY).order_by("requested_at", "pk"))
    needs = _needs(incident, actions)
    chosen = _chosen(incident)
    elsewhere = _contained_by_others(incident)
    aimed = _by_target(actions)
    rows = [_row(key, need, _about(key, need, aimed), elsewhere, chosen) for key, need in needs.items()]
    return sorted(rows, key=lambda row: (not row.is_open, not row.is_required, row.kind, row.id))


def contained_since(incident: Incident) -> datetime | None:
    """When the last required action was verified; None while one is not, or nothing required is tainted."""
    rows = [row for row in coverage(incident) if row.is_required]
    known = [row.since for row in rows if row.since]
    return max(known) if known and len(known) == len(rows) else None


def _answering_for(incident: Incident) -> Q:
    """The actions of an incident and those that it handed over."""
    return Q(incident=incident) | Q(hand_overs__source=incident)


def _needs(incident: Incident, actions: list[Action]) -> dict[_Key, _Need]:
    needs: dict[_Key, _Need] = {}
    for key, need in [*_of_alerts(namings(incident)), *_of_actions(actions), *_of_watches(incident)]:
        before = needs.get(key)
        if before is None or (need.is_required and not before.is_required) or need.found_by_watch:
            needs[key] = need
        elif need.users or need.roles:
            needs[key] = replace(before, users=before.users | need.users, roles=before.roles | need.roles)
    return needs


def _of_alerts(named: Iterable[Naming]) -> Iterator[tuple[_Key, _Need]]:
    for naming in named:
        for thing in naming.things:
            need = _need(thing, naming)
            if need:
                yield _Key(thing.kind, thing.id, thing.account, thing.region), need


def _need(thing: Thing, naming: Naming) -> _Need | None:
    if thing.kind in REQUIRED:
        category, why = REQUIRED[thing.kind]
        keys = naming.of("access_key") if thing.kind == "user" else []
        if keys:
            why = (
                f"Acts by {keys[0]}, which is contained by itself; sessions made from it live up to 36 hours"
            )
        return _Need(
            category=category,
            is_required=not keys,
            why=why,
            users=frozenset(naming.of("user")),
            roles=frozenset(naming.of("role")),
        )
    if thing.kind in STORES:
        beside = naming.of(*ACTORS)
        why = f"What reached it is {beside[0]}, and that is contained by itself" if beside else ""
        return _Need(category=Category.DESTINATION, is_required=not beside, why=why or STORES[thing.kind])
    return None


def _of_actions(actions: list[Action]) -> Iterator[tuple[_Key, _Need]]:
    for action in actions:
        key = _target_of(action)
        if action.category in COUNTS and action.status not in NEVER_STARTED:
            if key.kind in REQUIRED:
                category, why = REQUIRED[key.kind]
                yield key, _Need(category=category, is_required=True, why=why)
            elif key.kind in STORES:
                why = "No alert names it; somebody acted on it"
                yield key, _Need(category=Category.DESTINATION, is_required=False, why=why)


def _of_watches(incident: Incident) -> Iterator[tuple[_Key, _Need]]:
    """What a principal was found to have made or got after it had been contained."""
    concerned = Action.objects.filter(_answering_for(incident))
    for watch in Watch.objects.filter(action__in=concerned).select_related("action").order_by("pk"):
        kind, _, name = watch.principal.partition("/")
        users = frozenset({name} if kind == "user" else ())
        roles = frozenset({name} if kind == "role" else ())
        for one in watch.found:
            key = _Key(one["kind"], one["id"], watch.action.target["account"], "")
            why = f"Found {one['at'][11:19]} UTC, after {watch.principal} was contained: {one['what']}"
            category = REQUIRED.get(one["kind"], (Category.TECHNIQUE, ""))[0]
            yield (
                key,
                _Need(
                    category=category,
                    is_required=True,
                    why=why,
                    users=users,
                    roles=roles,
                    found_by_watch=True,
                ),
            )


def _target_of(action: Action) -> _Key:
    """What an action is about; a principal under its own kind (`user/NAME` is the user NAME)."""
    target = action.target
    kind, name = str(target["type"]), str(target["id"])
    if kind == "principal":
        kind, _, name = name.partition("/")
    return _Key(kind, name, str(target["account"]), str(target.get("region") or ""))


def _chosen(incident: Incident) -> dict[tuple[str, str, str], CoverageChoice]:
    """The latest decision of a person about each target."""
    choices = CoverageChoice.objects.filter(incident=incident).select_related("by").order_by("pk")
    return {(one.kind, one.target, one.account): one for one in choices}


def _contained_by_others(incident: Incident) -> str:
    """How the incident came to be contained without us, in words; empty when it was not."""
    return _BY_OTHERS.get(incident.contained_basis, "") if incident.contained_at else ""


def _row(
    key: _Key,
    need: _Need,
    mine: list[Action],
    elsewhere: str,
    chosen: Mapping[tuple[str, str, str], CoverageChoice],
) -> Row:
    choice = chosen.get((key.kind, key.id, key.account))
    is_required = choice.is_required if choice else need.is_required
    cells = {category: _cell(category, key, need, mine, elsewhere, is_required) for category in COUNTS}
    needed = cells[need.category]
    return Row(
        kind=key.kind,
        id=key.id,
        account=key.account,
        region=key.region,
        source=cells[Category.SOURCE],
        technique=cells[Category.TECHNIQUE],
        destination=cells[Category.DESTINATION],
        is_open=is_required and not elsewhere and needed.state != "contained",
        since=needed.at if needed.state == "contained" else None,
        is_required=is_required,
        why=choice.reason if choice else need.why,
        chosen_by=choice.by.name if choice else "",
        found_by_watch=need.found_by_watch,
    )


_Aimed = Mapping[tuple[str, str, str], list[tuple[int, Action]]]
"""The actions about each thing, by account, kind and id, each with its place among all of them."""


def _by_target(actions: list[Action]) -> _Aimed:
    found: dict[tuple[str, str, str], list[tuple[int, Action]]] = {}
    for place, action in enumerate(actions):
        target = _target_of(action)
        found.setdefault((target.account, target.kind, target.id), []).append((place, action))
    return found


def _about(key: _Key, need: _Need, aimed: _Aimed) -> list[Action]:
    """What was done about a target, in order: about itself, or, where that is enough, its user or role."""
    found = list(aimed.get((key.account, key.kind, key.id), ()))
    enough = ENOUGH.get(key.kind, frozenset())
    principals = {("user", name) for name in need.users} | {("role", name) for name in need.roles}
    for kind, name in principals - {(key.kind, key.id)}:
        found += [one for one in aimed.get((key.account, kind, name), ()) if one[1].type in enough]
    return [action for _, action in sorted(found, key=lambda one: one[0])]


def _cell(
    category: Category, key: _Key, need: _Need, actions: list[Action], elsewhere: str, is_required: bool
) -> Cell:
    """The furthest action of the category; one that is enough by itself counts before one that is not."""
    mine = [a for a in actions if _serves(a, category, need)]
    enough = [a for a in mine if category is not need.category or a.type in ENOUGH.get(key.kind, frozenset())]
    found = _furthest(enough)
    if found and found.state in ("contained", "applying", "unknown"):
        return found
    helping = _furthest([a for a in mine if a not in enough])
    if helping and helping.state == "contained":
        return Cell(state="partly", text=helping.text, action=helping.action, at=helping.at)
    return found or helping or _without(category, need, elsewhere, is_required)


def _serves(action: Action, category: Category, need: _Need) -> bool:
    """Eradication ends access for good, and so serves whichever category the target needs."""
    return action.category == category or (
        action.category == Category.ERADICATION and category is need.category
    )


def _furthest(actions: list[Action]) -> Cell | None:
    for statuses, state in (
        ((ActionStatus.VERIFIED,), "contained"),
        ((ActionStatus.APPLYING, ActionStatus.APPLIED, ActionStatus.REVERTING), "applying"),
        ((ActionStatus.UNKNOWN, ActionStatus.PARTIAL, ActionStatus.CONFLICT), "unknown"),
        (PLANNED, "planned"),
    ):
        for action in reversed(actions):
            if action.status in statuses:
                return Cell(state=state, text=action.type, action=action.ulid, at=action.verified_at)
    return None


def _without(category: Category, need: _Need, elsewhere: str, is_required: bool) -> Cell:
    if category is not need.category:
        return Cell(state="none", text=_NOT_NEEDED[category])
    if elsewhere:
        return Cell(state="elsewhere", text=elsewhere)
    if not is_required:
        return Cell(state="none", text="Not required")
    return Cell(state="open", text="No plan yet")


_BY_OTHERS = {
    "observed": "Contained by someone else, seen in AWS",
    "attested": "Contained by someone else, on a person's word",
    "not_needed": "Not needed, as a person decided",
}
_NOT_NEEDED = {
    Category.SOURCE: "Not a host",
    Category.TECHNIQUE: "No credential of its own",
    Category.DESTINATION: "Not a store",
}
