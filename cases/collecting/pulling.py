"""Asking accounts for their findings, so that one whose event was lost is not lost.

GuardDuty's and Security Hub's findings that changed since the last time, with each account's READ role,
region by region. What was asked for is written down as a receipt; the next time begins where it ended.
https://docs.aws.amazon.com/guardduty/latest/APIReference/API_ListFindings.html
https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_GetFindings.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from audit import receipts
from audit.models import Receipt
from cases import ingest
from cases.decoding import JSON
from cases.storing import Outcome
from estate.models import Account
from estate.queries import Duty, NotGranted, role_link
from identity.actors import Actor
from lib import aws, iam
from lib.aws import AwsError, NoAnswer, Role, WrongAccount

log = logging.getLogger(__name__)

SOURCES = ("guardduty", "security_hub")
PULLED = "findings.pulled"

FIRST_LOOK = timedelta(days=7)
"""How far back an account is asked for that was never asked."""

OVERLAP = timedelta(minutes=15)
"""Looked at twice: services list a finding some time after it changed, and clocks differ."""

EVERY = timedelta(minutes=55)
"""An account that was asked this lately is not due; a little less than the sweep's hour."""

AT_ONCE = 50
"""Findings of one `GetFindings`, and of one body given to intake."""

AT_MOST = 5_000
"""Findings of one source, account and region at a time; the next time goes on from there."""

READS = (
    "guardduty:GetFindings",
    "guardduty:ListDetectors",
    "guardduty:ListFindings",
    "securityhub:GetFindings",
)
"""All that the sessions allow, whatever the READ role does."""

OFF = frozenset({"InvalidAccessException", "SubscriptionRequiredException", "OptInRequired"})
"""Codes that say a service is not switched on: nothing to fetch, and no failure."""


@dataclass(frozen=True, kw_only=True)
class Pull:
    """One source of one account and region: how many findings, and what intake made of them.

    `missing` had not arrived by any other way; `known` had. `complete` is false where there were more
    than `AT_MOST`. `error` is what AWS said, empty when all went well.
    """

    source: str
    account: str
    region: str
    found: int = 0
    missing: int = 0
    known: int = 0
    quarantined: int = 0
    complete: bool = True
    error: str = ""

    def summary(self) -> dict[str, Any]:
        """As plain values for JSON and the log."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class Report:
    """All pulls of one round, and the accounts that were passed over as they grant no READ role."""

    pulls: tuple[Pull, ...]
    skipped: tuple[str, ...]

    @property
    def failed(self) -> tuple[Pull, ...]:
        return tuple(pull for pull in self.pulls if pull.error)

    def summary(self) -> dict[str, Any]:
        """As plain values for JSON: the sums, then each pull."""
        return {
            "found": sum(pull.found for pull in self.pulls),
            "missing": sum(pull.missing for pull in self.pulls),
            "known": sum(pull.known for pull in self.pulls),
            "quarantined": sum(pull.quarantined for pull in self.pulls),
            "failed": len(self.failed),
            "skipped": list(self.skipped),
            "pulls": [pull.summary() for pull in self.pulls],
        }


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Findings in the order of their last change; `complete` unless there are more."""

    findings: list[Any]
    complete: bool


def pull(
    *,
    accounts: Iterable[Account],
    by: Actor,
    at: datetime,
    sources: Sequence[str] = SOURCES,
    since: datetime | None = None,
    only_due: bool = False,
) -> Report:
    """Ask the accounts and take in what they give. One that fails holds up no other, and is named.

    `since` overrules where the last time ended; `only_due` passes over what was asked within the hour.
    Not inside a transaction: it goes over the network.
    """
    pulls: list[Pull] = []
    skipped: list[str] = []
    for account in accounts:
        try:
            role = _role(account)
        except NotGranted:
            skipped.append(account.account_id)
            continue
        for region in account.regions:
            for source in sources:
                last = _last(source, account.account_id, region)
                if only_due and last is not None and last.at > at - EVERY:
                    continue
                start = since or _start(last, at=at)
                pulls.append(_one(source, account, region, role=role, since=start, by=by, at=at))
    if skipped:
        log.warning("pull.no_role", extra={"accounts": skipped[:100], "count": len(skipped)})
    return Report(pulls=tuple(pulls), skipped=tuple(skipped))


def _one(
    source: str, account: Account, region: str, *, role: Role, since: datetime, by: Actor, at: datetime
) -> Pull:
    where = {"source": source, "account": account.account_id, "region": region}
    try:
        found = _FETCH[source](role, region, since, at)
    except (AwsError, NoAnswer, WrongAccount) as failure:
        if isinstance(failure, AwsError) and failure.code in OFF:
            found = _Found(findings=[], complete=True)
        else:
            done = Pull(source=source, account=account.account_id, region=region, error=str(failure)[:500])
            log.warning("pull.failed", extra=done.summary())
            return done
    done = _take_in(found, account, where=where, by=by, at=at)
    until = at if found.complete else _newest(found.findings, default=since)
    _note(done, until=until, by=by, at=at)
    log.info("pull.done", extra=done.summary())
    return done


