"""Factories: plain functions with types, real rows, and sensible values for whatever is not named.

People and teams come as the frozen `Actor` that use-cases take. `browser(actor)` is that person's
signed-in browser, `program(secret)` a program with that key.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.test import Client

from cases import milestones as record_of_times
from cases.models import Alert, Heard, Incident, Quarantined, TriageRule
from cases.words import AlertStatus, Band, Basis, MilestoneKind, MilestoneSource, Phase
from containment.automation_models import Automation, AutoRule, Hold
from estate.models import Account, Environment, Mode, OrganizationalUnit
from identity import keys, sessions
from identity.actors import SYSTEM, Actor, of_user
from identity.models import Membership, Person, Role, Team, User
from identity.permissions import KEY_SCOPES
from identity.requests import SIGNED_IN_AT
from lib import canonical, clock
from notify.models import InboxItem, Notice

PASSWORD = "correct-horse-battery-staple"
ACCOUNT = "111122223333"

_numbers = itertools.count(1)


def team(slug: str = "blue") -> Team:
    """The team of that name, made at first use."""
    return Team.objects.get_or_create(slug=slug, defaults={"name": f"{slug.capitalize()} team"})[0]


_team = team  # the parameters of the same name, below, hold a team's slug


def person(
    *roles: Role | str,
    login: str = "",
    team: str = "blue",
    accounts: Iterable[str] = (),
    ou_paths: Iterable[str] = (),
    password: str = "",
) -> Actor:
    """A person with those roles in a team, and one login of theirs."""
    login = login or f"{'-'.join(str(role) for role in roles) or 'nobody'}-{next(_numbers)}"
    who = Person.objects.create(name=login.replace("-", " ").title(), email=f"{login}@example.com")
    for role in roles:
        Membership.objects.create(
            person=who,
            team=_team(team),
            role=str(role),
            accounts=sorted(accounts),
            ou_paths=sorted(ou_paths),
        )
    return of_user(user(login, person=who, password=password))


def user(login: str, *, person: Person | None = None, password: str = "") -> User:
    """One more login; without a password it can only be signed in by `browser`."""
    made = User(username=login, person=person)
    if password:
        made.set_password(password)
    else:
        made.set_unusable_password()
    made.save()
    return made


def browser(actor: Actor, *, signed_in_at: datetime | None = None) -> Client:
    """A browser in which this person signed in, just now unless said otherwise, and which is listed."""
    client, login = Client(), User.objects.get(username=actor.label)
    client.force_login(login)
    session = client.session
    session[SIGNED_IN_AT] = (signed_in_at or clock.now()).isoformat()
    session.save()
    sessions.seen(user=login, key=str(session.session_key), ip="127.0.0.1", browser="", at=clock.now())
    return client


def key(*scopes: str, name: str = "", team: str = "blue", expires_at: datetime | None = None) -> str:
    """The secret of a new API key; with every scope unless some are named."""
    made = keys.create(
        name=name or f"program-{next(_numbers)}",
        team=_team(team),
        scopes=frozenset(scopes) or KEY_SCOPES,
        by=SYSTEM,
        at=clock.now(),
        expires_at=expires_at,
    )
    return made.secret


def program(secret: str) -> Client:
    """A program that sends this key with every request."""
    return Client(headers={"Authorization": f"Bearer {secret}"})


def account(
    account_id: str = ACCOUNT,
    *,
    team: str = "blue",
    name: str = "",
    environment: Environment = Environment.PRODUCTION,
    mode: Mode = Mode.APPROVE,
    ou_path: str = "Root/Production",
    **values: Any,
) -> Account:
    """An account that granted Quell its four roles."""
    role = f"arn:aws:iam::{account_id}:role/quell-"
    given = {
        "name": name or f"account-{account_id[-4:]}",
        "environment": environment,
        "mode": mode,
        "regions": ["eu-west-1"],
        "external_id": f"test-{account_id}",
        "read_role": f"{role}read",
        "evidence_role": f"{role}evidence",
        "contain_role": f"{role}contain",
        "organization_role": "",
        **values,
    }
    ou = OrganizationalUnit.objects.get_or_create(path=ou_path)[0]
    return Account.objects.create(account_id=account_id, team=_team(team), ou=ou, **given)


def alert(
    *,
    team: str = "blue",
    incident: Incident | None = None,
    severity: int = 80,
    at: datetime | None = None,
    **values: Any,
) -> Alert:
    """A new alert, detected half an hour ago unless `at` says when. With an incident it is escalated."""
    number = next(_numbers)
    at = at or clock.now() - timedelta(minutes=30)
    given = {
        "source": "guardduty",
        "external_id": f"finding-{number}",
        "title": f"Test finding {number}",
        "type": "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
        "account": ACCOUNT,
        "region": "eu-west-1",
        "first_seen_at": at - timedelta(minutes=5),
        "last_seen_at": at,
        "detected_at": at,
        "received_at": at + timedelta(seconds=20),
        "updated_at": at + timedelta(seconds=20),
        "status": AlertStatus.ESCALATED if incident else AlertStatus.NEW,
        "due_at": None,
        **values,
    }
    return Alert.objects.create(
        severity=severity,
        severity_band=Band.of(severity),
        fingerprint=canonical.sha256([given["source"], given["external_id"]]),
        team=_team(team),
        incident=incident,
        **given,
    )


def rule(*, team: str = "blue", **values: Any) -> TriageRule:
    """A rule, switched off unless said otherwise; of the effect open unless named."""
    given = {"name": f"Rule {next(_numbers)}", "window": timedelta(days=1), **values}
    return TriageRule.objects.create(team=_team(team), **given)


def quarantined(body: bytes = b"{", *, team: str = "blue", **values: Any) -> Quarantined:
    """Bytes that could not be read; they wait, unless said otherwise."""
    given = {
        "source": "native",
        "digest": hashlib.sha256(f"{next(_numbers)}".encode() + body).hexdigest(),
        "reason": "not JSON: Expecting property name enclosed in double quotes (line 1, column 2)",
        "received_at": clock.now(),
        "door": "ingest",
        **values,
    }
    return Quarantined.objects.create(body=body, team=_team(team), **given)


def heard(
    source: str = "guardduty", *, account: str = ACCOUNT, region: str = "eu-west-1", **values: Any
) -> Heard:
    """A source that spoke a minute ago, of which nothing is expected; of the blue team unless named."""
    at = clock.now() - timedelta(minutes=1)
    given = {"team": team(), "first_at": at - timedelta(days=2), "last_at": at, **values}
    return Heard.objects.update_or_create(source=source, account=account, region=region, defaults=given)[0]


def incident(
    *,
    team: str = "blue",
    severity: int = 80,
    owner: Actor | None = None,
    milestones: Mapping[MilestoneKind | str, datetime] | None = None,
    estimated: Iterable[MilestoneKind | str] = (),
    named: Iterable[Actor] = (),
    **values: Any,
) -> Incident:
    """An incident opened half an hour ago; `milestones` get their rows too, `named` restricts it."""
    number = next(_numbers)
    at = clock.now()
    named = tuple(named)
    given = {
        "ref": f"INC-{at.year}-{900000 + number}",
        "title": f"Test incident {number}",
        "status": Phase.TRIAGE,
        "kind": "compromised_credentials",
        "account": ACCOUNT,
        "opened_at": at - timedelta(minutes=30),
        "updated_at": at,
        "is_restricted": bool(named),
        **values,
    }
    with transaction.atomic():
        made = Incident.objects.create(
            severity=severity,
            severity_band=Band.of(severity),
            highest_severity=severity,
            team=_team(team),
            owner_id=owner.person_id if owner else None,
            **given,
        )
        made.named.set(actor.person_id for actor in named if actor.person_id)
        for kind, when in (milestones or {}).items():
            record_of_times.record(
                incident=made,
                kind=MilestoneKind(kind),
                at=when,
                source=MilestoneSource.IMPORT,
                by=SYSTEM,
                recorded_at=at,
                estimated=kind in set(estimated),
                basis=Basis.BY_QUELL if kind == MilestoneKind.CONTAINED else "",
            )
    made.refresh_from_db()
    return made


def inbox_item(person: Actor, *, link: str = "/alerts", **values: Any) -> InboxItem:
    """A notice that arrived just now in this person's inbox, unread."""
    number, at = next(_numbers), clock.now()
    given = {
        "kind": "test",
        "subject": f"test:{number}",
        "severity": 80,
        "title": f"Notice {number}",
        **values,
    }
    notice = Notice.objects.create(link=link, dedup_key=f"test:{number}", rung_at=at, **given)
    assert person.person_id is not None
    return InboxItem.objects.create(notice=notice, person_id=person.person_id, arrived_at=at)


def automation(*, team: str = "blue") -> AutoRule:
    """Automation that somebody stopped, with one rule that waits for a second person, and one hold."""
    at = clock.now()
    Automation.objects.update_or_create(pk=1, defaults={"stopped_at": at, "stop_reason": "test"})
    writer = Person.objects.get_or_create(name="Writer of rules")[0]
    team_row = _team(team)
    Hold.objects.get_or_create(
        cause="test",
        defaults={
            "team": team_row,
            "account": ACCOUNT,
            "thing": "user/ci",
            "finding": "Test:Finding",
            "reason": "dismissed as benign",
            "placed_by": "analyst",
            "placed_at": at,
        },
    )
    values = {
        "type": "Test:*",
        "min_severity": 70,
        "environments": ["production"],
        "action_types": ["iam.deactivate-access-key"],
        "per_hour": 5,
        "per_account": 3,
        "written_by": writer,
        "written_at": at,
        "expires_at": at + timedelta(days=30),
    }
    return AutoRule.objects.get_or_create(team=team_row, name="Waiting", defaults=values)[0]
