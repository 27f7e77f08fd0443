"""Sessions end when access ends, at once and in every browser; and who keeps whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from audit import record
from audit.models import AuditEvent
from identity import factors
from identity.actors import of_user
from identity.models import BrowserSession, Membership, Person, Role, User
from lib import clock
from tests import make
from tests.identity.test_factors import set_up_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana() -> User:
    make.person(Role.ANALYST, login="ana", password=make.PASSWORD)
    return User.objects.get(username="ana")


@pytest.fixture
def boss() -> Client:
    return make.browser(make.person(Role.ADMIN, login="boss"))


def signed_in(browser: str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") -> Client:
    client = Client(headers={"User-Agent": browser}, REMOTE_ADDR="198.51.100.7")
    assert client.post("/signin", {"username": "ana", "password": make.PASSWORD}).status_code == 302
    assert is_in(client)
    return client


def person_of(user: User) -> Person:
    assert user.person
    return user.person


def is_in(client: Client) -> bool:
    return bool(client.get("/alerts").status_code == 200 and client.get("/api/v1/alerts").status_code == 200)


def deactivate_by_page(boss: Client, ana: User) -> None:
    assert boss.post(f"/people/{ana.ulid}/active", {"active": "0"}).status_code == 302


def deactivate_in_a_shell(boss: Client, ana: User) -> None:
    ana.is_active = False
    ana.save()


def take_the_role_by_page(boss: Client, ana: User) -> None:
    body = {"team": make.team().ulid, "role": "analyst", "take": "1"}
    assert boss.post(f"/people/{ana.ulid}/roles", body).status_code == 302


def take_the_role_in_a_shell(boss: Client, ana: User) -> None:
    Membership.objects.filter(person=ana.person).delete()


def end_all_by_page(boss: Client, ana: User) -> None:
    assert boss.post(f"/people/{ana.ulid}/sessions").status_code == 302


def reset_by_page(boss: Client, ana: User) -> None:
    assert boss.post(f"/people/{ana.ulid}/factors").status_code == 302


@pytest.mark.parametrize(
    "end",
    [
        deactivate_by_page,
        deactivate_in_a_shell,
        take_the_role_by_page,
        take_the_role_in_a_shell,
        end_all_by_page,
        reset_by_page,
    ],
)
def test_both_browsers_are_out_at_once(ana: User, boss: Client, end: Callable[[Client, User], None]) -> None:
    first, second = signed_in(), signed_in()
    unlisted = make.browser(of_user(ana))
    BrowserSession.objects.filter(session_key=unlisted.session.session_key).delete()
    assert BrowserSession.objects.filter(user=ana).count() == 2
    rows = Session.objects.count()
    end(boss, ana)
    assert not any(is_in(client) for client in (first, second, unlisted))
    assert rows - Session.objects.count() >= 2
    assert not BrowserSession.objects.filter(user=ana).exists()
    User.objects.filter(pk=ana.pk).update(is_active=True)
    Membership.objects.get_or_create(person=person_of(ana), team=make.team(), role="analyst")
    assert not any(is_in(client) for client in (first, second, unlisted))  # access that returns revives none
    signed_in()
    assert record.verify() is None
    assert AuditEvent.objects.filter(act="sessions-ended", object_id=ana.ulid).exists()


def test_another_role_that_stays_keeps_the_session(ana: User, boss: Client) -> None:
    Membership.objects.create(person=person_of(ana), team=make.team(), role="viewer")
    client = signed_in()
    take_the_role_by_page(boss, ana)
    assert is_in(client)
    assert client.post("/alerts/selected", {"do": "take", "alert": make.alert().ulid}).status_code in (
        302,
        403,
    )


def test_a_changed_password_ends_the_others_and_keeps_this_one(ana: User) -> None:
    here, there = signed_in(), signed_in()
    new = "entirely-other-words-of-ana"
    wrong = here.post("/account/security/password", {"old": "wrong", "new": new})
    easy = here.post("/account/security/password", {"old": make.PASSWORD, "new": "password1234"})
    assert (wrong.status_code, easy.status_code, is_in(there)) == (422, 422, True)
    assert here.post("/account/security/password", {"old": make.PASSWORD, "new": new}).status_code == 302
    assert (is_in(here), is_in(there)) == (True, False)
    assert Client().post("/signin", {"username": "ana", "password": make.PASSWORD}).status_code == 403
    assert Client().post("/signin", {"username": "ana", "password": new}).status_code == 302


def test_adding_the_first_factor_and_removing_one_end_the_others(ana: User) -> None:
    here, there = signed_in(), signed_in()
    set_up_app(here, clock.now())
    assert (is_in(here), is_in(there)) == (True, False)
    there = make.browser(of_user(User.objects.get(pk=ana.pk)))
    factor = factors.factors_of(ana)[0].ulid
    assert here.post("/account/security/remove", {"factor": factor}).status_code == 302
    assert (is_in(here), is_in(there)) == (True, False)
    assert not factors.has_factor(ana)


def test_one_sees_where_one_is_signed_in_and_ends_it(ana: User) -> None:
    here, there = signed_in(), signed_in("Mozilla/5.0 (Windows NT 10.0) Chrome/150.0 Safari/537.36")
    page = here.get("/account/security")
    assert len(page.context["sessions"]) == 2
    body = page.content.decode()
    assert all(said in body for said in ("Firefox on Linux", "Chrome on Windows", "198.51.100.7"))
    other = next(one for one in page.context["sessions"] if "Windows" in one.browser)
    assert here.post("/account/security/sessions", {"session": other.ulid}).status_code == 302
    assert (is_in(here), is_in(there)) == (True, False)
    third = signed_in()
    assert here.post("/account/security/sessions").status_code == 302
    assert (is_in(here), is_in(third)) == (True, False)


def test_nobody_ends_a_session_of_somebody_else(ana: User) -> None:
    victim = signed_in()
    session = BrowserSession.objects.get(user=ana)
    other = make.browser(make.person(Role.LEAD))
    assert other.post("/account/security/sessions", {"session": session.ulid}).status_code == 404
    assert is_in(victim)


def test_signing_out_takes_the_session_off_the_list(ana: User) -> None:
    client = signed_in()
    client.post("/signout")
    assert not BrowserSession.objects.filter(user=ana).exists()


def test_an_administrator_changes_neither_themselves_nor_who_is_elsewhere_too(
    ana: User, boss: Client
) -> None:
    me = User.objects.get(username="boss")
    assert boss.get(f"/people/{me.ulid}").status_code == 200
    for path, body in (
        ("active", {"active": "0"}),
        ("factors", {}),
        ("roles", {"team": make.team().ulid, "role": "lead"}),
    ):
        assert boss.post(f"/people/{me.ulid}/{path}", body).status_code == 403
    Membership.objects.create(person=person_of(ana), team=make.team("other"), role="viewer")
    assert boss.post(f"/people/{ana.ulid}/active", {"active": "0"}).status_code == 403
    foreign = {"team": make.team("other").ulid, "role": "lead"}
    assert boss.post(f"/people/{ana.ulid}/roles", foreign).status_code == 404
    assert (
        boss.post(f"/people/{ana.ulid}/roles", {"team": make.team().ulid, "role": "king"}).status_code == 422
    )


def test_a_page_of_people_shows_each_once(ana: User, boss: Client) -> None:
    Membership.objects.create(person=person_of(ana), team=make.team(), role="viewer")
    make.user("loose")
    shown = [one.user.username for one in boss.get("/people").context["logins"]]
    assert sorted(shown) == ["ana", "boss", "loose"]
