"""Two roles on one PostgreSQL: who migrates owns the tables, who works on them can take nothing back."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import pytest

from launcher import layout
from lib import guards

pytestmark = pytest.mark.slow

EVENT = (
    "INSERT INTO audit_auditevent (seq, at, act, actor_kind, actor, person, ip, request_id, object_type,"
    " object_id, details, prev_hash, hash, signature)"
    " VALUES (1, now(), 'tested', 'system', 'quell', '', '', '', 'test', '1', '{}', '', '', '')"
)


@dataclass(frozen=True, kw_only=True)
class Two:
    """One database and the addresses of its two roles."""

    owner: str
    application: str
    environment: dict[str, str]

    def manage(self, *arguments: str, owner: bool = False) -> subprocess.CompletedProcess[str]:
        own = {"DATABASE_URL": self.application, **({"DATABASE_OWNER_URL": self.owner} if owner else {})}
        return subprocess.run(
            [sys.executable, str(layout.ROOT / "manage.py"), *arguments],
            env={**self.environment, **own},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """A database of its own on the suite's server, migrated by an owner who is no superuser."""
    given = os.environ.get("DATABASE_URL", "")
    if urlsplit(given).scheme != "postgresql":
        pytest.skip("SQLite has no roles")
    word = secrets.token_hex(6)
    password = secrets.token_urlsafe(16)
    host = urlsplit(given).netloc.rpartition("@")[2]
    names = {"owner": f"owner_{word}", "application": f"app_{word}", "database": f"two_{word}"}
    with psycopg.connect(given, autocommit=True) as super_user:
        super_user.execute(f"CREATE ROLE {names['owner']} LOGIN CREATEROLE PASSWORD '{password}'")
        super_user.execute(f"CREATE DATABASE {names['database']} OWNER {names['owner']}")
    urls = {
        role: f"postgresql://{names[role]}:{password}@{host}/{names['database']}"
        for role in ("owner", "application")
    }
    made = Two(
        **urls,
        environment={
            **{name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")},
            "QUELL_DATA": str(tmp_path_factory.mktemp("data")),
            "DJANGO_SETTINGS_MODULE": "soc.settings",
        },
    )
    migrated = made.manage("migrate", "--no-input", owner=True)
    assert migrated.returncode == 0, migrated.stderr[-6000:]
    yield made
    with psycopg.connect(given, autocommit=True) as super_user:
        super_user.execute(f"DROP DATABASE {names['database']} WITH (FORCE)")
        super_user.execute(f"DROP ROLE {names['application']}")
        super_user.execute(f"DROP ROLE {names['owner']}")


@pytest.fixture
def works(two: Two) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection as the role of the processes, with one event in the ledger."""
    with psycopg.connect(two.application) as opened:
        opened.execute(EVENT)
        yield opened
        opened.rollback()


REFUSED = {
    "alter": "UPDATE audit_auditevent SET actor = 'someone else'",
    "delete": "DELETE FROM audit_auditevent",
    "truncate": "TRUNCATE audit_auditevent",
    "delete the head": "DELETE FROM audit_audithead",
    "switch the triggers off": "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
    "drop a trigger": "DROP TRIGGER guard_audit_auditevent_update ON audit_auditevent",
    "replace what a trigger does": (
        "CREATE OR REPLACE FUNCTION guard_audit_auditevent_update() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NEW; END'"
    ),
    "pretend to be a replica": "SET session_replication_role = replica",
    "drop the table": "DROP TABLE audit_auditevent",
    "make a table": "CREATE TABLE mine (id int)",
    "become the owner": "SET ROLE postgres",
    "say what is migrated": "DELETE FROM django_migrations",
}


@pytest.mark.parametrize("what", REFUSED)
def test_who_works_on_the_tables_is_refused(works: psycopg.Connection[tuple[object, ...]], what: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)):
        works.execute(REFUSED[what])


def test_it_cannot_give_itself_rights(works: psycopg.Connection[tuple[object, ...]]) -> None:
    """PostgreSQL warns where it could refuse, and grants nothing."""
    works.execute("GRANT ALL ON audit_auditevent TO CURRENT_USER")
    row = works.execute("SELECT has_table_privilege('audit_auditevent', 'UPDATE')").fetchone()
    assert row == (False,)


def test_of_what_is_append_only_nothing_can_be_changed_by_right(two: Two) -> None:
    """Beside the triggers: the privilege itself is not there."""
    append_only = {guard.table for guard in guards.registered() if guard.event == "TRUNCATE"}
    assert len(append_only) >= 5
    with psycopg.connect(two.application) as opened:
        for table in sorted(append_only):
            for privilege in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"):
                row = opened.execute("SELECT has_table_privilege(%s, %s)", [table, privilege]).fetchone()
                assert row == (False,), f"{privilege} on {table}"


def test_it_can_do_its_work(two: Two) -> None:
    """A person is made, an event written, and the chain is whole."""
    password = {"QUELL_NEW_PASSWORD": secrets.token_urlsafe(16)}
    asks = Two(owner="", application=two.application, environment={**two.environment, **password})
    made = asks.manage("create_person", "--login", "lea", "--name", "Lea", "--roles", "admin,lead")
    assert made.returncode == 0, made.stderr[-2000:]
    said = two.manage("verify_audit")
    assert (said.returncode, said.stdout) == (0, "the audit chain is whole\n"), said.stderr[-1000:]
    with psycopg.connect(two.application) as opened:
        assert opened.execute("SELECT act FROM audit_auditevent").fetchall() == [("person-added",)]


def test_migrating_again_gives_the_same_and_the_roles_are_judged(two: Two) -> None:
    again = two.manage("migrate", "--no-input", owner=True)
    assert again.returncode == 0, again.stderr[-2000:]
    fine = two.manage("check", "--deploy", "--database", "default")
    assert "quell.W011" not in fine.stderr + fine.stdout
    as_owner = Two(owner=two.owner, application=two.owner, environment=two.environment)
    poor = as_owner.manage("check", "--deploy", "--database", "default")
    assert "quell.W011" in poor.stderr + poor.stdout
    assert "it owns " in poor.stderr + poor.stdout


@pytest.mark.parametrize("question", ["--plan", "--check"])
def test_who_only_asks_what_would_be_migrated_gives_no_rights(two: Two, question: str) -> None:
    stranger = f"asked_{secrets.token_hex(6)}"
    address = f"postgresql://{stranger}:word@{two.owner.rpartition('@')[2]}"
    asks = Two(owner=two.owner, application=address, environment=two.environment)
    asked = asks.manage("migrate", question, owner=True)
    assert asked.returncode == 0, asked.stderr[-2000:]
    with psycopg.connect(two.owner) as opened:
        row = opened.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [stranger]).fetchone()
    assert row == (0,)


@pytest.mark.parametrize("other", ["role", "database"])
def test_addresses_that_do_not_belong_together_are_refused(two: Two, other: str) -> None:
    wrong = two.application if other == "role" else two.owner.rpartition("/")[0] + "/elsewhere"
    said = Two(owner=wrong, application=two.application, environment=two.environment).manage(
        "migrate", "--no-input", owner=True
    )
    assert said.returncode == 1
    assert "DATABASE_OWNER_URL and DATABASE_URL" in said.stderr
