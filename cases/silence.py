"""Silence is a fault: what should have been heard and was not becomes an alert, over when it is heard again.

Looked at every minute. A mark and its alert are one transaction, and an alert's document is made of what
is in the row alone: whoever looks twice, or at the same time, says the same again, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from audit.record import record as audit
from cases import ingest
from cases.decoding import JSON
from cases.models import Alert, Heard
from cases.sources import heartbeat
from cases.sources.types import AlertDraft, Resource
from cases.words import Band
from estate.models import Account, Environment
from identity.actors import Actor, system
from lib import clock, doorbell

T = TypeVar("T")

SOURCE = "quell"
EVERY_SECONDS = 60.0
HEARTBEAT_AFTER = timedelta(minutes=15)
"""The intake stack's heartbeat comes every five minutes: three may be missed."""

CHUNK = 200
"""How many alerts are made in one transaction, so that an outage of everything holds up nothing else."""

MOST_NEW_REGIONS = 500
"""How many new regions become alerts in one look; the rest come with the next."""

GRAVE = frozenset({Environment.PRODUCTION, Environment.SECURITY, Environment.MANAGEMENT})
ALWAYS_ON = frozenset({"us-east-1", "us-gov-west-1", "cn-north-1", "cn-northwest-1"})
"""Where the global services of each partition report for every account: hearing of these means nothing."""


class Fault(StrEnum):
    """What is wrong with a place; the value is the end of the alert's type."""

    NEVER = "NeverHeard"
    FELL = "FellSilent"


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What one look found: alarms raised and lifted, and regions told of."""

    raised: int
    lifted: int
    regions: int

    @property
    def moved(self) -> int:
        return self.raised + self.lifted + self.regions


def register() -> None:
    """Register the sweep. Called once, when the models are loaded."""
    doorbell.register(
        doorbell.Sweep(topic="silence", queue="general", run=sweep_silence, every_seconds=EVERY_SECONDS)
    )


def sweep_silence() -> int:
    """Look for silence; how many rows moved."""
    return look(at=clock.now()).moved


def look(*, at: datetime) -> Looked:
    """Say what is expected, raise what is silent, lift what is heard again, tell of new regions."""
    accounts = {one.account_id: one for one in Account.objects.all()}
    _expect_heartbeats(accounts, at=at)
    return Looked(
        raised=_raise_silent(accounts, at=at),
        lifted=_lift_heard(accounts, at=at),
        regions=_tell_regions(accounts, at=at),
    )


def expect(*, row: Heard, after: timedelta | None, by: Actor, at: datetime) -> None:
    """Say how long a source may be silent for one account and region; None: as long as it likes."""
    with transaction.atomic():
        Heard.objects.filter(pk=row.pk).update(silent_after=after, expected_since=at if after else None)
        details = {"account": row.account, "region": row.region, "seconds": after and after.total_seconds()}
        audit(act="silence.expected", by=by, at=at, on=("source", row.source), details=details)


def fault_of(row: Heard, *, at: datetime) -> Fault | None:
    """What is wrong with the place at this moment; None where it is heard, or nothing is expected."""
    if row.silent_after is None:
        return None
    since = row.last_at or row.expected_since
    if since is None or since + row.silent_after > at:
        return None
    return Fault.FELL if row.last_at else Fault.NEVER


# --- what is expected ---------------------------------------------------------------------------------


def _expect_heartbeats(accounts: dict[str, Account], *, at: datetime) -> None:
    """Every account's regions, from the first heartbeat of the installation on; no others any more."""
    rows = list(Heard.objects.filter(source=heartbeat.ID))
    if not (settings.QUELL_EXPECT_HEARTBEAT or any(row.first_at for row in rows)):
        return
    wanted = {
        (account.team_id, account.account_id, str(region))
        for account in accounts.values()
        for region in account.regions
    }
    known = {(row.team_id, row.account, row.region): row for row in rows}
    fresh = [
        Heard(
            source=heartbeat.ID,
            team_id=team,
            account=account,
            region=region[:30],
            expected_since=at,
            silent_after=HEARTBEAT_AFTER,
        )
        for team, account, region in sorted(wanted - set(known))
    ]
    Heard.objects.bulk_create(fresh, batch_size=500, ignore_conflicts=True)
    unwatched = [row.pk for place, row in known.items() if place in wanted and row.silent_after is None]
    dropped = [row.pk for place, row in known.items() if place not in wanted and row.silent_after is not None]
    for part in _chunks(unwatched):
        Heard.objects.filter(pk__in=part).update(silent_after=HEARTBEAT_AFTER, expected_since=at)
    for part in _chunks(dropped):
        Heard.objects.filter(pk__in=part).update(silent_after=None, expected_since=None)


