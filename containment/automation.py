"""Automation: pre-authorised rules find the alerts that fit, ask for plans, and say yes to them.

A rule's yes stands where a person's approval would (`containment.apps`); everything after it is the same:
the stored plan, the journal, verification, undo. Nothing is done about samples, exercises, stale alerts,
protected or held things, things that AWS does not show, or in accounts whose mode is not `auto`.
Whatever a rule does not authorise waits for a person.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q

from audit.record import record
from cases import triage
from cases.access import people_who_may
from cases.models import Action, Alert
from cases.words import IN_FORCE, ActionStatus, AlertStatus, Phase
from containment import guardrails, holds, journal, planning, suggesting, tiers
from containment.actions import action_type
from containment.automation_models import Authorisation, AutoMatch, Automation, AutoRule, Considered
from containment.journal import Story
from containment.models import Approval
from containment.suggesting import Suggestion
from containment.types import Target
from estate.models import Account, Mode
from estate.queries import account_of
from identity.actors import system
from identity.permissions import Permission
from lib import clock
from lib.errors import AppError, Conflict
from notify import outbox

log = logging.getLogger(__name__)

BY = system("automation")
TOPIC = "automation"
HOUR = timedelta(hours=1)
EARLY = timedelta(minutes=5)
"""How far an alert's time may lie ahead of our clock."""

BATCH = 50
OPEN = (AlertStatus.NEW, AlertStatus.ACKNOWLEDGED, AlertStatus.ESCALATED)
STANDING = (
    *sorted(IN_FORCE),
    ActionStatus.PROPOSED,
    ActionStatus.PLANNED,
    ActionStatus.DRIFTED,
    ActionStatus.APPROVED,
)
FROM_TEXT = frozenset({"address", "domain", "ip", "cidr"})
"""Kinds of targets that exist in the alert's text alone: no plan can find out that they are real."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a rule has used of an hour: authorised, and asked for without an answer yet."""

    used: int
    waiting: int
    most: int

    @property
    def is_hit(self) -> bool:
        """Whether one more would be one too many."""
        return self.used >= self.most

    @property
    def is_full(self) -> bool:
        """Whether one more might be, once what waits has its answer."""
        return self.used + self.waiting >= self.most


# --- the switch ----------------------------------------------------------------------------------------


def current() -> Automation:
    """Whether automation runs; made running at first use."""
    return Automation.objects.get_or_create(pk=1)[0]


def lock(at: datetime) -> Automation:
    """The same under its row lock, so that whoever decides does so one after another. In a transaction."""
    if not Automation.objects.filter(pk=1).update(changed_at=at):
        Automation.objects.bulk_create([Automation(pk=1)], ignore_conflicts=True)
        Automation.objects.filter(pk=1).update(changed_at=at)
    return Automation.objects.get(pk=1)


def live_rules(at: datetime) -> list[AutoRule]:
    """The rules that two persons stand behind and that have not ended."""
    rules = AutoRule.objects.filter(approved_by__isnull=False, removed_at__isnull=True, expires_at__gt=at)
    return list(rules.select_related("team").order_by("pk"))


# --- from alerts to proposals --------------------------------------------------------------------------


def run() -> int:
    """Look at every alert that a live rule fits and that changed since; how many were looked at."""
    at = clock.now()
    holds.gather(at=at)
    rules = live_rules(at)
    if not rules or not current().is_running:
        return 0
    looked = 0
    for alert in candidates(rules, at=at)[:BATCH]:
        try:
            if not _consider(alert, rules, at=clock.now()):
                break
        except Conflict:  # a person was faster: the alert has changed, and is looked at again
            continue
        looked += 1
    return looked


