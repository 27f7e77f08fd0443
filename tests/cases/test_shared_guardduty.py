"""Real published GuardDuty files: each is an alert or a quarantined document with a reason; twice is once.

Not in the repository; skipped with a notice where the shared data is absent.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from cases import ingest
from cases.models import Alert, Quarantined, RawDocument
from identity.actors import system
from lib import clock
from tests import make, needs


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shared")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data" / "guardduty"


def documents(root: Path) -> list[tuple[str, bytes]]:
    """Every native file as one body; Panther's lines are wrappers of test cases that hold one in `event`."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".json", ".jsonl", ".txt") or "aws-docs" in path.parts:
            continue
        body = path.read_bytes()
        if "panther-analysis" in path.parts:
            events = [json.loads(line)["event"] for line in body.splitlines() if line.strip()]
            body = "\n".join(map(json.dumps, events)).encode()
        found.append((str(path.relative_to(root)), body))
    return found


@pytest.mark.django_db
def test_each_file_is_alerts_or_quarantined_and_twice_creates_nothing(published: Path) -> None:
    files, team, by = documents(published), make.team(), system("test")

    first = {
        name: ingest.receive(source="guardduty", body=body, by=by, at=clock.now(), team=team)
        for name, body in files
    }

    assert len(files) == 21
    for name, received in first.items():
        assert received.alerts or received.quarantined, name
        assert all(held.reason for held in received.quarantined), name
    rows = (Alert.objects.count(), RawDocument.objects.count(), Quarantined.objects.count())
    # 31 documents: 15 findings, six further states of one of them, and ten that name no AWS account
    # (thirteen digits, "id") or are not JSON.
    assert rows == (15, 21, 10)
    before = list(Alert.objects.order_by("pk").values())

    for source in ("guardduty", "auto"):
        for _, body in files:
            again = ingest.receive(source=source, body=body, by=by, at=clock.now(), team=team)
            assert {stored.outcome.value for stored in again.alerts} <= {"repeated"}

    assert list(Alert.objects.order_by("pk").values()) == before
    assert (Alert.objects.count(), RawDocument.objects.count()) == rows[:2]
    assert Quarantined.objects.filter(source="guardduty").count() == rows[2]
