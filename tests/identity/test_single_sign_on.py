"""Single sign-on against a real provider in another process: the round trip, and all that must not let in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import jwt
import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from audit import record
from audit.models import AuditEvent
from identity import factors, single_sign_on
from identity.actors import of_user
from identity.models import Membership, Person, Role, User
from launcher import ports
from lib import clock, outbound
from tests import make
from tests.identity import provider as provider_of_tests
from tests.identity.test_factors import set_up_app

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

HERE = "http://127.0.0.1:8000"
CALLBACK = "/signin/sso/callback"


class Provider:
    """The second process, and somebody's browser at it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, ports.free()
        self.url = f"http://127.0.0.1:{self.port}"
        self.issuer = f"{self.url}/o"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, callback: str = HERE + CALLBACK) -> None:
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    provider_of_tests.__file__,
                    str(self.port),
                    str(self.directory),
                    callback,
                ],
                env={"PATH": "/usr/bin"},
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 60
        while not (self.directory / "ready").exists():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def goes_wrong(self, **how: Any) -> None:
        (self.directory / "wrong.json").write_text(json.dumps(how))

    def through(self, way: str, *, who: str) -> str:
        """Where the provider sends somebody's browser back to, having asked who they are."""
        with requests.Session() as browser:
            browser.cookies.set("who", who)
            for _ in range(6):
                answer = browser.get(way, allow_redirects=False, timeout=10)
                assert answer.status_code == 302, answer.text[:500]
                way = urljoin(way, answer.headers["Location"])
                if not way.startswith(self.url):
                    return way
        raise AssertionError("the provider leads in a circle")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    provider = Provider(tmp_path_factory.mktemp("provider"))
    try:
        provider.start()
        yield provider
    finally:
        provider.stop()


def point_at(provider: Provider, settings: Settings) -> None:
    settings.QUELL_OIDC_ISSUER = provider.issuer
    settings.QUELL_OIDC_CLIENT_ID = provider_of_tests.CLIENT
    settings.QUELL_OIDC_CLIENT_SECRET = provider_of_tests.SECRET
    settings.QUELL_OIDC_CREATE = False
    settings.QUELL_OIDC_GROUPS = {}
    settings.QUELL_OUTBOUND_ALLOW = outbound.exceptions([f"127.0.0.1:{provider.port}"])


@pytest.fixture
def provider(running: Provider, settings: Settings) -> Iterator[Provider]:
    point_at(running, settings)
    yield running
    running.goes_wrong()


@pytest.fixture
def ana() -> User:
    make.person(Role.ANALYST, login="ana", password=make.PASSWORD)
    return User.objects.get(username="ana")


def subject_of(provider: Provider, who: str) -> str:
    """django-oauth-toolkit's subject: the number of the account."""
    return str(("ada", "bob", "eve").index(who) + 1)


@pytest.fixture
def linked(ana: User, provider: Provider) -> User:
    SocialAccount.objects.create(user=ana, provider=provider.issuer, uid=subject_of(provider, "ada"))
    return ana


def set_off(client: Client, query: str = "") -> str:
    answer = client.get(f"/signin/sso{query}")
    assert answer.status_code == 302, answer.context["told"]
    return str(answer.headers["Location"])


def come_back(client: Client, back: str) -> Any:
    parts = urlsplit(back)
    return client.get(f"{parts.path}?{parts.query}")


def sign_in(client: Client, provider: Provider, who: str = "ada", query: str = "") -> Any:
    return come_back(client, provider.through(set_off(client, query), who=who))


def changed(address: str, **values: str) -> str:
    parts = urlsplit(address)
    query = {name: value[0] for name, value in parse_qs(parts.query).items()} | values
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value})).geturl()


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def refused(client: Client, answer: Any, status: int = 403) -> None:
    assert answer.status_code == status
    assert answer.context["told"]
    assert not is_in(client)
    last = AuditEvent.objects.order_by("-seq").first()
    assert last is not None
    assert (last.act, last.details["way"]) == ("sign-in-failed", "sso")
    assert record.verify() is None


