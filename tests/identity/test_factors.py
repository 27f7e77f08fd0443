"""Second factors through the pages: setting up, signing in, losing, guessing, and nothing opening twice."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.db import connections
from django.test import Client
from pytest_django.fixtures import Settings

from audit import record
from audit.models import AuditEvent
from identity import codes, factors, signing_in
from identity.actors import of_user
from identity.models import RecoveryCode, Role, SignInFailure, User
from lib import clock
from tests import make
from tests.identity.soft_key import SoftKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> clock.ManualClock:
    hands = clock.ManualClock(datetime.now(UTC))  # noqa: TID251 - sessions run out by Django's own clock
    monkeypatch.setattr(clock, "_clock", hands)
    return hands


@pytest.fixture
def ana() -> User:
    make.person(Role.ANALYST, login="ana", password=make.PASSWORD)
    return User.objects.get(username="ana")


def code(secret: str, at: datetime) -> str:
    """What the app shows then."""
    return str(format_hotp_value(hotp_value(secret, int(at.timestamp()) // codes.PERIOD)))


def password(client: Client, login: str = "ana", **more: str) -> Any:
    return client.post("/signin", {"username": login, "password": make.PASSWORD, **more})


def show(client: Client, typed: str) -> Any:
    return client.post("/signin/factor", {"code": typed})


def is_in(client: Client) -> bool:
    return bool(client.get("/alerts").status_code == 200)


def set_up_app(client: Client, at: datetime) -> tuple[str, list[str]]:
    """The secret and the recovery codes of an app set up through the pages."""
    page = client.get("/account/security/app")
    secret = page.context["secret"].replace(" ", "")
    done = client.post("/account/security/app", {"code": code(secret, at)})
    assert done.status_code == 200, done.context["form"].errors
    return secret, list(done.context["codes"])


@pytest.fixture
def app(ana: User, time: clock.ManualClock) -> tuple[str, list[str]]:
    """Ana's app and recovery codes; the code of the step in which it was set up is used by then."""
    made = set_up_app(make.browser(of_user(ana)), time.now())
    time.advance(90)
    return made


def test_the_password_alone_signs_in_where_nothing_else_is_set_up(ana: User) -> None:
    client = Client()
    assert password(client, next="/incidents").headers["Location"] == "/incidents"
    assert is_in(client)


def test_the_code_is_asked_for_after_the_password_and_leads_on(
    app: tuple[str, list[str]], time: clock.ManualClock
) -> None:
    client = Client()
    half = password(client, next="/incidents")
    assert (half.status_code, half.headers["Location"]) == (302, "/signin/factor")
    assert not is_in(client)
    assert client.get("/api/v1/alerts").status_code == 401
    page = client.get("/signin/factor")
    assert page.status_code == 200
    assert b"<script>" not in page.content
    assert b" style=" not in page.content
    before = client.session.session_key
    whole = show(client, code(app[0], time.now()))
    assert (whole.status_code, whole.headers["Location"]) == (302, "/incidents")
    assert is_in(client)
    assert client.session.session_key != before
    last = AuditEvent.objects.order_by("-seq").first()
    assert last is not None
    assert (last.act, last.details) == ("signed-in", {"factor": "app"})
    assert record.verify() is None


def test_a_code_opens_once_and_so_does_none_before_it(
    app: tuple[str, list[str]], time: clock.ManualClock
) -> None:
    typed, earlier = code(app[0], time.now()), code(app[0], time.now() - timedelta(seconds=30))
    for client in (Client(), Client(), Client()):
        password(client)
        answers = [show(client, typed).status_code, show(client, earlier).status_code]
        assert answers in ([302, 302], [403, 403])
        assert is_in(client) is (answers == [302, 302])
    assert AuditEvent.objects.filter(act="second-factor-failed").count() == 4


def test_the_code_that_set_the_app_up_signs_nobody_in(ana: User, time: clock.ManualClock) -> None:
    secret, _ = set_up_app(make.browser(of_user(ana)), time.now())
    client = Client()
    password(client)
    assert show(client, code(secret, time.now())).status_code == 403


