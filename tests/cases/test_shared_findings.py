"""Every published finding in the shared data is an alert, right in each part, or in quarantine with a reason.

Not in the repository; skipped with a notice where the shared data is absent. What an alert should hold is
taken from the documents here by themselves, not by the code that is tested.
"""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cases import ingest
from cases.models import Alert
from cases.sources.attack import techniques_of
from cases.storing import Outcome
from identity.actors import system
from lib import clock
from tests import make, needs

FOLDERS = ("guardduty", "securityhub_asff", "ocsf")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("findings")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data"


def documents_of(path: Path) -> list[Any]:
    """The documents in a file, opened by hand; the text of one that is not JSON."""
    body = path.read_text(encoding="utf-8")
    try:
        values = [json.loads(body)]
    except ValueError:
        try:
            values = [json.loads(line) for line in body.splitlines() if line.strip()]
        except ValueError:
            return [body]
    if "panther-analysis" in path.parts:
        values = [value["event"] for value in values]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    found: list[Any] = []
    for one in flat:
        inner = one.get("detail", one)
        several = inner.get("findings") or inner.get("Findings")
        found += several if isinstance(several, list) else [inner]
    return found


def moment(value: Any) -> datetime:
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000 if value > 10**11 else value, UTC)
    told = datetime.fromisoformat(value)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def check(alert: Alert, document: dict[str, Any]) -> None:
    """The alert says what the document says."""
    told = json.dumps(document)
    if "finding_info" in document:
        info, cloud = document["finding_info"], document.get("cloud", {})
        assert alert.account == cloud.get("account", {}).get("uid", "")
        assert alert.region == cloud.get("region", "")
        assert alert.type == (info["types"] or [document["metadata"]["event_code"]])[0] or "Prowler" in told
        assert alert.severity == {1: 0, 2: 20, 3: 50, 4: 80, 5: 95}[document["severity_id"]]
        assert alert.title == info["title"]
        assert alert.detected_at == moment(info.get("created_time_dt") or info["created_time"])
        uids = [one["uid"] for one in document["resources"]]
    elif "ProductArn" in document:
        assert alert.account == document["AwsAccountId"]
        assert alert.region == document.get("Region", document["ProductArn"].split(":")[3])
        assert alert.type == document["Types"][0]
        assert alert.severity == document["Severity"]["Normalized"]
        assert alert.title == document["Title"]
        assert alert.detected_at == moment(document["CreatedAt"])
        assert alert.last_seen_at == moment(document.get("LastObservedAt") or document["UpdatedAt"])
        uids = [one["Id"] for one in document["Resources"]]
    else:
        lower = {name[0].lower() + name[1:]: value for name, value in document.items()}
        assert alert.account == lower["accountId"]
        assert alert.region == lower["region"]
        assert alert.type == lower["type"]
        assert alert.severity == int(lower["severity"] * 10 + 0.5)
        assert alert.title == lower.get("title", alert.type)
        assert alert.detected_at == moment(lower["createdAt"])
        uids = []
        assert all(one["id"] in told or one["arn"] in told for one in alert.resources)
    names = {one["id"] for one in alert.resources} | {one["arn"] for one in alert.resources}
    for uid in uids:
        assert uid in names or uid.rpartition(":")[2] in names or uid.rpartition("/")[2] in names, uid


def files(root: Path) -> list[Path]:
    """All but documentation and tables."""
    found = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.is_file()]
    return [path for path in found if path.suffix not in (".md", ".csv")]


@pytest.mark.django_db
def test_each_document_is_an_alert_that_says_the_same_or_in_quarantine(published: Path) -> None:
    team, by = make.team(), system("test")
    table, alerts, held = [], 0, 0

    for path in files(published):
        documents = documents_of(path)
        counts: dict[str, int] = {}
        for document in documents:
            body = document if isinstance(document, str) else json.dumps(document)
            received = ingest.receive(source="auto", body=body.encode(), by=by, at=clock.now(), team=team)
            assert len(received.alerts) + len(received.quarantined) == 1, (path, document)
            assert all(one.reason for one in received.quarantined)
            for stored in received.alerts:
                counts[stored.outcome.value] = counts.get(stored.outcome.value, 0) + 1
                if stored.outcome.value == "created":
                    check(Alert.objects.get(pk=stored.alert.pk if stored.alert else 0), document)
            counts["quarantined"] = counts.get("quarantined", 0) + len(received.quarantined)
        whole = path.read_bytes()
        if "panther-analysis" not in path.parts:  # those are wrapped in cases of a test suite
            again = ingest.receive(source="auto", body=whole, by=by, at=clock.now(), team=team)
            assert len(again.alerts) + len(again.quarantined) == len(documents), path
            assert again.count(Outcome.CREATED) == 0, path
        table.append((str(path.relative_to(published)), len(documents), counts))
        alerts += len(documents) - counts["quarantined"]
        held += counts["quarantined"]

    # 47 are not findings of an AWS account: 32 fragments of resources, 15 with placeholders or not JSON.
    assert (len(table), alerts, held) == (96, 103, 47), table
    assert Alert.objects.count() == 91


def test_each_published_type_of_guardduty_stands_for_a_technique() -> None:
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        table = archive.extractfile("data/guardduty/aws-docs/finding_types_severity.csv")
        assert table is not None
        types = [line.split(",")[0] for line in table.read().decode().splitlines()[1:]]

    assert len(types) == 74
    assert [kind for kind in types if not techniques_of(kind)] == []
