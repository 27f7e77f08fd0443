"""Quarantine: seen by its team, replayed once, put aside with a reason."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from audit.models import AuditEvent
from cases import ingest, quarantine
from cases.models import Alert, Quarantined
from identity import hooks
from identity.actors import SYSTEM, Actor
from identity.models import Hook, HookKind
from identity.permissions import Permission
from lib import ids
from lib.errors import Forbidden, Invalid, NotFound
from tests import make

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
GOOD = json.dumps({"source": "edr", "external_id": "7", "title": "Odd"}).encode()


def held(body: bytes = GOOD, *, source: str = "native", team: str = "blue", count: int = 3) -> Quarantined:
    return Quarantined.objects.create(
        source=source,
        digest=ids.ulid(),
        body=body,
        reason="a defect of then",
        received_at=NOW,
        count=count,
        team=make.team(team),
    )


def test_a_replay_makes_the_alert_and_says_who(lead: Actor) -> None:
    item = held()

    received = quarantine.replay(item=item, by=lead, at=NOW)

    item.refresh_from_db()
    assert len(received.alerts) == 1
    assert (item.replayed_at, item.settled_by) == (NOW, "lead")
    assert AuditEvent.objects.filter(act="quarantine.replayed", object_id=item.ulid).count() == 1


def test_what_is_settled_is_not_settled_again(lead: Actor) -> None:
    item = held()
    quarantine.replay(item=item, by=lead, at=NOW)

    with pytest.raises(quarantine.Settled):
        quarantine.replay(item=item, by=lead, at=NOW)
    with pytest.raises(quarantine.Settled):
        quarantine.discard(item=item, reason="noise", by=lead, at=NOW)


def test_a_replay_in_vain_waits_on_and_counts_nothing(lead: Actor) -> None:
    item = held()
    Quarantined.objects.all().delete()
    ingest.receive(source="native", body=b"nonsense", by=SYSTEM, at=NOW, team=make.team())
    item = Quarantined.objects.get()

    quarantine.replay(item=item, by=lead, at=NOW)

    item.refresh_from_db()
    assert (item.count, item.replayed_at, item.settled_by) == (1, None, "")


def test_what_came_as_a_source_that_is_gone_tells_its_own(lead: Actor) -> None:
    assert len(quarantine.replay(item=held(source="gone"), by=lead, at=NOW).alerts) == 1


def test_putting_aside_needs_a_reason_and_keeps_the_bytes(lead: Actor) -> None:
    item = held()
    for wrong in ("", "  ", "x" * 501, "a\0b"):
        with pytest.raises(Invalid):
            quarantine.discard(item=item, reason=wrong, by=lead, at=NOW)

    quarantine.discard(item=item, reason="a port scan of ours", by=lead, at=NOW)

    item.refresh_from_db()
    assert (item.discard_reason, item.settled_by, bytes(item.body)) == ("a port scan of ours", "lead", GOOD)
    assert not quarantine.waiting_for(lead).exists()


def test_what_is_anothers_is_not_there(outsider: Actor, viewer: Actor) -> None:
    item = held()

    with pytest.raises(NotFound):
        quarantine.quarantined_one_for(outsider, item.ulid)
    with pytest.raises(Forbidden):
        quarantine.quarantined_one_for(viewer, item.ulid, permission=Permission.WRITE_ALERTS)
    limited = make.person("analyst", accounts=[make.ACCOUNT])
    with pytest.raises(NotFound):
        quarantine.quarantined_one_for(limited, item.ulid)
    assert quarantine.waiting_for(viewer, source="native", reason="defect").get() == item
    assert not quarantine.waiting_for(viewer, reason="nothing\0").exists()


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_replay_once() -> None:
    item, people = held(), [make.person("lead"), make.person("analyst")]
    told: list[Any] = []

    def go(by: Actor) -> None:
        try:
            told.append(len(quarantine.replay(item=item, by=by, at=NOW).alerts))
        except quarantine.Settled:
            told.append("settled")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=(by,)) for by in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(map(str, told)) == ["1", "settled"]
    assert Alert.objects.count() == 1
    assert AuditEvent.objects.filter(act="quarantine.replayed").count() == 1


def test_what_a_webhook_sent_is_read_again_by_the_field_map_as_it_is_now(lead: Actor) -> None:
    hook = hooks.create(
        name="edr",
        kind=HookKind.WEBHOOK,
        team=make.team(),
        by=SYSTEM,
        at=NOW,
        field_map={"source": "edr", "external_id": "/id", "title": "/detection/title"},
    )
    answer = Client().post(
        hook.path, json.dumps({"id": "7", "detection": {"name": "Odd"}}), content_type="application/json"
    )
    assert answer.json()["quarantined"] == 1, answer.content
    Hook.objects.update(field_map={"source": "edr", "external_id": "/id", "title": "/detection/name"})

    received = quarantine.replay(item=Quarantined.objects.get(), by=lead, at=NOW)

    alert = Alert.objects.get()
    assert (alert.source, alert.external_id, alert.title) == ("edr", "7", "Odd")
    assert [one.outcome for one in received.alerts] == ["created"]
