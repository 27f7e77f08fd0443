"""What every page shows around its content: where one can go, how much waits, the time, the mode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.http import HttpRequest

from cases import access, quarantine, words
from estate.models import Account, Mode
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from notify import inbox
from soc.appearance import theme_of

COUNT_LIMIT = 999
MODE_SAYS = {
    Mode.OBSERVE: ("Observe", "Quell plans but changes nothing in AWS."),
    Mode.APPROVE: ("Approve", "Plans are applied after approval. Nothing is automatic."),
    Mode.AUTO: ("Auto", "Pre-authorised rules may act without asking."),
}
OPEN_ALERTS = (words.AlertStatus.NEW, words.AlertStatus.ACKNOWLEDGED)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One entry of the main navigation."""

    url: str
    label: str
    key: str
    count: str
    is_current: bool


class Shell:
    """Computed only as far as a template asks: a fragment asks for nothing and costs nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def actor(self) -> Actor | None:
        # What is refused before the session is read (a foreign host name, say) has no user at all.
        user = getattr(self._request, "user", None)
        if user is None or not user.is_authenticated:
            return None
        return actor_of(self._request)

    @property
    def now(self) -> datetime:
        return clock.now()

    @property
    def now_clock(self) -> str:
        """The time to the minute in UTC, as the first value of a field for one."""
        return f"{clock.now().astimezone(UTC):%H:%M}"

    @property
    def theme(self) -> str:
        """`light` or `dark` where the person chose; empty follows the system."""
        return theme_of(self._request)

    @cached_property
    def places(self) -> list[Place]:
        """The pages there are for this person, in the order of the day's work."""
        actor = self.actor
        if actor is None:
            return []
        keeps_alerts = any(seat.is_whole for seat in actor.seats_for(Permission.READ_ALERTS))
        keeps_people = any(seat.is_whole for seat in actor.seats_for(Permission.KEEP_PEOPLE))
        found = (
            (actor.may(Permission.READ_ALERTS), "alerts", "Alerts", "a"),
            (actor.may(Permission.READ_INCIDENTS), "incidents", "Incidents", "i"),
            (actor.may(Permission.READ_ACTIONS), "in-force", "In force", "f"),
            (actor.may(Permission.READ_ACTIONS), "automation", "Automation", "u"),
            (actor.may(Permission.READ_METRICS), "metrics", "Metrics", "m"),
            (actor.may(Permission.READ_ALERTS), "sources", "Sources", "s"),
            (keeps_alerts, "quarantine", "Quarantine", "q"),
            (keeps_alerts, "rules", "Rules", "r"),
            (actor.may(Permission.READ_AUDIT), "audit", "Audit", "l"),
            (keeps_people, "people", "People", "p"),
        )
        return [
            self._place(name, label, key, self._count(name, actor))
            for is_theirs, name, label, key in found
            if is_theirs
        ]

    def _count(self, name: str, actor: Actor) -> str:
        """How much waits behind an entry; nothing for most."""
        counts = {
            "alerts": self._count_alerts,
            "incidents": self._count_incidents,
            "quarantine": self._count_held,
        }
        return counts[name](actor) if name in counts else ""

    @cached_property
    def unread(self) -> int:
        """How many notices of one's inbox are unread, up to one more than the bell shows."""
        actor = self.actor
        return inbox.unread(actor) if actor else 0

    @cached_property
    def roles(self) -> list[str]:
        """The roles held in any team, in words, without repeats."""
        actor = self.actor
        return list(dict.fromkeys(seat.role for seat in actor.seats)) if actor else []

    @cached_property
    def mode(self) -> tuple[str, str] | None:
        """What Quell may do in the AWS accounts of one's teams, and a sentence; None without accounts."""
        actor = self.actor
        if actor is None:
            return None
        teams = {seat.team for seat in actor.seats}
        modes = list(
            Account.objects.filter(team__in=teams).order_by().values_list("mode", flat=True).distinct()
        )
        if not modes:
            return None
        if len(modes) > 1:
            return ("Per account", "Accounts differ: " + ", ".join(sorted(modes)) + ".")
        return MODE_SAYS[Mode(modes[0])]

    def _place(self, url: str, label: str, key: str, count: str) -> Place:
        match = self._request.resolver_match
        name = (match.url_name or "") if match else ""
        stem = url.removesuffix("s")
        here = (
            name == url
            or name.split("-")[0] in {url, stem}
            or (url == "incidents" and name.startswith("action"))
            or (url == "people" and name == "person")
        )
        return Place(url=url, label=label, key=key, count=count, is_current=here)

    def _count_alerts(self, actor: Actor) -> str:
        return _capped(access.alerts_for(actor).filter(status__in=OPEN_ALERTS))

    def _count_incidents(self, actor: Actor) -> str:
        return _capped(access.incidents_for(actor).exclude(status=words.Phase.CLOSED))

    def _count_held(self, actor: Actor) -> str:
        """Nothing where nothing waits, as on most days."""
        return _capped(quarantine.waiting_for(actor)).removeprefix("0")


def context(request: HttpRequest) -> dict[str, Any]:
    """The context processor: one lazy object."""
    return {"shell": Shell(request)}


def _capped(rows: Any) -> str:
    """A count that costs the same however many there are."""
    count = rows.order_by()[: COUNT_LIMIT + 1].count()
    return f"{COUNT_LIMIT}+" if count > COUNT_LIMIT else str(count)
