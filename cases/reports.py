"""What people report: one more source of alerts, through the same door as all others.

https://docs.aws.amazon.com/security-ir/latest/userguide/detection.html counts people among the sources of
detection. A report that is sent twice is one alert: its id is made of who reports and the token of the form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cases import access, ingest
from cases.sources.traces import kind_of, resource_of
from cases.sources.types import AlertDraft, Observable
from cases.storing import Stored
from cases.words import Band
from estate.models import Account
from estate.queries import accounts_for
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from lib import ids
from lib.errors import Forbidden, Invalid

SOURCE = "report"
TYPE = "Report:Person"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What somebody noticed. `team` gets it where no account is named."""

    token: str
    title: str
    happened: str
    noticed_at: datetime
    severity: Band
    account: str = ""
    team: Team | None = None
    indicators: tuple[str, ...] = ()
    link: str = ""


def teams_for(actor: Actor) -> list[Team]:
    """The teams that the person may report anything to."""
    seats = actor.seats_for(Permission.WRITE_ALERTS)
    return list(Team.objects.filter(pk__in=[seat.team for seat in seats if seat.is_whole]).order_by("name"))


def accounts_of(actor: Actor) -> list[Account]:
    """The accounts that the person may report about."""
    reporting = replace(actor, seats=actor.seats_for(Permission.WRITE_ALERTS))
    return list(accounts_for(reporting).order_by("name", "account_id"))


def submit(*, report: Report, by: Actor, at: datetime) -> Stored:
    """Take a report in. `Invalid` for a token that is none, `Forbidden` for what is not theirs to report."""
    if not ids.is_ulid(report.token):
        raise Invalid("This form is not one of ours; load it again.", pointer="/token")
    team = _receiver(report, by)
    draft = ingest.checked(_draft(report, by), at=at)
    [stored] = ingest.receive_drafts(drafts=[draft], by=by, at=at, read_as=SOURCE, door="form", team=team)
    return stored


def _receiver(report: Report, by: Actor) -> Team:
    """The team that gets it, which must be one to which the person may report this."""
    account = Account.objects.select_related("team").filter(account_id=report.account).first()
    if report.account and account is None:
        raise Invalid("There is no such account.", pointer="/account")
    team = account.team if account is not None else report.team
    allowed = team is not None and access.permits(
        by, Permission.WRITE_ALERTS, team=team.pk, account=report.account
    )
    if team is None or not allowed:
        raise Forbidden("You may not report this to that team.")
    return team


def _draft(report: Report, by: Actor) -> AlertDraft:
    things = [found for one in report.indicators if (found := resource_of(one)) is not None]
    traces = [Observable(kind=kind_of(one), value=one) for one in report.indicators if kind_of(one)]
    who = by.name or by.label
    return AlertDraft(
        source=SOURCE,
        external_id=f"{by.person_ulid or by.principal}:{report.token}",
        fingerprint=(SOURCE, report.account, report.title),
        title=report.title,
        summary=f"{report.happened}\n\nReported by {who}.",
        severity=report.severity.severity,
        type=TYPE,
        account=report.account,
        resources=tuple(things),
        observables=tuple(traces),
        tags=("report",),
        link=report.link,
        detected_at=report.noticed_at,
        raw={
            "token": report.token,
            "reported_by": who,
            "title": report.title,
            "happened": report.happened,
            "noticed_at": f"{report.noticed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "severity": report.severity.value,
            "account": report.account,
            "indicators": list(report.indicators),
            "link": report.link,
        },
    )
