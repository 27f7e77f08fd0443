"""The incidents as a person reads them: which, in which order, and how far each has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Count, Q, QuerySet

from cases import queries
from cases.models import Alert, Incident
from cases.words import Phase
from estate.queries import accounts_for
from identity.actors import Actor
from lib.errors import Invalid

PAGE = 50
COUNT_LIMIT = 1000
SALT = "quell.incidents"
VIEWS = (
    ("open", "Open"),
    ("mine", "Mine"),
    ("uncontained", "Not contained"),
    ("closed", "Closed"),
    ("all", "All"),
)

OPEN = tuple(phase.value for phase in Phase if phase != Phase.CLOSED)
PHASES: dict[str, tuple[str, ...]] = {"closed": (Phase.CLOSED.value,), "all": ()}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is being asked for; everything of it stands in the address."""

    view: str = "open"
    q: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filter:
        """From a query string; unknown words fall back to the default."""
        view = given.get("view", "open")
        q = given.get("q", "").replace("\0", "")[:200].strip()
        return cls(view=view if view in dict(VIEWS) else "open", q=q)

    @property
    def query(self) -> str:
        """The query string without defaults, beginning with `?` unless empty."""
        pairs = [(k, v) for k, v in (("view", self.view), ("q", self.q)) if v not in {"", "open"}]
        return f"?{urlencode(pairs)}" if pairs else ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """An incident as one line."""

    incident: Incident
    account_name: str
    alerts: int


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the list."""

    filter: Filter
    rows: list[Row]
    total: str
    next_cursor: str
    is_first: bool
    views: tuple[tuple[str, str], ...] = VIEWS


def page(actor: Actor, asked: Filter, *, cursor: str = "") -> Page:
    """One page of the incidents that fit. `Invalid` for a cursor that is not one of ours."""
    incidents = _matching(actor, asked)
    count = incidents.order_by()[: COUNT_LIMIT + 1].count()
    rows = list(_after(incidents, cursor)[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    return Page(
        filter=asked,
        rows=_rows(actor, rows),
        total=f"{COUNT_LIMIT}+" if count > COUNT_LIMIT else str(count),
        next_cursor=_cursor(rows[-1]) if more else "",
        is_first=not cursor,
    )


def _matching(actor: Actor, asked: Filter) -> QuerySet[Incident]:
    incidents = queries.incidents(
        actor,
        queries.IncidentFilter(
            status=PHASES.get(asked.view, OPEN),
            owner="me" if asked.view == "mine" else "",
            q=asked.q,
        ),
    )
    if asked.view == "uncontained":
        incidents = incidents.filter(contained_at=None)
    return incidents.order_by("-severity", "-opened_at", "-pk")


def _rows(actor: Actor, incidents: list[Incident]) -> list[Row]:
    ids = {incident.account for incident in incidents if incident.account}
    names = {a.account_id: a.name for a in accounts_for(actor).filter(account_id__in=ids)}
    counts = dict(
        Alert.objects.filter(incident__in=[incident.pk for incident in incidents])
        .values_list("incident")
        .annotate(n=Count("pk"))
    )
    return [
        Row(incident=i, account_name=names.get(i.account, i.account), alerts=counts.get(i.pk, 0))
        for i in incidents
    ]


def _after(incidents: QuerySet[Incident], cursor: str) -> QuerySet[Incident]:
    if not cursor:
        return incidents
    try:
        severity, opened, pk = signing.loads(cursor, salt=SALT)
    except signing.BadSignature as failure:
        raise Invalid("This is not the address of a page of this list.") from failure
    opened_at = datetime.fromisoformat(opened)
    behind = (
        Q(severity__lt=severity)
        | Q(severity=severity, opened_at__lt=opened_at)
        | Q(severity=severity, opened_at=opened_at, pk__lt=pk)
    )
    return incidents.filter(Q(severity__lte=severity) & behind)


def _cursor(last: Incident) -> str:
    return signing.dumps([last.severity, last.opened_at.isoformat(), last.pk], salt=SALT)
