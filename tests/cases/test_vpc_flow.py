"""VPC flow logs: records in whatever form they come, lines that are none, and what is alarming."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import ingest
from cases.collecting import objects
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.models import Alert, Quarantined, RawDocument
from cases.sources import vpc_flow
from cases.sources import vpc_flow_records as records
from cases.sources.registry import source_of
from cases.sources.types import AlertDraft
from identity.actors import system
from lib import clock
from tests import make
from tests.cases.ground import GROUND, PRODUCTION, SANDBOX

START = 1795165200  # 2026-11-20T09:00:00Z
ENI = "eni-0a1b2c3d4e5f60718"
BAD = "198.51.100.66"
GIB = 1024**3
COLUMNS = "interface-id srcaddr dstaddr srcport dstport protocol bytes start end action account-id"


def line(source: str = "10.0.1.5", target: str = BAD, **values: Any) -> str:
    """A record in the default format."""
    told: dict[str, Any] = {
        "account": PRODUCTION,
        "srcport": 40000,
        "dstport": 443,
        "protocol": 6,
        "bytes": 40,
    }
    told |= {"start": START, "action": "ACCEPT", "eni": ENI, **values}
    end = told.get("end", told["start"] + 60)
    ports = f"{told['srcport']} {told['dstport']} {told['protocol']}"
    return (
        f"2 {told['account']} {told['eni']} {source} {target} {ports} 1 {told['bytes']}"
        f" {told['start']} {end} {told['action']} OK"
    )


def custom(source: str, target: str, **values: Any) -> str:
    """A record with a header of v3 to v5 fields, in an order of its own."""
    told = {"tcp-flags": "-", "flow-direction": "-", "pkt-dst-aws-service": "-", "traffic-path": "-"}
    more = {name.replace("_", "-"): str(value) for name, value in values.items()}
    told |= {name: more.pop(name) for name in list(more) if name in told}
    usual = {"srcport": "40000", "dstport": "443", "protocol": "6", "bytes": "40", "action": "ACCEPT"} | more
    names = [*told, *usual, "srcaddr", "dstaddr", "start", "end", "account-id"]
    cells = [*told.values(), *usual.values(), source, target, str(START), str(START + 60), PRODUCTION]
    return f"{' '.join(names)}\n{' '.join(cells)}\n"


def body(*lines: str) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def parts(whole: bytes) -> tuple[list[Document], list[Broken]]:
    told = list(vpc_flow.read(whole))
    return [one for one in told if isinstance(one, Document)], [
        one for one in told if isinstance(one, Broken)
    ]


def found(whole: bytes) -> list[AlertDraft]:
    """The drafts of a body in which everything can be read."""
    documents, broken = parts(whole)
    assert not broken
    return [draft for document in documents for draft in vpc_flow.detect(document.value, GROUND)]


def kinds(whole: bytes) -> list[str]:
    return [draft.type.removeprefix("VPCFlow:") for draft in found(whole)]


# --- forms -----------------------------------------------------------------------------------------------


def message(*lines: str, **changes: Any) -> dict[str, Any]:
    return {
        "messageType": "DATA_MESSAGE",
        "owner": SANDBOX,
        "logGroup": "flows",
        "logStream": ENI,
        "subscriptionFilters": ["all"],
        "logEvents": [{"id": str(n), "timestamp": 1, "message": one} for n, one in enumerate(lines)],
        **changes,
    }


SPELLED = body(line(), line(target="203.0.113.9"))
JSON_MESSAGE = json.dumps(message(line(), line())).encode()


@pytest.mark.fast
@pytest.mark.parametrize(
    "whole",
    [
        SPELLED,
        b"\xef\xbb\xbf" + SPELLED,
        SPELLED.replace(b"\n", b"\r\n\r\n"),
        gzip.compress(SPELLED),
        gzip.compress(body(line())) + gzip.compress(body(line(target="203.0.113.9"))),
        body(f"2026-11-20T09:00:00.000Z {line()}", f"2026-11-20T09:00:00.000Z {line()}"),  # exported to S3
        custom("10.0.1.5", BAD).encode(),
        custom("10.0.1.5", "10.0.0.9", pkt_dstaddr=BAD).encode(),  # behind a NAT gateway
        custom("10.0.1.5", BAD, colour="x").replace("srcaddr", "${srcaddr}").encode(),
        JSON_MESSAGE,
        gzip.compress(JSON_MESSAGE),
        JSON_MESSAGE + JSON_MESSAGE,
        json.dumps(
            {"Type": "Notification", "TopicArn": "t", "MessageId": "1", "Message": JSON_MESSAGE.decode()}
        ),
        b"\n".join(json.dumps({"message": one + "\n"}).encode() for one in (line(), line())),
    ],
)
def test_the_same_record_in_every_form_is_the_same_alert(whole: bytes | str) -> None:
    whole = whole.encode() if isinstance(whole, str) else whole

    assert vpc_flow.reads(whole)
    [draft] = found(whole)

    assert draft.type == "VPCFlow:KnownBadAddress"
    assert [one.value for one in draft.observables] == [BAD, "10.0.1.5"]
    assert draft.account == PRODUCTION
    assert draft.first_seen_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert draft.last_seen_at == datetime(2026, 11, 20, 9, 1, tzinfo=UTC)


@pytest.mark.fast
def test_what_lambda_and_kinesis_hand_on_is_opened() -> None:
    packed = base64.b64encode(gzip.compress(JSON_MESSAGE)).decode()

    forms: list[JSON] = [
        {"awslogs": {"data": packed}},
        {"kinesis": {"data": packed}, "eventSource": "aws:kinesis"},
    ]

    for document in forms:
        assert source_of(document) is not None
        [draft] = vpc_flow.detect(document, GROUND)
        assert draft.type == "VPCFlow:KnownBadAddress"
        assert vpc_flow.speaks_for(document) == (PRODUCTION, "")


@pytest.mark.fast
def test_a_subscription_that_names_its_fields_may_have_any_format() -> None:
    told = f"{BAD} 10.9.0.4 ACCEPT"
    extracted = {"srcaddr": BAD, "dst_addr": "10.9.0.4", "action": "ACCEPT"}
    whole = json.dumps(
        message(logEvents=[{"id": "1", "message": told, "extractedFields": extracted}])
    ).encode()

    [draft] = found(whole)

    assert (draft.account, draft.title) == (SANDBOX, f"Known bad address reached: {BAD} to 10.9.0.4")
    assert draft.first_seen_at is None


@pytest.mark.fast
@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"{}",
        b"[]",
        b"the interface-id and srcaddr and dstaddr\nare fields",
        b"From: a@example.com\r\n\r\n" + SPELLED,
        b"name,srcaddr,dstaddr\n",
        b"version\n2\n",
        json.dumps({"title": "Odd flow", "message": line()}).encode(),
        json.dumps(message('{"eventVersion": "1.08", "eventName": "ConsoleLogin"}')).encode(),
        json.dumps({"Records": [{"eventVersion": "1.08", "message": "srcaddr dstaddr"}]}).encode(),
        gzip.compress(b'{"Records": []}', mtime=0),
        b"\x1f\x8b\x08 no gzip",
        b"2 111122223333 eni-1 10.0.0.1 10.0.0.2",
    ],
)
def test_other_bodies_are_left_to_others(whole: bytes) -> None:
    assert not vpc_flow.reads(whole)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("zone", "region"),
    [
        ("use1-az6", "us-east-1"),
        ("usw2-lax1-az1", "us-west-2"),
        ("usgw1-az2", "us-gov-west-1"),
        ("apse2-az3", "ap-southeast-2"),
        ("apne1-az4", "ap-northeast-1"),
        ("euc1-az2", "eu-central-1"),
        ("mxc1-az1", "mx-central-1"),
        ("cnnw1-az1", "cn-northwest-1"),
        ("-", ""),
        ("nowhere", ""),
    ],
)
def test_a_zone_tells_its_region(zone: str, region: str) -> None:
    [draft] = found(custom("10.0.1.5", BAD, az_id=zone).encode())

    assert draft.region == region


# --- lines that are none ---------------------------------------------------------------------------------

NO_RECORDS = [
    "hello",
    line() + " more",
    line(account="11112222333"),
    line(source="10.0.1.500"),
    line(srcport=65536),
    line(bytes="-1"),
    line(bytes="9" * 30),
    line(bytes="٣"),
    line(action="MAYBE"),
    line(start=START * 1000, end=START * 1000),
    line(start=START, end=START - 1),
    line().replace(" OK", " FINE"),
    line().replace("eni-", "eni\0"),
]


@pytest.mark.fast
@pytest.mark.parametrize("number", range(len(NO_RECORDS)))
def test_a_line_that_is_none_costs_no_other_and_is_kept(number: int) -> None:
    wrong = NO_RECORDS[number]
    documents, broken = parts(body(line(), wrong, line(target="203.0.113.9"), wrong))

    [document] = documents
    assert len(list(records.flows_in(document.value))) == 2
    [one] = broken
    assert one.pointer == "/1"
    assert one.reason.startswith("2 of 4 lines are no records of a flow log; the first is line 2: ")
    assert one.body.splitlines() == [" ".join(records.DEFAULT).encode(), wrong.encode(), wrong.encode()]


@pytest.mark.fast
def test_bytes_that_are_no_text_are_kept_as_they_came() -> None:
    documents, [broken] = parts(SPELLED + b"\xff\xfe\n")

    assert len(documents) == 1
    assert "it is not UTF-8" in broken.reason
    assert broken.body.endswith(b"\n\xff\xfe\n")


@pytest.mark.fast
@pytest.mark.parametrize(
    ("whole", "reason", "read"),
    [
        (gzip.compress(SPELLED * 3000)[:-20], "the gzip file is not whole", True),
        (gzip.compress(SPELLED) + b"rubbish", "not a gzip file", True),
        (gzip.compress(SPELLED) + gzip.compress(b"") * 1_001, "more than 1000 gzip files in one", True),
        (gzip.compress(SPELLED + b"x" * 200_000), "line 3 is longer than 16384 bytes", True),
        (gzip.compress(SPELLED + b"x" * 17_000 + b"\n"), "line 3 is longer than 16384 bytes", True),
    ],
)
def test_what_came_before_a_break_counts_and_the_file_is_kept(whole: bytes, reason: str, read: bool) -> None:
    documents, broken = parts(whole)

    assert bool(documents) is read
    assert reason in broken[-1].reason
    assert broken[-1].body == whole


@pytest.mark.fast
def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_UNPACKED", 1024 * 1024)
    bomb = gzip.compress(SPELLED + (b"\n" * 4095 + b" ") * 4096)

    _, broken = parts(bomb)

    assert broken[-1].reason == "unpacks to more than 1048576 bytes"


@pytest.mark.fast
def test_a_long_file_is_looked_at_in_parts_and_no_line_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_LINES", 10)
    header = "interface-id dstaddr srcaddr action"
    rows = [f"{ENI} 10.0.0.{n} 10.0.1.5 ACCEPT" for n in range(25)]

    documents, broken = parts(body(header, *rows[:24], "bad", rows[24], header.upper()))

    assert [len(list(records.flows_in(one.value))) for one in documents] == [10, 10, 5]
    assert [one.pointer for one in documents] == ["", "/11", "/21"]
    assert sum(one.body.count(b"\n") - 1 for one in broken) == 2


@pytest.mark.fast
def test_files_put_together_keep_their_own_headers() -> None:
    first, second = custom("10.0.1.5", BAD), "dstaddr srcaddr action\n10.0.1.5 198.51.100.66 REJECT\n"

    documents, broken = parts((first + second + first).encode())

    assert not broken
    told = [[(flow.source, flow.action) for flow in records.flows_in(one.value)] for one in documents]
    assert told == [[("10.0.1.5", "ACCEPT")], [(BAD, "REJECT")], [("10.0.1.5", "ACCEPT")]]


@pytest.mark.fast
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=40) | st.sampled_from([line(), *NO_RECORDS]), max_size=6))
def test_every_line_is_read_or_kept(lines: list[str]) -> None:
    whole = "\n".join([line(), *lines]).encode("utf-8", "replace")
    wanted = [one for one in whole.split(b"\n") if one.strip()]

    documents, broken = parts(whole)

    headers = [one for one in wanted if records.header_of(one.decode("utf-8", "replace"))]
    told = sum(len(list(records.flows_in(one.value))) for one in documents)
    held = sum(len(one.body.rstrip(b"\n").split(b"\n")) - 1 for one in broken)
    assert told + held + len(headers) == len(wanted)


# --- detections ------------------------------------------------------------------------------------------


@pytest.mark.fast
def test_an_address_that_was_refused_here_and_let_in_there_is_one_alert() -> None:
    refused = [line(BAD, f"10.0.1.{n}", action="REJECT") for n in range(5)]

    [low] = found(body(*refused))
    [high] = found(body(*refused, line(BAD, "10.0.1.9", dstport=22)))

    assert (low.severity, low.type) == (20, "VPCFlow:KnownBadAddressRefused")
    assert (high.severity, high.type, high.techniques) == (80, "VPCFlow:KnownBadAddress", ("T1133",))


def probes(source: str, *, ports: int = 0, hosts: int = 0, **values: Any) -> list[str]:
    if hosts:
        return [line(source, f"10.7.{n // 200}.{n % 200 + 1}", dstport=445, **values) for n in range(hosts)]
    return [line(source, "10.7.0.1", dstport=1 + n, **values) for n in range(ports)]


@pytest.mark.fast
@pytest.mark.parametrize(
    ("lines", "severities"),
    [
        (probes("10.0.1.5", ports=20, action="REJECT"), [80]),
        (probes("10.0.1.5", ports=19, action="REJECT"), []),
        (probes("10.0.1.5", ports=19, action="REJECT") * 3, []),
        (probes("10.0.1.5", ports=99), []),
        (probes("10.0.1.5", ports=100), [80]),
        (probes("10.0.1.5", hosts=20, action="REJECT"), [80]),
        (probes("10.0.1.5", hosts=19, action="REJECT"), []),
        (probes("10.0.1.5", hosts=300), []),  # a monitor, a load balancer
        (probes("203.0.113.9", ports=20, action="REJECT"), [0]),
        (probes("203.0.113.9", ports=20, action="REJECT") + probes("203.0.113.9", ports=1), [20]),
        (probes("203.0.113.9", ports=20, action="REJECT", protocol=17), [0]),
        (probes("203.0.113.9", ports=20, action="REJECT", protocol=1), []),
        # Two sources that are each below it.
        (probes("10.0.1.5", ports=15, action="REJECT") + probes("10.0.1.6", ports=15, action="REJECT"), []),
    ],
)
def test_what_is_a_scan(lines: list[str], severities: list[int]) -> None:
    drafts = found(body(*lines))

    assert [draft.severity for draft in drafts] == severities
    assert {draft.type for draft in drafts} <= {"VPCFlow:PortScan"}


@pytest.mark.fast
def test_answers_to_many_clients_are_no_scan() -> None:
    answers = [
        line("10.0.1.5", "203.0.113.9", srcport=port, dstport=49152 + n, action=action)
        for n in range(200)
        for port, action in ((443, "ACCEPT"), (8080, "REJECT"))
    ]
    low = [line("10.0.1.5", "203.0.113.9", srcport=443, dstport=1024 + n, action="REJECT") for n in range(50)]

    assert kinds(body(*answers, *low)) == []
    assert kinds(body(*(one.replace(" 443 ", " 60000 ") for one in low))) == ["PortScan"]


@pytest.mark.fast
def test_flags_count_before_ports() -> None:
    rows = [
        custom("10.0.1.5", "10.7.0.1", srcport=443, dstport=50000 + n, action="REJECT") for n in range(20)
    ]
    header = rows[0].split("\n")[0]
    cells = [one.split("\n")[1] for one in rows]

    assert kinds(body(header, *cells)) == []
    assert kinds(body(header, *("2" + one[1:] for one in cells))) == ["PortScan"]  # SYN
    assert kinds(body(header, *("18" + one[1:] for one in cells))) == []  # SYN-ACK


@pytest.mark.fast
@pytest.mark.parametrize(
    ("lines", "severities"),
    [
        ([line(target="203.0.113.9", bytes=GIB)], [80]),
        ([line(target="203.0.113.9", bytes=GIB - 1)], []),
        ([line(target="203.0.113.9", bytes=GIB // 2)] * 2, [80]),
        ([line(target="203.0.113.9", bytes=GIB // 2), line(target="203.0.113.10", bytes=GIB // 2)], []),
        ([line(target="203.0.113.9", bytes=GIB, account=SANDBOX)], [20]),
        ([line(target="203.0.113.9", bytes=GIB, account="777788889999")], [50]),
        ([line(target="203.0.113.9", bytes=GIB, srcport=443, dstport=50000)], [50]),
        ([line(target="203.0.113.9", bytes=GIB, srcport=443, dstport=50000, account=SANDBOX)], [20]),
        ([line(target="203.0.113.9", bytes=GIB, action="REJECT")], []),
        ([line(target="10.200.0.1", bytes=9 * GIB)], []),
        ([line(target="224.0.0.5", bytes=9 * GIB)], []),
        ([line(target="169.254.169.253", bytes=9 * GIB)], []),
        ([line("203.0.113.9", "10.0.1.5", bytes=9 * GIB)], []),
        ([line("2001:db8::1", "2001:db8::2", bytes=9 * GIB)], []),  # which is ours is not told
    ],
)
def test_what_is_a_large_transfer(lines: list[str], severities: list[int]) -> None:
    assert [draft.severity for draft in found(body(*lines))] == severities


@pytest.mark.fast
@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"flow_direction": "egress"}, 1),
        ({"flow_direction": "ingress"}, 0),
        ({"pkt_dst_aws_service": "S3"}, 0),
        ({"pkt_dst_aws_service": "EC2"}, 1),
        ({"traffic_path": "7"}, 0),
        ({"traffic_path": "8"}, 1),
    ],
)
def test_later_fields_say_what_leaves_and_where_to(values: dict[str, Any], count: int) -> None:
    assert len(found(custom("10.0.1.5", "203.0.113.9", bytes=GIB, **values).encode())) == count


# --- through intake --------------------------------------------------------------------------------------


def receive(whole: bytes, source: str = "auto") -> ingest.Received:
    return ingest.receive(source=source, body=whole, by=system("test"), at=clock.now(), team=make.team())


@pytest.fixture
def bad_address(tmp_path: Any, settings: Any) -> None:
    known = tmp_path / "bad.csv"
    known.write_text(f"{BAD}/32,feed,bad\n", encoding="utf-8")
    settings.QUELL_KNOWN_ADDRESSES = [str(known)]


@pytest.fixture
def past() -> int:
    """The full hour two hours ago, as seconds."""
    return int(clock.now().timestamp()) // 3600 * 3600 - 7200


@pytest.mark.django_db
@pytest.mark.usefixtures("bad_address")
def test_a_file_twice_is_one_alert_more_of_the_hour_adds_and_the_next_hour_is_its_own(past: int) -> None:
    first = body(line(start=past))

    outcomes = [
        [one.outcome.value for one in receive(whole, source).alerts]
        for whole, source in (
            (first, "auto"),
            (gzip.compress(first), "vpc_flow"),
            (body(line(start=past + 600)), "vpc_flow"),
            (body(line(start=past + 3600)), "auto"),
        )
    ]

    assert outcomes == [["created"], ["repeated"], ["updated"], ["created"]]
    one, other = Alert.objects.order_by("pk")
    assert (one.count, other.count) == (2, 1)
    assert one.fingerprint == other.fingerprint
    assert one.last_seen_at == datetime.fromtimestamp(past + 660, UTC)
    assert one.detected_at == one.received_at
    assert RawDocument.objects.filter(alert=one).count() == 2
    assert RawDocument.objects.filter(alert=one).earliest("pk").body["lines"] == [line(start=past)]


@pytest.mark.django_db
@pytest.mark.usefixtures("bad_address")
def test_lines_in_quarantine_are_read_again_when_they_are_sent_again(past: int) -> None:
    received = receive(body(line(start=past), "rubbish", line(target="203.0.113.9")), "vpc_flow")

    assert [one.outcome.value for one in received.alerts] == ["created"]
    held = Quarantined.objects.get()
    assert (held.pointer, received.quarantined[0].reason) == ("/1", held.reason)
    again = receive(bytes(held.body), "vpc_flow")
    assert not again.alerts
    assert [one.ulid for one in again.quarantined] == [held.ulid]


@pytest.mark.django_db
def test_files_without_anything_alarming_pass_and_are_heard(past: int) -> None:
    header = " ".join(records.DEFAULT).encode() + b"\n"

    assert receive(header).passed == 1
    assert receive(body(line(start=past, target="203.0.113.9"))).passed == 1
    assert not Alert.objects.exists()
    assert not Quarantined.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("bad_address")
def test_records_of_tomorrow_are_kept_and_cost_no_other(past: int) -> None:
    received = receive(body(line(start=past), line(start=past + 4 * 86400)))

    assert [one.outcome.value for one in received.alerts] == ["created"]
    [held] = received.quarantined
    assert held.reason.endswith("the first is line 2: it lies in the future")
    told = receive(json.dumps(message(line(start=past + 4 * 86400))).encode()).quarantined
    assert ["future" in one.reason for one in told] == [True]


@pytest.mark.fast
@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        {"fields": ["srcaddr", "dstaddr", "action"], "lines": ["10.0.0.1"]},
        {"messageType": "DATA_MESSAGE", "logEvents": [{"message": "hello"}]},
        {"srcaddr": "nowhere", "dstaddr": "10.0.0.1"},
        {"title": "an alert"},
    ],
)
def test_what_holds_no_records_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        list(vpc_flow.detect(document, GROUND))


@pytest.mark.fast
def test_an_object_of_s3_is_one_body_of_all_its_records() -> None:
    """Cut into smaller bodies, a scan that goes on through a file would show in none of them."""
    header = " ".join(records.DEFAULT)
    rows = [line(f"10.{n // 62500}.{n // 250 % 250}.{n % 250}", "203.0.113.9") for n in range(12_000)]

    [piece] = objects.pieces(body(header, *rows))

    told = [flow.line for part in parts(piece)[0] for flow in records.flows_in(part.value)]
    assert told == rows