# --- alarms -------------------------------------------------------------------------------------------


def _raise_silent(accounts: dict[str, Account], *, at: datetime) -> int:
    watched = Heard.objects.filter(silent_after__isnull=False, alarmed_at__isnull=True)
    silent = [row for row in watched if fault_of(row, at=at)]
    return sum(_alarm(team, rows, accounts, at=at) for team, rows in _parts(silent))


@transaction.atomic
def _alarm(team: int, rows: Sequence[Heard], accounts: dict[str, Account], *, at: datetime) -> int:
    held = Heard.objects.filter(pk__in=[row.pk for row in rows])
    held.filter(alarmed_at=None).update(alarmed_at=at)
    # Read again under the marks' locks: what was heard since is not called silent.
    mine = list(held.filter(alarmed_at=at))
    heard = [row.pk for row in mine if fault_of(row, at=at) is None]
    held.filter(pk__in=heard).update(alarmed_at=None)
    drafts = [_draft(row, accounts.get(row.account), at=at) for row in mine if row.pk not in heard]
    _tell(drafts, team=team, at=at)
    return len(drafts)


def _lift_heard(accounts: dict[str, Account], *, at: datetime) -> int:
    """Call over what was heard after its alarm, and what nobody expects any more."""
    is_over = Q(last_at__gt=F("alarmed_at")) | Q(silent_after__isnull=True)
    over = list(Heard.objects.filter(is_over, alarmed_at__isnull=False))
    return sum(_lift(team, rows, accounts, at=at) for team, rows in _parts(over))


@transaction.atomic
def _lift(team: int, rows: Sequence[Heard], accounts: dict[str, Account], *, at: datetime) -> int:
    marked = Heard.objects.filter(pk__in=[row.pk for row in rows], alarmed_at__isnull=False)
    if not marked.update(alarmed_at=None):
        return 0
    _tell([_ending(row, accounts.get(row.account), at=at) for row in rows], team=team, at=at)
    return len(rows)


def _tell(drafts: list[AlertDraft], *, team: int, at: datetime) -> None:
    """Take the alerts in by the way of all others, for the team where their account is not known."""
    if drafts:
        by = replace(system("silence"), team=team)
        ingest.receive_drafts(drafts=drafts, by=by, at=at, read_as=SOURCE, door="silence")


def _ending(row: Heard, account: Account | None, *, at: datetime) -> AlertDraft:
    """The alert of the row's alarm, over. Which of the two it was shows in when it was first heard."""
    alarmed = row.alarmed_at or at
    fault = Fault.NEVER if row.first_at is None or row.first_at >= alarmed else Fault.FELL
    heard = row.last_at if row.last_at and row.last_at > alarmed else None
    document = _document(row, fault) | {"alarmed_at": _told(alarmed), "heard_at": _told(heard)}
    return _of(row, account, fault=fault, document=document, since=None, seen=heard or alarmed, is_over=True)


def _draft(row: Heard, account: Account | None, *, at: datetime) -> AlertDraft:
    """The alert of a row that is silent: everything in it follows from the row."""
    fault = fault_of(row, at=at) or Fault.FELL
    since = row.last_at or row.expected_since or at
    document = _document(row, fault) | {"since": _told(since)}
    seen = since + (row.silent_after or timedelta(0))
    return _of(row, account, fault=fault, document=document, since=since, seen=seen, is_over=False)


def _document(row: Heard, fault: Fault) -> dict[str, JSON]:
    return {
        "fault": fault.value,
        "source": row.source,
        "account": row.account,
        "region": row.region,
        "silent_after_seconds": row.silent_after.total_seconds() if row.silent_after else None,
    }


