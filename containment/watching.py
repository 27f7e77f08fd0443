"""The watch over a principal after an identity action: the attacker may be racing us.

IAM shows a change late, and whoever holds a credential may use that moment to make another. So what the
principal has is written down just before our first call, and looked at again 5, 15, 30, 60 and 300
seconds after the action was verified, then every five minutes for half an hour, together with the
calls that a trail shows of the credential. Whatever is new becomes an open row of the coverage, takes
*contained* back and rings.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from cases.models import Action
from cases.words import ActionStatus
from containment import consequences, journal
from containment.describing import HOME_REGIONS
from containment.journal import Story
from containment.models import Step, Watch
from containment.types import Duty, Place, Read
from containment.wire import Eyes, Names
from estate.queries import account_of
from lib import canonical, clock
from lib.aws import AwsError, NoAnswer, WrongAccount

AFTER_SECONDS = (5, 15, 30, 60, 300, 600, 900, 1200, 1500, 1800)
"""When to look, in seconds after the action was verified."""

PROPAGATION = timedelta(seconds=10)
"""How long after our call a request may still be let through; such calls are no news."""

LEASE = timedelta(seconds=60)
MOST_FOUND = 50
READS = frozenset(
    {
        "cloudtrail:LookupEvents",
        "iam:GetLoginProfile",
        "iam:GetRole",
        "iam:ListAccessKeys",
        "iam:ListAttachedRolePolicies",
        "iam:ListAttachedUserPolicies",
        "iam:ListGroupsForUser",
        "iam:ListMFADevices",
        "iam:ListRolePolicies",
        "iam:ListUserPolicies",
    }
)
ABSENT = ("NoSuchEntity",)
NEVER_DENIED = frozenset({"GetCallerIdentity", "GetSessionToken"})
"""Calls of STS that no policy can deny: that they succeed says nothing."""

_ENDED = (ActionStatus.REVERTING, ActionStatus.REVERTED)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom to watch: `user/NAME` or `role/NAME`, and the credential whose calls a trail can show."""

    principal: str
    credential: str = ""


def subject_of(action: Action) -> Subject | None:
    """Whom an action is about, if it is about a principal at all."""
    if not action.type.startswith("iam.") or action.category not in ("technique", "eradication"):
        return None
    kind, name = str(action.target["type"]), str(action.target["id"])
    if kind == "access_key":
        user = str(action.params.get("user") or "")
        return Subject(principal=f"user/{user}", credential=name) if user else None
    if kind in ("user", "role"):
        return Subject(principal=f"{kind}/{name}")
    if kind == "principal" and name.partition("/")[0] in ("user", "role"):
        return Subject(principal=name)
    return None


def asks(action: Action) -> frozenset[str]:
    """What the watch reads of an action's principal; nothing where it is about none."""
    return READS if subject_of(action) else frozenset()


def begin(action: Action, eyes: Eyes | None = None) -> Watch | None:
    """Write down what the principal has, before the first call. An unsaved row; None without a principal.

    Raises nothing: what cannot be read is said, and does not keep anybody from containing.
    """
    subject = subject_of(action)
    if subject is None or action.reverts_id:
        return None
    watch = Watch(action=action, principal=subject.principal, credential=subject.credential)
    try:
        watch.baseline = _now(action, subject.principal, eyes or _eyes(action))
    except (AwsError, NoAnswer, WrongAccount) as failure:
        watch.unread = f"what it had before could not be read: {failure}"[:300]
    return watch


def save(watch: Watch) -> None:
    """Keep what was written down; an earlier attempt that never started is replaced. In a transaction."""
    Watch.objects.filter(action=watch.action).delete()
    watch.save()


def verified(action: Action, *, at: datetime) -> None:
    """Let the watch of a verified action begin. Inside the transaction that says verified."""
    Watch.objects.filter(action=action, since__isnull=True).update(
        since=at, due_at=at + timedelta(seconds=AFTER_SECONDS[0])
    )


def look_at_due(limit: int = 50) -> int:
    """Look at every principal whose look is due; how many were looked at."""
    now = clock.now()
    due = Watch.objects.filter(due_at__lte=now).order_by("due_at", "pk").values_list("pk", "due_at")[:limit]
    looked = 0
    for pk, when in due:
        # Whoever moves the time on has the look; the others find it gone.
        if Watch.objects.filter(pk=pk, due_at=when).update(due_at=now + LEASE):
            watch = Watch.objects.select_related("action__incident").get(pk=pk)
            _look(watch)
            looked += 1
    return looked


