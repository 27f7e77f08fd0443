"""Whether each source can be heard: when it spoke last, how much came, how late, and what is wrong.

Everything is counted by the database, per source and per place, so that a page costs as many queries for
two hundred accounts in fifteen regions as for one. What was heard is shown through the seats of whoever
asks; what was counted by the hour is of whole teams, and only for people who see one whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from statistics import quantiles
from typing import Any

from django.db.models import Count, DateTimeField, ExpressionWrapper, F, Max, Min, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from cases import access, hearing, quarantine
from cases.models import Heard, RawDocument, SourceHour
from cases.sources import heartbeat
from estate.models import Account
from estate.queries import accounts_for
from identity.actors import Actor
from identity.permissions import Permission

HOUR = timedelta(hours=1)
HOURS = 24
SAMPLE = 5_000
"""How many of the newest documents median and p95 are taken from; the hours' tallies know neither."""

MOST_WAITING = 10_000
MOST_TROUBLES = 500
MOST_ACCOUNTS = 200
MOST_REGIONS = 40
FAILING_SHARE = 10
"""A source fails when one document in so many could not be read, and some of them still wait."""


class Health(StrEnum):
    """How a source is, the worst first."""

    FAILING = "failing"
    SILENT = "fell_silent"
    NEVER = "never_heard"
    HEALTHY = "healthy"
    QUIET = "quiet"


class Hearing(StrEnum):
    """How one account is heard in one region."""

    HEARD = "heard"
    SILENT = "silent"
    NEVER = "never"
    WAITING = "waiting"
    UNHEARD = "unheard"
    UNUSED = "unused"


@dataclass(frozen=True, kw_only=True)
class Hour:
    """What came in one hour."""

    at: datetime
    documents: int
    quarantined: int


