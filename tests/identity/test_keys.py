"""API keys: made by command, checked by digest, ended by time or by hand."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEvent
from identity import keys
from identity.actors import SYSTEM
from identity.models import ApiKey, Role, Team, User
from identity.permissions import KEY_SCOPES
from lib import clock
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]


def create(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_api_key", *arguments, stdout=out)
    return out.getvalue()


def test_a_key_just_made_can_be_shown_without_its_secret() -> None:
    made = keys.create(name="siem", team=make.team(), scopes=KEY_SCOPES, by=SYSTEM, at=clock.now())

    assert made.secret not in repr(made)
    assert made.secret not in f"{made.key!r} {made}"


def test_the_command_prints_the_key_alone() -> None:
    make.team()
    printed = create("--name", "siem", "--scopes", "alerts:write, estate:read", "--expires-days", "30")
    secret = printed.removesuffix("\n")
    assert secret.startswith("qk_")
    assert len(secret) == 46
    assert printed.count("\n") == 1
    key = ApiKey.objects.get()
    assert key.scopes == ["alerts:write", "estate:read"]
    assert key.digest == keys.digest(secret)
    assert secret not in str(list(AuditEvent.objects.values()))
    assert key.expires_at is not None
    assert timedelta(days=29) < key.expires_at - clock.now() <= timedelta(days=30)
    assert make.program(secret).get("/api/v1/accounts").status_code == 200


def test_on_an_empty_installation_it_makes_the_first_team() -> None:
    create("--name", "siem", "--scopes", "alerts:write")
    assert Team.objects.get().slug == "soc"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--name", "x", "--scopes", "everything"), "there is no scope everything"),
        (("--name", "x", "--scopes", ","), "without scopes"),
        (("--name", "x", "--scopes", "actions:approve"), "there is no scope actions:approve"),
        (("--name", "x" * 81, "--scopes", "alerts:read"), "1 to 80 characters"),
        (("--name", "x", "--scopes", "alerts:read", "--expires-days", "0"), "1 to 3650"),
        (("--name", "x", "--scopes", "alerts:read", "--team", "green"), "--team is one of: blue"),
    ],
)
def test_what_the_command_refuses(arguments: tuple[str, ...], says: str) -> None:
    make.team()
    with pytest.raises(CommandError, match=says):
        create(*arguments)
    assert not ApiKey.objects.exists()


def test_a_name_belongs_to_one_team() -> None:
    make.key(name="siem")
    make.team("other")
    with pytest.raises(CommandError, match="another team"):
        create("--name", "siem", "--scopes", "alerts:read", "--team", "other")


def test_without_a_team_it_acts_for_the_first() -> None:
    make.team("blue")
    make.team("a-later-one")
    create("--name", "new", "--scopes", "alerts:read")
    assert ApiKey.objects.get().account.team.slug == "blue"


def test_a_key_ends() -> None:
    secret = make.key(expires_at=clock.now() + timedelta(minutes=5))
    assert keys.find(secret, at=clock.now()) is not None
    assert keys.find(secret, at=clock.now() + timedelta(minutes=5)) is None
    key = ApiKey.objects.get()
    keys.revoke(key=key, by=SYSTEM, at=clock.now())
    keys.revoke(key=key, by=SYSTEM, at=clock.now())
    assert keys.find(secret, at=clock.now()) is None
    assert AuditEvent.objects.filter(act="key-revoked").count() == 1


def test_checking_a_key_is_one_query_and_notes_its_use_once_a_minute() -> None:
    secret, at = make.key(), clock.now()
    counts = []
    for seconds in (0, 30, 59, 61):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert keys.find(secret, at=at + timedelta(seconds=seconds))
        counts.append(len(queries))
    assert counts == [2, 1, 1, 2]
    assert ApiKey.objects.get().last_used_at == at + timedelta(seconds=61)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer qk_wrong",
        "Bearer qk_a b",
        "bearer sk_abc",
        "Bearer qk_\xff\xfe",
        f"Bearer qk_{'x' * 8000}",
    ],
)
def test_a_bad_key_is_401_with_a_challenge(header: str) -> None:
    response = Client(headers={"Authorization": header}).get("/api/v1/accounts")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["type"] == "urn:quell:problem:not-signed-in"


def test_a_persons_session_does_not_help_a_bad_key() -> None:
    client = make.browser(make.person(Role.ANALYST))
    assert client.get("/api/v1/accounts").status_code == 200
    assert client.get("/api/v1/accounts", headers={"Authorization": "Bearer qk_wrong"}).status_code == 401


def test_a_key_does_what_its_scopes_say() -> None:
    assert make.program(make.key("alerts:write")).get("/api/v1/accounts").status_code == 403
    assert make.program(make.key("estate:read")).get("/api/v1/accounts").status_code == 200


def test_create_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUELL_NEW_PASSWORD", make.PASSWORD)
    arguments = ["--login", "kim", "--name", "Kim Larsen", "--roles", "analyst,responder"]
    call_command("create_person", *arguments, stdout=io.StringIO())
    user = User.objects.get(username="kim")
    assert user.person is not None
    assert sorted(m.role for m in user.person.memberships.all()) == ["analyst", "responder"]
    assert Client().post("/signin", {"username": "kim", "password": make.PASSWORD}).status_code == 302
    with pytest.raises(CommandError, match="a login kim already"):
        call_command("create_person", *arguments)
    monkeypatch.setenv("QUELL_NEW_PASSWORD", "password1234")
    with pytest.raises(CommandError, match="too common"):
        call_command("create_person", "--login", "jo", "--name", "Jo", "--roles", "viewer")
    with pytest.raises(CommandError, match="some of"):
        call_command("create_person", "--login", "jo", "--name", "Jo", "--roles", "emperor")