def _look(watch: Watch) -> None:
    action, now = watch.action, clock.now()
    if action.status in _ENDED:
        Watch.objects.filter(pk=watch.pk).update(due_at=None)
        return
    eyes = _eyes(action)
    unread, fresh = "", list[dict[str, str]]()
    try:
        fresh = list(_new(watch, _now(action, watch.principal, eyes), now))
    except (AwsError, NoAnswer, WrongAccount) as failure:
        unread = f"{watch.principal} could not be read: {failure}"
    if not watch.baseline:
        # Without it nothing is new and nothing is old: that must not read as quiet.
        unread = watch.unread
    calls, trail = _calls(watch, eyes, now)
    known = {(one["kind"], one["id"]) for one in watch.found}
    fresh = [one for one in [*fresh, *calls] if (one["kind"], one["id"]) not in known]
    _write(watch, fresh, unread=unread, trail=trail, at=now)


def _write(watch: Watch, fresh: list[dict[str, str]], *, unread: str, trail: str, at: datetime) -> None:
    action = watch.action
    with transaction.atomic():
        Watch.objects.filter(pk=watch.pk).update(
            found=[*watch.found, *fresh][:MOST_FOUND],
            looks=watch.looks + 1,
            looked_at=at,
            unread=unread[:300],
            trail=trail[:300],
            due_at=_next(watch, at),
        )
        if not fresh:
            return
        said = "; ".join(one["what"] for one in fresh)
        story = Story(
            act="containment.raced",
            title=f"New after containment: {watch.principal}",
            detail=said,
        )
        journal.tell(action, story)
        reason = f"{watch.principal} has what it did not have when it was contained: {said}"
        consequences.no_longer_contained(action, reason[:500])
        consequences.ring(action, kind="containment.raced", text=f"{watch.principal}: {said}")


def _next(watch: Watch, now: datetime) -> datetime | None:
    """The next moment to look: the first of the schedule that lies ahead; None when it is over."""
    if watch.since is None:
        return None
    ahead = (watch.since + timedelta(seconds=seconds) for seconds in AFTER_SECONDS)
    return next((when for when in ahead if when > now), None)


def _eyes(action: Action) -> Eyes:
    return Eyes(names=Names.of(action), allowed=READS)


def _place(action: Action, region: str = "") -> Place:
    account = account_of(action.target["account"])
    home = HOME_REGIONS.get(account.partition if account else "aws", "us-east-1")
    return Place(account=action.target["account"], region=region or home, duty=Duty.READ)


# --- what a principal has ------------------------------------------------------------------------------


def _now(action: Action, principal: str, eyes: Eyes) -> dict[str, list[str]]:
    """What the principal has, by kind, each sorted."""
    kind, _, name = principal.partition("/")
    found = _of_user(action, name, eyes) if kind == "user" else _of_role(action, name, eyes)
    return {what: sorted(ids) for what, ids in found}


def _of_user(action: Action, name: str, eyes: Eyes) -> Iterator[tuple[str, list[str]]]:
    def ask(operation: str) -> Any:
        return eyes.read(_read(action, "iam", operation, UserName=name)) or {}

    keys = ask("ListAccessKeys").get("AccessKeyMetadata", [])
    yield "access_key", [key["AccessKeyId"] for key in keys if key["Status"] == "Active"]
    yield "inline_policy", ask("ListUserPolicies").get("PolicyNames", [])
    attached = ask("ListAttachedUserPolicies").get("AttachedPolicies", [])
    yield "attached_policy", [one["PolicyArn"] for one in attached]
    yield "group", [one["GroupName"] for one in ask("ListGroupsForUser").get("Groups", [])]
    yield "mfa_device", [one["SerialNumber"] for one in ask("ListMFADevices").get("MFADevices", [])]
    profile = ask("GetLoginProfile").get("LoginProfile")
    yield "password", [f"{name} {profile['CreateDate']}"] if profile else []


