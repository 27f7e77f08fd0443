"""What keeps a process from starting."""

from __future__ import annotations

import os

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from soc import checks

pytestmark = pytest.mark.fast


def found() -> list[str]:
    return [str(message.id) for message in checks.check_process()]


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A web process as it should be."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings.QUELL_TESTING = False
    settings.QUELL_PROCESS = "web"
    settings.SECRET_KEY = "Tq0Jc1X9vN2bLr7KdYw3sHf8mEa5uGzP"
    return settings


def test_a_proper_process_starts(production: Settings) -> None:
    assert found() == []
    checks.refuse_unfit()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("QUELL_CLOCK_RATE", 10.0, "quell.E001"),
        ("QUELL_FAILPOINT", "intent@1", "quell.E001"),
        ("QUELL_PROCESS", "wroker", "quell.E003"),
        ("SECRET_KEY", "a" * 50, "quell.E004"),
    ],
)
def test_what_makes_it_unfit(production: Settings, name: str, value: object, expected: str) -> None:
    setattr(production, name, value)
    assert found() == [expected]
    with pytest.raises(ImproperlyConfigured, match=expected):
        checks.refuse_unfit()


def test_where_a_container_runs_is_no_right(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in checks.GRANT_NOTHING:
        monkeypatch.setenv(name, "eu-west-1")
    assert found() == []
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x")
    assert found() == ["quell.E002"]


@pytest.mark.parametrize("process", sorted(checks.PROCESSES))
def test_aws_settings_only_where_they_are_needed(
    process: str, production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.QUELL_PROCESS = process
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert found() == ([] if process in ("worker-collect", "worker-containment") else ["quell.E002"])


def test_the_suite_may_do_what_production_may_not(production: Settings) -> None:
    production.QUELL_TESTING = True
    production.QUELL_CLOCK_RATE = 50.0
    assert found() == []