def candidates(rules: Sequence[AutoRule], *, at: datetime) -> list[Alert]:
    """Fresh alerts that a rule fits, in `auto` accounts, worst first, not looked at since they changed."""
    fits = Q(pk__in=())
    for rule in rules:
        accounts = Account.objects.filter(
            team=rule.team_id, mode=Mode.AUTO, environment__in=rule.environments
        )
        fits |= fitting(rule) & Q(account__in=list(accounts.values_list("account_id", flat=True)))
    seen = Considered.objects.filter(alert=OuterRef("ulid"), updated_at__gte=OuterRef("updated_at"))
    found = (
        Alert.objects.filter(
            fits,
            due_at__isnull=True,  # triage rules come first: what they suppress is not acted on
            is_sample=False,
            is_archived=False,
            resolved_at__isnull=True,
            status__in=OPEN,
            last_seen_at__gte=at - settings.QUELL_AUTOMATION_STALE,
            last_seen_at__lte=at + EARLY,
        )
        .filter(
            Q(incident__isnull=True) | (Q(incident__is_exercise=False) & ~Q(incident__status=Phase.CLOSED))
        )
        .filter(~Exists(seen))
        .select_related("team", "incident")
        .order_by("-severity", "pk")
    )
    return [alert for alert in found[: 2 * BATCH] if any(does_fit(rule, alert) for rule in rules)]


def fitting(rule: AutoRule) -> Q:
    """The alerts of a rule, as far as a database index helps; `does_fit` has the last word."""
    wanted = Q(type__startswith=rule.type[:-1]) if rule.type.endswith("*") else Q(type=rule.type)
    return Q(team=rule.team_id, severity__gte=rule.min_severity) & wanted


def does_fit(rule: AutoRule, alert: Alert) -> bool:
    """Whether the rule is about such an alert, case and all."""
    if alert.team_id != rule.team_id or alert.severity < rule.min_severity or alert.is_sample:
        return False
    if rule.type.endswith("*"):
        return alert.type.startswith(rule.type[:-1])
    return alert.type == rule.type


def covered(rule: AutoRule, alert: Alert, account: Account | None) -> list[Suggestion]:
    """What the rule would do about an alert: the suggestions for it that the rule covers."""
    if account is None or account.environment not in rule.environments:
        return []
    return [
        one
        for one in suggesting.of_alert(alert, denying={account.account_id: account.deny_policy})
        if one.type in rule.action_types
        and tiers.effective(one.tier, account) <= rule.max_tier
        and one.target["account"] == account.account_id
        and not is_from_text(one, alert)
    ]


def is_from_text(one: Suggestion, alert: Alert) -> bool:
    """Whether what it aims at, or by what, is known from the alert's text alone."""
    if one.target["type"] in FROM_TEXT:
        return True
    told = {str(observable.get("value")) for observable in alert.observables}
    return any(value in told or _is_network(value) for value in _texts(one.params))


def budget_of(rule: AutoRule, *, account: str, at: datetime) -> tuple[Budget, Budget]:
    """What the rule has used of its budgets in the last hour: in all, and in the account."""
    used = Authorisation.objects.filter(rule=rule, second__gt=int(at.timestamp()) - 3600)
    waiting = AutoMatch.objects.filter(rule=rule, action__status=ActionStatus.PROPOSED, at__gt=at - HOUR)
    return (
        Budget(used=used.count(), waiting=waiting.count(), most=rule.per_hour),
        Budget(
            used=used.filter(account=account).count(),
            waiting=waiting.filter(account=account).count(),
            most=rule.per_account,
        ),
    )


@transaction.atomic
def _consider(alert: Alert, rules: Iterable[AutoRule], *, at: datetime) -> bool:
    """Decide about one alert; False when nothing more is to be looked at for now."""
    if not lock(at).is_running:
        return False
    holds.gather(at=at)
    account = account_of(alert.account)
    for rule in rules:
        if not does_fit(rule, alert):
            continue
        for one in covered(rule, alert, account):
            if account is None or not _decide(rule, alert, one, account, at=at):
                return False
    Considered.objects.update_or_create(alert=alert.ulid, defaults={"updated_at": alert.updated_at})
    return True


def _decide(rule: AutoRule, alert: Alert, one: Suggestion, account: Account, *, at: datetime) -> bool:
    """Ask for one action, or say why not; False when the budget forbids to go on now."""
    thing, finding = holds.thing_of(one.target), holds.finding_of(alert)
    why = _objection(one, account)
    if why:
        return _say(rule, alert, one, outcome="refused", detail=why, at=at)
    if hold := holds.standing(account=account.account_id, thing=thing, finding=finding):
        return _say(rule, alert, one, outcome="held", detail=hold.reason, at=at)
    same = Q(target__account=account.account_id, target__id=one.target["id"], type=one.type)
    if standing := Action.objects.filter(same, status__in=STANDING, reverts__isnull=True).first():
        return _say(rule, alert, one, outcome="already", detail=f"action {standing.ulid}", at=at)
    for budget, where in zip(
        budget_of(rule, account=account.account_id, at=at), ("", f" in {account.account_id}"), strict=True
    ):
        if budget.is_hit:
            open_breaker(rule, f"Rule {rule.name} reached {budget.most} an hour{where}", at=at)
            return False
        if budget.is_full:
            return False
    return _propose(rule, alert, one, at=at)


