"""However many sign in at once, a process computes two Argon2 hashes at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client
from pytest_django.fixtures import Settings

from identity import hashing, signing_in
from identity.hashing import BoundedArgon2
from identity.models import Role, SignInFailure
from lib.errors import TooManyRequests
from tests import make


class Counted:
    """How many were inside at once, at most."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def watch(self, password: str, encoded: str) -> bool:
        del password, encoded
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        with self.lock:
            self.now -= 1
        return True


def at_once(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many of 32 verifications that begin together run at the same time, at most."""
    counted = Counted()
    monkeypatch.setattr(Argon2PasswordHasher, "verify", counted.watch)
    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(lambda _: BoundedArgon2().verify("password", "encoded"), range(32)))
    return counted.most


@pytest.mark.fast
def test_thirty_two_sign_ins_compute_two_hashes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_once(monkeypatch) == hashing.AT_ONCE


@pytest.mark.fast
def test_without_the_bound_the_test_would_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(32))
    assert at_once(monkeypatch) > hashing.AT_ONCE


@pytest.mark.fast
def test_whoever_finds_no_place_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "PATIENCE", 0.01)
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(1))
    with hashing._place(), pytest.raises(TooManyRequests):
        BoundedArgon2().encode("password", "a-salt-of-some-length")


def test_a_hash_is_argon2id_with_64_mebibytes_and_verifies() -> None:
    encoded = BoundedArgon2().encode("correct", "a-salt-of-some-length")
    assert encoded.startswith("argon2$argon2id$v=19$m=65536,t=3,p=4$")
    assert BoundedArgon2().verify("correct", encoded)
    assert not BoundedArgon2().verify("wrong", encoded)


@pytest.mark.django_db
def test_a_sign_in_that_found_no_place_says_so_and_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.PASSWORD_HASHERS = ["identity.hashing.BoundedArgon2"]
    make.person(Role.ANALYST, login="ana", password=make.PASSWORD)
    monkeypatch.setattr(hashing, "PATIENCE", 0.01)
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(1))
    body = {"username": "ana", "password": make.PASSWORD}
    with hashing._place():
        for _ in range(signing_in.TRIES + 2):
            busy = Client().post("/signin", body)
            assert (busy.status_code, busy.headers["Retry-After"]) == (429, "2")
            assert b"Too many people" in busy.content
    assert not SignInFailure.objects.exists()
    assert Client().post("/signin", body).status_code == 302
