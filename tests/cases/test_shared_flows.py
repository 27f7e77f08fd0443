"""Every published flow log in the shared data: each line accounted for, and what is alarming counted anew.

Not in the repository; skipped with a notice where the shared data is absent. The counts are made from the
lines by themselves, not by the code that is tested.
"""

from __future__ import annotations

import gzip
import json
import tarfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cases import ingest
from cases.decoding import Document
from cases.models import Alert, Quarantined, RawDocument
from cases.sources import vpc_flow
from cases.sources import vpc_flow_records as records
from identity.actors import system
from lib import clock
from tests import make, needs

ATTACKER = "92.55.146.245"
"""Of Panther's scenario, by its own story."""


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("flows")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data"


@pytest.fixture
def listed(tmp_path: Path, settings: Any) -> None:
    known = tmp_path / "bad.csv"
    known.write_text(f"{ATTACKER}/32,attackers,bad\n203.0.113.12/32,attackers,bad\n", encoding="utf-8")
    settings.QUELL_KNOWN_ADDRESSES = [str(known)]


def files(root: Path) -> dict[str, bytes]:
    """The logs as bodies, by name; those of the scenario out of the YAML around them."""
    found = {
        path.name: path.read_bytes() for path in sorted((root / "network_logs" / "vpcflow").glob("*.log"))
    }
    for path in sorted((root / "cloudtrail").rglob("*vpc*.yml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        lines = [line.strip().removeprefix("- ") for line in lines if line.strip().startswith("- ")]
        found[path.name] = ("\n".join(lines) + "\n").encode()
    return found


def rows(whole: bytes) -> list[dict[str, str]]:
    """The records by the names of their fields."""
    names = (
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end"
        " action log-status"
    )
    lines = whole.decode().splitlines()
    if lines[0].startswith("version "):
        names, *lines = lines
    return [dict(zip(names.split(), line.split(), strict=True)) for line in lines]


def receive(whole: bytes, source: str = "auto") -> ingest.Received:
    return ingest.receive(source=source, body=whole, by=system("test"), at=clock.now(), team=make.team())


def moment(seconds: str | int) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def test_there_are_three(published: Path) -> None:
    sizes = {name: len(rows(whole)) for name, whole in files(published).items()}

    assert sizes == {"attacker_vpc.yml": 6, "aws_docs_v2_default.log": 5, "aws_docs_v5_s3_ingress.log": 1}


def test_every_line_is_read_as_it_stands(published: Path) -> None:
    for name, whole in files(published).items():
        for body in (whole, gzip.compress(whole), whole.replace(b"\n", b"\r\n")):
            [document] = vpc_flow.read(body)
            assert isinstance(document, Document), name
            flows = list(records.flows_in(document.value))
            assert len(flows) == len(rows(whole)), name
            for flow, row in zip(flows, rows(whole), strict=True):
                told = {key: "" if value == "-" else value for key, value in row.items()}
                assert flow.account == told["account-id"]
                assert flow.interface == told["interface-id"]
                assert (flow.source, flow.target) == (told["srcaddr"], told["dstaddr"])
                assert (flow.source_port, flow.target_port) == (
                    (int(told["srcport"]), int(told["dstport"])) if told["srcport"] else (None, None)
                )
                assert (flow.octets, flow.start, flow.end) == (
                    int(told["bytes"] or 0), int(told["start"]), int(told["end"])
                )  # fmt: skip
                assert flow.action == told["action"]
                assert flow.region == told.get("region", "")
                assert flow.instance == told.get("instance-id", "")
                assert flow.vpc == told.get("vpc-id", "")


@pytest.mark.django_db
def test_without_a_list_nothing_in_them_is_alarming(published: Path) -> None:
    for name, whole in files(published).items():
        received = receive(whole)
        assert (received.alerts, received.quarantined, received.passed) == ((), (), 1), name
    assert not Alert.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("listed")
def test_what_is_alarming_is_what_a_count_of_the_lines_says(published: Path) -> None:
    bad = {ATTACKER, "203.0.113.12"}
    expected: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for whole in files(published).values():
        for row in rows(whole):
            for own, other in ((row["srcaddr"], row["dstaddr"]), (row["dstaddr"], row["srcaddr"])):
                if other in bad and row["action"] == "ACCEPT":
                    expected.setdefault((row["account-id"], own, other), []).append(row)

    outcomes = Counter(
        stored.outcome.value
        for source in ("auto", "vpc_flow")
        for whole in files(published).values()
        for stored in receive(whole, source).alerts
    )

    assert len(expected) == 2
    assert outcomes == {"created": 2, "repeated": 2}
    assert not Quarantined.objects.exists()
    for (account, own, other), found in expected.items():
        alert = Alert.objects.get(account=account)
        assert (alert.type, alert.severity, alert.region) == ("VPCFlow:KnownBadAddress", 80, "")
        assert {one["value"] for one in alert.observables} == {own, other}
        assert alert.first_seen_at == moment(min(int(row["start"]) for row in found))
        assert alert.last_seen_at == moment(max(int(row["end"]) for row in found))
        assert [one["id"] for one in alert.resources] == [found[0]["interface-id"]]
        sent = sum(int(row["bytes"]) for row in found if row["dstaddr"] == other)
        came = sum(int(row["bytes"]) for row in found if row["srcaddr"] == other)
        assert f"{len(found)} records of traffic" in alert.summary
        assert f"{sent:,} bytes went to it and {came:,} came from it." in alert.summary
        assert len(RawDocument.objects.get(alert=alert).body["lines"]) == len(found)


@pytest.mark.django_db
@pytest.mark.usefixtures("listed")
def test_the_scenarios_story_is_told(published: Path) -> None:
    """Its README: the attacker's address, a session over ssh, and data out of the instance to it."""
    receive(files(published)["attacker_vpc.yml"])

    alert = Alert.objects.get()
    assert alert.account == "493859302102"
    assert alert.title == f"Known bad address reached: 172.31.77.31 to {ATTACKER}"
    assert "2,104,271 bytes went to it and 7,119 came from it." in alert.summary
    assert alert.techniques == ["T1071"]
    assert alert.first_seen_at == datetime(2020, 11, 1, 21, 35, 44, tzinfo=UTC)


@pytest.mark.django_db
def test_records_that_were_made_objects_are_read_and_other_logs_are_not(published: Path) -> None:
    """Panther's cases for its own rules: of flows, with few fields; of queries; both also in OCSF's words."""
    path = published / "network_logs" / "panther-analysis" / "vpcflow_dns_tests.open.jsonl"
    events = [json.loads(line)["event"] for line in path.read_text(encoding="utf-8").splitlines()]
    flows = [event for event in events if {"srcAddr", "dstAddr"} <= set(event)]
    others = [event for event in events if event not in flows]

    passed = [receive(json.dumps(event).encode(), "vpc_flow") for event in flows]
    held = [receive(json.dumps(event).encode(), "vpc_flow") for event in others]

    assert (len(events), len(flows)) == (26, 12)
    assert all((one.alerts, one.quarantined, one.passed) == ((), (), 1) for one in passed)
    assert {part.reason for one in held for part in one.quarantined} == {"not a record of a VPC flow log"}
    assert sum(len(one.quarantined) for one in held) == len(others)
    whole = receive("\n".join(map(json.dumps, events)).encode(), "vpc_flow")
    assert (whole.passed, len(whole.quarantined)) == (len(flows), len(others))
