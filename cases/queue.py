"""The alert queue as a person reads it: which alerts, in which order, how many, and what is next.

A page is read by keyset from an index, and nothing is counted beyond `COUNT_LIMIT`, so it costs the
same with a thousand alerts and with a million.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Q, QuerySet

from cases import queries
from cases.models import Alert
from cases.words import AlertStatus, Band
from estate.models import Account
from estate.queries import accounts_for
from identity.actors import Actor
from lib import ids
from lib.defang import refang
from lib.errors import Invalid

PAGE = 50
COUNT_LIMIT = 1000
FACET_LIMIT = 60
SALT = "quell.queue"

STATUSES: dict[str, tuple[AlertStatus, ...]] = {
    "open": (AlertStatus.NEW, AlertStatus.ACKNOWLEDGED),
    "new": (AlertStatus.NEW,),
    "acknowledged": (AlertStatus.ACKNOWLEDGED,),
    "escalated": (AlertStatus.ESCALATED,),
    "dismissed": (AlertStatus.DISMISSED,),
    "all": (),
}
FLOORS = {Band.CRITICAL: 90, Band.HIGH: 70, Band.MEDIUM: 40, Band.LOW: 1}
SHOWN = ("summary", "observables", "techniques", "tags")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is being asked for; everything of it stands in the address."""

    status: str = "open"
    severity: str = ""
    account: str = ""
    owner: str = ""
    q: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filter:
        """From a query string; unknown words fall back to the default rather than to nothing."""
        status, severity = given.get("status", "open"), given.get("severity", "")
        account = given.get("account", "")
        return cls(
            status=status if status in STATUSES else "open",
            severity=severity if severity in FLOORS else "",
            account=account if account.isdigit() and len(account) == 12 else "",
            owner="me" if given.get("owner") == "me" else "",
            q=refang(given.get("q", "").replace("\0", ""))[:200].strip(),
        )

    @property
    def query(self) -> str:
        """The query string, without what is the default; empty or beginning with `?`."""
        default = Filter()
        names = ("status", "severity", "account", "owner", "q")
        pairs = [
            (name, getattr(self, name)) for name in names if getattr(self, name) != getattr(default, name)
        ]
        return f"?{urlencode(pairs)}" if pairs else ""

    @property
    def is_narrow(self) -> bool:
        """Whether anything beyond the status is asked for."""
        return bool(self.severity or self.account or self.owner or self.q)

    def without(self, name: str) -> Filter:
        """The same with one condition dropped."""
        return replace(self, **{name: ""})


@dataclass(frozen=True, kw_only=True)
class View:
    """A filter worth a tab."""

    label: str
    filter: Filter
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """An alert as one line, with the name of its account."""

    alert: Alert
    account_name: str
    resource: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of one severity band, and how many there are of it beyond this page (`12`, `900+`)."""

    band: Band
    count: str
    rows: list[Row]


@dataclass(frozen=True, kw_only=True)
class Term:
    """One condition of the filter in words, and the filter without it."""

    name: str
    value: str
    rest: Filter


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One page of the queue. `since` is what `news` counts from."""

    filter: Filter
    views: list[View]
    groups: list[Group]
    total: str
    shown: int
    next_cursor: str
    is_first: bool
    accounts: list[Account]
    accounts_left_out: int
    terms: list[Term]
    since: str


@dataclass(frozen=True, kw_only=True)
class News:
    """How many alerts came in since a page was made, and how many of them are high or worse."""

    count: int
    high: int
    is_more: bool


def page(actor: Actor, asked: Filter, *, cursor: str = "") -> Queue:
    """One page of the alerts that fit. `Invalid` for a cursor that is not one of ours."""
    since = ids.ulid()[:10] + "0" * 16
    alerts = matching(actor, asked)
    accounts = {account.account_id: account for account in accounts_for(actor).order_by("name")[:2000]}
    rows = list(_after(alerts, cursor).defer(*SHOWN)[: PAGE + 1])
    bands = list(alerts.values_list("severity_band", flat=True)[: COUNT_LIMIT + 1])
    more = len(rows) > PAGE
    rows = rows[:PAGE]
    return Queue(
        filter=asked,
        views=_views(asked),
        groups=_groups(rows, bands, accounts),
        total=f"{COUNT_LIMIT}+" if len(bands) > COUNT_LIMIT else str(len(bands)),
        shown=len(rows),
        next_cursor=_cursor(rows[-1]) if more else "",
        is_first=not cursor,
        accounts=list(accounts.values())[:FACET_LIMIT],
        accounts_left_out=max(0, len(accounts) - FACET_LIMIT),
        terms=_terms(asked, accounts),
        since=since,
    )