def _objection(one: Suggestion, account: Account) -> str:
    """Why nothing is asked for; planning and starting look at it again."""
    if account.mode != Mode.AUTO:
        return f"{account.name} is not in auto mode"
    return guardrails.objection(action_type(one.type), Target.of(one.target), account)


def _propose(rule: AutoRule, alert: Alert, one: Suggestion, *, at: datetime) -> bool:
    incident = alert.incident
    if incident is None:
        incident = triage.escalate(alerts=[alert], incident=None, by=BY, at=at)
        alert.refresh_from_db()
    try:
        with transaction.atomic():
            action = planning.propose(
                incident=incident,
                type_id=one.type,
                target=one.target,
                params=one.params,
                by=BY,
                at=at,
                reason=f"Rule {rule.name}, version {rule.version}: {one.reason}",
            )
    except Conflict:
        raise
    except AppError as refused:  # what the alert names is nothing that one could ask for
        return _say(rule, alert, one, outcome="refused", detail=refused.detail, at=at)
    return _say(rule, alert, one, outcome="proposed", detail="", at=at, action=action)


def _say(
    rule: AutoRule,
    alert: Alert,
    one: Suggestion,
    *,
    outcome: str,
    detail: str,
    at: datetime,
    action: Action | None = None,
) -> bool:
    """Write down what came of it: one row for each action, else one for each reason not to act."""
    values: dict[str, Any] = {"rule_version": rule.version, "detail": detail[:300], "at": at}
    known = {
        "rule": rule,
        "alert": alert.ulid,
        "finding": holds.finding_of(alert),
        "type": one.type,
        "account": one.target["account"],
        "thing": holds.thing_of(one.target),
        "outcome": outcome,
    }
    if action is not None:
        AutoMatch.objects.create(action=action, **known, **values)
    elif not AutoMatch.objects.filter(**known).update(**values):
        AutoMatch.objects.create(**known, **values)
    return True


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for member in value.values() for text in _texts(member)]
    if isinstance(value, list | tuple):
        return [text for member in value for text in _texts(member)]
    return [value] if isinstance(value, str) else []


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


# --- from plans to yes ---------------------------------------------------------------------------------


def authorise(action: Action) -> bool:
    """Say a rule's yes to the plan of a claimed action, if its rule still may; else it waits for a person.

    Asked in the same turn in which the worker planned it.
    """
    match = _match_of(action)
    if match is None or action.status != ActionStatus.PLANNED:
        return False
    at = clock.now()
    with transaction.atomic():
        state = lock(at)
        holds.gather(at=at)
        why = _why_not(action, match, state, at=at)
        if not why:
            why = _write_yes(action, match, at=at)
        if why:
            journal.move(action, ActionStatus.PLANNED, story=None, note=f"waits for a person: {why}"[:1000])
            AutoMatch.objects.filter(pk=match.pk).update(outcome="left", detail=why[:300])
            return False
    return True


def authority(action: Action) -> str | None:
    """Whether a rule's yes still holds, asked right before the first call; None where no rule gave one.

    What a person approved as well is a person's.
    """
    given = Authorisation.objects.filter(action=action, plan_hash=action.approved_hash)
    authorisation = given.select_related("rule").first()
    if authorisation is None or Approval.objects.filter(action=action, plan_hash=action.plan_hash).exists():
        return None
    at = clock.now()
    holds.gather(at=at)
    if hold := holds.standing(
        account=authorisation.account, thing=authorisation.thing, finding=authorisation.finding
    ):
        return f"held: {hold.reason}"
    return _no_longer(authorisation.rule, authorisation.rule_version, action, current(), at=at)


def _match_of(action: Action) -> AutoMatch | None:
    if action.reverts_id or action.requested_by_id is not None or action.requested_label != BY.label:
        return None
    return AutoMatch.objects.select_related("rule").filter(action=action).first()


