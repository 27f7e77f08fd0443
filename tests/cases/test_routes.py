"""A GuardDuty finding by five routes, in every order, is one alert with five copies and its own words."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import decoding, ingest
from cases.decoding import JSON, Document, Unreadable
from cases.models import Alert, RawDocument
from cases.sources import envelopes
from cases.sources.registry import sources
from identity.actors import system
from tests import make
from tests.cases.test_sources import FIXTURES, drafts_of, opened

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MEMBER = json.loads((FIXTURES / "guardduty" / "access-key-eventbridge.json").read_text()) | {
    "account": "111122223333"
}
ROUTES: dict[str, Any] = {
    "member": MEMBER,
    "administrator": MEMBER | {"account": "444455556666", "id": "0d9f3c1e-6a44-4b7c-9d55-2f1b8e7a6c11"},
    "asff": json.loads((FIXTURES / "security_hub" / "guardduty-imported.json").read_text()),
    "ocsf": json.loads((FIXTURES / "ocsf" / "guardduty-imported-v2.json").read_text()),
    "sns": {
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t",
        "MessageId": "m",
        "Message": json.dumps(MEMBER),
    },
}
OURS = ("id", "ulid", "updated_at", "due_at", "received_at")


def columns() -> dict[str, Any]:
    """The one alert, without what is drawn or says when we worked; lists in one order."""
    row: dict[str, Any] = dict(Alert.objects.values().get())
    for name in OURS:
        del row[name]
    return {name: sorted(map(repr, v)) if isinstance(v, list) else v for name, v in row.items()}


@pytest.mark.django_db
def test_five_routes_in_every_order_are_one_alert() -> None:
    team, by, found = make.team(), system("test"), []

    for order in itertools.permutations(ROUTES):
        for name in order:
            body = json.dumps(ROUTES[name]).encode()
            received = ingest.receive(source="auto", body=body, by=by, at=NOW, team=team)
            assert len(received.alerts) == 1, (name, received)
        assert RawDocument.objects.count() == 5, order
        found.append((order, columns()))
        Alert.objects.all().delete()

    assert len(found) == 120
    _, first = found[0]
    for order, row in found:
        assert row == first, order
    assert first["title"] == MEMBER["detail"]["title"]
    assert (first["source"], first["external_id"]) == ("guardduty", MEMBER["detail"]["id"])
    assert (first["severity"], first["count"], first["richness"]) == (50, 4, 100)


@pytest.mark.django_db
def test_five_routes_by_the_api_are_one_alert() -> None:
    sender = make.program(make.key("alerts:write"))
    ids = set()
    for body in reversed(ROUTES.values()):
        answer = sender.post("/api/v1/ingest/auto", data=json.dumps(body), content_type="application/json")
        assert answer.status_code < 300, answer.content
        assert answer.json()["quarantined"] == []
        ids |= {one["id"] for one in answer.json()["alerts"]}

    assert len(ids) == 1
    assert Alert.objects.get().documents.count() == 5


@pytest.mark.fast
@pytest.mark.parametrize(
    ("own", "native", "relayed"),
    [
        ("inspector", "inspector/package-event.json", "ocsf/array-of-others.json"),
        ("guardduty", "guardduty/access-key-eventbridge.json", "security_hub/guardduty-imported.json"),
        ("security_hub", "security_hub/control-custom-action.json", "ocsf/array-of-others.json"),
    ],
)
def test_told_by_its_detector_and_by_another_it_has_one_key(own: str, native: str, relayed: str) -> None:
    [draft] = drafts_of(sources()[Path(native).parent.name], (FIXTURES / native).read_bytes())
    others = drafts_of(sources()[Path(relayed).parent.name], (FIXTURES / relayed).read_bytes())

    [same] = [one for one in others if one.finding == draft.finding]
    assert (same.source, same.external_id) == (draft.source, draft.external_id)
    assert draft.source == own
    assert own == "security_hub" or (draft.richness, same.richness) == (100, 50)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("product", "uid", "link", "finding"),
    [
        (
            "aws/macie",
            "arn:aws:macie2:eu-west-1:111122223333:finding/77",
            "",
            ("macie", "111122223333", "77"),
        ),
        ("aws/macie", "77", "", ("macie", "111122223333", "77")),
        (
            "aws/access-analyzer",
            "arn:aws:access-analyzer:eu-west-1:111122223333:analyzer/a/arn:aws:s3:::payroll",
            "https://console.aws.amazon.com/access-analyzer/home#/findings/details/0c0ffee0-0000-4000-8000-00000000000b",
            ("access_analyzer", "111122223333", "0c0ffee0-0000-4000-8000-00000000000b"),
        ),
    ],
)
def test_a_relayed_finding_has_the_key_of_its_detector(
    product: str, uid: str, link: str, finding: tuple[str, ...]
) -> None:
    wrapped = json.loads((FIXTURES / "security_hub" / "guardduty-imported.json").read_text())
    told = wrapped["detail"]["findings"][0] | {
        "Id": uid,
        "ProductArn": f"arn:aws:securityhub:eu-west-1::product/{product}",
        "SourceUrl": link,
    }

    [draft] = sources()["security_hub"].parse(told)

    assert (draft.finding, draft.richness) == (finding, 50)


@pytest.mark.fast
def test_what_s3_sends_to_try_a_queue_out_is_swallowed() -> None:
    trial = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"}

    assert list(opened(json.dumps(trial).encode())) == []
    assert (
        list(opened(json.dumps({"Messages": [{"MessageId": "1", "Body": json.dumps(trial)}]}).encode())) == []
    )


OWN = ("guardduty", "security_hub", "ocsf", "access_analyzer", "macie", "inspector")
DOCUMENTS: list[tuple[str, JSON]] = [
    (name, document.value)
    for name in OWN
    for path in sorted((FIXTURES / name).glob("*.json"))
    for part in decoding.documents(path.read_bytes())
    if isinstance(part, Document)
    for document in envelopes.unwrap(part)
    if isinstance(document, Document)
]
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["x" * 5000, "arn:aws:s3:::", "arn:", "T" * 400, "٣" * 12, [], {}, [[]], [{}], {"a": {}}]
    ),
)


def paths_of(value: JSON, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for name, one in inner for deeper in paths_of(one, (*path, name)))]


def check_fits(draft: Any) -> None:
    """A draft fits into the columns of an alert."""
    limits = {"source": 40, "external_id": 300, "title": 500, "type": 200, "account": 12, "region": 30}
    for name, most in (limits | {"link": 2000, "summary": 20_000}).items():
        assert len(getattr(draft, name)) <= most, name
    assert draft.title
    assert draft.external_id
    assert 0 <= draft.severity <= 100
    assert 1 <= draft.occurrences < 2**31
    for listed in ("resources", "observables", "places", "labels"):
        assert len(getattr(draft, listed)) <= 500
    assert all(len(tag) <= 100 for tag in draft.tags)
    json.dumps([draft.finding, draft.fingerprint])


@pytest.mark.fast
@settings(max_examples=1500, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_a_document_holds_it_is_drafts_that_fit_or_unreadable(data: st.DataObject) -> None:
    name, original = data.draw(st.sampled_from(DOCUMENTS))
    document = json.loads(json.dumps(original))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths_of(document)[1:] or [()]))
        if not path:
            continue
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        if data.draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = json.loads(json.dumps(data.draw(WRONG)))  # not one object for all

    for source in sources().values():
        assert source.matches(document) in (True, False)
    try:
        drafts = list(sources()[name].parse(document))
    except Unreadable:
        return

    for draft in drafts:
        check_fits(draft)
