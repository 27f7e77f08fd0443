"""The demo's people, accounts and past, from a real simulated AWS."""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from audit import record
from audit.models import AuditEvent
from cases.models import Action, Alert, Incident, TimelineEntry, TriageRule
from cases.words import AlertStatus, MilestoneKind, Phase, Verdict
from estate.models import Account
from identity.actors import SYSTEM
from identity.models import ApiKey, User
from lib import clock
from soc import sweeping
from soc.demo import history, story
from tests import make

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """The address of a simulated AWS of our own."""
    program = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    try:
        line = program.stdout.readline()
        assert line.startswith("Simulated AWS: http://127.0.0.1:"), line
        yield line.split()[-1]
    finally:
        program.terminate()
        program.communicate()


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUELL_DEMO_PASSWORD", make.PASSWORD)


def load(simulator: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("load_demo", "--simulator", simulator, stdout=out)
    summary: dict[str, Any] = json.loads(out.getvalue())
    return summary


def counts() -> list[int]:
    """How many rows there are of everything."""
    found = []
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
            found.append(int(cursor.fetchone()[0]))
    return found


def test_people_accounts_and_a_plausible_past(simulator: str) -> None:
    summary = load(simulator)
    assert summary["loaded"] is True
    assert summary["sign_ins"] == ["admin", "analyst", "approver", "lead", "outsider", "responder"]
    assert summary["seconds"] < 60
    check_people()
    check_accounts()
    check_past()
    before = counts()
    again = load(simulator)
    assert (again["loaded"], again["history"]) == (False, None)
    assert counts() == before, "loading again changes nothing"


def check_people() -> None:
    for login in ("analyst", "outsider"):
        client = Client()
        assert client.post("/signin", {"username": login, "password": make.PASSWORD}).status_code == 302
    names = dict(User.objects.values_list("username", "person__name"))
    assert (names["analyst"], names["responder"], names["approver"]) == (
        "Ana Moreira",
        "Rui Tavares",
        "Lea Brandt",
    )
    assert TriageRule.objects.filter(is_on=True, source="guardduty", min_severity=70).count() == 1


def check_accounts() -> None:
    accounts = {account.account_id: account for account in Account.objects.select_related("ou", "team")}
    assert len(accounts) >= 3
    for account in accounts.values():
        assert account.mode == "approve"
        assert account.team.slug == "blue"
        assert account.external_id.endswith(account.account_id)
        assert f":{account.account_id}:role/" in account.contain_role
    assert sum(bool(account.organization_role) for account in accounts.values()) == 1


def check_past() -> None:
    now = clock.now()
    incidents = list(Incident.objects.all())
    assert len(incidents) == history.INCIDENTS + history.EXERCISES
    assert record.verify() is None
    assert sum(incident.is_exercise for incident in incidents) == history.EXERCISES
    assert 1 <= sum(incident.status != Phase.CLOSED for incident in incidents) <= 20
    assert sum(incident.reopened for incident in incidents) >= 2
    assert len({incident.kind for incident in incidents}) >= 6
    assert len({incident.owner_id for incident in incidents if incident.owner_id}) == 3
    verdicts = Counter(incident.verdict for incident in incidents)
    assert verdicts[Verdict.TRUE_POSITIVE] > verdicts[Verdict.FALSE_POSITIVE] > 5
    numbers = [
        int(incident.ref.rsplit("-", 1)[1]) for incident in sorted(incidents, key=lambda i: i.opened_at)
    ]
    assert numbers == sorted(numbers) or len({incident.opened_at.year for incident in incidents}) > 1
    for incident in incidents:
        assert now - timedelta(days=history.DAYS + 1) < incident.opened_at <= now
        check_order(incident, now=now)
    waiting = Alert.objects.filter(status=AlertStatus.NEW, last_seen_at__gt=now - timedelta(days=3))
    assert waiting.count() >= 5
    assert not waiting.filter(severity__gte=70, detected_at__lt=now - timedelta(hours=6)).exists()
    assert TimelineEntry.objects.filter(incident__in=incidents).count() > 10 * len(incidents)
    check_figures(incidents)


def check_order(incident: Incident, *, now: Any) -> None:
    """Times that must follow one another do, and none lies ahead."""
    order = ["attacker_access_at", "first_ioc_at", "detected_at", "received_at", "acknowledged_at"]
    later = ["responded_at", "contained_at", "eradicated_at", "recovered_at", "closed_at"]
    if incident.is_exercise:
        order = ["detected_at", "acknowledged_at"]
    if incident.reopened:  # contained anew after it had been answered for the first time
        later = ["responded_at", "closed_at"]
    times = [getattr(incident, name) for name in (*order, *later)]
    known = [at for at in times if at is not None]
    assert known == sorted(known), f"{incident.ref}: {[str(at) for at in times]}"
    assert all(at <= now for at in known)


def check_figures(incidents: list[Incident]) -> None:
    """Some of everything is missing, and the rest is neither all equal nor absurd."""
    real = [i for i in incidents if i.verdict == Verdict.TRUE_POSITIVE and not i.is_exercise]
    for kind in (MilestoneKind.RESPONDED, MilestoneKind.CONTAINED, MilestoneKind.ATTACKER_ACCESS):
        missing = sum(getattr(incident, kind.value) is None for incident in real)
        assert 0 < missing < len(real) * 0.7, kind
    contained = [
        (i.contained_at - i.detected_at).total_seconds() / 60
        for i in real
        if i.contained_at and i.detected_at
    ]
    assert 45 < statistics.median(contained) < 240
    assert statistics.mean(contained) > statistics.median(contained)


def test_it_keeps_away_from_an_installation_in_use(simulator: str) -> None:
    make.person("analyst")
    with pytest.raises(CommandError, match="people of its own"):
        load(simulator)
    assert not Account.objects.exists()


def test_another_password_at_the_next_start(simulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "live", lambda **_: None)
    load(simulator)
    monkeypatch.setenv("QUELL_DEMO_PASSWORD", "x")
    load(simulator)
    assert Client().post("/signin", {"username": "lead", "password": "x"}).status_code == 302
    monkeypatch.delenv("QUELL_DEMO_PASSWORD")
    with pytest.raises(CommandError, match="QUELL_DEMO_PASSWORD"):
        load(simulator)


def test_a_load_that_is_killed_in_the_middle_leaves_nothing_half(
    simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, closed = history._Past._close, []

    def dies(past: history._Past, *arguments: Any) -> None:
        closed.append(1)
        if len(closed) > 5:
            raise KeyboardInterrupt
        close(past, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(history._Past, "_close", dies)
        with pytest.raises(KeyboardInterrupt):
            load(simulator)
    assert User.objects.count() == 6
    assert not Incident.objects.exists()
    assert not Alert.objects.exists()
    assert AuditEvent.objects.count() == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "file:///etc/passwd", "nonsense"])
def test_no_simulator_is_said_in_words(address: str) -> None:
    with pytest.raises(CommandError, match=r"127\.0\.0\.1:1/_sim/estate|is not an address"):
        load(address)
    assert not User.objects.exists()


def play(simulator: str, base_url: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("play_story", "--simulator", simulator, "--base-url", base_url, stdout=out)
    summary: dict[str, Any] = json.loads(out.getvalue())
    return summary


def test_a_story_that_fails_says_why_ends_its_key_and_can_begin_again(simulator: str) -> None:
    make.team()
    for _ in range(2):
        with pytest.raises(CommandError, match=r"simulator\.story"):
            play(simulator, "http://127.0.0.1:1")
    assert AuditEvent.objects.filter(act=story.BEGUN).count() == 1
    assert [key.revoked_at is not None for key in ApiKey.objects.all()] == [True, True]


def test_a_story_that_was_played_is_not_played_again(simulator: str) -> None:
    with transaction.atomic():
        record.record(act=story.PLAYED, by=SYSTEM, at=clock.now(), on=("incident", "INC-2026-0001"))
    assert play(simulator, "http://127.0.0.1:1") == {"played": False}
    assert not ApiKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_story_becomes_an_incident_by_the_rule_and_asks_for_the_plan(
    simulator: str, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the general worker's sweep in a thread of ours; nobody plans, so the action stays proposed."""
    monkeypatch.setattr(history, "live", lambda **_: None)
    monkeypatch.setattr(story, "PATIENCE_SECONDS", 6.0)
    load(simulator)
    sweeper = sweeping.Sweeper(process="worker-general", every=0.2)
    sweeper.start()
    try:
        with pytest.raises(CommandError, match="the plan did not come"):
            play(simulator, live_server.url)
        first = counts_of_story()
        with pytest.raises(CommandError, match="the plan did not come"):
            play(simulator, live_server.url)
    finally:
        sweeper.stop()
    assert counts_of_story() == first, "the second attempt told the same story"
    action = Action.objects.get()
    assert (action.type, action.status) == (story.WANTED, "proposed")
    assert action.incident.title.startswith("The user ci-deploy")


def counts_of_story() -> tuple[int, int, int]:
    return Alert.objects.count(), Incident.objects.count(), Action.objects.count()
