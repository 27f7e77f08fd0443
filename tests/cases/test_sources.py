"""Every fixture of every source becomes exactly the drafts that stand beside it in `expected/`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import decoding
from cases.decoding import Broken, Document, Unreadable
from cases.sources import attack, envelopes, guardduty, native
from cases.sources.registry import source_of, sources
from cases.sources.types import AlertDraft, Detector, Reader, Source
from tests.cases.ground import GROUND

pytestmark = pytest.mark.fast

FIXTURES = Path(__file__).parent / "fixtures"
FILES = sorted(path for path in FIXTURES.glob("*/*.*") if path.parent.name in sources())


def opened(body: bytes) -> Iterator[Document]:
    """The documents in a body that is JSON, unwrapped."""
    for part in decoding.documents(body):
        assert isinstance(part, Document), part
        for inner in envelopes.unwrap(part):
            assert isinstance(inner, Document), inner
            yield inner


def read(source: Source, body: bytes) -> Iterator[Document]:
    """The documents in a body, as intake would take them out of it for this source."""
    if not isinstance(source, Reader) or not source.reads(body):
        yield from opened(body)
        return
    for part in source.read(body):
        assert isinstance(part, Document), part
        yield part


def drafts_of(source: Source, body: bytes) -> list[AlertDraft]:
    """The drafts, on the ground that all fixtures share."""
    return [
        draft
        for inner in read(source, body)
        for draft in (
            source.detect(inner.value, GROUND) if isinstance(source, Detector) else source.parse(inner.value)
        )
    ]


USUAL: dict[str, Any] = {
    "content": (),
    "labels": (),
    "places": (),
    "link": "",
    "richness": 100,
    "is_resolved": False,
}


def shown(draft: AlertDraft) -> dict[str, Any]:
    """The draft as JSON, without what the fixture itself says at length, and what most drafts do not have."""
    values = dataclasses.asdict(draft)
    del values["raw"], values["summary"]
    for name, usual in USUAL.items():
        if values[name] == usual:
            del values[name]
    values["resources"] = [" ".join(filter(None, r.values())) for r in values["resources"]]
    values["observables"] = [f"{o['kind']} {o['value']}" for o in values["observables"]]
    for name, value in values.items():
        if isinstance(value, datetime):
            values[name] = value.isoformat()
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_fixture_becomes_its_drafts(path: Path) -> None:
    source = sources()[path.parent.name]

    drafts = [shown(draft) for draft in drafts_of(source, path.read_bytes())]

    expected = path.parent / "expected" / f"{path.stem}.json"
    assert drafts == json.loads(expected.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_document_is_recognised_by_its_own_source_alone(path: Path) -> None:
    body = path.read_bytes()
    readers = [one.ID for one in sources().values() if isinstance(one, Reader) and one.reads(body)]
    if readers:
        assert readers == [path.parent.name]
        return
    for inner in opened(body):
        found = source_of(inner.value)

        # `generic` would take everything, so it is chosen by its name alone.
        assert path.parent.name == (found.ID if found else "generic")


def test_the_same_finding_by_event_and_by_api_has_one_key() -> None:
    keys = {
        draft.finding
        for name in ("access-key-eventbridge", "access-key-getfindings")
        for inner in opened((FIXTURES / "guardduty" / f"{name}.json").read_bytes())
        for draft in guardduty.parse(inner.value)
    }

    assert len(keys) == 1


@pytest.mark.parametrize(
    ("severity", "expected"), [(0.0, 0), (1.0, 10), (3.95, 40), (8.9, 89), (8.95, 90), (9, 90), (10.0, 100)]
)
def test_severity_is_guarddutys_by_ten_half_up(severity: float, expected: int) -> None:
    finding = json.loads((FIXTURES / "guardduty" / "instance-three-interfaces-s3-export.json").read_text())

    [draft] = guardduty.parse({**finding, "severity": severity})

    assert draft.severity == expected


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"id": None}, "/id"),
        ({"id": "x" * 301}, "/id"),
        ({"accountId": "id"}, "/accountId"),
        ({"accountId": 111122223333}, "/accountId"),
        ({"region": "not a region"}, "/region"),
        ({"severity": "high"}, "/severity"),
        ({"severity": True}, "/severity"),
        ({"severity": 80}, "/severity"),
        ({"createdAt": "yesterday"}, "/createdAt"),
        ({"createdAt": "0001-01-01T00:00:00+14:00"}, "/createdAt"),
        ({"createdAt": 10**18}, "/createdAt"),
        ({"type": []}, "/type"),
    ],
)
def test_what_makes_a_finding_must_be_there(change: dict[str, Any], pointer: str) -> None:
    finding = json.loads((FIXTURES / "guardduty" / "instance-three-interfaces-s3-export.json").read_text())

    with pytest.raises(Unreadable) as refused:
        list(guardduty.parse({**finding, **change}))

    assert refused.value.pointer == pointer


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        ("service",),
        ("resource",),
        ("service", "action"),
        ("service", "count"),
        ("service", "additionalInfo"),
        ("service", "eventFirstSeen"),
        ("service", "detection"),
        ("resource", "instanceDetails"),
        ("resource", "instanceDetails", "networkInterfaces"),
        ("resource", "s3BucketDetails"),
        ("resource", "accessKeyDetails"),
        ("severity",),
        ("title",),
        ("updatedAt",),
    ]
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(place=PLACES, value=ANY_JSON)
def test_whatever_a_finding_holds_it_is_a_draft_or_unreadable(place: tuple[str, ...], value: Any) -> None:
    finding = json.loads((FIXTURES / "guardduty" / "instance-three-interfaces-s3-export.json").read_text())
    inner = finding
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value

    try:
        [draft] = guardduty.parse(finding)
    except Unreadable:
        return

    assert 0 <= draft.severity <= 100
    assert draft.occurrences >= 1


TOOLS = {"wazuh": "guardduty-by-integration", "splunk": "search-of-cloudtrail"}
TOOLS |= {"cloudwatch": "alarm-begins-event", "generic": "by-usual-names"}


@pytest.mark.parametrize(
    ("tool", "path", "pointer"),
    [
        ("wazuh", ("all_fields", "rule", "description"), "/all_fields/rule/description"),
        ("wazuh", ("all_fields", "id"), "/all_fields/id"),
        ("splunk", ("sid",), "/sid"),
        ("cloudwatch", ("detail", "alarmName"), ""),
    ],
)
def test_what_makes_a_tools_alert_must_be_there(tool: str, path: tuple[str, ...], pointer: str) -> None:
    """In its integration's own post Wazuh says its title and id twice."""
    values: list[Any] = [None, [], {"a": 1}, " "]
    for value in values:
        document = json.loads((FIXTURES / tool / f"{TOOLS[tool]}.json").read_text(encoding="utf-8"))
        if tool == "wazuh":
            document |= {"id": value, "title": value}
        inner = document
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

        with pytest.raises(Unreadable) as refused:
            list(sources()[tool].parse(document))

        assert refused.value.pointer == pointer