def _of_role(action: Action, name: str, eyes: Eyes) -> Iterator[tuple[str, list[str]]]:
    def ask(operation: str) -> Any:
        return eyes.read(_read(action, "iam", operation, RoleName=name)) or {}

    yield "inline_policy", ask("ListRolePolicies").get("PolicyNames", [])
    attached = ask("ListAttachedRolePolicies").get("AttachedPolicies", [])
    yield "attached_policy", [one["PolicyArn"] for one in attached]
    trust = _readable(ask("GetRole").get("Role", {}).get("AssumeRolePolicyDocument"))
    yield "trust", [canonical.sha256(statement)[:12] for statement in trust]


def _readable(document: Any) -> list[Any]:
    """The statements of a trust policy, without those of our own making."""
    statements = document.get("Statement", []) if isinstance(document, Mapping) else []
    listed = statements if isinstance(statements, list) else [statements]
    return [one for one in listed if not str(one.get("Sid", "")).startswith("Quell")]


def _read(action: Action, service: str, operation: str, **params: Any) -> Read:
    return Read(at=_place(action), service=service, operation=operation, params=params, missing=ABSENT)


def _new(watch: Watch, has: Mapping[str, list[str]], now: datetime) -> Iterator[dict[str, str]]:
    """What the principal has that it did not have, other than by our own actions."""
    if not watch.baseline:
        return
    ours = _ours(watch.action)
    for kind, ids in has.items():
        before = set(watch.baseline.get(kind, []))
        for one in ids:
            if one not in before and one not in ours:
                what = f"{_WORDS[kind]} {one}" if kind != "password" else "a console password"
                yield {"kind": kind, "id": one, "what": what, "at": now.isoformat()}


_WORDS = {
    "access_key": "an active access key",
    "attached_policy": "the policy",
    "group": "a membership of the group",
    "inline_policy": "the inline policy",
    "mfa_device": "the MFA device",
    "trust": "a statement in the trust policy",
}


def _ours(action: Action) -> set[str]:
    """Everything that an action of ours gave this account's principals: names of policies and ARNs."""
    found: set[str] = set()
    for params in _sent(action):
        found |= {str(params[name]) for name in ("PolicyName", "PolicyArn") if name in params}
    return found


def _sent(action: Action) -> Iterator[Mapping[str, Any]]:
    """Parameters of what our actions sent in the account, and of what their undo did."""
    steps = Step.objects.filter(
        action__target__account=action.target["account"], action__type__startswith="iam."
    )
    for attempts in steps.values_list("attempts", flat=True):
        for attempt in attempts:
            yield attempt.get("params", {})


# --- what a trail shows --------------------------------------------------------------------------------


def _calls(watch: Watch, eyes: Eyes, now: datetime) -> tuple[list[dict[str, str]], str]:
    """Successful calls of the contained credential since, and what was asked or why nothing could be."""
    attribute = _attribute(watch)
    if attribute is None or watch.since is None:
        return [], "calls of a role's sessions cannot be looked up by the role"
    account = account_of(watch.action.target["account"])
    regions = (account.regions if account else []) or [_place(watch.action).region]
    found: list[dict[str, str]] = []
    try:
        for region in regions:
            read = Read(
                at=_place(watch.action, region),
                service="cloudtrail",
                operation="LookupEvents",
                params={
                    "LookupAttributes": [attribute],
                    "StartTime": (watch.since + PROPAGATION).isoformat(),
                    "EndTime": now.isoformat(),
                },
            )
            answer: Any = eyes.read(read) or {}
            found += [call for event in answer.get("Events", []) if (call := _call(event, now))]
    except (AwsError, NoAnswer, WrongAccount) as failure:
        return found, f"no trail could be read: {failure}"
    return found[:MOST_FOUND], f"trail read in {', '.join(regions)}"


def _attribute(watch: Watch) -> dict[str, str] | None:
    if watch.credential:
        return {"AttributeKey": "AccessKeyId", "AttributeValue": watch.credential}
    kind, _, name = watch.principal.partition("/")
    return {"AttributeKey": "Username", "AttributeValue": name} if kind == "user" else None


def _call(event: Mapping[str, Any], now: datetime) -> dict[str, str] | None:
    record = json.loads(event.get("CloudTrailEvent") or "{}")
    name = str(event.get("EventName") or "")
    if record.get("errorCode") or name in NEVER_DENIED:
        return None
    what = f"a successful call of {name} at {record.get('eventTime', '')}"
    return {"kind": "call", "id": str(event.get("EventId")), "what": what, "at": now.isoformat()}