@pytest.mark.parametrize("off", [-60, 60])
def test_a_code_of_another_time_is_wrong(
    app: tuple[str, list[str]], time: clock.ManualClock, off: int
) -> None:
    client = Client()
    password(client)
    assert show(client, code(app[0], time.now() + timedelta(seconds=off))).status_code == 403


def test_the_page_between_is_open_for_five_minutes_and_for_nobody_else(
    app: tuple[str, list[str]], time: clock.ManualClock
) -> None:
    client = Client()
    password(client)
    time.advance(301)
    late = show(client, code(app[0], time.now()))
    assert late.headers["Location"] == "/signin"
    assert show(Client(), code(app[0], time.now())).headers["Location"] == "/signin"
    assert not is_in(client)


def test_a_sign_in_begun_before_the_password_changed_ends_there(
    app: tuple[str, list[str]], ana: User, time: clock.ManualClock
) -> None:
    client = Client()
    password(client)
    ana.set_password("another-password-of-ana")
    ana.save()
    assert show(client, code(app[0], time.now())).headers["Location"] == "/signin"


def test_signing_in_again_asks_for_both(
    app: tuple[str, list[str]], ana: User, time: clock.ManualClock
) -> None:
    client = make.browser(of_user(ana), signed_in_at=time.now() - timedelta(hours=1))
    assert password(client, again="1", next="/incidents").headers["Location"] == "/signin/factor"
    stale = client.get("/account/security/key")
    assert stale.headers["Location"].startswith("/signin?")
    show(client, code(app[0], time.now()))
    assert client.get("/account/security/key").status_code == 200


class TestGuessing:
    def test_wrong_codes_lock_the_login_wherever_they_come_from(
        self, app: tuple[str, list[str]], time: clock.ManualClock
    ) -> None:
        for number in range(10):
            client = Client(REMOTE_ADDR=f"198.51.100.{number}")
            password(client)
            assert show(client, "000000").status_code == 403
        client = Client(REMOTE_ADDR="203.0.113.9")
        password(client)  # the right password forgives no wrong code
        locked = show(client, code(app[0], time.now()))
        assert locked.status_code == 429
        assert int(locked.headers["Retry-After"]) <= 901
        time.advance(901)
        password(client)
        assert show(client, code(app[0], time.now())).status_code == 302
        assert not SignInFailure.objects.filter(attempted__startswith="code:").exists()

    def test_thirty_wrong_codes_in_a_month_lock_for_longer(
        self, app: tuple[str, list[str]], time: clock.ManualClock
    ) -> None:
        client = Client()
        for _ in range(3):
            for _ in range(10):
                password(client)
                assert show(client, "000000").status_code == 403
            time.advance(901)
        password(client)
        locked = show(client, code(app[0], time.now()))
        assert locked.status_code == 429
        assert int(locked.headers["Retry-After"]) > 29 * 24 * 3600

    def test_recovery_codes_count_as_guesses_too(
        self, app: tuple[str, list[str]], time: clock.ManualClock
    ) -> None:
        client = Client()
        for _ in range(10):
            password(client)
            show(client, "aaaa-bbbb-cccc-dddd")
        password(client)
        assert show(client, app[1][0]).status_code == 429


