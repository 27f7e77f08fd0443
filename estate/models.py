"""The ground: AWS accounts, the OU tree, and how Quell gets into each account."""

from __future__ import annotations

from django.db import models

from identity.models import Team
from lib import ids


class OrganizationalUnit(models.Model):
    """A node of the organization's tree, named by its whole path (`Root/Production`).

    Its accounts are used from `allowed_countries` (ISO 3166 alpha-2) and `allowed_networks` (CIDR) only,
    where it or a unit above it names any.
    """

    path = models.CharField(max_length=400, unique=True)
    ou_id = models.CharField(max_length=80, blank=True)
    allowed_countries = models.JSONField(default=list)
    allowed_networks = models.JSONField(default=list)

    def __str__(self) -> str:
        return self.path


class Environment(models.TextChoices):
    """What an account is used for; priority and tiers depend on it."""

    PRODUCTION = "production", "Production"
    STAGING = "staging", "Staging"
    DEVELOPMENT = "development", "Development"
    SANDBOX = "sandbox", "Sandbox"
    SECURITY = "security", "Security"
    MANAGEMENT = "management", "Management"


class Mode(models.TextChoices):
    """How far containment may go in an account."""

    OBSERVE = "observe", "Observe: plans only"
    APPROVE = "approve", "Approve: a person approves each plan"
    AUTO = "auto", "Auto: pre-authorised rules may act"


class Trust(models.TextChoices):
    """How much an account grants the responder, each level with what stands before it (DESIGN §6)."""

    READ = "read", "Read"
    EVIDENCE = "evidence", "Evidence"
    CONTAIN = "contain", "Contain, without writing IAM documents"
    CONTAIN_IAM = "contain-iam", "Contain, IAM documents included"
    ORGANIZATION = "organization", "Organization"


class Account(models.Model):
    """One AWS account, with the roles that Quell assumes there and the external id they demand.

    `break_glass` are ARNs of roles and users that no containment may hit; `deny_policy` the ARN of a
    pre-deployed policy that denies everything, for accounts that let Quell attach it but write none.

    `allowed_countries` and `allowed_networks` say from where it is used, before what its unit says;
    where neither says anything, any place is as good as another.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    account_id = models.CharField(max_length=12, unique=True)
    name = models.CharField(max_length=120)
    partition = models.CharField(max_length=12, default="aws")
    ou = models.ForeignKey(OrganizationalUnit, on_delete=models.PROTECT, null=True, related_name="accounts")
    environment = models.CharField(max_length=12, choices=Environment.choices, default=Environment.PRODUCTION)
    is_critical = models.BooleanField(default=False)
    is_protected = models.BooleanField(default=False)
    owner = models.CharField(max_length=120, blank=True)
    security_contact = models.CharField(max_length=200, blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="accounts")
    regions = models.JSONField(default=list)
    tags = models.JSONField(default=dict)
    allowed_countries = models.JSONField(default=list)
    allowed_networks = models.JSONField(default=list)
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.OBSERVE)
    external_id = models.CharField(max_length=120, blank=True)
    read_role = models.CharField(max_length=200, blank=True)
    evidence_role = models.CharField(max_length=200, blank=True)
    contain_role = models.CharField(max_length=200, blank=True)
    organization_role = models.CharField(max_length=200, blank=True)
    break_glass = models.JSONField(default=list)
    trust = models.CharField(max_length=12, choices=Trust.choices, default=Trust.ORGANIZATION)
    deny_policy = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.account_id})"