def matching(actor: Actor, asked: Filter) -> QuerySet[Alert]:
    """The alerts that fit, worst first."""
    alerts = queries.alerts(
        actor,
        queries.AlertFilter(
            status=tuple(STATUSES[asked.status]),
            severity__gte=FLOORS[Band(asked.severity)] if asked.severity else None,
            account=asked.account,
            q=asked.q,
        ),
    )
    if asked.owner:
        alerts = alerts.filter(Q(assignee=actor.person_id) | Q(assignee=None))
    return alerts.order_by("-severity", "-last_seen_at", "-id")


def rows_of(actor: Actor, alerts: Iterable[Alert]) -> list[Row]:
    """Lines for alerts that were just changed, to put in place of the ones on the screen."""
    found = list(alerts)
    names = {alert.account for alert in found}
    accounts = {a.account_id: a for a in accounts_for(actor).filter(account_id__in=names)}
    return [_row(alert, accounts) for alert in found]


def news(actor: Actor, asked: Filter, *, since: str) -> News:
    """What came in since a page was made. ULIDs begin with their time, so this reads new rows only."""
    if not ids.is_ulid(since):
        raise Invalid("This list is too old to be told of news; load it again.")
    bands = list(matching(actor, asked).filter(ulid__gt=since).values_list("severity", flat=True)[:100])
    return News(
        count=len(bands), high=sum(1 for severity in bands if severity >= 70), is_more=len(bands) == 100
    )


def _after(alerts: QuerySet[Alert], cursor: str) -> QuerySet[Alert]:
    if not cursor:
        return alerts
    try:
        severity, seen, pk = signing.loads(cursor, salt=SALT)
    except signing.BadSignature as failure:
        raise Invalid("This is not the address of a page of this list.") from failure
    last_seen = datetime.fromisoformat(seen)
    behind = (
        Q(severity__lt=severity)
        | Q(severity=severity, last_seen_at__lt=last_seen)
        | Q(severity=severity, last_seen_at=last_seen, pk__lt=pk)
    )
    # The first condition follows from the rest; it lets the database start in the index at this row.
    return alerts.filter(Q(severity__lte=severity) & behind)


def _cursor(last: Alert) -> str:
    return signing.dumps([last.severity, last.last_seen_at.isoformat(), last.pk], salt=SALT)


def _groups(rows: list[Alert], bands: list[str], accounts: dict[str, Account]) -> list[Group]:
    counted = Counter(bands)
    is_cut = len(bands) > COUNT_LIMIT
    found: dict[Band, list[Row]] = {}
    for alert in rows:
        found.setdefault(Band.of(alert.severity), []).append(_row(alert, accounts))
    groups = []
    for band, members in found.items():
        # The list is worst first, so only the last band that was counted can be cut short.
        open_end = is_cut and bands[-1] == band.value
        count = f"{counted[band.value]}+" if open_end else str(counted[band.value] or len(members))
        groups.append(Group(band=band, count=count, rows=members))
    return groups


def _row(alert: Alert, accounts: dict[str, Account]) -> Row:
    account = accounts.get(alert.account)
    return Row(
        alert=alert, account_name=account.name if account else alert.account, resource=_resource(alert)
    )


def _resource(alert: Alert) -> str:
    for resource in alert.resources:
        name = resource.get("id") or resource.get("arn") if isinstance(resource, dict) else None
        if name:
            return str(name)
    return ""


def _views(asked: Filter) -> list[View]:
    views = (
        ("All open", Filter()),
        ("Mine and unassigned", Filter(owner="me")),
        ("Critical and high", Filter(severity=Band.HIGH)),
        ("In incidents", Filter(status="escalated")),
        ("Dismissed", Filter(status="dismissed")),
    )
    return [View(label=label, filter=known, is_current=known == asked) for label, known in views]


def _terms(asked: Filter, accounts: dict[str, Account]) -> list[Term]:
    account = accounts.get(asked.account)
    conditions = (
        ("severity", f">={asked.severity}" if asked.severity else ""),
        ("account", account.name if account else asked.account),
        ("owner", "me,none" if asked.owner else ""),
        ("q", asked.q),
    )
    return [Term(name=name, value=value, rest=asked.without(name)) for name, value in conditions if value]
