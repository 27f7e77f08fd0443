"""From the ring to the inbox: in the caller's transaction, once for one cause, to nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from audit.models import AuditEvent
from cases.access import people_who_may
from identity.actors import Actor
from identity.models import User
from identity.permissions import Permission
from lib import clock
from notify import channels, inbox, outbox, sweeps
from notify.models import Delivery, InboxItem, Notice
from tests import make

pytestmark = pytest.mark.django_db


def ring(*people: Actor, **values: Any) -> Notice | None:
    given: dict[str, Any] = {
        "kind": "breaker-open",
        "subject": "automation:1",
        "title": "Automation has stopped",
        "link": "/automation",
        "severity": 90,
        "key": "breaker:1",
        "to": [one.person_id for one in people],
        **values,
    }
    with transaction.atomic():
        return outbox.ring(at=clock.now(), **given)


def test_a_notice_arrives_in_the_inboxes_of_those_it_is_for(lead: Actor, analyst: Actor) -> None:
    ring(lead)
    assert inbox.unread(lead) == 0

    assert sweeps.deliver_due() == 1
    assert sweeps.deliver_due() == 0

    assert [one.notice.title for one in inbox.items_for(lead)] == ["Automation has stopped"]
    assert not inbox.items_for(analyst).exists()
    assert Delivery.objects.get().delivered_at is not None


def test_one_cause_rings_once(lead: Actor) -> None:
    assert ring(lead) is not None
    assert ring(lead, title="The same again") is None
    sweeps.deliver_due()

    assert InboxItem.objects.count() == Notice.objects.count() == 1
    assert ring(lead, key="breaker:2") is not None


def test_what_is_rolled_back_rings_nobody(lead: Actor) -> None:
    with transaction.atomic():
        ring(lead)
        transaction.set_rollback(True)

    assert sweeps.deliver_due() == 0
    assert not Notice.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_ringing_outside_a_transaction_is_refused(lead: Actor) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        outbox.ring(kind="k", subject="s", title="t", link="/x", severity=1, to=[1], key="k", at=clock.now())


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/a\nb",
        "/a b",
    ],
)
def test_a_link_is_a_path_of_ours(lead: Actor, link: str) -> None:
    with pytest.raises(ValueError, match="path of ours"):
        ring(lead, link=link)


def test_the_database_refuses_a_foreign_link_as_well(lead: Actor) -> None:
    item = make.inbox_item(lead)
    with pytest.raises(IntegrityError), transaction.atomic():
        Notice.objects.filter(pk=item.notice_id).update(link="//evil.example/")
    if connection.vendor == "postgresql":
        assert Notice.objects.get().link == "/alerts"


def test_a_channel_that_fails_is_tried_again_and_holds_up_no_other(
    lead: Actor, approver: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(lead, approver)

    def fails_for_lead(delivery: Delivery, at: Any) -> None:
        if delivery.person_id == lead.person_id:
            raise OSError("mailbox full of secrets")
        channels.to_inbox(delivery, at)

    with monkeypatch.context() as patched:
        patched.setitem(channels.CHANNELS, "inbox", fails_for_lead)
        assert sweeps.deliver_due() == 1
    left = Delivery.objects.get(delivered_at__isnull=True)
    assert (left.person_id, left.failure, left.attempts) == (lead.person_id, "OSError", 1)
    assert left.due_at is not None
    assert left.due_at > clock.now()

    Delivery.objects.filter(pk=left.pk).update(due_at=clock.now())
    assert sweeps.deliver_due() == 1
    assert inbox.unread(lead) == inbox.unread(approver) == 1


def test_two_workers_deliver_once(lead: Actor) -> None:
    ring(lead)
    delivery = Delivery.objects.get()
    assert delivery.due_at is not None

    assert [sweeps._deliver(delivery.pk, delivery.due_at) for _ in range(2)] == [True, False]
    assert inbox.unread(lead) == 1


def test_who_has_it_is_told_to_the_others(lead: Actor, approver: Actor) -> None:
    ring(lead, approver)
    sweeps.deliver_due()
    first, second = inbox.items_for(lead).get(), inbox.items_for(approver).get()

    assert inbox.acknowledge(item=first, by=lead, at=clock.now())
    assert not inbox.acknowledge(item=second, by=approver, at=clock.now())

    assert second.notice.acknowledged_by_id == lead.person_id
    assert AuditEvent.objects.filter(act="notice.acknowledged").count() == 1
    page = make.browser(approver).get("/inbox").content.decode()
    assert "Lead, " in page


def test_the_inbox_page_reads_one_and_all(lead: Actor) -> None:
    browser = make.browser(lead)
    one, two = make.inbox_item(lead), make.inbox_item(lead)
    assert "2 unread" in browser.get("/inbox").content.decode()

    answer = browser.post(f"/inbox/{one.ulid}/open")
    assert (answer.status_code, answer["Location"]) == (302, "/alerts")
    assert inbox.unread(lead) == 1

    later = make.inbox_item(lead)
    browser.post("/inbox/read", {"upto": two.ulid})
    assert [item.pk for item in inbox.items_for(lead).filter(read_at__isnull=True)] == [later.pk]
    assert "Nothing is unread" not in browser.get("/inbox?view=unread").content.decode()


def test_what_was_rung_is_escaped(lead: Actor) -> None:
    make.inbox_item(lead, title="<script>alert(1)</script>", detail='"><img src=x onerror=alert(1)>')

    page = make.browser(lead).get("/inbox").content.decode()

    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


def test_the_bell_counts_and_says_when_nothing_changed(lead: Actor) -> None:
    browser = make.browser(lead)
    make.inbox_item(lead)
    answer = browser.get("/inbox/bell")
    assert "1 unread" in answer.content.decode()

    assert browser.get("/inbox/bell", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    make.inbox_item(lead)
    assert browser.get("/inbox/bell", headers={"If-None-Match": answer["ETag"]}).status_code == 200


def test_the_api_lists_and_reads_ones_own(lead: Actor, outsider: Actor) -> None:
    item, browser = make.inbox_item(lead), make.browser(lead)
    listed = browser.get("/api/v1/inbox?unread=true").json()["results"]
    assert [(one["id"], one["read_at"], one["link"]) for one in listed] == [(item.ulid, None, "/alerts")]

    answer = browser.post(f"/api/v1/inbox/{item.ulid}/read", content_type="application/json")
    assert answer.status_code == 200
    assert json.loads(answer.content)["read_at"]
    assert browser.get("/api/v1/inbox?unread=true").json()["results"] == []
    foreign: Client = make.browser(outsider)
    assert foreign.post(f"/api/v1/inbox/{item.ulid}/read").status_code == 404
    assert foreign.post(f"/inbox/{item.ulid}/acknowledge").status_code == 404


def test_who_may_be_rung(lead: Actor, approver: Actor, outsider: Actor, analyst: Actor) -> None:
    make.account("444455556666")
    narrow = make.person("lead", login="narrow", accounts=["444455556666"])
    gone = make.person("lead", login="gone")
    User.objects.filter(username="gone").update(is_active=False)
    team = make.team().pk

    def told(**where: Any) -> set[int]:
        return {one.pk for one in people_who_may(Permission.KEEP_RULES, team=team, **where)}

    assert told() == {lead.person_id, narrow.person_id}
    assert told(account=make.ACCOUNT) == {lead.person_id}
    assert told(account="444455556666") == {lead.person_id, narrow.person_id}
    assert gone.person_id not in told()
    restricted = make.incident(named=[narrow])
    assert told(incident=restricted) == {narrow.person_id}
