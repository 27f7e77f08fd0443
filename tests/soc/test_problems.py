"""Whatever is sent to the API, and whatever goes wrong behind it: problem details, never a page."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.conf import settings as conf
from django.test import Client
from pytest_django.fixtures import Settings

from identity.models import Role
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]


@pytest.fixture(autouse=True)
def _doors(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.soc.doors"


@pytest.fixture
def program() -> Client:
    return make.program(make.key())


def post(client: Client, body: bytes, content_type: str = "application/json", path: str = "echo") -> Any:
    return client.post(f"/api/v1/{path}", body, content_type=content_type)


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The body of a well-formed problem."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert body["type"] == f"urn:quell:problem:{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-Id"]
    return body


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


HOSTILE = {
    "empty": b"   ",
    "not json": b"{",
    "two documents": b"{}{}",
    "not utf-8": b'{"a": "\xff"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "half a character": b'{"a": "\\ud800"}',
    "NUL": b'{"a": "\\u0000"}',
    "NUL in a name": b'{"\\u0000": 1}',
    "raw control character": b'{"a": "\x01"}',
    "deep object": nested(10_000),
    "deep list": b"[" * 200_000,
    "long number": b'{"a": ' + b"9" * 5000 + b"}",
    "huge exponent": b'{"a": 1e999999}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "the same name twice": b'{"a": 1, "a": 2}',
    "many names": b"{" + b",".join(b'"%d":0' % n for n in range(20_000)) + b"}",
    "single quotes": b"{'a': 1}",
    "trailing comma": b'{"a": 1,}',
    "comment": b'{"a": 1} // x',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_a_400_that_says_why(program: Client, body: bytes) -> None:
    told = problem(post(program, body), 400, "unreadable")
    assert told["detail"].startswith("The body cannot be read")


def test_the_place_of_what_cannot_be_read(program: Client) -> None:
    told = problem(post(program, b'{"a": {"b": [0, "\\ud800"]}}'), 400, "unreadable")
    assert told["errors"] == [{"pointer": "/a/b/1", "detail": told["detail"]}]


def test_what_can_be_read(program: Client) -> None:
    body = '{"a": ["\u00e9", "\\ud83d\\ude00", 1.5, -9223372036854775808, null, true]}'.encode()
    assert post(program, body).json() == {"echo": {"a": ["\u00e9", "\U0001f600", 1.5, -(2**63), None, True]}}


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "a",
    ],
)
def test_only_json_is_read(program: Client, content_type: str) -> None:
    problem(post(program, b'{"a": 1}', content_type), 415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ('application/json; charset="UTF-8"', 200),
        ("application/json; charset=utf-7", 415),
        ("application/json; charset=latin-1", 415),
    ],
)
def test_utf_8_only(program: Client, content_type: str, status: int) -> None:
    assert post(program, b'{"a": "+ADw-"}', content_type).status_code == status


def test_too_large_is_413_and_the_body_is_not_read_to_its_end(program: Client) -> None:
    body = b'"' + b"x" * conf.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"'
    problem(post(program, body), 413, "too-large")
    just = b'["' + b'","'.join([b"x" * 1000_000] * 4) + b'"]'
    assert post(program, just).status_code == 200


def test_a_body_of_unannounced_length_is_refused_rather_than_read_as_empty(program: Client) -> None:
    response = program.generic(
        "POST", "/api/v1/echo", b"", "application/json", headers={"Transfer-Encoding": "chunked"}
    )
    problem(response, 411, "length-required")


def test_each_wrong_value_has_its_pointer(program: Client) -> None:
    body = json.dumps({"title": "x" * 11, "resources": [{"kind": "a"}, {}]}).encode()
    told = problem(post(program, body, path="checked"), 422, "invalid")
    assert [error["pointer"] for error in told["errors"]] == ["/title", "/resources/1/kind"]
    told = problem(post(program, b"[1]", path="checked"), 422, "invalid")
    assert told["errors"][0]["pointer"] == ""


@pytest.mark.parametrize(
    ("name", "status", "detail"),
    [
        ("not-found", 404, "There is no such thing, or it is not yours to see."),
        ("forbidden", 403, "Only a lead may do that."),
        ("conflict", 409, "It has changed meanwhile, or is not in a state that allows this."),
        ("invalid", 422, "It is wrong."),
    ],
)
def test_a_use_case_that_refuses(program: Client, name: str, status: int, detail: str) -> None:
    told = problem(program.get(f"/api/v1/raises/{name}"), status, name)
    assert told["detail"] == detail
    assert told.get("errors", []) == ([{"pointer": "/a/b", "detail": detail}] if name == "invalid" else [])


def test_a_bug_is_a_500_that_tells_nothing_and_logs_everything(
    program: Client, caplog: pytest.LogCaptureFixture
) -> None:
    program.raise_request_exception = False
    with caplog.at_level(logging.ERROR):
        told = problem(program.get("/api/v1/raises/bug"), 500, "failed")
    assert "secret" not in json.dumps(told)
    assert any(record.exc_info and "secret inside" in str(record.exc_info[1]) for record in caplog.records)


def test_the_tests_see_a_bug_as_it_is(program: Client) -> None:
    with pytest.raises(ZeroDivisionError):
        program.get("/api/v1/raises/bug")


def test_no_such_path_and_no_such_method(program: Client) -> None:
    problem(program.get("/api/v1/nothing"), 404, "not-found")
    response = program.delete("/api/v1/echo")
    problem(response, 405, "method-not-allowed")
    problem(program.get("/api/v1/echo", headers={"Accept": "text/html"}), 406, "not-acceptable")


def test_a_view_that_does_not_say_who_may_is_refused(program: Client) -> None:
    problem(program.get("/api/v1/undeclared"), 403, "forbidden")
    assert program.options("/api/v1/undeclared").status_code == 200
    assert Client().options("/api/v1/undeclared").status_code == 401


def test_strangers_are_told_how_to_come_in() -> None:
    response = Client().get("/api/v1/echo")
    problem(response, 401, "not-signed-in")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_browser_needs_the_csrf_token_to_change_anything() -> None:
    person = make.person(Role.ANALYST)
    client = make.browser(person)
    client.handler.enforce_csrf_checks = True
    assert client.get("/api/v1/echo").status_code == 200
    problem(post(client, b"{}"), 403, "forbidden")
    client.cookies["csrftoken"] = "x" * 32
    response = client.post(
        "/api/v1/echo", b"{}", content_type="application/json", headers={"X-CSRFToken": "x" * 32}
    )
    assert response.status_code == 200


def test_a_role_that_does_not_suffice() -> None:
    told = problem(post(make.browser(make.person(Role.VIEWER)), b"{}"), 403, "forbidden")
    assert "alerts:write" in told["detail"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0123456789abcdef", True),
        ("a-b_c.d-1234", True),
        ("short", False),
        ("x" * 41, False),
        ("a b c d e f g", False),
    ],
)
def test_a_well_formed_request_id_is_kept(program: Client, given: str, kept: bool) -> None:
    answered = program.get("/api/v1/echo", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert (answered == given) is kept


def test_log_lines_carry_the_request_id(program: Client, caplog: pytest.LogCaptureFixture) -> None:
    from soc.logs import WithRequestId

    program.raise_request_exception = False
    caplog.handler.addFilter(WithRequestId())
    program.get("/api/v1/raises/bug", headers={"X-Request-Id": "request-4711"})
    failed = [record for record in caplog.records if record.getMessage() == "request.failed"]
    assert [getattr(record, "request_id", "") for record in failed] == ["request-4711"]


def test_people_get_pages_and_programs_get_problems() -> None:
    page = Client().get("/no-such-page")
    assert page.status_code == 404
    assert page.headers["Content-Type"].startswith("text/html")
    problem(Client().get("/api/nothing"), 404, "not-found")
    problem(Client().get("/hooks/nothing"), 404, "not-found")


def test_a_foreign_host_name_is_refused() -> None:
    problem(Client(headers={"Host": "evil.example"}).get("/api/v1/echo"), 400, "bad-request")
