"""Sign-in, lock-out, sign-in again, sign-out; each leaves its trace in the ledger."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from audit import record
from audit.models import AuditEvent
from identity import signing_in
from identity.actors import of_user
from identity.models import Role, SignInFailure, User
from identity.requests import SIGNED_IN_AT
from lib import clock
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]


@pytest.fixture
def ana() -> str:
    return make.person(Role.ANALYST, login="ana", password=make.PASSWORD).label


def attempt(client: Client, login: str, password: str = make.PASSWORD, **more: str) -> Any:
    return client.post("/signin", {"username": login, "password": password, **more})


def acts() -> list[str]:
    return list(AuditEvent.objects.order_by("seq").values_list("act", flat=True))


def test_the_right_password_makes_a_new_session(ana: str) -> None:
    client = Client()
    client.get("/signin")
    client.session["planted"] = "1"
    client.session.save()
    before = client.session.session_key
    response = attempt(client, ana, next="/incidents?status=triage")
    assert (response.status_code, response.headers["Location"]) == (302, "/incidents?status=triage")
    assert client.session.session_key != before
    assert client.session[SIGNED_IN_AT]
    assert acts() == ["signed-in"]
    assert AuditEvent.objects.get().object_id == User.objects.get().ulid
    assert record.verify() is None


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http:///evil.example",
    ],
)
def test_next_stays_here(ana: str, elsewhere: str) -> None:
    assert attempt(Client(), ana, next=elsewhere).headers["Location"] == "/alerts"


@pytest.mark.parametrize("login", ["ana", "nobody-of-this-name"])
def test_wrong_is_wrong_in_the_same_words(ana: str, login: str) -> None:
    response = attempt(Client(), login, "wrong")
    assert response.status_code == 403
    assert response.context["form"].non_field_errors() == ["The login or the password is wrong."]
    assert acts() == ["sign-in-failed"]
    event = AuditEvent.objects.get()
    assert (event.actor, event.ip) == ("", "127.0.0.1")
    assert "ana" not in f"{event.object_id} {event.details}"


def test_a_deactivated_login_is_out_at_once(ana: str) -> None:
    client = Client()
    attempt(client, ana)
    User.objects.update(is_active=False)
    assert client.get("/alerts").status_code == 302
    assert attempt(Client(), ana).status_code == 403


def test_locked_after_ten_from_one_address(ana: str) -> None:
    for _ in range(signing_in.TRIES):
        assert attempt(Client(), ana, "wrong").status_code == 403
    response = attempt(Client(), ana)
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 901
    assert response.context["locked_until"] > clock.now()
    assert attempt(Client(), "ANA").status_code == 429
    assert attempt(Client(REMOTE_ADDR="192.0.2.7"), ana).status_code == 302, "elsewhere nobody is locked out"
    assert acts() == ["sign-in-failed"] * 9 + ["sign-in-locked", "signed-in"]
    assert SignInFailure.objects.count() == 10, "attempts while locked neither count nor prolong"


def test_the_lock_ends_after_a_quarter_of_an_hour(ana: str) -> None:
    with clock.using(clock.ManualClock(clock.now())) as still:
        for _ in range(signing_in.TRIES):
            attempt(Client(), ana, "wrong")
        still.sleep(signing_in.WINDOW.total_seconds() - 1)
        assert attempt(Client(), ana).status_code == 429
        still.sleep(2)
        assert attempt(Client(), ana).status_code == 302
    assert SignInFailure.objects.count() == 0


def test_success_forgets_the_failures_before_it(ana: str) -> None:
    for _ in range(signing_in.TRIES - 1):
        attempt(Client(), ana, "wrong")
    assert attempt(Client(), ana).status_code == 302
    assert attempt(Client(), ana, "wrong").status_code == 403


def test_again_asks_for_the_same_persons_password(ana: str) -> None:
    make.person(Role.LEAD, login="lea", password=make.PASSWORD)
    client = make.browser(of_user(User.objects.get(username="ana")), signed_in_at=hours_ago(2))
    page = client.get("/signin?again=1&next=/incidents")
    assert page.status_code == 200
    assert page.context["again"] is True
    before = client.session.session_key
    assert attempt(client, "lea", again="1", next="/incidents").status_code == 302
    assert client.session["_auth_user_id"] == str(User.objects.get(username="ana").pk)
    assert client.session.session_key != before
    straight = client.get("/signin?again=1&next=/incidents")
    assert (straight.status_code, straight.headers["Location"]) == (302, "/incidents")


def hours_ago(hours: int) -> datetime:
    return clock.now() - timedelta(hours=hours)


def test_sign_out_needs_a_form_and_ends_the_session(ana: str) -> None:
    client = Client()
    attempt(client, ana)
    assert client.get("/signout").status_code == 405
    assert client.post("/signout").headers["Location"] == "/signin"
    assert "_auth_user_id" not in client.session
    assert acts() == ["signed-in", "signed-out"]


def test_a_page_sends_strangers_to_the_sign_in_page_and_back() -> None:
    response = Client().get("/alerts?severity=high")
    target = urlsplit(response.headers["Location"])
    assert (response.status_code, target.path) == (302, "/signin")
    assert parse_qs(target.query) == {"next": ["/alerts?severity=high"]}


def test_a_fragment_sends_the_whole_page_there() -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/incidents/INC-2026-0001"}
    response = Client(headers=headers).get("/alerts")
    assert response.status_code == 200
    assert response.headers["HX-Redirect"] == "/signin?next=%2Fincidents%2FINC-2026-0001"
    headers["HX-Current-URL"] = "https://evil.example/x"
    assert Client(headers=headers).get("/alerts").headers["HX-Redirect"] == "/signin?next=%2F"


def test_signed_in_pages_are_not_kept_in_caches(ana: str) -> None:
    client = Client()
    attempt(client, ana)
    response = client.get("/alerts")
    assert "no-store" in response.headers["Cache-Control"]
    assert "Cookie" in response.headers["Vary"]


@pytest.mark.parametrize(
    "body", [{}, {"username": "a\0b", "password": "x"}, {"username": "x" * 5000, "password": "x"}]
)
def test_nonsense_is_refused_politely(body: dict[str, str]) -> None:
    assert Client().post("/signin", body).status_code == 422
    assert acts() == []
