"""What the page of automation shows: its switch, rules with what each would have done, and holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from cases import access
from cases.models import Alert
from containment import auto_rules, automation, holds
from containment.automation import Budget
from containment.automation_models import Authorisation, AutoMatch, Automation, AutoRule, Hold
from estate.models import Account, Mode
from estate.queries import account_of, accounts_for
from identity.actors import Actor
from identity.permissions import Permission

RECENT = timedelta(days=30)
MOST_SCANNED = 500
"""Alerts that one look back reads, the newest first; it says when there were more."""

MOST_HOLDS = 200
MOST_MATCHES = 20


@dataclass(frozen=True, kw_only=True)
class LookBack:
    """What a rule would have done over the last 30 days about the alerts that one may read.

    `would` counts by action type, each thing once; `in_auto` is how many of them lie in accounts that are
    in auto mode now.
    """

    fitting: int
    is_cut: bool
    would: list[tuple[str, int]]
    in_auto: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """One rule as the page shows it. `state` is `live`, `waiting` or `ended`."""

    rule: AutoRule
    state: str
    budget: Budget
    authorised: int
    look_back: LookBack
    may_keep: bool
    may_approve: bool


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything on the page of automation."""

    state: Automation
    lines: list[Line]
    holds: list[Hold]
    accounts: list[Account]
    matches: list[AutoMatch]
    may_write: bool
    may_stop: bool
    may_resume: bool
    may_release: bool
    may_read: bool
    modes: tuple[str, ...] = tuple(Mode.values)


def page(actor: Actor, *, at: datetime) -> Page:
    """The page, as far as the actor may read it."""
    rules = list(auto_rules.rules_for(actor))
    return Page(
        state=automation.current(),
        lines=[line_of(actor, rule, at=at) for rule in rules],
        holds=list(holds.holds_for(actor).filter(released_at__isnull=True)[:MOST_HOLDS]),
        accounts=list(accounts_for(actor).order_by("name")),
        matches=list(
            # What a rule made of an alert tells of that alert: only to whom may read it.
            AutoMatch.objects.filter(rule__in=rules, alert__in=access.alerts_for(actor).values("ulid"))
            .select_related("rule", "action")
            .order_by("-at", "-pk")[:MOST_MATCHES]
        ),
        may_write=bool(auto_rules.teams_kept_by(actor)),
        may_stop=auto_rules.may_stop(actor),
        may_resume=auto_rules.may_resume(actor),
        may_release=actor.kind == "person" and actor.may(Permission.CONFIRM_ACTIONS),
        may_read=any(seat.is_whole for seat in actor.seats_for(Permission.READ_ACTIONS)),
    )


def line_of(actor: Actor, rule: AutoRule, *, at: datetime) -> Line:
    """One rule with its budget and its look back."""
    whole, _ = automation.budget_of(rule, account="", at=at)
    return Line(
        rule=rule,
        state="ended" if rule.expires_at <= at else "live" if rule.approved_by_id else "waiting",
        budget=whole,
        authorised=Authorisation.objects.filter(rule=rule, at__gt=at - RECENT).count(),
        look_back=look_back(actor, rule, at=at),
        may_keep=auto_rules.may_keep(actor, rule.team_id),
        may_approve=auto_rules.may_approve(actor, rule),
    )


def look_back(actor: Actor, rule: AutoRule, *, at: datetime) -> LookBack:
    """What the rule, stored or not, would have done; whatever the mode of the account."""
    recent = access.alerts_for(actor).filter(
        automation.fitting(rule), received_at__gt=at - RECENT, is_sample=False
    )
    found = list(recent.order_by("-received_at")[: MOST_SCANNED + 1])
    fitting = [alert for alert in found[:MOST_SCANNED] if automation.does_fit(rule, alert)]
    accounts = {name: account_of(name) for name in {alert.account for alert in fitting}}
    would = {
        (one.type, one.target["account"], one.target["id"])
        for alert in fitting
        for one in automation.covered(rule, alert, accounts[alert.account])
        if not _objects(alert, accounts)
    }
    return LookBack(
        fitting=len(fitting),
        is_cut=len(found) > MOST_SCANNED,
        would=sorted(Counter(type_id for type_id, _, _ in would).items()),
        in_auto=sum(1 for _, name, _ in would if (known := accounts.get(name)) and known.mode == "auto"),
        total=len(would),
    )


def _objects(alert: Alert, accounts: dict[str, Account | None]) -> bool:
    """Whether the account is never acted on."""
    account = accounts[alert.account]
    return account is None or account.is_protected or account.environment in auto_rules.NEVER