def _of(
    row: Heard,
    account: Account | None,
    *,
    fault: Fault,
    document: dict[str, JSON],
    since: datetime | None,
    seen: datetime,
    is_over: bool,
) -> AlertDraft:
    place = " in ".join(filter(None, (account.name if account else row.account, row.region)))
    verb = "was never heard" if fault is Fault.NEVER else "fell silent"
    reason = f"The source {row.source} {verb} for {place or 'its team'}."
    heard = f" It was last heard at {_told(row.last_at)}." if row.last_at and not is_over else ""
    return AlertDraft(
        source=SOURCE,
        external_id=f"{fault.value}:{row.source}:{row.account}:{row.region}:{row.team_id}",
        fingerprint=(SOURCE, fault.value, row.source, row.account, row.region),
        title=f"{row.source} {verb}: {place or 'no account'}",
        summary=f"{reason}{heard} What happens there now reaches nobody until it is heard again.",
        severity=(Band.HIGH if account and account.environment in GRAVE else Band.MEDIUM).severity,
        type=f"Quell:Intake/{fault.value}",
        account=row.account,
        region=row.region,
        resources=_resources(row.account),
        tags=("intake",),
        first_seen_at=since,
        last_seen_at=seen,
        detected_at=None if is_over else seen,
        updated_at=seen,
        is_resolved=is_over,
        raw=document,
    )


# --- new regions --------------------------------------------------------------------------------------


def _tell_regions(accounts: dict[str, Account], *, at: datetime) -> int:
    """One alert, once, for each region that is heard of and not among its account's."""
    spoken = Heard.objects.filter(first_at__isnull=False, account__in=accounts).exclude(region="")
    places = spoken.order_by().values_list("account", "region").distinct()
    new = sorted(
        (account, region)
        for account, region in places
        if accounts[account].regions
        and region not in accounts[account].regions
        and region not in ALWAYS_ON
        and heartbeat.REGION.fullmatch(region)
    )
    told = _told_of([_region_id(*place) for place in new])
    fresh = [place for place in new if _region_id(*place) not in told][:MOST_NEW_REGIONS]
    for part in _chunks(fresh):
        drafts = [_region_draft(accounts[account], region) for account, region in part]
        # Each goes to the team of its account, which is known.
        _tell(drafts, team=accounts[part[0][0]].team_id, at=at)
    return len(fresh)


def _told_of(ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in _chunks(ids):
        known = Alert.objects.filter(source=SOURCE, external_id__in=part)
        found |= set(known.values_list("external_id", flat=True))
    return found


def _region_id(account: str, region: str) -> str:
    return f"NewRegion:{account}:{region}"


def _region_draft(account: Account, region: str) -> AlertDraft:
    return AlertDraft(
        source=SOURCE,
        external_id=_region_id(account.account_id, region),
        fingerprint=(SOURCE, "NewRegion", account.account_id, region),
        title=f"{account.name} is used in a region that nobody named: {region}",
        summary=(
            f"Something was heard from {region}, which is not among the regions of {account.name}. Either it"
            " was enabled, and the intake stack belongs there too, or someone works where nobody looks."
        ),
        severity=(Band.HIGH if account.environment in GRAVE else Band.MEDIUM).severity,
        type="Quell:Intake/NewRegion",
        account=account.account_id,
        region=region,
        resources=_resources(account.account_id),
        tags=("intake",),
        raw={"fault": "NewRegion", "account": account.account_id, "region": region},
    )


def _resources(account: str) -> tuple[Resource, ...]:
    return (Resource(type="account", id=account, role="target"),) if account else ()


def _told(at: datetime | None) -> str:
    return at.isoformat(timespec="microseconds") if at else ""


def _parts(rows: Iterable[Heard]) -> Iterator[tuple[int, Sequence[Heard]]]:
    """The rows of each team, a chunk at a time."""
    by_team: dict[int, list[Heard]] = {}
    for row in rows:
        by_team.setdefault(row.team_id, []).append(row)
    for team, mine in by_team.items():
        yield from ((team, part) for part in _chunks(mine))


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