def test_a_linked_login_comes_in_and_goes_on(provider: Provider, linked: User) -> None:
    client = Client()
    assert b"Continue with single sign-on" in client.get("/signin").content
    way = set_off(client, "?next=/incidents")
    asked = parse_qs(urlsplit(way).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert all(asked[name][0] for name in ("state", "nonce", "code_challenge"))
    answer = come_back(client, provider.through(way, who="ada"))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/incidents")
    assert client.session["_auth_user_id"] == str(linked.pk)
    assert client.get("/alerts").status_code == 200
    assert AuditEvent.objects.get(act="signed-in").details == {"way": "sso"}


@pytest.mark.django_db(transaction=True)
def test_the_whole_round_trip_in_http(live_server: LiveServer, settings: Settings, tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    point_at(provider, settings)
    settings.QUELL_BASE_URL = live_server.url
    settings.QUELL_OIDC_CREATE = True
    try:
        provider.start(live_server.url + CALLBACK)
        with requests.Session() as browser:
            browser.cookies.set("who", "ada")
            page = browser.get(f"{live_server.url}/signin/sso?next=/account/security", timeout=30)
            assert (page.status_code, page.url) == (200, f"{live_server.url}/account/security")
            assert "Single sign-on" in page.text
    finally:
        provider.stop()
    assert Person.objects.get().name == "Ada"


def test_a_second_factor_of_ours_is_asked_for_too(provider: Provider, linked: User) -> None:
    set_up_app(make.browser(of_user(linked)), clock.now())
    client = Client()
    assert sign_in(client, provider).headers["Location"] == "/signin/factor"
    assert not is_in(client)
    provider.goes_wrong(claims={"amr": ["pwd", "mfa"]})
    strong = Client()
    assert sign_in(strong, provider).headers["Location"] == "/alerts"
    assert is_in(strong)


class TestWhatIsNotBelieved:
    def test_a_state_of_nobody_and_of_another_browser(self, provider: Provider, linked: User) -> None:
        client, other = Client(), Client()
        back = provider.through(set_off(client), who="ada")
        refused(client, come_back(client, changed(back, state="x" * 16)))
        refused(client, come_back(client, changed(back, state="")))
        set_off(other)
        refused(other, come_back(other, back))

    def test_a_nonce_of_another_sign_in(self, provider: Provider, linked: User) -> None:
        client = Client()
        back = provider.through(changed(set_off(client), nonce="of-another-sign-in"), who="ada")
        refused(client, come_back(client, back))

    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": "another"},
            {"aud": ["another", "quell"]},
            {"aud": ["another", "quell"], "azp": "another"},
            {"azp": "another"},
            {"iss": "https://evil.example"},
            {"iss": "http://127.0.0.1/o"},
            {"exp": 1},
            {"exp": None},
            {"sub": None},
            {"sub": ""},
            {"sub": "x" * 300},
            {"nonce": None},
            {"nonce": ["a"]},
            {"iat": 99999999999},
        ],
        ids=str,
    )
    def test_a_token_that_says_something_else(
        self, provider: Provider, linked: User, claims: dict[str, Any]
    ) -> None:
        provider.goes_wrong(claims=claims)
        client = Client()
        refused(client, sign_in(client, provider))
        provider.goes_wrong(claims={"locale": "en"})  # signed anew in the same way, and believed
        assert sign_in(client, provider).status_code == 302

    @pytest.mark.parametrize("sign", ["other", "none"])
    def test_a_signature_of_somebody_else_or_none(self, provider: Provider, linked: User, sign: str) -> None:
        provider.goes_wrong(sign=sign)
        client = Client()
        refused(client, sign_in(client, provider))

    def test_an_issuer_that_names_itself_otherwise(self, provider: Provider, linked: User) -> None:
        provider.goes_wrong(discovery={"issuer": "https://evil.example"})
        answer = Client().get("/signin/sso")
        assert answer.status_code == 502
        assert "another one" in answer.context["told"]

    def test_an_answer_in_the_name_of_another_issuer(self, provider: Provider, linked: User) -> None:
        client = Client()
        back = provider.through(set_off(client), who="ada")
        refused(client, come_back(client, changed(back, iss="https://evil.example")))

    def test_a_code_is_good_once(self, provider: Provider, linked: User) -> None:
        client, thief = Client(), Client()
        back = provider.through(set_off(client), who="ada")
        assert come_back(client, back).status_code == 302
        again = Client()
        refused(again, come_back(again, back))
        # With a state of their own the thief's verifier is another, and the code is spent besides.
        state = parse_qs(urlsplit(set_off(thief)).query)["state"][0]
        refused(thief, come_back(thief, changed(back, state=state)), 502)

    def test_a_code_without_its_verifier(self, provider: Provider, linked: User) -> None:
        """A fresh code of the victim, put into the thief's own round trip: PKCE."""
        victim, thief = Client(), Client()
        back = provider.through(set_off(victim), who="ada")
        state = parse_qs(urlsplit(set_off(thief)).query)["state"][0]
        refused(thief, come_back(thief, changed(back, state=state)), 502)

    def test_what_the_provider_refuses_is_said_in_our_words(self, provider: Provider) -> None:
        client = Client()
        state = parse_qs(urlsplit(set_off(client)).query)["state"][0]
        said = {"state": state, "error": "access_denied", "error_description": "<b>call 555</b>"}
        answer = client.get(CALLBACK, said)
        refused(client, answer)
        assert b"call 555" not in answer.content