def _take_in(found: _Found, account: Account, *, where: dict[str, str], by: Actor, at: datetime) -> Pull:
    missing = known = quarantined = 0
    for start in range(0, len(found.findings), AT_ONCE):
        body = json.dumps({"Findings": found.findings[start : start + AT_ONCE]}).encode()
        received = ingest.receive(
            source=where["source"], body=body, by=by, at=at, team=account.team, door="pull"
        )
        missing += received.count(Outcome.CREATED)
        known += received.count(Outcome.UPDATED, Outcome.RECURRED, Outcome.REPEATED)
        quarantined += len(received.quarantined)
    return Pull(
        source=where["source"],
        account=where["account"],
        region=where["region"],
        found=len(found.findings),
        missing=missing,
        known=known,
        quarantined=quarantined,
        complete=found.complete,
    )


# --- where the last time ended -------------------------------------------------------------------------


def _last(source: str, account: str, region: str) -> Receipt | None:
    rows = Receipt.objects.filter(object_type=_type(source), object_id=_place(account, region), act=PULLED)
    return rows.order_by("-id").first()


def _start(last: Receipt | None, *, at: datetime) -> datetime:
    if last is None:
        return at - FIRST_LOOK
    return datetime.fromisoformat(str(last.details["until"])) - OVERLAP


def _note(done: Pull, *, until: datetime, by: Actor, at: datetime) -> None:
    receipts.write(
        act=PULLED,
        by=by,
        at=at,
        on=(_type(done.source), _place(done.account, done.region)),
        details={
            "until": until.astimezone(UTC).isoformat(),
            "found": done.found,
            "missing": done.missing,
            "known": done.known,
            "quarantined": done.quarantined,
        },
    )


def _type(source: str) -> str:
    return f"pull {source}"


def _place(account: str, region: str) -> str:
    return f"{account}/{region}"[:40]


def _newest(findings: list[Any], *, default: datetime) -> datetime:
    """When the last of them changed: there the next time begins."""
    try:
        moment = datetime.fromisoformat(str(findings[-1]["UpdatedAt"]))
    except (IndexError, KeyError, TypeError, ValueError):
        return default
    return moment if moment.tzinfo else default


# --- asking --------------------------------------------------------------------------------------------


def _role(account: Account) -> Role:
    link = role_link(account, Duty.READ)
    return Role(
        arn=link.role_arn,
        external_id=link.external_id,
        account=account.account_id,
        session_name="quell-pull",
        source_identity="quell-pull",
        policy=iam.session_policy(
            [(operation, {}) for operation in READS],
            partition=account.partition,
            account=account.account_id,
            region="*",
        ),
    )


def _guardduty(role: Role, region: str, since: datetime, _: datetime) -> _Found:
    findings: list[Any] = []
    complete = True
    changed = {"updatedAt": {"GreaterThanOrEqual": int(since.timestamp() * 1000)}}
    told = _read(role, region, "guardduty", "ListDetectors", PaginationConfig={"MaxItems": 10})
    for detector in told.get("DetectorIds") or ():
        listed = _read(
            role, region, "guardduty", "ListFindings",
            DetectorId=detector,
            FindingCriteria={"Criterion": changed},
            SortCriteria={"AttributeName": "updatedAt", "OrderBy": "ASC"},
            PaginationConfig={"MaxItems": AT_MOST, "PageSize": AT_ONCE},
        )  # fmt: skip
        complete = complete and not listed.get("NextToken")
        ids = list(listed.get("FindingIds") or ())
        for start in range(0, len(ids), AT_ONCE):
            given = _read(
                role, region, "guardduty", "GetFindings",
                DetectorId=detector, FindingIds=ids[start : start + AT_ONCE],
                SortCriteria={"AttributeName": "updatedAt", "OrderBy": "ASC"},
            )  # fmt: skip
            findings += [_numbered(one, "Severity") for one in given.get("Findings") or ()]
    return _Found(findings=findings, complete=complete)


def _security_hub(role: Role, region: str, since: datetime, at: datetime) -> _Found:
    until = at + timedelta(days=1)
    given = _read(
        role, region, "securityhub", "GetFindings",
        Filters={"UpdatedAt": [{"Start": _stamp(since), "End": _stamp(until)}]},
        SortCriteria=[{"Field": "UpdatedAt", "SortOrder": "asc"}],
        PaginationConfig={"MaxItems": AT_MOST, "PageSize": 100},
    )  # fmt: skip
    findings = list(given.get("Findings") or ())
    for one in findings:
        if isinstance(one, dict) and isinstance(one.get("Severity"), dict):
            one["Severity"] = _numbered(one["Severity"], "Product", "Normalized")
    return _Found(findings=findings, complete=not given.get("NextToken"))


_FETCH: dict[str, Callable[[Role, str, datetime, datetime], _Found]] = {
    "guardduty": _guardduty,
    "security_hub": _security_hub,
}


def _read(role: Role, region: str, service: str, operation: str, **params: Any) -> dict[str, Any]:
    told = aws.read(role, region=region, service=service, operation=operation, params=params)
    return cast("dict[str, Any]", told)


def _numbered(document: JSON, *names: str) -> JSON:
    """With these members as numbers again: `lib.aws` tells fractions as text, since hashes need that."""
    if not isinstance(document, dict):
        return document
    return {name: _number(value) if name in names else value for name, value in document.items()}


def _number(value: JSON) -> JSON:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value  # intake says what is wrong with it


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
