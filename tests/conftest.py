"""Fixtures for every test, and the account of what could not run here."""

import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.db.backends.postgresql.creation import DatabaseCreation
from django.test import TransactionTestCase

from identity.actors import Actor
from identity.models import Role
from launcher import layout, ports, processes, valkey
from launcher.console import last_lines
from lib import guards, remembered
from tests import make, needs


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`REDIS_URL` of a real Valkey: the one of `./quell test`, else one started for this session."""
    given = os.environ.get("REDIS_URL", "")
    if given and not given.startswith("redis://127.0.0.1:1/"):
        yield given
        return
    directory = tmp_path_factory.mktemp("valkey")
    port, password, log = ports.free(), secrets.token_urlsafe(24), directory / "log"
    command = valkey.command(
        valkey.find_server(layout.python_of(layout.VENV)), directory=directory, port=port, password=password
    )
    server = processes.spawn(command, environment={"PATH": os.defpath}, log=log, directory=directory)
    try:
        deadline = time.monotonic() + 15
        while not valkey.answers(port=port, password=password):
            if processes.has_ended(server) or time.monotonic() > deadline:
                pytest.fail("\n".join(["Valkey did not start:", *last_lines(log)]))
            time.sleep(0.05)
        yield valkey.url(port=port, password=password)
    finally:
        processes.end(server, patience=5)


ONCE = (
    "tests/api/test_access.py",
    "tests/audit/test_writers.py",
    "tests/browser/",
    "tests/containment/actions/",
    "tests/containment/test_approvals_machine.py::test_a_planted_defect",
    "tests/containment/test_blocked_",
    "tests/defects/",
    "tests/docs/",
    "tests/faults/test_web_kills.py::test_a_planted_defect",
    "tests/launcher/",
    "tests/simulator/",
    "tests/soc/test_bad_bodies.py::test_a_planted_defect",
    "tests/soc/test_bad_bodies.py::test_no_door_breaks_and_what_is_good_in_between_is_stored[/compat",
    "tests/soc/test_bad_bodies.py::test_no_door_breaks_and_what_is_good_in_between_is_stored[/hooks",
    "tests/soc/test_demo",
)
"""Tests that no database decides: what a role may, what a browser shows, whether a planted defect is found,
doors that store as their neighbours do, and those that keep no rows or start processes with a database of
their own. `-m ""` runs them on both."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what does not depend on the engine on the embedded one only, unless it is asked for by name."""
    asked_for = any("::" in one or one.endswith(".py") for one in config.args)
    if connection.vendor == "sqlite" or asked_for or config.getoption("markexpr") == "":
        return
    left = {item for item in items if item.nodeid.startswith(ONCE)}
    if left and len(left) < len(items):
        config.hook.pytest_deselected(items=sorted(left, key=lambda item: item.nodeid))
        items[:] = [item for item in items if item not in left]


_empty_tables = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]


def _empty_guarded_tables(case: TransactionTestCase) -> None:
    """Django's clean-up after a test that committed, with the guard triggers off while it deletes."""
    guards.drop()
    try:
        _empty_tables(case)
    finally:
        guards.install()


_destroy = DatabaseCreation._destroy_test_db  # type: ignore[attr-defined]


def _destroy_in_spite_of_others(creation: DatabaseCreation, test_database_name: str, verbosity: int) -> None:
    """Drop PostgreSQL's test database although a thread of a finished test is still connected to it."""
    with creation._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [test_database_name]
        )
    _destroy(creation, test_database_name, verbosity)


DatabaseCreation._destroy_test_db = _destroy_in_spite_of_others  # type: ignore[attr-defined]

TransactionTestCase._fixture_teardown = _empty_guarded_tables  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What a process remembers for a second is another test's."""
    remembered.forget_all()


@pytest.fixture
def viewer(db: None) -> Actor:
    return make.person(Role.VIEWER, login="viewer")


@pytest.fixture
def auditor(db: None) -> Actor:
    return make.person(Role.AUDITOR, login="auditor")


@pytest.fixture
def analyst(db: None) -> Actor:
    return make.person(Role.ANALYST, login="analyst")


@pytest.fixture
def responder(db: None) -> Actor:
    return make.person(Role.RESPONDER, login="responder")


@pytest.fixture
def approver(db: None) -> Actor:
    return make.person(Role.APPROVER, login="approver")


@pytest.fixture
def lead(db: None) -> Actor:
    return make.person(Role.LEAD, login="lead")


@pytest.fixture
def admin(db: None) -> Actor:
    return make.person(Role.ADMIN, login="admin")


@pytest.fixture
def outsider(db: None) -> Actor:
    """Of another team, with every role that could matter: for this one everything of "blue" is 404."""
    return make.person(Role.ANALYST, Role.RESPONDER, Role.LEAD, login="outsider", team="other")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write what was skipped, and why, where `./quell test` looks for it."""
    target = os.environ.get("QUELL_TEST_REPORT")
    if not target:
        return
    told: dict[str, list[str]] = {"cannot_run": [], "notices": []}
    for report in terminalreporter.stats.get("skipped", []):
        # A skipped report's longrepr is (file, line, "Skipped: reason").
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        for kind, words in (("cannot_run", needs.CANNOT_RUN), ("notices", needs.NOTICE)):
            if reason.startswith(words):
                told[kind].append(f"{report.nodeid}: {reason.removeprefix(words)}")
    Path(target).write_text(json.dumps(told), encoding="utf-8")
