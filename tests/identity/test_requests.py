"""Who asks: addresses behind proxies, and how fresh a sign-in is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from identity.actors import SYSTEM, Actor
from identity.models import User
from identity.requests import SIGNED_IN_AT, NotSignedIn, actor_of, bind, client_ip, is_fresh, signed_in_at
from lib import clock

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "expected"),
    [
        ("203.0.113.9", "", [], "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", [], "203.0.113.9"),
        ("10.0.0.5", "203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.5", "1.1.1.1, 203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.5", "1.1.1.1, 203.0.113.9, 10.0.0.7", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.5", "garbage", ["10.0.0.0/8"], "10.0.0.5"),
        ("10.0.0.5", "203.0.113.9:4711", ["10.0.0.5"], "203.0.113.9"),
        ("::1", "[2001:db8::1]", ["::1"], "2001:db8::1"),
        ("", "203.0.113.9", ["10.0.0.0/8"], ""),
    ],
)
def test_the_address_that_a_trusted_proxy_saw(
    settings: Settings, remote: str, forwarded: str, trusted: list[str], expected: str
) -> None:
    settings.QUELL_TRUSTED_PROXIES = trusted
    request = RequestFactory().get("/", REMOTE_ADDR=remote, headers={"X-Forwarded-For": forwarded})
    assert client_ip(request) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(("minutes", "fresh"), [(0, True), (14, True), (15, False), (-1, False)])
def test_a_sign_in_is_fresh_for_a_quarter_of_an_hour(analyst: Actor, minutes: int, fresh: bool) -> None:
    with clock.using(clock.ManualClock(clock.now())):
        request = RequestFactory().get("/")
        request.user = User.objects.get(username=analyst.label)
        request.session = SessionStore()
        assert signed_in_at(request) is None
        assert not is_fresh(request)
        at = clock.now() - timedelta(minutes=minutes)
        request.session[SIGNED_IN_AT] = at.isoformat()
        assert signed_in_at(request) == at
        assert is_fresh(request) is fresh


@pytest.mark.django_db
def test_nobody_and_programs_are_never_fresh() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    with pytest.raises(NotSignedIn):
        actor_of(request)
    bind(request, Actor(kind="key", label="siem"))
    assert not is_fresh(request)
    bind(request, SYSTEM)
    assert actor_of(request) is SYSTEM
