"""What goes wrong on a page is said on a page."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from identity.actors import Actor
from soc import errors
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]


@pytest.fixture(autouse=True)
def _doors(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.soc.doors"


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("not-found", 404, "it is not yours to see"),
        ("conflict", 409, "It has changed meanwhile"),
        ("suspicious", 400, "could not be understood"),
        ("too-large", 413, "larger than this server accepts"),
        ("bug", 500, "The log has it"),
    ],
)
def test_an_error_is_a_page_with_its_status(analyst: Actor, name: str, status: int, says: str) -> None:
    client = make.browser(analyst)
    client.raise_request_exception = False
    response = client.get(f"/pages/{name}")
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    page = response.content.decode()
    assert says in page
    assert "secret inside" not in page
    assert response.headers["X-Request-Id"] in page
    assert "no-store" in response.headers["Cache-Control"]


def test_where_a_sign_in_helps_it_is_asked_for(analyst: Actor) -> None:
    client = make.browser(analyst)
    assert client.get("/pages/not-signed-in").headers["Location"] == "/signin?next=%2Fpages%2Fnot-signed-in"
    again = client.get("/pages/not-fresh").headers["Location"]
    assert again == "/signin?next=%2Fpages%2Fnot-fresh&again=1"
    fragment = client.get(
        "/pages/not-fresh", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/x"}
    )
    assert fragment.headers["HX-Redirect"] == "/signin?next=%2Fx&again=1"


def test_an_expired_form_is_said_so(analyst: Actor) -> None:
    client = make.browser(analyst)
    client.handler.enforce_csrf_checks = True
    response = client.post("/signout")
    assert response.status_code == 403
    assert "This form had expired" in response.content.decode()


def test_a_broken_error_page_is_still_an_answer(analyst: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("no template either")

    monkeypatch.setattr(errors, "render", breaks)
    client = make.browser(analyst)
    client.raise_request_exception = False
    response = client.get("/pages/bug")
    assert response.status_code == 500
    assert response.headers["X-Request-Id"] in response.content.decode()


def test_home_is_the_queue(analyst: Actor) -> None:
    assert make.browser(analyst).get("/").headers["Location"] == "/alerts"
    assert Client().get("/alerts").status_code == 302