def test_without_its_checks_the_tests_above_would_fail(
    provider: Provider, linked: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(single_sign_on, "constant_time_compare", lambda one, other: True)
        client = Client()
        back = provider.through(changed(set_off(client), nonce="of-another-sign-in"), who="ada")
        assert come_back(client, back).status_code == 302
    believing = jwt.decode

    def decode(token: str, **given: Any) -> Any:
        return believing(token, options={"verify_signature": False})

    with monkeypatch.context() as planted:
        planted.setattr("jwt.decode", decode)
        provider.goes_wrong(sign="other")
        assert sign_in(Client(), provider).status_code == 302


class TestWhoseLogin:
    def test_an_account_that_nobody_linked_stays_out(self, provider: Provider, ana: User) -> None:
        client = Client()
        refused(client, sign_in(client, provider))
        assert User.objects.count() == 1

    def test_the_same_address_links_nobody(self, provider: Provider, ana: User, settings: Settings) -> None:
        User.objects.filter(pk=ana.pk).update(email="ana@example.com")
        client = Client()
        refused(client, sign_in(client, provider, "eve"))
        settings.QUELL_OIDC_CREATE = True
        assert sign_in(client, provider, "eve").status_code == 302
        made = User.objects.get(pk=client.session["_auth_user_id"])
        assert made.pk != ana.pk
        assert made.person is not None
        assert (made.person.name, made.person.memberships.count()) == ("Eve", 0)
        assert not made.has_usable_password()
        assert client.get("/incidents").status_code == 200
        assert client.get("/api/v1/alerts").status_code == 403

    def test_the_same_subject_of_another_issuer_is_somebody_else(self, provider: Provider, ana: User) -> None:
        uid = subject_of(provider, "ada")
        SocialAccount.objects.create(user=ana, provider="https://other.example", uid=uid)
        client = Client()
        refused(client, sign_in(client, provider))

    def test_a_deactivated_login_stays_out(self, provider: Provider, linked: User) -> None:
        linked.is_active = False
        linked.save()
        client = Client()
        refused(client, sign_in(client, provider))

    def test_whoever_comes_back_is_found_again(self, provider: Provider, settings: Settings) -> None:
        settings.QUELL_OIDC_CREATE = True
        for _ in range(2):
            assert sign_in(Client(), provider, "bob").status_code == 302
        assert User.objects.count() == 1

    def test_groups_give_and_take_the_roles_that_are_named(
        self, provider: Provider, linked: User, settings: Settings
    ) -> None:
        settings.QUELL_OIDC_GROUPS = {"leads": ("blue", "lead"), "gone": ("nowhere", "lead")}
        held: Callable[[], set[str]] = lambda: set(  # noqa: E731
            Membership.objects.filter(person=linked.person).values_list("role", flat=True)
        )
        provider.goes_wrong(claims={"groups": ["leads", "gone", "others"]})
        sign_in(Client(), provider)
        assert held() == {"analyst", "lead"}
        provider.goes_wrong()  # says nothing of groups
        sign_in(Client(), provider)
        assert held() == {"analyst", "lead"}
        provider.goes_wrong(claims={"groups": []})
        sign_in(Client(), provider)
        assert held() == {"analyst"}


class TestLinking:
    def way(self, client: Client) -> str:
        page = client.post("/account/security/link")
        assert page.status_code == 200
        return str(page.context["way"])

    def test_one_links_ones_own_login_and_comes_in_with_it(self, provider: Provider, ana: User) -> None:
        client = make.browser(of_user(ana))
        answer = come_back(client, provider.through(self.way(client), who="bob"))
        assert answer.headers["Location"] == "/account/security"
        stranger = Client()
        assert sign_in(stranger, provider, "bob").status_code == 302
        assert stranger.session["_auth_user_id"] == str(ana.pk)
        assert client.post("/account/security/unlink").status_code == 302
        refused(Client(), sign_in(Client(), provider, "bob"))
        assert stranger.get("/alerts").status_code == 302

    def test_an_account_signs_in_one_login(self, provider: Provider, linked: User) -> None:
        other = make.browser(make.person(Role.LEAD))
        answer = come_back(other, provider.through(self.way(other), who="ada"))
        assert answer.status_code == 409
        assert SocialAccount.objects.count() == 1

    def test_an_answer_for_linking_links_nothing_elsewhere(self, provider: Provider, ana: User) -> None:
        mine, theirs = make.browser(of_user(ana)), make.browser(make.person(Role.LEAD))
        back = provider.through(self.way(theirs), who="bob")
        assert come_back(mine, back).status_code == 403
        assert not SocialAccount.objects.exists()


class TestAgain:
    def test_the_provider_asks_anew(self, provider: Provider, linked: User) -> None:
        client = make.browser(of_user(linked), signed_in_at=clock.now().replace(year=2020))
        assert client.get("/account/security/key").status_code == 302
        asked = parse_qs(urlsplit(set_off(client, "?again=1&next=/account/security/key")).query)
        assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
        answer = sign_in(client, provider, "ada", "?again=1&next=/account/security/key")
        assert answer.headers["Location"] == "/account/security/key"
        assert client.get("/account/security/key").status_code == 200

    def test_an_old_sign_in_at_the_provider_is_not_fresh(self, provider: Provider, linked: User) -> None:
        client = make.browser(of_user(linked), signed_in_at=clock.now().replace(year=2020))
        for then in (int(time.time()) - 3600, None):
            provider.goes_wrong(claims={"auth_time": then})
            assert sign_in(client, provider, "ada", "?again=1").status_code == 403
        assert client.get("/account/security/key").status_code == 302

    def test_somebody_else_at_the_provider_is_not_me(self, provider: Provider, linked: User) -> None:
        client = make.browser(of_user(linked), signed_in_at=clock.now().replace(year=2020))
        lea = User.objects.get(username=make.person(Role.LEAD).label)
        SocialAccount.objects.create(user=lea, provider=provider.issuer, uid=subject_of(provider, "bob"))
        assert sign_in(client, provider, "bob", "?again=1").status_code == 403
        assert client.session["_auth_user_id"] == str(linked.pk)


def test_a_provider_that_is_down_leaves_the_password(
    provider: Provider, ana: User, settings: Settings
) -> None:
    free = ports.free()
    settings.QUELL_OIDC_ISSUER = f"http://127.0.0.1:{free}/o"
    settings.QUELL_OUTBOUND_ALLOW = outbound.exceptions([f"127.0.0.1:{free}"])
    client = Client()
    answer = client.get("/signin/sso")
    assert answer.status_code == 502
    assert answer.context["told"]
    assert client.post("/signin", {"username": "ana", "password": make.PASSWORD}).status_code == 302


def test_a_private_provider_is_asked_only_where_that_is_allowed(
    provider: Provider, settings: Settings
) -> None:
    settings.QUELL_OUTBOUND_ALLOW = outbound.exceptions([])
    assert Client().get("/signin/sso").status_code == 502


def test_without_a_provider_there_is_no_way_to_one(ana: User) -> None:
    assert Client().get("/signin/sso").status_code == 404
    assert Client().get(CALLBACK).status_code == 404
    assert b"single sign-on" not in Client().get("/signin").content
    assert not factors.has_factor(ana)
