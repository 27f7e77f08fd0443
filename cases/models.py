"""The record: alerts, incidents, their milestones and timeline, and the rows of actions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from cases import words
from identity.models import Person, Team
from lib import clock, ids


class Alert(models.Model):
    """One detection, normalised. A repeat of the same finding updates the row, never adds one.

    `severity` is what counts: the worst that was told (`told_severity`), moved by `severity_shift`
    (rules). `labels` are the AWS tags that documents told, `places` where addresses are, as documents
    told; `context` is what enrichment found out. `richness` and `worded_at` are the rank and the moment of
    the document that the words are from. `resolved_at` is when its source called it over. `episode_after`
    is when the episode before this one ended.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    source = models.CharField(max_length=40)
    external_id = models.CharField(max_length=300)
    finding_key = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - unique where there is one
    fingerprint = models.CharField(max_length=64)
    title = models.CharField(max_length=500)
    summary = models.TextField(blank=True)
    severity = models.PositiveSmallIntegerField()
    severity_band = models.CharField(max_length=14, choices=words.choices(words.Band))
    type = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=12, blank=True)
    region = models.CharField(max_length=30, blank=True)
    # No index of its own: SQLite would take it for the queue and then sort every row of the team.
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="alerts", db_index=False)
    resources = models.JSONField(default=list)
    observables = models.JSONField(default=list)
    techniques = models.JSONField(default=list)
    tags = models.JSONField(default=list)
    labels = models.JSONField(default=dict)
    places = models.JSONField(default=list)
    link = models.CharField(max_length=2000, blank=True)
    richness = models.PositiveSmallIntegerField(default=0)
    worded_at = models.DateTimeField(null=True)
    told_severity = models.PositiveSmallIntegerField(null=True)
    severity_shift = models.SmallIntegerField(default=0)
    correlation_key = models.CharField(max_length=64, blank=True)
    context = models.JSONField(default=dict)
    owner = models.CharField(max_length=120, blank=True)
    environment = models.CharField(max_length=12, blank=True)
    criticality = models.CharField(max_length=40, blank=True)
    data_class = models.CharField(max_length=40, blank=True)
    suppressed_by = models.ForeignKey(
        "TriageRule", on_delete=models.PROTECT, null=True, related_name="suppressed", db_index=False
    )
    first_seen_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField()
    detected_at = models.DateTimeField()
    received_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    episode = models.PositiveIntegerField(default=1)
    episode_after = models.DateTimeField(null=True)
    status = models.CharField(
        max_length=12, choices=words.choices(words.AlertStatus), default=words.AlertStatus.NEW
    )
    verdict = models.CharField(max_length=16, choices=words.choices(words.Verdict), blank=True)
    verdict_reason = models.CharField(max_length=500, blank=True)
    is_sample = models.BooleanField(default=False)
    is_archived = models.BooleanField(default=False)
    resolved_at = models.DateTimeField(null=True)
    incident = models.ForeignKey("Incident", on_delete=models.PROTECT, null=True, related_name="alerts")
    assignee = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="alerts")
    acknowledged_at = models.DateTimeField(null=True)
    dismissed_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="one_alert_per_external_id"),
            models.CheckConstraint(condition=Q(severity__lte=100), name="alert_severity_0_to_100"),
        ]
        indexes = [
            # The queue's default order, over what is still open.
            models.Index(
                fields=["-severity", "-last_seen_at", "-id"],
                name="alert_queue",
                condition=Q(status__in=["new", "acknowledged"]),
            ),
            models.Index(fields=["-severity", "-last_seen_at", "-id"], name="alert_order"),
            models.Index(fields=["due_at"], name="alert_due", condition=Q(due_at__isnull=False)),
            # What is severe overtakes a backlog (`cases.sweeps`).
            models.Index(
                fields=["-severity", "due_at"],
                name="alert_urgent",
                condition=Q(due_at__isnull=False, severity__gte=70),
            ),
            models.Index(fields=["fingerprint", "-detected_at"], name="alert_seen_before"),
            models.Index(fields=["account", "type"], name="alert_account_type"),
            models.Index(
                fields=["team", "correlation_key", "-detected_at"],
                name="alert_correlation",
                condition=~Q(correlation_key=""),
            ),
            models.Index(fields=["-received_at"], name="alert_received"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.external_id}"


class RawDocument(models.Model):
    """A document as it arrived, kept once per content beside the alert it became.

    `source` is what it was read as, `door` how it came (`api`, `ingest`, `sns`, `sqs`, `thehive` …).
    """

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="documents")
    digest = models.CharField(max_length=64)
    body = models.JSONField()
    source = models.CharField(max_length=40, blank=True)
    door = models.CharField(max_length=40, blank=True)
    received_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-received_at"], name="document_received")]
        constraints = [models.UniqueConstraint(fields=["alert", "digest"], name="one_copy_per_content")]

    def __str__(self) -> str:
        return self.digest


