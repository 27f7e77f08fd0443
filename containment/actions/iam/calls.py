"""The last calls of a credential, from the event history of each region. Pure.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from containment.actions.documents import document
from containment.describing import Context
from containment.types import Artefact, Read

MOST_CALLS = 50
"""Calls that are kept; also the most that one request answers."""

MOST_REGIONS = 12
"""The history answers two requests a second for each region, so not every region there is is asked."""

MOST_SESSIONS = 3
"""Sessions of a role whose calls are looked for, the newest."""

MEDIA_TYPE = "application/vnd.quell.calls+json"
READS = ("cloudtrail:LookupEvents", "iam:GetRole")
_DENIALS = ("AccessDenied", "UnauthorizedOperation", "Forbidden", "InvalidClientTokenId", "AuthFailure")


@dataclass
class _Found:
    """Events by id, and what could not be asked."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)

    def newest(self) -> list[dict[str, Any]]:
        # Times are whole seconds; within one, the order in which the history told them stays.
        return sorted(self.events.values(), key=lambda event: str(event.get("eventTime")), reverse=True)


def regions(ctx: Context) -> list[str]:
    """The regions that are asked: where global services are logged, the target's, then the estate's."""
    wanted = [ctx.home, *([ctx.target.region] if ctx.target.region else []), *ctx.regions]
    return list(dict.fromkeys(wanted))[:MOST_REGIONS]


def last_calls(ctx: Context, *, attribute: str, value: str, principal: str) -> Artefact:
    """The newest calls with that attribute, each allowed, denied or failed; or why none can be read."""
    found = _Found()
    if attribute == "Role":
        _of_role(ctx, value, found)
    else:
        _look(ctx, attribute, value, found)
    events = found.newest()[:MOST_CALLS]
    shown = {
        "kind": "calls",
        "of": value,
        "principal": principal,
        "calls": [call_of(event) for event in events],
        "regions": sorted(found.read),
        "unread": [{"region": one, "why": why} for one, why in sorted(found.unread.items())],
        "left_out": sorted(set(ctx.regions) - set(regions(ctx))),
        "says": _says(found, events),
    }
    return document(
        ctx,
        "calls",
        {**shown, "events": events},
        source=f"cloudtrail:LookupEvents {attribute}={value}",
        media_type=MEDIA_TYPE,
        shown=shown,
    )


def lookup(ctx: Context, region: str, attribute: str, value: str) -> Read:
    """The newest events of a region with that attribute: one request, no more."""
    return ctx.aws("cloudtrail", region=region).read(
        "LookupEvents",
        LookupAttributes=[{"AttributeKey": attribute, "AttributeValue": value}],
        PaginationConfig={"MaxItems": MOST_CALLS, "PageSize": MOST_CALLS},
    )


def events_of(answer: Any) -> list[dict[str, Any]]:
    """The events themselves, as CloudTrail wrote them."""
    found = (json.loads(one["CloudTrailEvent"]) for one in (answer or {}).get("Events", []))
    return [event for event in found if isinstance(event, dict)]


def identity_of(events: Iterable[Mapping[str, Any]]) -> str:
    """Whose the newest event is: `user/NAME`, `role/NAME`, `root`; empty where no event says."""
    for event in sorted(events, key=lambda one: str(one.get("eventTime")), reverse=True):
        who = event.get("userIdentity") or {}
        if who.get("type") == "IAMUser" and who.get("userName"):
            return f"user/{who['userName']}"
        if who.get("type") == "Root":
            return "root"
        issuer = (who.get("sessionContext") or {}).get("sessionIssuer") or {}
        if who.get("type") == "AssumedRole" and issuer.get("userName"):
            return f"role/{issuer['userName']}"
    return ""


def call_of(event: Mapping[str, Any]) -> dict[str, str]:
    """An event as a line of a table."""
    error = str(event.get("errorCode") or "")
    outcome = "allowed" if not error else "denied" if any(word in error for word in _DENIALS) else "failed"
    return {
        "time": str(event.get("eventTime", "")),
        "event": str(event.get("eventName", "")),
        "service": str(event.get("eventSource", "")).partition(".")[0],
        "region": str(event.get("awsRegion", "")),
        "address": str(event.get("sourceIPAddress", "")),
        "outcome": outcome,
        "error": error,
    }


def _look(ctx: Context, attribute: str, value: str, found: _Found) -> list[dict[str, Any]]:
    """Ask each region; what was found now."""
    new: list[dict[str, Any]] = []
    for region in regions(ctx):
        answer, why = ctx.attempt(lookup(ctx, region, attribute, value))
        if why:
            found.unread[region] = why
            continue
        found.read.add(region)
        new += events_of(answer)
    found.events |= {str(event.get("eventID")): event for event in new}
    return new


def _of_role(ctx: Context, role: str, found: _Found) -> None:
    """A role has no calls of its own: who assumed it, and then what these sessions did."""
    assumed = sorted(
        _look(ctx, "ResourceName", _arn_of(ctx, role), found),
        key=lambda event: str(event.get("eventTime")),
        reverse=True,
    )
    keys = [_session_key(event) for event in assumed]
    for key in [key for key in dict.fromkeys(keys) if key][:MOST_SESSIONS]:
        _look(ctx, "AccessKeyId", key, found)


def _arn_of(ctx: Context, role: str) -> str:
    """The role's ARN, which has its path; without the path where the role is gone."""
    answer, _ = ctx.attempt(ctx.aws("iam").read("GetRole", RoleName=role))
    return str(answer["Role"]["Arn"]) if answer else ctx.arn("iam", f"role/{role}")


def _session_key(event: Mapping[str, Any]) -> str:
    given = (event.get("responseElements") or {}).get("credentials") or {}
    return str(given.get("accessKeyId") or "")


def _says(found: _Found, events: list[dict[str, Any]]) -> str:
    if not found.read:
        whys = "; ".join(f"{region}: {why}" for region, why in sorted(found.unread.items()))
        return f"No trail can be read: {whys}"[:2000]
    if not events:
        return "No call in the last 90 days, as far as the event history goes: management events only."
    return ""