@pytest.mark.parametrize("document", [{}, [], "text", 7, {"level": "high", "id": 1}, {"a": {"b": [1]}}])
def test_without_anything_like_a_title_nothing_is_an_alert(document: Any) -> None:
    for tool in TOOLS:
        with pytest.raises(Unreadable):
            list(sources()[tool].parse(document))


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The way to everything that an object holds."""
    for name, member in value.items():
        yield (*path, name)
        if isinstance(member, dict):
            yield from places(member, (*path, name))


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data(), value=ANY_JSON)
def test_whatever_a_tools_alert_holds_it_is_a_draft_or_unreadable(
    tool: str, data: st.DataObject, value: Any
) -> None:
    document = json.loads((FIXTURES / tool / f"{TOOLS[tool]}.json").read_text(encoding="utf-8"))
    place = data.draw(st.sampled_from(list(places(document))))
    inner = document
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value

    try:
        drafts = list(sources()[tool].parse(document))
    except Unreadable:
        return

    assert all(0 <= draft.severity <= 100 and draft.title for draft in drafts)
    assert all(len(draft.external_id) <= 300 and len(draft.title) <= 500 for draft in drafts)


def test_envelopes_in_envelopes_are_opened_and_a_bomb_is_not() -> None:
    inner = '{"id": 1}'
    for _ in range(3):
        inner = json.dumps({"TopicArn": "t", "MessageId": "m", "Message": inner})
    bomb = '{"id": 1}'
    for _ in range(9):
        bomb = json.dumps({"TopicArn": "t", "MessageId": "m", "Message": bomb})

    assert [document.value for document in opened(inner.encode())] == [{"id": 1}]
    [part] = decoding.documents(bomb.encode())
    assert isinstance(part, Document)
    [broken] = envelopes.unwrap(part)
    assert isinstance(broken, Broken)
    assert broken.reason == "too many envelopes around it"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"Type": "Notification", "TopicArn": "t", "Message": "hello"}, "not JSON"),
        ({"Type": "SubscriptionConfirmation", "TopicArn": "t", "Message": "x"}, "subscription"),
    ],
)
def test_a_message_without_a_document_says_so(message: dict[str, str], reason: str) -> None:
    [part] = decoding.documents(json.dumps(message).encode())
    assert isinstance(part, Document)

    [broken] = envelopes.unwrap(part)

    assert isinstance(broken, Broken)
    assert reason in broken.reason


def test_techniques_are_well_formed_and_the_most_exact_entry_counts() -> None:
    named = {
        technique for known in (attack.OF_TYPE, attack.OF_PURPOSE) for t in known.values() for technique in t
    }

    assert all(attack.TECHNIQUE.fullmatch(technique) for technique in named)
    assert attack.techniques_of("Backdoor:EC2/C&CActivity.B!DNS") == ("T1071.004",)
    assert attack.techniques_of("Backdoor:EC2/C&CActivity.B") == ("T1071",)
    assert attack.techniques_of("PenTest:IAMUser/KaliLinux") == ("T1078.004", "T1580")
    assert attack.techniques_of("Trojan:EC2/SomethingNew!DNS") == ("T1071",)
    assert attack.techniques_of("Unheard:Of/Thing") == ()


NATIVE: dict[str, decoding.JSON] = {"source": "splunk", "external_id": "1", "title": "Odd sign-in"}


def test_a_native_alert_says_everything_that_is_wrong_with_it() -> None:
    document: dict[str, decoding.JSON] = {
        "source": "no spaces",
        "title": 7,
        "severity": 101,
        "account": "12",
        "resources": [{"type": "instance"}, {"type": "instance", "id": "i-1", "colour": "red"}],
        "observables": [{"kind": "ip"}],
        "techniques": ["t1078"],
        "first_seen_at": "2026-11-20T09:00:00",
        "surprise": 1,
    }

    with pytest.raises(native.Refused) as refused:
        list(native.parse(document))

    assert [pointer for pointer, _ in refused.value.errors] == [
        "/source",
        "/external_id",
        "/title",
        "/account",
        "/resources/0",
        "/resources/1/colour",
        "/first_seen_at",
        "/severity",
        "/observables/0/value",
        "/techniques/0",
        "/surprise",
    ]


@pytest.mark.parametrize(
    ("severity", "expected"),
    [(0, 0), (100, 100), ("critical", 95), ("high", 80), ("informational", 0), (None, 50)],
)
def test_a_native_severity_is_a_number_or_a_band(severity: Any, expected: int) -> None:
    [draft] = native.parse({**NATIVE, "severity": severity})

    assert draft.severity == expected


@pytest.mark.parametrize("severity", [-1, 101, 1.5, True, "HIGH", "80", [], 2**70])
def test_nothing_else_is_a_severity(severity: Any) -> None:
    with pytest.raises(native.Refused):
        list(native.parse({**NATIVE, "severity": severity}))