class Quarantined(models.Model):
    """Bytes that could not be read, and why. Kept once per content; can be replayed, or put aside.

    Waits until one of `replayed_at` and `discarded_at` is set; `settled_by` names who did it.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    source = models.CharField(max_length=40)
    digest = models.CharField(max_length=64)
    body = models.BinaryField()
    reason = models.CharField(max_length=300)
    pointer = models.CharField(max_length=300, blank=True)
    received_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    door = models.CharField(max_length=40, blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT)
    replayed_at = models.DateTimeField(null=True)
    discarded_at = models.DateTimeField(null=True)
    discard_reason = models.CharField(max_length=500, blank=True)
    settled_by = models.CharField(max_length=80, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["-received_at"], name="quarantine_received"),
            models.Index(
                fields=["-received_at", "-id"],
                name="quarantine_waiting",
                condition=Q(replayed_at__isnull=True, discarded_at__isnull=True),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["source", "digest"], name="one_quarantine_per_content")
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.reason}"


class IncidentCounter(models.Model):
    """The last number given in a year."""

    year = models.PositiveSmallIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.year}: {self.last}"


class Incident(models.Model):
    """The file that gathers alerts, work, actions and timestamps of one security event.

    The milestone columns hold the current values; `Milestone` rows hold where each came from.
    """

    ref = models.CharField(max_length=20, unique=True)
    external_id = models.CharField(max_length=200, null=True, unique=True)  # noqa: DJ001 - as above
    title = models.CharField(max_length=500)
    summary = models.TextField(blank=True)
    severity = models.PositiveSmallIntegerField()
    severity_band = models.CharField(max_length=14, choices=words.choices(words.Band))
    highest_severity = models.PositiveSmallIntegerField()
    priority = models.PositiveSmallIntegerField(default=3)
    status = models.CharField(max_length=12, choices=words.choices(words.Phase), default=words.Phase.TRIAGE)
    kind = models.CharField(max_length=60, blank=True)
    account = models.CharField(max_length=12, blank=True)
    owner = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="incidents")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="incidents")
    tlp = models.CharField(
        max_length=16, choices=[(t.value, t.value) for t in words.Tlp], default=words.Tlp.AMBER
    )
    is_exercise = models.BooleanField(default=False)
    is_restricted = models.BooleanField(default=False)
    named = models.ManyToManyField(Person, related_name="restricted_incidents", blank=True)
    verdict = models.CharField(max_length=16, choices=words.choices(words.Verdict), blank=True)
    resolution = models.TextField(blank=True)
    told_by = models.CharField(max_length=20, default="own_control")
    impact = models.TextField(blank=True)
    custom_fields = models.JSONField(default=dict)
    external_refs = models.JSONField(default=list)
    opened_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    reopened = models.PositiveSmallIntegerField(default=0)
    attacker_access_at = models.DateTimeField(null=True)
    first_ioc_at = models.DateTimeField(null=True)
    detected_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    prioritised_at = models.DateTimeField(null=True)
    responded_at = models.DateTimeField(null=True)
    contained_at = models.DateTimeField(null=True)
    eradicated_at = models.DateTimeField(null=True)
    recovered_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    first_contained_at = models.DateTimeField(null=True)
    contained_basis = models.CharField(max_length=12, choices=words.choices(words.Basis), blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(severity__lte=100), name="incident_severity_0_to_100")
        ]
        indexes = [
            models.Index(fields=["detected_at"], name="incident_cohort"),
            models.Index(fields=["status", "-severity", "-opened_at"], name="incident_order"),
        ]

    def __str__(self) -> str:
        return self.ref


class Milestone(models.Model):
    """One statement about when something happened; append-only, the newest of a kind counts.

    `at` is empty when the statement withdraws an earlier one. `seq` orders statements of one
    incident, not the clock.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="milestones")
    kind = models.CharField(max_length=20, choices=words.choices(words.MilestoneKind))
    at = models.DateTimeField(null=True)
    estimated = models.BooleanField(default=False)
    not_before = models.DateTimeField(null=True)
    not_after = models.DateTimeField(null=True)
    source = models.CharField(max_length=10, choices=words.choices(words.MilestoneSource))
    basis = models.CharField(max_length=12, blank=True)
    actor = models.CharField(max_length=80)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField()
    supersedes = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    text_digest = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = [models.Index(fields=["incident", "kind", "-id"], name="milestone_latest")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.incident_id}"