def guesses(user: User, secret: str, at: datetime, *, wanted: int, connections_at_once: int) -> int:
    """How many of so many guesses were looked at, made through as many connections as given."""
    looked_at: list[str] = []
    right = {code(secret, at + timedelta(seconds=off)) for off in (-30, 0, 30)}

    def guess(start: int) -> None:
        try:
            for number in range(start, wanted, connections_at_once):
                typed = f"{number:06d}"
                if typed in right:
                    continue
                try:
                    signing_in.show_factor(
                        user=user, code=typed, credential="", ip="198.51.100.1", request_id="", at=at
                    )
                except signing_in.WrongCode:
                    looked_at.append(typed)
                except signing_in.LockedOut:
                    continue
        finally:
            connections.close_all()

    with ThreadPoolExecutor(connections_at_once) as threads:
        list(threads.map(guess, range(connections_at_once)))
    return len(looked_at)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_ten_thousand_guesses_over_thirty_two_connections_are_ten(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, at = codes.new_secret(), clock.now()
    factors.add_app(user=ana, secret=secret, code=code(secret, at), by=of_user(ana), at=at)
    assert 1 <= guesses(ana, secret, at, wanted=10_000, connections_at_once=32) <= 10
    monkeypatch.setattr(signing_in, "count_code_attempt", lambda user, *, at: None)
    assert guesses(ana, secret, at, wanted=64, connections_at_once=32) > 10  # the planted defect is seen


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_many_that_show_the_same_code_at_once_one_comes_in(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, at = codes.new_secret(), clock.now()
    factors.add_app(user=ana, secret=secret, code=code(secret, at), by=of_user(ana), at=at)
    recovery = factors.make_recovery_codes(user=ana, by=of_user(ana), at=at)[0]
    monkeypatch.setattr(signing_in, "count_code_attempt", lambda user, *, at: None)
    later = at + timedelta(seconds=60)

    def shown(typed: str) -> bool:
        try:
            signing_in.show_factor(user=ana, code=typed, credential="", ip="", request_id="", at=later)
        except signing_in.WrongCode:
            return False
        finally:
            connections.close_all()
        return True

    for typed in (code(secret, later), recovery):
        with ThreadPoolExecutor(16) as threads:
            assert sum(threads.map(shown, [typed] * 16)) == 1


class TestRecoveryCodes:
    def test_each_opens_once(self, app: tuple[str, list[str]]) -> None:
        assert len(set(app[1])) == 10
        first, second = Client(), Client()
        password(first)
        assert show(first, app[1][0].upper().replace("-", " ")).status_code == 302
        password(second)
        assert show(second, app[1][0]).status_code == 403
        assert show(second, app[1][1]).status_code == 302

    def test_they_rest_as_digests(self, app: tuple[str, list[str]]) -> None:
        rows = json.dumps(list(RecoveryCode.objects.values("digest")))
        rows += json.dumps(list(Authenticator.objects.values("data")))
        kept = [one for made in app[1] for one in (made, made.replace("-", "")) if one in rows]
        assert (kept, app[0] in rows) == ([], False)

    def test_new_ones_end_the_earlier_and_are_shown_once(self, app: tuple[str, list[str]], ana: User) -> None:
        client = make.browser(of_user(ana))
        made = client.post("/account/security/codes")
        assert "no-store" in made.headers["Cache-Control"]
        assert not any(
            one in client.get("/account/security").content.decode() for one in made.context["codes"]
        )
        stranger = Client()
        password(stranger)
        assert show(stranger, app[1][3]).status_code == 403
        assert show(stranger, made.context["codes"][3]).status_code == 302


@pytest.fixture
def localhost(settings: Settings) -> None:
    settings.QUELL_BASE_URL = "http://localhost:8000"


def options_of(page: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(page.context["options"])
    return read


@pytest.mark.usefixtures("localhost")
class TestSecurityKeys:
    def add(self, client: Client, key: SoftKey, name: str = "Blue key") -> Any:
        made = key.create(options_of(client.get("/account/security/key")))
        return client.post("/account/security/key", {"name": name, "credential": made})

    def half_in(self) -> tuple[Client, dict[str, Any]]:
        client = Client()
        assert password(client).headers["Location"] == "/signin/factor"
        return client, options_of(client.get("/signin/factor"))

    def sign(self, client: Client, answer: str) -> int:
        return int(client.post("/signin/factor", {"credential": answer}).status_code)

    def test_a_key_signs_in_and_an_answer_is_good_once(self, ana: User) -> None:
        key = SoftKey()
        assert self.add(make.browser(of_user(ana)), key).status_code == 200
        client, options = self.half_in()
        answer = key.get(options)
        assert self.sign(client, answer) == 302
        assert is_in(client)
        other, _ = self.half_in()
        assert self.sign(other, answer) == 403
        assert not is_in(other)

    @pytest.mark.parametrize(
        "wrong",
        [
            SoftKey(origin="https://localhost:8000"),
            SoftKey(origin="http://localhost:9999"),
            SoftKey(origin="https://evil.example", site="evil.example"),
            SoftKey(site="evil.example"),
        ],
        ids=["https", "port", "evil", "site"],
    )
    def test_a_key_of_another_page_is_not_added(self, ana: User, wrong: SoftKey) -> None:
        assert self.add(make.browser(of_user(ana)), wrong).status_code == 422
        assert not factors.has_factor(ana)

    def test_neither_another_key_nor_another_page_nor_a_copy_signs_in(self, ana: User) -> None:
        key = SoftKey()
        self.add(make.browser(of_user(ana)), key)
        client, options = self.half_in()
        assert self.sign(client, SoftKey().get(options)) == 403
        key.origin = "http://localhost:9999"
        assert self.sign(client, key.get(options_of(client.get("/signin/factor")))) == 403
        key.origin, key.counter = "http://localhost:8000", 7
        assert self.sign(client, key.get(options_of(client.get("/signin/factor")))) == 302
        key.counter = 7
        copied, options = self.half_in()
        assert self.sign(copied, key.get(options)) == 403

    @pytest.mark.parametrize(
        "nonsense", ["", "x", "[]", "{}", '{"response": {}}', "[" * 5000, '{"response":1}']
    )
    def test_nonsense_is_refused(self, ana: User, nonsense: str) -> None:
        client = make.browser(of_user(ana))
        client.get("/account/security/key")
        answer = client.post("/account/security/key", {"name": "x", "credential": nonsense})
        assert answer.status_code == 422
        self.add(make.browser(of_user(ana)), SoftKey())
        half, _ = self.half_in()
        assert self.sign(half, nonsense) in {403, 422}

    def test_the_key_of_somebody_else_does_not_help(self, ana: User) -> None:
        mine, theirs = SoftKey(), SoftKey()
        self.add(make.browser(of_user(ana)), mine)
        self.add(make.browser(make.person(Role.LEAD, login="lea", password=make.PASSWORD)), theirs)
        client, options = self.half_in()
        assert self.sign(client, theirs.get(options)) == 403


@pytest.mark.parametrize(
    ("setting", "role", "must"),
    [
        ("optional", Role.ADMIN, False),
        ("privileged", Role.ANALYST, False),
        ("privileged", Role.APPROVER, True),
        ("privileged", Role.LEAD, True),
        ("privileged", Role.ADMIN, True),
        ("everyone", Role.VIEWER, True),
    ],
)
def test_who_must_have_a_factor_reaches_nothing_without(
    settings: Settings, time: clock.ManualClock, setting: str, role: Role, must: bool
) -> None:
    settings.QUELL_SECOND_FACTOR = setting
    make.person(role, login="ana", password=make.PASSWORD)
    client = Client()
    password(client)
    page = client.get("/alerts")
    assert page.status_code == (302 if must else 200)
    header = {"HTTP_AUTHORIZATION": "Bearer qk_nothing"}
    assert client.get("/alerts", **header).status_code == page.status_code  # type: ignore[arg-type]
    if must:
        assert page.headers["Location"] == "/account/security"
        assert client.get("/api/v1/alerts").status_code == 403
        assert client.post("/alerts/selected", {}).status_code == 403
        assert client.get("/account/security").context["must"] is True
        set_up_app(client, time.now())
    assert is_in(client)
    assert client.get("/api/v1/alerts").status_code == 200


def test_changing_how_one_signs_in_needs_a_fresh_sign_in(ana: User) -> None:
    client = make.browser(of_user(ana), signed_in_at=clock.now() - timedelta(hours=1))
    assert client.get("/account/security").status_code == 200
    for path in ("app", "key", "codes", "remove", "sessions", "password"):
        answer = client.post(f"/account/security/{path}", {"code": "1"})
        assert re.match(r"/signin\?.*again=1", answer.headers["Location"]), path


def test_a_page_shows_nothing_inline(ana: User, time: clock.ManualClock) -> None:
    client = make.browser(of_user(ana))
    for path in ("", "/app", "/key"):
        body = client.get(f"/account/security{path}").content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", body), path
