"""Who works in the demo, which accounts they look after, and the one rule that is on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import authenticate
from django.db import transaction

from audit.models import AuditEvent
from audit.record import record
from cases.models import TriageRule
from estate.models import Account, Environment, Mode, OrganizationalUnit
from identity.actors import Actor
from identity.models import Membership, Person, Role, Team, User
from lib.errors import Conflict
from soc.demo.simulator import Json

LOADED = "demo-loaded"
RULE = "Open an incident for severe GuardDuty findings"
PROTECTED = (Environment.MANAGEMENT, Environment.SECURITY)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One sign-in of the demo."""

    login: str
    name: str
    team: str
    roles: tuple[Role, ...]


MEMBERS = (
    Member(login="analyst", name="Ana Moreira", team="blue", roles=(Role.ANALYST,)),
    Member(login="responder", name="Rui Tavares", team="blue", roles=(Role.RESPONDER,)),
    Member(login="approver", name="Lea Brandt", team="blue", roles=(Role.APPROVER,)),
    Member(login="lead", name="Mika Halonen", team="blue", roles=(Role.LEAD,)),
    Member(login="admin", name="Tomas Okafor", team="blue", roles=(Role.ADMIN,)),
    Member(
        login="outsider", name="Jun Petersen", team="other", roles=(Role.ANALYST, Role.RESPONDER, Role.LEAD)
    ),
)


@transaction.atomic
def load(*, estate: Json, password: str, by: Actor, at: datetime) -> bool:
    """Teams, sign-ins, accounts and the rule. False when all is there; then passwords are kept up to date.

    Raises `Conflict` where people work who are not of the demo.
    """
    if AuditEvent.objects.filter(act=LOADED).exists():
        _keep_passwords(password)
        return False
    if User.objects.exists():
        raise Conflict("This installation has people of its own; the demo needs a data directory to itself.")
    teams = {
        slug: Team.objects.get_or_create(slug=slug, defaults={"name": f"{slug.capitalize()} team"})[0]
        for slug in ("blue", "other")
    }
    for member in MEMBERS:
        _join(member, team=teams[member.team], password=password)
    for described in estate["accounts"]:
        _register(described, team=teams["blue"])
    TriageRule.objects.create(
        name=RULE,
        team=teams["blue"],
        source="guardduty",
        min_severity=70,
        window=timedelta(days=1),
        is_on=True,
    )
    details = {"people": len(MEMBERS), "accounts": len(estate["accounts"])}
    record(act=LOADED, by=by, at=at, on=("team", teams["blue"].ulid), details=details)
    return True


def _join(member: Member, *, team: Team, password: str) -> None:
    """A person and their login. The password may be as short as whoever started the demo wishes."""
    email = f"{member.login}@northgatefreight.example"
    person = Person.objects.create(name=member.name, email=email)
    user = User(username=member.login, email=email, person=person)
    user.set_password(password)
    user.save()
    Membership.objects.bulk_create(Membership(person=person, team=team, role=role) for role in member.roles)


def _keep_passwords(password: str) -> None:
    """The password may be given anew at each start."""
    for user in User.objects.filter(username__in=[member.login for member in MEMBERS]):
        if authenticate(username=user.username, password=password) is None:
            user.set_password(password)
            user.save(update_fields=["password"])


def _register(described: Json, *, team: Team) -> None:
    environment = Environment(described["environment"])
    roles = described["roles"]
    is_management = environment == Environment.MANAGEMENT
    Account.objects.create(
        account_id=described["id"],
        name=described["name"],
        ou=OrganizationalUnit.objects.get_or_create(path=described["ou_path"])[0],
        environment=environment,
        is_critical=described["criticality"] == "critical",
        is_protected=environment in PROTECTED,
        owner=described["owner"],
        security_contact=described["security_contact"],
        team=team,
        regions=described["regions"],
        tags=described.get("tags", {}),
        mode=Mode.APPROVE,
        external_id=described["external_id"],
        read_role=roles.get("read", ""),
        evidence_role=roles.get("evidence", ""),
        contain_role=roles.get("contain", ""),
        # Only the management account can act on the organization.
        organization_role=roles.get("organization", "") if is_management else "",
    )