def _why_not(action: Action, match: AutoMatch, state: Automation, *, at: datetime) -> str:
    rule, account = match.rule, match.account
    why = _no_longer(rule, match.rule_version, action, state, at=at)
    if why:
        return why
    if hold := holds.standing(account=account, thing=match.thing, finding=match.finding):
        return f"held: {hold.reason}"
    alert = Alert.objects.filter(ulid=match.alert).first()
    if alert is None or alert.status not in OPEN or alert.is_sample:
        return "the alert is closed"
    if alert.last_seen_at < at - settings.QUELL_AUTOMATION_STALE:
        return "the alert is stale"
    for budget in budget_of(rule, account=account, at=at):
        if budget.is_hit:
            open_breaker(rule, f"Rule {rule.name} reached {budget.most} an hour", at=at)
            return "the budget of its rule is used up"
    return ""


def _no_longer(rule: AutoRule, version: int, action: Action, state: Automation, *, at: datetime) -> str:
    """What changed since a rule asked for an action."""
    account = account_of(action.target["account"])
    if not state.is_running:
        return "automation was stopped"
    is_live = rule.approved_by_id and rule.removed_at is None and rule.expires_at > at
    if not is_live or rule.version != version:
        return f"rule {rule.name} changed or ended"
    if account is None or account.mode != Mode.AUTO:
        return "the account is not in auto mode"
    if account.environment not in rule.environments or action.tier > rule.max_tier:
        return f"rule {rule.name} does not cover it"
    if action.incident.is_exercise or action.incident.status == Phase.CLOSED:
        return "the incident is an exercise or closed"
    return ""


def _write_yes(action: Action, match: AutoMatch, *, at: datetime) -> str:
    """The authorisation and the approval by it; why not, where the database refuses."""
    rule = match.rule
    try:
        with transaction.atomic():
            Authorisation.objects.create(
                action=action,
                plan_hash=action.plan_hash,
                rule=rule,
                rule_version=match.rule_version,
                account=match.account,
                thing=match.thing,
                finding=match.finding,
                at=at,
                second=int(at.timestamp()),
            )
            journal.move(
                action,
                ActionStatus.APPROVED,
                story=Story(
                    act="action.authorised",
                    title=f"Authorised by rule {rule.name}: {planning.title_of(action)}",
                    by=BY,
                ),
                approved_hash=action.plan_hash,
                approved_at=at,
                due_at=at,
                note="",
            )
    except IntegrityError as refused:
        log.warning("automation.refused", extra={"action": action.ulid, "error": str(refused)[:200]})
        action.refresh_from_db(fields=["status", "approved_hash"])
        return "the database refused the rule's authorisation"
    AutoMatch.objects.filter(pk=match.pk).update(outcome="authorised", detail="")
    return ""


# --- the breaker ---------------------------------------------------------------------------------------


def open_breaker(rule: AutoRule, reason: str, *, at: datetime) -> bool:
    """Stop all automation because a budget is hit, and page the leads once. Inside a transaction."""
    opened = Automation.objects.filter(pk=1, breaker_opened_at__isnull=True).update(
        breaker_opened_at=at, breaker_reason=reason[:300], openings=F("openings") + 1, changed_at=at
    )
    if not opened:
        return False
    number = Automation.objects.values_list("openings", flat=True).get(pk=1)
    outbox.ring(
        kind="automation.breaker",
        subject=f"automation:{number}",
        title="Automation has stopped itself",
        detail=f"{reason}. Nothing is done by itself until a lead closes the breaker.",
        link="/automation",
        severity=90,
        to=leads(at=at, besides=rule.team_id),
        key=f"automation.breaker:{number}",
        at=at,
    )
    details = {"rule": rule.ulid, "opening": number}
    record(act="automation.breaker-opened", by=BY, at=at, on=("automation", "1"), details=details)
    return True


def leads(*, at: datetime, besides: int | None = None) -> list[int]:
    """The persons who keep rules in the teams that automation works for."""
    teams = {rule.team_id for rule in live_rules(at)} | ({besides} if besides else set())
    return [one.pk for team in sorted(teams) for one in people_who_may(Permission.KEEP_RULES, team=team)]