@dataclass(frozen=True, kw_only=True)
class Latency:
    """From detection to receipt in seconds: of `n` documents by the tallies, of `sampled` the quantiles."""

    n: int
    mean: float | None
    longest: float | None
    sampled: int
    median: float | None
    p95: float | None


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A place where a source should be heard and is not."""

    source: str
    account: str
    region: str
    since: datetime
    silent_after: timedelta
    is_never: bool


@dataclass(frozen=True, kw_only=True)
class SourceRow:
    """One source. `hours` is empty and the counts are None for who sees no whole team.

    Of the `expected` places `silent` and `never` are overdue; `awaited` were not heard and have time left.
    """

    source: str
    health: Health
    last_at: datetime | None
    places: int
    expected: int
    silent: int
    never: int
    awaited: int
    hours: list[Hour]
    documents: int | None
    opened: int | None
    quarantined: int | None
    waiting: int
    latency: Latency | None
    troubles: list[Trouble]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All sources, worst first. `is_sample_cut`: more documents came than quantiles were taken from."""

    rows: list[SourceRow]
    at: datetime
    sees_counts: bool
    is_sample_cut: bool
    names: Mapping[str, str]

    def count(self, *healths: Health) -> int:
        """How many sources are like that."""
        return sum(row.health in healths for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One account in one region."""

    hearing: Hearing
    account: str
    region: str
    last_at: datetime | None = None
    since: datetime | None = None
    sources: int = 0


@dataclass(frozen=True, kw_only=True)
class PlaceRow:
    """One account with its cells in the order of the matrix's regions."""

    account: str
    name: str
    cells: list[Cell]
    is_known: bool

    @property
    def heard(self) -> int:
        return sum(cell.hearing is Hearing.HEARD for cell in self.cells)

    @property
    def used(self) -> int:
        return sum(cell.hearing is not Hearing.UNUSED for cell in self.cells)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Accounts by regions; what does not fit is counted."""

    regions: list[str]
    rows: list[PlaceRow]
    accounts: int
    regions_left_out: int
    q: str


@dataclass(kw_only=True)
class _Voices:
    """What the database counted of a source's places."""

    last_at: datetime | None = None
    places: int = 0
    expected: int = 0
    silent: int = 0
    never: int = 0
    unheard: int = 0


@dataclass(kw_only=True)
class _Sampled:
    """What the newest documents of a source say."""

    opened: int = 0
    latencies: list[float] = field(default_factory=list)


def overview(actor: Actor, *, at: datetime, source: str = "") -> Overview:
    """Every source that the actor can know of, or the one named; the worst first."""
    voices = _voices(actor, at=at, source=source)
    hours = _hours(actor, at=at, source=source)
    waiting = _waiting(actor, source=source)
    sample, is_cut = _sample(actor, at=at, source=source)
    troubles = _troubles(actor, at=at, source=source)
    sees_counts = bool(_whole_teams(actor)) or actor.kind == "system"
    # Documents of early days do not say what they were read as.
    names = {*voices, *hours, *waiting} - hearing.OWN - {""}
    rows = [
        _row(
            name,
            voices=voices.get(name, _Voices()),
            hours=_filled(hours.get(name, {}), at=at) if sees_counts else [],
            tally=hours.get(name, {}),
            waiting=waiting.get(name, 0),
            sampled=sample.get(name, _Sampled()),
            troubles=[one for one in troubles if one.source == name],
            at=at,
        )
        for name in names
    ]
    order = list(Health)
    return Overview(
        rows=sorted(rows, key=lambda row: (order.index(row.health), row.source)),
        at=at,
        sees_counts=sees_counts,
        is_sample_cut=is_cut,
        names=_names(actor, {one.account for one in troubles}),
    )


def matrix(actor: Actor, *, at: datetime, source: str = "", q: str = "") -> Matrix:
    """Where AWS is heard: accounts by regions, those in trouble first, of one source or of all."""
    accounts = {account.account_id: account for account in _accounts(actor, q)}
    heard = _placed(actor, source).exclude(account="").exclude(region="")
    told = {one["account"]: one for one in _by_account(heard, at=at)}
    ids = {*accounts, *(account for account in told if not q or q.lower() in account)}
    ranked = sorted(ids, key=lambda account: _rank(account, told, accounts))[:MOST_ACCOUNTS]
    places = {
        (one["account"], one["region"]): one for one in _by_place(heard.filter(account__in=ranked), at=at)
    }
    regions = _regions(accounts.values(), places)
    return Matrix(
        regions=regions[:MOST_REGIONS],
        rows=[_place_row(account, accounts, regions[:MOST_REGIONS], places) for account in ranked],
        accounts=len(ids),
        regions_left_out=max(0, len(regions) - MOST_REGIONS),
        q=q,
    )


def places(actor: Actor, source: str) -> QuerySet[Heard]:
    """The places of one source that the actor may see, in no order."""
    return access.heard_for(actor).filter(source=source)


# --- what the database counts ---------------------------------------------------------------------------


def _overdue(at: datetime) -> Q:
    """The rows of `_waited` whose silence is longer than it may be: `silence.fault_of`, for the database."""
    limit = ExpressionWrapper(
        Value(at, output_field=DateTimeField()) - F("silent_after"), output_field=DateTimeField()
    )
    return Q(silent_after__isnull=False, since__lte=limit)


def _waited(rows: QuerySet[Heard]) -> QuerySet[Any]:
    return rows.annotate(since=Coalesce("last_at", "expected_since"))


def _placed(actor: Actor, source: str) -> QuerySet[Heard]:
    rows = access.heard_for(actor).exclude(source__in=hearing.OWN).order_by()
    return rows.filter(source=source) if source else rows


def _voices(actor: Actor, *, at: datetime, source: str) -> dict[str, _Voices]:
    overdue = _overdue(at)
    counted = (
        _waited(_placed(actor, source))
        .values("source")
        .annotate(
            latest=Max("last_at"),
            places=Count("pk"),
            expected=Count("pk", filter=Q(silent_after__isnull=False)),
            silent=Count("pk", filter=overdue & Q(last_at__isnull=False)),
            never=Count("pk", filter=overdue & Q(last_at__isnull=True)),
            unheard=Count("pk", filter=Q(silent_after__isnull=False, last_at__isnull=True)),
        )
    )
    return {
        one["source"]: _Voices(
            last_at=one["latest"],
            places=one["places"],
            expected=one["expected"],
            silent=one["silent"],
            never=one["never"],
            unheard=one["unheard"],
        )
        for one in counted
    }


def _troubles(actor: Actor, *, at: datetime, source: str) -> list[Trouble]:
    """The longest silences; more than a page can say are only counted."""
    rows = _waited(_placed(actor, source)).filter(_overdue(at)).order_by("since", "pk")
    return [
        Trouble(
            source=row.source,
            account=row.account,
            region=row.region,
            since=row.since,
            silent_after=row.silent_after,
            is_never=row.last_at is None,
        )
        for row in rows[:MOST_TROUBLES]
    ]


def _by_account(heard: QuerySet[Heard], *, at: datetime) -> Any:
    return _waited(heard).values("account").annotate(overdue=Count("pk", filter=_overdue(at)))


def _by_place(heard: QuerySet[Heard], *, at: datetime) -> Any:
    overdue = _overdue(at)
    return (
        _waited(heard)
        .values("account", "region")
        .annotate(
            latest=Max("last_at"),
            sources=Count("pk", filter=Q(last_at__isnull=False)),
            expected=Count("pk", filter=Q(silent_after__isnull=False)),
            silent=Count("pk", filter=overdue & Q(last_at__isnull=False)),
            never=Count("pk", filter=overdue & Q(last_at__isnull=True)),
            quiet_since=Min("since", filter=overdue),
        )
    )


def _whole_teams(actor: Actor) -> set[int]:
    return {seat.team for seat in actor.seats_for(Permission.READ_ALERTS) if seat.is_whole}


def _hours(actor: Actor, *, at: datetime, source: str) -> dict[str, dict[datetime, dict[str, Any]]]:
    rows = SourceHour.objects.filter(hour__gt=_this_hour(at) - HOURS * HOUR)
    if actor.kind != "system":
        rows = rows.filter(team__in=_whole_teams(actor))
    if source:
        rows = rows.filter(source=source)
    found: dict[str, dict[datetime, dict[str, Any]]] = defaultdict(dict)
    sums = {name: Sum(name) for name in ("documents", "quarantined", "latency_count", "latency_sum_ms")}
    counted: Any = (
        rows.order_by().values("source", "hour").annotate(**_apart(sums), longest=Max("latency_max_ms"))
    )
    for one in counted:
        found[one["source"]][one["hour"].astimezone(UTC)] = one
    return found


def _apart(sums: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation may not be named like a column."""
    return {f"all_{name}": value for name, value in sums.items()}


def _waiting(actor: Actor, *, source: str) -> dict[str, int]:
    held = quarantine.waiting_for(actor, source=source).order_by()
    found: dict[str, int] = defaultdict(int)
    for name in held.values_list("source", flat=True)[:MOST_WAITING]:
        found[name] += 1
    return found


def _sample(actor: Actor, *, at: datetime, source: str) -> tuple[dict[str, _Sampled], bool]:
    """The newest documents of the hours shown, by source, and whether there are more than were looked at."""
    documents = RawDocument.objects.filter(received_at__gt=_this_hour(at) - (HOURS - 1) * HOUR)
    if actor.kind != "system":
        documents = documents.filter(alert__team__in=_whole_teams(actor))
    if source:
        documents = documents.filter(source=source)
    columns = ("source", "received_at", "alert__received_at", "alert__detected_at")
    newest = list(documents.order_by("-received_at").values_list(*columns)[: SAMPLE + 1])
    found: dict[str, _Sampled] = defaultdict(_Sampled)
    for name, received_at, opened_at, detected_at in newest[:SAMPLE]:
        if received_at != opened_at:
            continue
        found[name].opened += 1
        if detected_at < received_at:
            found[name].latencies.append((received_at - detected_at).total_seconds())
    return found, len(newest) > SAMPLE


# --- one source -----------------------------------------------------------------------------------------


def _row(
    source: str,
    *,
    voices: _Voices,
    hours: list[Hour],
    tally: Mapping[datetime, Mapping[str, Any]],
    waiting: int,
    sampled: _Sampled,
    troubles: list[Trouble],
    at: datetime,
) -> SourceRow:
    documents, quarantined = sum(hour.documents for hour in hours), sum(hour.quarantined for hour in hours)
    return SourceRow(
        source=source,
        health=_health(voices, documents=documents, quarantined=quarantined, waiting=waiting, at=at),
        last_at=voices.last_at,
        places=voices.places,
        expected=voices.expected,
        silent=voices.silent,
        never=voices.never,
        awaited=voices.unheard - voices.never,
        hours=hours,
        documents=documents if hours else None,
        opened=sampled.opened if hours else None,
        quarantined=quarantined if hours else None,
        waiting=waiting,
        latency=_latency(tally, sampled) if hours else None,
        troubles=troubles,
    )


def _health(voices: _Voices, *, documents: int, quarantined: int, waiting: int, at: datetime) -> Health:
    if waiting and quarantined and quarantined * FAILING_SHARE >= documents + quarantined:
        return Health.FAILING
    if voices.silent:
        return Health.SILENT
    if voices.never:
        return Health.NEVER
    is_lively = voices.last_at is not None and voices.last_at > at - HOURS * HOUR
    return Health.HEALTHY if is_lively or (voices.expected and voices.last_at) else Health.QUIET


def _latency(tally: Mapping[datetime, Mapping[str, Any]], sampled: _Sampled) -> Latency:
    n = sum(one["all_latency_count"] for one in tally.values())
    total = sum(one["all_latency_sum_ms"] for one in tally.values())
    longest = max((one["longest"] for one in tally.values()), default=0)
    cuts = _cuts(sampled.latencies)
    return Latency(
        n=n,
        mean=total / n / 1000 if n else None,
        longest=longest / 1000 if n else None,
        sampled=len(sampled.latencies),
        median=cuts[9] if cuts else None,
        p95=cuts[18] if cuts else None,
    )


def _cuts(values: list[float]) -> list[float]:
    """The nineteen values that part the sample into twentieths."""
    if len(values) < 2:
        return values * 19
    return quantiles(values, n=20, method="inclusive")


def _filled(tally: Mapping[datetime, Mapping[str, Any]], *, at: datetime) -> list[Hour]:
    first = _this_hour(at) - (HOURS - 1) * HOUR
    hours = [first + number * HOUR for number in range(HOURS)]
    empty = {"all_documents": 0, "all_quarantined": 0}
    return [
        Hour(
            at=hour,
            documents=tally.get(hour, empty)["all_documents"],
            quarantined=tally.get(hour, empty)["all_quarantined"],
        )
        for hour in hours
    ]


def _this_hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _names(actor: Actor, accounts: set[str]) -> dict[str, str]:
    if not accounts:
        return {}
    return dict(accounts_for(actor).filter(account_id__in=accounts).values_list("account_id", "name"))


# --- the matrix -----------------------------------------------------------------------------------------


def _accounts(actor: Actor, q: str) -> QuerySet[Account]:
    found = accounts_for(actor).order_by("name").only("account_id", "name", "regions", "team", "ou")
    return found.filter(Q(name__icontains=q) | Q(account_id__contains=q)) if q else found


def _rank(
    account: str, told: Mapping[str, Mapping[str, Any]], accounts: Mapping[str, Account]
) -> tuple[int, str, str]:
    """Those with most silence first, then by name; unknown accounts after the known ones."""
    overdue = told[account]["overdue"] if account in told else 0
    known = accounts.get(account)
    return (-overdue, known.name if known else "\uffff", account)


def _regions(accounts: Iterable[Account], places: Iterable[tuple[str, str]]) -> list[str]:
    """Those of the estate, then those that were only heard of and look like one."""
    named = sorted({str(region) for account in accounts for region in account.regions})
    heard = sorted({region for _, region in places if heartbeat.REGION.fullmatch(region)} - set(named))
    return [*named, *heard]


def _place_row(
    account: str,
    accounts: Mapping[str, Account],
    regions: list[str],
    places: Mapping[tuple[str, str], Mapping[str, Any]],
) -> PlaceRow:
    known = accounts.get(account)
    used = {str(region) for region in known.regions} if known else set()
    return PlaceRow(
        account=account,
        name=known.name if known else account,
        cells=[_cell(account, region, places.get((account, region)), region in used) for region in regions],
        is_known=known is not None,
    )


def _cell(account: str, region: str, place: Mapping[str, Any] | None, is_used: bool) -> Cell:
    if place is None:
        return Cell(hearing=Hearing.UNHEARD if is_used else Hearing.UNUSED, account=account, region=region)
    return Cell(
        hearing=_hearing(place),
        account=account,
        region=region,
        last_at=place["latest"],
        since=place["quiet_since"],
        sources=place["sources"],
    )


def _hearing(place: Mapping[str, Any]) -> Hearing:
    if place["silent"]:
        return Hearing.SILENT
    if place["never"]:
        return Hearing.NEVER
    if place["latest"]:
        return Hearing.HEARD
    return Hearing.WAITING if place["expected"] else Hearing.UNHEARD
