"""People, the logins they use, the teams they belong to, and the keys of programs."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.crypto import salted_hmac

from lib import clock, ids


class Role(models.TextChoices):
    """What a member may do; see `identity.permissions` for the matrix."""

    VIEWER = "viewer", "Viewer"
    ANALYST = "analyst", "Analyst"
    RESPONDER = "responder", "Responder"
    APPROVER = "approver", "Approver"
    LEAD = "lead", "Lead"
    ADMIN = "admin", "Administrator"
    AUDITOR = "auditor", "Auditor"


class Person(models.Model):
    """A human being, who may have several logins. Approvals compare persons, never logins."""

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """One login of a person. A login without a person can sign in and see nothing."""

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="logins")
    epoch = models.PositiveIntegerField(default=0)
    """Raised to end every session of the login at once: a session carries a digest of it."""

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Django's digest of the password, which each session must match, with the epoch in it."""
        value = f"{self.password}\n{self.epoch}" if self.epoch else self.password
        return salted_hmac("quell.session", value, secret=secret, algorithm="sha256").hexdigest()


class Team(models.Model):
    """Whom incidents, alerts and accounts belong to."""

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in a team, whole or limited to some accounts.

    `accounts` and `ou_paths` hold account ids and OU paths as text; both empty means every account
    of the team.
    """

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)
    accounts = models.JSONField(default=list)
    ou_paths = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "team", "role"], name="one_membership_per_role")
        ]

    def __str__(self) -> str:
        return f"{self.person_id} {self.role} in {self.team_id}"


class ServiceAccount(models.Model):
    """A program that talks to Quell for a team."""

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    name = models.CharField(max_length=80, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="service_accounts")

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """One key of a service account: shown once, kept as a digest of its 256 random bits.

    `per_minute` is how many requests it may make (empty: the installation's default), `severity_ids`
    what another tool's severity numbers mean to it, as 0 to 100.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    account = models.ForeignKey(ServiceAccount, on_delete=models.CASCADE, related_name="keys")
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    per_minute = models.PositiveIntegerField(null=True)
    severity_ids = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.account} {self.ulid}"


class HookKind(models.TextChoices):
    """Which tool posts to a hook."""

    SNS = "sns", "Amazon SNS"
    WAZUH = "wazuh", "Wazuh"
    SPLUNK = "splunk", "Splunk"
    WEBHOOK = "webhook", "Webhook"


class Hook(models.Model):
    """An address with a secret in it, for senders that can set no header; kept as a digest.

    It acts for a service account, under `alerts:write` alone. `topic_arn` is the one SNS topic that it
    takes messages of; `field_map` says where a webhook's body holds what (`cases.sources.generic`).
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    kind = models.CharField(max_length=8, choices=HookKind.choices)
    account = models.ForeignKey(ServiceAccount, on_delete=models.CASCADE, related_name="hooks")
    digest = models.CharField(max_length=64, unique=True)
    topic_arn = models.CharField(max_length=300, blank=True)
    field_map = models.JSONField(default=dict)
    per_minute = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=clock.now)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.kind} {self.ulid}"


class SignInFailure(models.Model):
    """One attempt to sign in that has not succeeded; kept for as long as it counts.

    `attempted` is a keyed digest of login and address: what people type into the wrong field, often
    their password, must not end up in a table. For a second factor it is `code:` and the login's ulid.
    """

    attempted = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["attempted", "at"], name="sign_in_attempted"),
            models.Index(fields=["at"], name="sign_in_at"),
        ]

    def __str__(self) -> str:
        return f"{self.attempted[:8]} at {self.at:%H:%M:%S}"


class BrowserSession(models.Model):
    """One browser in which somebody is signed in: what its owner needs to recognise and end it."""

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="browser_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    ip = models.CharField(max_length=45, blank=True)
    browser = models.CharField(max_length=200, blank=True)
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id} {self.ulid}"


class RecoveryCode(models.Model):
    """A code that stands in for a lost second factor, once; kept as a keyed digest."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64, unique=True)
    made_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.user_id} {self.digest[:8]}"


class LastStep(models.Model):
    """The newest time step of which a login used a code: that code, and older ones, open nothing again."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="last_step", primary_key=True)
    step = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.user_id} {self.step}"
