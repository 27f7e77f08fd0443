"""The one decoder: what it reads, what it refuses and says, and that one bad part costs no other."""

from __future__ import annotations

import json
import time

import pytest

from cases import decoding
from cases.decoding import Broken, Document, Text, Unreadable

pytestmark = pytest.mark.fast


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "white space": (b" \n\t ", "empty"),
    "latin-1": ('{"a": "é"}'.encode("latin-1"), "not UTF-8"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "utf-32": ('{"a": 1}'.encode("utf-32-le"), "not JSON"),
    "an encoded surrogate": (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    "depth 33": (deep(33), "nested deeper"),
    "depth 990": (deep(990), "nested deeper"),
    "depth 5,000": (deep(5_000), "nested deeper"),
    "depth 100,000": (deep(100_000), "nested deeper"),
    "lists 100,000 deep": (b"[" * 100_000 + b"]" * 100_000, "nested deeper"),
    "NaN": (b'{"a": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"a": -Infinity}', "not JSON"),
    "1e999": (b'{"a": 1e999}', "too large"),
    "4,000 digits": (b'{"a": ' + b"9" * 4_000 + b"}", "a number of 4000"),
    "5,000 digits": (b'{"a": ' + b"9" * 5_000 + b"}", "a number of 5000"),
    "65 bits": (b'{"a": 9223372036854775808}', "64 bits"),
    "a key twice": (b'{"a": 1, "a": 2}', "same key twice"),
    "150,000 keys": (b"{" + b",".join(b'"%d":0' % n for n in range(150_000)) + b"}", "too many keys"),
    "a raw control character": (b'{"a": "\x00"}', "not JSON"),
    "a trailing comma": (b'{"a": 1,}', "not JSON"),
    "cut short": (b'{"a": {"b": [1, 2', "not JSON"),
    "something behind": (b'{"a": 1} x', "more follows"),
    "too large": (b'"' + b"x" * decoding.LIMITS.bytes + b'"', "larger than"),
    "NUL": (b'{"a": "x\\u0000y"}', "NUL"),
    "NUL in a key": (b'{"a\\u0000": 1}', "NUL"),
    "half a pair": (b'{"a": "\\ud800"}', "half a surrogate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_a_rule_is_refused_with_its_reason(name: str) -> None:
    body, reason = REFUSED[name]

    started = time.monotonic()
    with pytest.raises(Unreadable, match=reason):
        decoding.decode(body)

    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"a": {"b/c": [0, NaN]}}', "/a/b~1c/1"),
        (b'{"a": [{"x": 1, "x": 2}]}', "/a/0/x"),
        (b'{"a": {"k~": "\\u0000"}}', "/a/k~0"),
        (b"\xff", ""),
    ],
)
def test_a_refusal_points_at_the_value(body: bytes, pointer: str) -> None:
    with pytest.raises(Unreadable) as refused:
        decoding.decode(body)

    assert refused.value.pointer == pointer


def test_a_byte_order_mark_and_whole_pairs_are_read() -> None:
    assert decoding.decode(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00", "n": 1.5}') == {"a": "\U0001f600", "n": 1.5}


def test_what_a_database_cannot_hold_is_replaced_and_the_spelling_kept() -> None:
    body = b'{"a\\u0000": ["x\\ud800y", "\\udc00"], "b": "\xc3\xa9"}'

    [part] = decoding.documents(body)

    assert isinstance(part, Document)
    assert part.value == {"a\ufffd": ["x\ufffdy", "\ufffd"], "b": "é"}
    assert part.is_altered
    assert part.spelling == body.decode()


def test_two_keys_that_become_one_are_refused() -> None:
    with pytest.raises(Unreadable, match="once NUL is replaced"):
        decoding.decode(b'{"a\\u0000": 1, "a\\ufffd": 2}', text=Text.REPLACE)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"n": 1}', [("", 1)]),
        (b'[{"n": 1}, {"n": 2}]', [("/0", 1), ("/1", 2)]),
        (b' [ {"n": 1} ] ', [("/0", 1)]),
        (b'{"n": 1}\n{"n": 2}\n', [("/0", 1), ("/1", 2)]),
        (b'{"n": 1}\r\n\r\n{"n": 2}', [("/0", 1), ("/1", 2)]),
        (b'{"n": 1}{"n": 2} {"n":\n 3}', [("/0", 1), ("/1", 2), ("/2", 3)]),
        (b'[{"n": 1}]\n[]\n[{"n": 2}, {"n": 3}]', [("/0", 1), ("/1", 2), ("/2", 3)]),
        (b"[]", []),
    ],
)
def test_documents_come_one_by_one_whatever_holds_them(body: bytes, expected: list[tuple[str, int]]) -> None:
    parts = decoding.documents(body)

    assert [(part.pointer, part.value) for part in parts if isinstance(part, Document)] == [
        (pointer, {"n": n}) for pointer, n in expected
    ]
    assert len(parts) == len(expected)


@pytest.mark.parametrize(
    ("body", "bad", "reason", "kept"),
    [
        (b'[{"n": 1}, {"n": NaN}, {"n": 3}]', 1, "NaN", b'{"n": NaN}'),
        (b'[{"n": 1}, {"a": 1, "a": 2}, {"n": 3}]', 1, "twice", b'{"a": 1, "a": 2}'),
        (b'[{"n": 1}, ' + deep(40) + b', {"n": 3}]', 1, "deeper", deep(40)),
        (b'{"n": 1}\n{"n": \n{"n": 3}', 1, "not JSON", b'{"n":'),
        (b'{"n": 1}\n{"n": "\xff"}\n{"n": 3}', 1, "not UTF-8", b'{"n": "\xff"}'),
        (b'{"n": 1}\n' + deep(100_000) + b'\n{"n": 3}', 1, "deeper", deep(100_000)),
        (b'{"n": 1} {"n": 3} {"broken', 2, "not JSON", b'{"broken'),
    ],
)
def test_one_bad_part_costs_no_other(body: bytes, bad: int, reason: str, kept: bytes) -> None:
    parts = decoding.documents(body)

    broken = parts[bad]
    assert isinstance(broken, Broken)
    assert reason in broken.reason
    assert broken.pointer.startswith(f"/{bad}")
    assert broken.body == kept
    assert [part.value for part in parts if isinstance(part, Document)] == [{"n": 1}, {"n": 3}]


def test_a_broken_document_over_several_lines_stays_one_document() -> None:
    body = json.dumps({"a": {"b": 1}, "list": [1, 2]}, indent=2).encode().replace(b"]", b"],")

    with pytest.raises(Unreadable, match="not JSON"):
        decoding.documents(body)
