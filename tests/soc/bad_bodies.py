"""Bodies that nobody should have to live with: each breaks a rule of the native alert or of JSON itself."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

GOOD: dict[str, Any] = {
    "source": "edr",
    "external_id": "e-1",
    "title": "A title",
    "summary": "A summary",
    "severity": 70,
    "type": "Login",
    "account": "111122223333",
    "region": "eu-west-1",
    "resources": [{"type": "user", "id": "alice"}],
    "observables": [{"kind": "ip", "value": "198.51.100.7"}],
    "techniques": ["T1078"],
    "tags": ["one"],
    "first_seen_at": "2026-11-20T09:00:00Z",
    "last_seen_at": "2026-11-20T09:05:00Z",
    "detected_at": "2026-11-20T09:06:00Z",
}
TEXTS = ("source", "external_id", "title", "summary", "type", "account", "region")
TIMES = ("first_seen_at", "last_seen_at", "detected_at")
LISTS = ("resources", "observables", "techniques", "tags")
MARK = '"@@"'


def spelled(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def raw(value: str, *, field: str = "raw") -> bytes:
    """The good alert with this spelling as the value of a field."""
    return json.dumps({**GOOD, field: "@@"}).replace(MARK, value, 1).encode("utf-8", "surrogatepass")


def bad_bodies() -> dict[str, bytes]:
    """Every bad body by a name that says what is bad about it."""
    found: dict[str, bytes] = {}
    for name, body in [*_bytes(), *_json(), *_numbers(), *_nesting(), *_characters(), *_kinds(), *_values()]:
        assert name not in found, name
        found[name] = body
    return found


def _bytes() -> Iterator[tuple[str, bytes]]:
    text = json.dumps({**GOOD, "title": "é🦊"}, ensure_ascii=False)
    for charset in ("latin-1", "utf-16", "utf-16-le", "utf-32", "utf-32-be", "cp037"):
        yield (
            f"bytes: {charset}",
            text.replace("🦊", "" if charset in ("latin-1", "cp037") else "🦊").encode(charset),
        )
    yield "bytes: gzip", gzip.compress(spelled())
    yield "bytes: two marks", b"\xef\xbb\xbf\xef\xbb\xbf" + spelled()
    yield "bytes: overlong", spelled().replace(b"A title", b"\xc0\xaf")
    yield "bytes: surrogate encoded", spelled().replace(b"A title", b"\xed\xa0\x80")
    yield "bytes: beyond Unicode", spelled().replace(b"A title", b"\xf5\x80\x80\x80")
    yield "bytes: cut inside a character", spelled().replace(b"A title", b"\xf0\x9f\xa6")
    yield "bytes: six megabytes", spelled(summary="x" * 6_000_000)
    draw = random.Random(5)
    for number in range(20):
        yield f"bytes: random {number}", draw.randbytes(200)
        whole = bytearray(spelled())
        whole[draw.randrange(len(whole))] = draw.choice([0x00, 0x80, 0xFF, 0x1F])
        yield f"bytes: one of them changed {number}", bytes(whole)


def _json() -> Iterator[tuple[str, bytes]]:
    whole = spelled()
    for number in range(40):
        yield f"json: cut at {number}", whole[: 1 + number * (len(whole) - 2) // 40]
    for name, body in {
        "nothing": b"",
        "space": b" \r\n\t",
        "null": b"null",
        "true": b"true",
        "number": b"1",
        "text": b'"x"',
        "list": b"[]",
        "list of lists": b"[[[]]]",
        "empty object": b"{}",
        "list of two": b"[" + whole + b"," + whole + b"]",
        "two": whole + whole,
        "lines": whole + b"\n" + whole,
        "garbage behind": whole + b"x",
        "comma behind": whole[:-1] + b",}",
        "comment": whole[:-1] + b"/* x */}",
        "single quotes": whole.replace(b'"', b"'"),
        "names without quotes": b"{source: 'x'}",
        "xml": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "form": b"source=x&external_id=1&title=t",
        "multipart": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
        "yaml": b"source: x\nexternal_id: 1\n",
        "yaml tag": b"!!python/object/apply:os.system ['true']",
        "pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00C\x01x\x94.",
        "raw newline": whole.replace(b"A title", b"A\ntitle"),
        "raw tab": whole.replace(b"A title", b"A\ttitle"),
        "bad escape": whole.replace(b"A title", b"A \\x41"),
        "half an escape": whole.replace(b"A title", b"A \\u12"),
        "plus": raw("+1"),
        "leading zero": raw("01"),
        "hexadecimal": raw("0x1"),
        "point": raw("1."),
        "undefined": raw("undefined"),
        "True": raw("True"),
    }.items():
        yield f"json: {name}", body
    for field in GOOD:
        again = json.dumps({field: GOOD[field]})[1:-1]
        yield f"json: {field} twice", whole[:-1] + f", {again}}}".encode()


def _numbers() -> Iterator[tuple[str, bytes]]:
    values = [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "9" * 19,
        "9" * 41,
        "9" * 5000,
        "-" + "9" * 19,
    ]
    values += ["1." + "0" * 60, "1e" + "9" * 50, str(2**63), str(-(2**63) - 1)]
    for value in values:
        for field in ("severity", "raw"):
            yield f"number: {value[:24]} ({len(value)}) in {field}", raw(value, field=field)
    for value in ("-1", "101", "70.5", "1e2", "true", '"70"', '"urgent"', "[70]"):
        yield f"number: severity {value}", raw(value, field="severity")


def _nesting() -> Iterator[tuple[str, bytes]]:
    for levels in (33, 100, 990, 5_000, 100_000):
        yield f"nesting: lists {levels}", raw("[" * levels + "]" * levels)
        yield f"nesting: objects {levels}", raw('{"a":' * levels + "1" + "}" * levels)
        yield f"nesting: lists that never end {levels}", raw("[" * levels)
    yield "nesting: 150,000 keys", raw("{" + ",".join(f'"{n}":0' for n in range(150_000)) + "}")
    yield "nesting: 120,000 keys in small objects", raw("[" + ",".join(['{"a":1,"b":2}'] * 60_000) + "]")
    yield "nesting: one key of two megabytes", raw('{"' + "k" * 2_000_000 + '":1}')
    yield "nesting: one text of two megabytes", raw('"' + "x" * 2_000_000 + '"')


def _characters() -> Iterator[tuple[str, bytes]]:
    odd = {
        "NUL": "\\u0000",
        "half a pair": "\\ud800",
        "the other half": "\\udfff",
        "pair reversed": "\\udc00\\ud800",
    }
    for name, character in odd.items():
        for field in (*TEXTS, *TIMES):
            yield f"character: {name} in {field}", raw(f'"a{character}b"', field=field)
        yield f"character: {name} in raw", raw(f'{{"x": ["{character}"]}}')
        yield f"character: {name} in a key", raw(f'{{"x{character}": 1}}')
        yield f"character: {name} in a tag", raw(f'["{character}"]', field="tags")
        yield (
            f"character: {name} in a resource",
            raw(f'[{{"type": "user", "id": "{character}"}}]', field="resources"),
        )
    for code in (0x01, 0x08, 0x1B, 0x7F):
        yield f"character: control {code:02x}", spelled(title=f"a{chr(code)}b")


def _kinds() -> Iterator[tuple[str, bytes]]:
    value: Any
    for field in TEXTS:
        for value in (1, 1.5, True, [], {}, ["x"], {"x": 1}):
            yield f"kind: {field} {value!r}", spelled(**{field: value})
    for field in TIMES:
        for value in (1, True, [], {}, 1795000000, "", "x"):
            yield f"kind: {field} {value!r}", spelled(**{field: value})
    for field in LISTS:
        for value in (1, "x", True, {}, [1], [None], [[]], [True]):
            yield f"kind: {field} {value!r}", spelled(**{field: value})
    for field in ("source", "external_id", "title"):
        yield f"kind: {field} null", spelled(**{field: None})
        yield f"kind: {field} missing", json.dumps({k: v for k, v in GOOD.items() if k != field}).encode()
        yield f"kind: {field} empty", spelled(**{field: ""})


def _values() -> Iterator[tuple[str, bytes]]:
    for text in (
        "2026-11-20", "2026-11-20T09:00:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "2099-01-01T00:00:00Z", "1969-12-31T00:00:00Z", "2026-11-20T25:00:00Z", "2026-11-20T09:00:00+99:00",
        "yesterday", "{{7*7}}", "' OR 1=1 --",
    ):  # fmt: skip
        yield f"value: time {text}", spelled(detected_at=text)
    yield "value: seen backwards", spelled(first_seen_at="2026-11-20T10:00:00Z")
    for account in ("1", "1111222233334", "\uff11" * 12, "11112222333x", " 111122223333 x"):
        yield f"value: account {account}", spelled(account=account)
    for region in ("EU-WEST-1", "x" * 31, "eu west 1", "../..", "eu-west-1\n2"):
        yield f"value: region {region!r}", spelled(region=region)
    for source in ("x" * 41, "a b", "-a", "<script>", "ä"):
        yield f"value: source {source[:9]}", spelled(source=source)
    yield from _lengths()


def _lengths() -> Iterator[tuple[str, bytes]]:
    for field, length in {"external_id": 301, "title": 501, "summary": 20_001, "type": 201}.items():
        yield f"value: {field} too long", spelled(**{field: "x" * length})
    for field in LISTS:
        yield f"value: {field} too many", spelled(**{field: [GOOD[field][0]] * 1001})
    for technique in ("T1", "t1078", "T1078.1", "T1078; DROP TABLE", ""):
        yield f"value: technique {technique}", spelled(techniques=[technique])
    for resource in (
        {},
        {"id": "x"},
        {"type": "x"},
        {"type": "x", "id": "y", "z": 1},
        {"type": "x" * 61, "id": "y"},
    ):
        yield f"value: resource {str(resource)[:30]}", spelled(resources=[resource])
    for observable in ({}, {"kind": "ip"}, {"value": "x"}, {"kind": "ip", "value": "x" * 2001}):
        yield f"value: observable {str(observable)[:20]}", spelled(observables=[observable])
    for name in (
        "Title",
        "titel",
        "__proto__",
        "constructor",
        "id",
        "status",
        "incident",
        "team",
        "received_at",
        "$where",
    ):
        yield f"value: unknown field {name}", spelled(**{name: "x"})