class MilestoneText(models.Model):
    """Reason and evidence of a milestone: outside the append-only row, so that it can be redacted."""

    milestone = models.OneToOneField(Milestone, on_delete=models.CASCADE, related_name="text")
    salt = models.CharField(max_length=32)
    reason = models.TextField(blank=True)
    evidence = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"text of {self.milestone_id}"


class TimelineEntry(models.Model):
    """One thing that happened, at its own time; append-only."""

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="timeline")
    kind = models.CharField(max_length=40)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10)
    actor = models.CharField(max_length=80)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    links = models.JSONField(default=dict)
    techniques = models.JSONField(default=list)
    text_digest = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["incident", "-at", "-id"], name="timeline_order")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.incident_id}"


class TimelineText(models.Model):
    """The words of a timeline entry: outside the append-only row, so that they can be redacted."""

    entry = models.OneToOneField(TimelineEntry, on_delete=models.CASCADE, related_name="text")
    salt = models.CharField(max_length=32)
    title = models.CharField(max_length=500)
    detail = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"text of {self.entry_id}"


class TriageRule(models.Model):
    """What to do by itself with alerts that fit; the first fitting rule of each effect, by `position`.

    `type` may end in `*`; empty fits every type. `conditions` narrows further and is read by
    `cases.rules`. What an effect needs: `open` gathers by `group_by` within `window`; `suppress` has a
    reason and an end; `route` a team; `adjust` a shift of -100 to 100.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    name = models.CharField(max_length=120)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="rules")
    effect = models.CharField(
        max_length=10, choices=words.choices(words.RuleEffect), default=words.RuleEffect.OPEN
    )
    position = models.PositiveIntegerField(default=100)
    source = models.CharField(max_length=40, blank=True)
    type = models.CharField(max_length=200, blank=True)
    min_severity = models.PositiveSmallIntegerField(default=0)
    max_severity = models.PositiveSmallIntegerField(default=100)
    conditions = models.JSONField(default=dict)
    window = models.DurationField()
    group_by = models.CharField(
        max_length=10, choices=words.choices(words.GroupBy), default=words.GroupBy.SUBJECT
    )
    shift = models.SmallIntegerField(default=0)
    route_to = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=500, blank=True)
    expires_at = models.DateTimeField(null=True)
    is_on = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=80, blank=True)
    changed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="one_rule_per_name"),
            models.CheckConstraint(
                condition=~Q(effect="suppress") | Q(expires_at__isnull=False), name="suppression_ends"
            ),
            models.CheckConstraint(
                condition=~Q(effect="route") | Q(route_to__isnull=False), name="route_has_a_team"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Heard(models.Model):
    """When a source last spoke for an account and region, whether or not it said anything alarming.

    `silent_after` is how long it may say nothing; empty where silence means nothing. `alarmed_at` is
    when its silence was last made an alert, until it is heard again. `first_at` is empty for what was
    expected and never heard.
    """

    source = models.CharField(max_length=40)
    account = models.CharField(max_length=12, blank=True)
    region = models.CharField(max_length=30, blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT)
    expected_since = models.DateTimeField(null=True)
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    silent_after = models.DurationField(null=True)
    alarmed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "account", "region", "team"], name="heard_once")
        ]
        indexes = [models.Index(fields=["account", "region"], name="heard_place")]

    def __str__(self) -> str:
        return f"{self.source} of {self.account} in {self.region}"


class SourceHour(models.Model):
    """What came of a source in one hour, counted from rows that are committed, for health pages.

    Latency is detection to receipt, in whole milliseconds, of documents that gave a time.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT)
    source = models.CharField(max_length=40)
    hour = models.DateTimeField()
    documents = models.PositiveIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)
    latency_count = models.PositiveIntegerField(default=0)
    latency_sum_ms = models.BigIntegerField(default=0)
    latency_max_ms = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "source", "hour"], name="one_hour_of_source")]

    def __str__(self) -> str:
        return f"{self.source} at {self.hour:%Y-%m-%d %H}"


