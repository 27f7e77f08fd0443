"""Automation's rows: rules that two persons stand behind, what they authorised, what is held, the switch."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from cases.models import Action
from identity.models import Person, Team
from lib import clock, ids


class AutoRule(models.Model):
    """What may be done without asking, and how often. Live when a second person approved this `version`.

    `type` may end in `*`. `environments` and `action_types` list what it covers; nothing listed covers
    nothing. `per_hour` and `per_account` are how many actions it may authorise in any hour, in all and in
    one account. Every change is a new version, which somebody else than its writer has to approve.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="auto_rules")
    name = models.CharField(max_length=120)
    type = models.CharField(max_length=200)
    min_severity = models.PositiveSmallIntegerField()
    environments = models.JSONField(default=list)
    action_types = models.JSONField(default=list)
    max_tier = models.PositiveSmallIntegerField(default=1)
    per_hour = models.PositiveSmallIntegerField()
    per_account = models.PositiveSmallIntegerField()
    version = models.PositiveIntegerField(default=1)
    written_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    approved_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "name"], condition=Q(removed_at__isnull=True), name="one_auto_rule_per_name"
            ),
            models.CheckConstraint(condition=Q(max_tier__lte=2), name="auto_rule_never_tier_3"),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("written_by")),
                name="auto_rule_second_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Automation(models.Model):
    """The one row that says whether automation runs: the kill switch and the breaker.

    `openings` counts how often the breaker opened, so that each opening is a cause of its own.
    `read_seq` is how far the ledger was read for dismissals and undos.
    """

    stopped_at = models.DateTimeField(null=True)
    stopped_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    stop_reason = models.CharField(max_length=500, blank=True)
    breaker_opened_at = models.DateTimeField(null=True)
    breaker_reason = models.CharField(max_length=300, blank=True)
    openings = models.PositiveIntegerField(default=0)
    read_seq = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_automation")]

    def __str__(self) -> str:
        return "running" if self.is_running else "stopped"

    @property
    def is_running(self) -> bool:
        """Whether rules may authorise anything."""
        return self.stopped_at is None and self.breaker_opened_at is None


class Authorisation(models.Model):
    """A rule's yes to one plan; append-only. The database checks it against rule, action and budget.

    `second` is `at` in whole seconds since 1970: what both engines count an hour with.
    """

    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="authorisations")
    plan_hash = models.CharField(max_length=64)
    rule = models.ForeignKey(AutoRule, on_delete=models.PROTECT, related_name="authorisations")
    rule_version = models.PositiveIntegerField()
    account = models.CharField(max_length=12)
    thing = models.CharField(max_length=300)
    finding = models.CharField(max_length=200)
    at = models.DateTimeField()
    second = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["action", "plan_hash"], name="one_authorisation_per_plan")
        ]
        indexes = [models.Index(fields=["rule", "second"], name="authorisation_budget")]

    def __str__(self) -> str:
        return f"{self.rule_id} for {self.action_id}"


class Hold(models.Model):
    """Automation leaves one thing alone where it is about one finding type, until a person releases it.

    `cause` is what led to it: `alert:ULID:EPISODE` for a dismissal, `action:ULID` for an undo.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="+")
    account = models.CharField(max_length=12)
    thing = models.CharField(max_length=300)
    finding = models.CharField(max_length=200)
    reason = models.CharField(max_length=200)
    cause = models.CharField(max_length=60)
    placed_by = models.CharField(max_length=150)
    placed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    release_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cause", "account", "thing", "finding"], name="one_hold_per_cause"
            )
        ]
        indexes = [
            models.Index(
                fields=["account", "thing", "finding"],
                name="hold_standing",
                condition=Q(released_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.thing} for {self.finding}"


class Considered(models.Model):
    """How far automation has looked at an alert: again only when the alert has changed since."""

    alert = models.CharField(max_length=26, unique=True)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.alert


class AutoMatch(models.Model):
    """What a rule made of one alert and one thing, the last time it looked: asked for, or why not."""

    rule = models.ForeignKey(AutoRule, on_delete=models.PROTECT, related_name="matches")
    rule_version = models.PositiveIntegerField()
    alert = models.CharField(max_length=26)
    finding = models.CharField(max_length=200)
    type = models.CharField(max_length=60)
    account = models.CharField(max_length=12)
    thing = models.CharField(max_length=300)
    action = models.OneToOneField(Action, on_delete=models.PROTECT, null=True, related_name="auto_match")
    outcome = models.CharField(max_length=10)
    detail = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["rule", "-at"], name="auto_match_of_rule"),
            models.Index(fields=["account", "thing", "type"], name="auto_match_of_thing"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.type} {self.thing}"