class IdempotentAnswer(models.Model):
    """What was answered to a request with an `Idempotency-Key`, kept for a while.

    `principal` is who asked (`key:ulid`, `person:ulid`, `hook:ulid`), `route` a name of ours. `digest` is
    that of the body: the same key with another body is refused.
    """

    principal = models.CharField(max_length=80)
    route = models.CharField(max_length=60)
    key = models.CharField(max_length=300)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["principal", "route", "key"], name="one_answer_per_key")
        ]
        indexes = [models.Index(fields=["at"], name="idempotent_at")]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"


class TopicSubscription(models.Model):
    """An SNS topic that asks to be confirmed, over a hook that names that topic.

    Confirmed by `sns:ConfirmSubscription` from the worker that may call AWS, never by opening an
    address out of the message.
    """

    hook = models.ForeignKey("identity.Hook", on_delete=models.CASCADE, related_name="subscriptions")
    topic_arn = models.CharField(max_length=300)
    token = models.CharField(max_length=2000)
    received_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    subscription_arn = models.CharField(max_length=400, blank=True)
    failure = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hook", "topic_arn"], name="one_subscription")]
        indexes = [
            models.Index(fields=["due_at"], name="subscription_due", condition=Q(due_at__isnull=False))
        ]

    def __str__(self) -> str:
        return self.topic_arn


class Action(models.Model):
    """One measure on one target. Written by `containment` only, its status only through `move`.

    `keeper` is whose it is to look again at `review_at`, since somebody decided that it stays; closing an
    incident decides that too (`cases.triage`). `incident` changes only when it is handed over.
    `owner`, `lease_until` and `fence` say which worker holds it; every journal write carries both
    owner and fence. `due_at` is when a worker should look at it next.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="actions")
    type = models.CharField(max_length=60)
    target = models.JSONField()
    params = models.JSONField(default=dict)
    category = models.CharField(max_length=12)
    tier = models.PositiveSmallIntegerField()
    status = models.CharField(
        max_length=10, choices=words.choices(words.ActionStatus), default=words.ActionStatus.PROPOSED
    )
    contract = models.PositiveSmallIntegerField(default=1)
    plan = models.JSONField(null=True)
    plan_hash = models.CharField(max_length=64, blank=True)
    approved_hash = models.CharField(max_length=64, blank=True)
    affects = models.JSONField(default=dict)
    preflight = models.JSONField(default=list)
    drift = models.JSONField(default=list)
    does_not_stop = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    note = models.TextField(blank=True)
    requested_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    requested_label = models.CharField(max_length=80)
    requested_at = models.DateTimeField()
    planned_at = models.DateTimeField(null=True)
    approved_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)
    alarm = models.CharField(max_length=300, blank=True)
    reverted_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    review_at = models.DateTimeField(null=True)
    keeper = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    reverts = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reversions")
    owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    verify_by = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="action_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["status", "review_at"], name="action_in_force"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.ulid}"

    def move(self, to: words.ActionStatus, *, owner: str | None = None, **values: object) -> bool:
        """Change the status, and other columns with it, if the row is still as it was read.

        The row must have the status, and where `owner` is given the owner and fence, that this
        object was read with. False, with nothing changed, when someone was faster. Refuses a step
        that the life cycle does not have (`ValueError`).
        """
        if to not in TRANSITIONS[words.ActionStatus(self.status)]:
            raise ValueError(f"an action does not go from {self.status} to {to}")
        held = {"owner": owner, "fence": self.fence} if owner is not None else {}
        values = {"status": to, "updated_at": clock.now(), **values}
        rows = type(self).objects.filter(pk=self.pk, status=self.status, **held).update(**values)
        if rows != 1:
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True


_S = words.ActionStatus
TRANSITIONS: dict[words.ActionStatus, frozenset[words.ActionStatus]] = {
    _S.PROPOSED: frozenset({_S.PLANNED, _S.REFUSED, _S.WITHDRAWN, _S.EXPIRED}),
    _S.PLANNED: frozenset({_S.APPROVED, _S.PLANNED, _S.REJECTED, _S.EXPIRED, _S.WITHDRAWN, _S.REFUSED}),
    _S.APPROVED: frozenset(
        {_S.APPLYING, _S.DRIFTED, _S.PLANNED, _S.REFUSED, _S.FAILED, _S.EXPIRED, _S.WITHDRAWN}
    ),
    _S.APPLYING: frozenset({_S.APPLIED, _S.FAILED, _S.PARTIAL, _S.UNKNOWN, _S.DRIFTED, _S.CONFLICT}),
    _S.DRIFTED: frozenset({_S.APPROVED, _S.DRIFTED, _S.PLANNED, _S.REJECTED, _S.EXPIRED, _S.WITHDRAWN}),
    _S.APPLIED: frozenset({_S.VERIFIED, _S.REVERTED, _S.UNKNOWN, _S.PARTIAL, _S.FAILED, _S.REVERTING}),
    _S.VERIFIED: frozenset({_S.UNKNOWN, _S.REVERTING}),
    _S.PARTIAL: frozenset({_S.REVERTING, _S.VERIFIED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.VERIFIED, _S.REVERTED, _S.PARTIAL, _S.FAILED, _S.REVERTING}),
    _S.REVERTING: frozenset({_S.REVERTED, _S.CONFLICT, _S.PARTIAL, _S.UNKNOWN, _S.VERIFIED, _S.APPLIED}),
    _S.CONFLICT: frozenset({_S.REVERTING, _S.REVERTED, _S.UNKNOWN}),
    _S.FAILED: frozenset(),
    _S.REFUSED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.WITHDRAWN: frozenset(),
    _S.REVERTED: frozenset(),
}


class Evidence(models.Model):
    """One artefact, or the finding that there is none (`absent` says why, and there is no file).

    Append-only, written by `cases.evidence` only; the content lies in the evidence store under its
    `sha256`. `source` is the ARN or the call it is from, or where a person says to have it from. An
    action's step has one at most.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="evidence")
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=100)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.BigIntegerField(default=0)
    absent = models.CharField(max_length=300, blank=True)
    source = models.CharField(max_length=500)
    account = models.CharField(max_length=12, blank=True)
    region = models.CharField(max_length=30, blank=True)
    tool = models.CharField(max_length=80)
    tool_version = models.CharField(max_length=40)
    is_sensitive = models.BooleanField(default=False)
    collected_at = models.DateTimeField()
    collected_by = models.CharField(max_length=80)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.ForeignKey(Action, on_delete=models.PROTECT, null=True, related_name="evidence")
    step = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["action", "step"],
                name="one_artefact_per_step",
                condition=Q(action__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(sha256="", size=0) ^ Q(absent=""), name="evidence_has_a_file_or_says_why_not"
            ),
        ]
        indexes = [models.Index(fields=["incident", "-id"], name="evidence_of_incident")]

    def __str__(self) -> str:
        return f"{self.name} of {self.incident_id}"


class Custody(models.Model):
    """One thing that was done with an artefact; append-only.

    `what` is one of `cases.words.CustodyAct`. `digest` is the SHA-256 that the artefact is kept under,
    `detail` what came of it.
    """

    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT, related_name="custody")
    at = models.DateTimeField()
    what = models.CharField(max_length=10, choices=words.choices(words.CustodyAct))
    actor_kind = models.CharField(max_length=10)
    actor = models.CharField(max_length=80)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    ip = models.CharField(max_length=45, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["evidence", "id"], name="custody_order")]

    def __str__(self) -> str:
        return f"{self.what} {self.evidence_id}"
