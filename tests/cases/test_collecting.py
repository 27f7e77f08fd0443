"""Messages of a queue and objects they speak of: all of it becomes rows, whatever fails in between."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, connections

from cases.collecting import objects, sweeps
from cases.collecting.queue import ALARMED_AFTER, LONGEST_PAUSE, Poller, Queue, Turn
from cases.models import Alert, Heard, Quarantined, RawDocument
from lib import clock
from lib.clock import SystemClock
from simulator.server import Simulator
from tests import make
from tests.cases import cloud

pytestmark = pytest.mark.django_db(transaction=True)  # a poller renews its connection at each turn

BUCKET = "central-logs"
RECEIVES = 5
"""After so many the intake stack's queue gives a message to the dead letters."""

GUARDDUTY = f"AWSLogs/{make.ACCOUNT}/GuardDuty/eu-west-1/2026/11/20/"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with cloud.running() as found:
        yield found


class Delivery:
    """A bucket, a queue with dead letters, and one who takes from it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.s3, self.sqs = cloud.client(simulator, "s3"), cloud.client(simulator, "sqs")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": cloud.REGION})
        self.dead = self._queue("intake-dead")
        asked = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": RECEIVES}
        self.url = self._queue("intake", RedrivePolicy=json.dumps(redrive), VisibilityTimeout="0")
        self.poller = Poller(Queue.of(self.url, region=cloud.REGION), team=make.team())

    def _queue(self, name: str, **attributes: str) -> str:
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return key

    def send(self, *bodies: Any) -> None:
        for body in bodies:
            spelled = body if isinstance(body, str) else json.dumps(body)
            self.sqs.send_message(QueueUrl=self.url, MessageBody=spelled)

    def turn(self) -> Turn:
        return self.poller.careful_turn(wait=0)

    def next_turn(self) -> Turn:
        """The next in which something came: a message that was being held is back within a second."""
        until = time.monotonic() + 20
        while not (turn := self.turn()).received and time.monotonic() < until:
            time.sleep(0.02)
        return turn

    def left(self, url: str = "") -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def fetched(self) -> int:
        return len(cloud.calls(self.simulator, "GetObject"))


@pytest.fixture
def delivery(simulator: Simulator) -> Iterator[Delivery]:
    simulator.reset()
    make.account()
    with clock.using(SystemClock(rate=500)):  # a pause of a minute is over soon
        yield Delivery(simulator)
    simulator.faults([])


def finding(number: int = 1) -> dict[str, Any]:
    uid = f"{number:032x}"
    return {
        "schemaVersion": "2.0",
        "accountId": make.ACCOUNT,
        "region": "eu-west-1",
        "partition": "aws",
        "id": uid,
        "arn": f"arn:aws:guardduty:eu-west-1:{make.ACCOUNT}:detector/d/finding/{uid}",
        "type": "Recon:IAMUser/UserPermissions",
        "resource": {"resourceType": "AccessKey"},
        "service": {"serviceName": "guardduty", "count": 1},
        "severity": 5,
        "createdAt": "2026-11-20T09:00:00.000Z",
        "updatedAt": "2026-11-20T09:00:00.000Z",
        "title": f"Finding {number}",
        "description": "A finding.",
    }


def event(number: int = 1) -> dict[str, Any]:
    told = {"version": "0", "id": "x", "detail-type": "GuardDuty Finding", "source": "aws.guardduty"}
    return {**told, "account": make.ACCOUNT, "region": "eu-west-1", "detail": finding(number)}


def exported(*numbers: int) -> bytes:
    """As GuardDuty exports: a finding a line, compressed."""
    return gzip.compress("".join(json.dumps(finding(number)) + "\n" for number in numbers).encode())


def notice(*keys: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": cloud.REGION,
                "eventTime": "2026-11-20T09:05:00.000Z",
                "eventName": name,
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 1}},
            }
            for key in keys
        ]
    }


def over_eventbridge(key: str) -> dict[str, Any]:
    detail = {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 1}, "reason": "PutObject"}
    told = {"version": "0", "detail-type": "Object Created", "source": "aws.s3", "account": make.ACCOUNT}
    return {**told, "region": cloud.REGION, "detail": detail}


def over_sns(message: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": f"arn:aws:sns:eu-west-1:{make.ACCOUNT}:delivered",
        "Message": json.dumps(message),
        "Timestamp": "2026-11-20T09:05:01.000Z",
    }


def by_cloudtrail(*keys: str) -> dict[str, Any]:
    return {"s3Bucket": BUCKET, "s3ObjectKey": list(keys)}


# --- what messages speak of --------------------------------------------------------------------------------

WAYS: dict[str, Callable[[str], Any]] = {
    "S3": notice,
    "S3 over SNS": lambda key: over_sns(notice(key)),
    "S3 over SNS twice": lambda key: over_sns(over_sns(notice(key))),
    "EventBridge": over_eventbridge,
    "EventBridge over SNS": lambda key: over_sns(over_eventbridge(key)),
    "CloudTrail's own": by_cloudtrail,
    "CloudTrail's own over SNS": lambda key: over_sns(by_cloudtrail(key)),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_object_that_a_message_speaks_of_is_fetched_and_taken_in(delivery: Delivery, way: str) -> None:
    key = delivery.put(f"{GUARDDUTY}findings.jsonl.gz", exported(1, 2, 3))
    delivery.send(WAYS[way](key))

    assert delivery.turn() == Turn(received=1, deleted=1, failed=0)

    assert sorted(Alert.objects.values_list("external_id", flat=True)) == [f"{n:032x}" for n in (1, 2, 3)]
    assert set(Alert.objects.values_list("source", "account", "team__slug")) == {
        ("guardduty", make.ACCOUNT, "blue")
    }
    assert set(RawDocument.objects.values_list("door", flat=True)) == {"sqs"}
    assert delivery.left() == 0


def test_a_key_with_spaces_and_signs_is_spelled_as_s3_spells_it(delivery: Delivery) -> None:
    delivery.put("exports/a b+ü.jsonl", json.dumps(finding()).encode())
    delivery.send(notice("exports/a+b%2B%C3%BC.jsonl"))

    assert delivery.turn().deleted == 1
    assert Alert.objects.count() == 1


def test_one_message_may_speak_of_several_objects(delivery: Delivery) -> None:
    keys = [delivery.put(f"{GUARDDUTY}{n}.jsonl.gz", exported(n)) for n in range(4)]
    delivery.send(notice(*keys))

    delivery.turn()

    assert (Alert.objects.count(), delivery.fetched()) == (4, 4)


def test_a_finding_itself_in_sns_in_sqs_needs_no_object(delivery: Delivery) -> None:
    delivery.send(over_sns(event(1)), event(2), over_sns(over_sns(event(3))))

    assert delivery.turn() == Turn(received=3, deleted=3, failed=0)
    assert (Alert.objects.count(), delivery.fetched()) == (3, 0)


TRAIL = f"AWSLogs/{make.ACCOUNT}"
NOTHING: dict[str, Any] = {
    "S3's test": {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET},
    "S3's test over SNS": over_sns({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}),
    "CloudTrail's test": "CloudTrail validation message.",
    "a digest": notice(f"{TRAIL}/CloudTrail-Digest/eu-west-1/2026/11/20/digest.json.gz"),
    "an insight": by_cloudtrail(f"{TRAIL}/CloudTrail-Insight/eu-west-1/2026/11/20/insight.json.gz"),
    "a folder": notice(f"{TRAIL}/"),
    "a removal": notice(f"{GUARDDUTY}gone.jsonl.gz", name="ObjectRemoved:Delete"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_message_of_nothing_is_deleted_and_nothing_is_fetched(delivery: Delivery, name: str) -> None:
    delivery.send(NOTHING[name])

    assert delivery.turn() == Turn(received=1, deleted=1, failed=0)
    assert delivery.fetched() == 0
    assert not Alert.objects.exists()
    assert not Quarantined.objects.exists()


def _bomb() -> bytes:
    return gzip.compress(b" " * (objects.INFLATED + 1))


UNFIT: dict[str, tuple[Callable[[], bytes] | None, str]] = {
    "not there": (None, "not there: NoSuchKey"),
    "cut": (lambda: exported(1)[:-20], "not whole"),
    "a bomb": (_bomb, "inflates to more"),
    "too large": (lambda: b"x" * (objects.OBJECT_BYTES + 1), "larger than"),
    "a line that never ends": (lambda: b'{"a": "' + b"x" * (objects.PIECE + 1) + b'"}\n{}', "a line of"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_object_that_never_can_be_taken_is_told_of_and_holds_up_nobody(
    delivery: Delivery, name: str
) -> None:
    body, reason = UNFIT[name]
    key = f"{GUARDDUTY}odd.jsonl.gz"
    if body:
        delivery.put(key, body())
    delivery.send(notice(key), event(2))

    assert delivery.turn() == Turn(received=2, deleted=2, failed=0)

    held = Quarantined.objects.get()
    assert reason in held.reason
    assert f"s3://{BUCKET}/{key}" in held.reason
    assert (held.source, held.door, json.loads(bytes(held.body))) == ("guardduty", "sqs", notice(key))
    assert Alert.objects.get().external_id == f"{2:032x}"


def test_what_cannot_be_read_is_in_quarantine_before_its_message_is_gone(delivery: Delivery) -> None:
    delivery.send("{not json", {"note": "of nobody"}, over_sns("hello"))

    assert delivery.turn() == Turn(received=3, deleted=3, failed=0)
    assert Quarantined.objects.count() == 3


def test_a_large_export_is_cut_between_its_lines_and_nothing_is_lost(delivery: Delivery) -> None:
    numbers = range(1, 2_501)
    body = exported(*numbers)
    assert len(gzip.decompress(body)) > 2 * objects.PIECE
    delivery.send(notice(delivery.put(f"{GUARDDUTY}large.jsonl.gz", body)))

    delivery.turn()

    assert Alert.objects.count() == len(numbers)
    assert not Quarantined.objects.exists()


@pytest.mark.parametrize("size", [1, 3, 2_000])
def test_records_and_lines_are_cut_into_parts_that_hold_them_all(size: int) -> None:
    records = [{"n": n, "text": 'é"]}{[' * 40, "inner": {"Records": [n]}} for n in range(size)]
    spelled = [json.dumps(one, ensure_ascii=n % 2 == 0) for n, one in enumerate(records)]
    lines = "header of columns\n" + "\n".join(f"{n} " + "x" * 400 for n in range(size))

    whole = ('{ "Records" : [' + " ,\n".join(spelled) + "]}").encode()
    parts = [json.loads(part)["Records"] for part in objects.pieces(whole)]
    assert [one for part in parts for one in part] == records
    assert (len(parts) > 1) == (len(whole) > objects.PIECE)

    cut = [part.decode().split("\n") for part in objects.pieces(lines.encode())]
    assert all(part[0] == "header of columns" for part in cut)
    assert [line for part in cut for line in part[1:]] == lines.split("\n")[1:]
    assert all(len(part.decode()) <= objects.PIECE + 10_000 for part in objects.pieces(whole))


def test_a_cut_object_is_taken_in_as_far_as_it_can_be_read(delivery: Delivery) -> None:
    records = ",".join(json.dumps(finding(n)) for n in range(1, 2_001))
    key = delivery.put("exports/cut.json", f'{{"Records":[{records},{{"broken'.encode())
    delivery.send(notice(key))

    assert delivery.turn().deleted == 1
    assert Alert.objects.count() == 2_000
    assert "cannot be read from character" in Quarantined.objects.get().reason


# --- files of CloudTrail -----------------------------------------------------------------------------------


def call(number: int, name: str = "DescribeInstances", service: str = "ec2") -> dict[str, Any]:
    return {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAQUELLTESTUSER0001",
            "arn": f"arn:aws:iam::{make.ACCOUNT}:user/ci",
            "accountId": make.ACCOUNT,
            "accessKeyId": "AKIAQUELLTESTKEY0001",
            "userName": "ci",
        },
        "eventTime": "2026-11-20T09:00:00Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.5",
        "userAgent": "aws-cli/2",
        "requestParameters": {"name": "organization"},
        "responseElements": None,
        "requestID": f"00000000-0000-4000-8000-{number:012x}",
        "eventID": f"10000000-0000-4000-8000-{number:012x}",
        "readOnly": name.startswith("Describe"),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": make.ACCOUNT,
        "eventCategory": "Management",
    }


@pytest.mark.parametrize("way", [notice, by_cloudtrail, lambda key: over_sns(over_eventbridge(key))])
def test_the_one_alarming_call_among_thousands_is_found_in_a_delivered_file(
    delivery: Delivery, way: Callable[[str], Any]
) -> None:
    calls = [call(number) for number in range(3_000)]
    calls[1_500] = call(1_500, "StopLogging", "cloudtrail")
    whole = json.dumps({"Records": calls}).encode()
    assert len(whole) > 3 * objects.PIECE
    delivery.send(
        way(delivery.put(f"{TRAIL}/CloudTrail/eu-west-1/2026/11/20/x.json.gz", gzip.compress(whole)))
    )

    assert delivery.turn() == Turn(received=1, deleted=1, failed=0)

    alert = Alert.objects.get()
    assert (alert.source, alert.account, alert.region) == ("cloudtrail", make.ACCOUNT, "eu-west-1")
    assert ("access_key", "AKIAQUELLTESTKEY0001") in [(one["type"], one["id"]) for one in alert.resources]
    assert not Quarantined.objects.exists()

    event = {"source": "aws.cloudtrail", "detail-type": "AWS API Call via CloudTrail", "detail": calls[1_500]}
    delivery.send({**event, "account": make.ACCOUNT, "region": "eu-west-1"})
    assert delivery.turn().deleted == 1
    assert Alert.objects.count() == 1, "the same call by file and by event is one alert"


def test_a_file_in_which_nothing_happened_is_heard(delivery: Delivery) -> None:
    body = gzip.compress(json.dumps({"Records": [call(1), call(2)]}).encode())
    delivery.send(notice(delivery.put(f"{TRAIL}/CloudTrail/eu-west-1/2026/11/20/y.json.gz", body)))

    delivery.turn()

    assert not Alert.objects.exists()
    assert not Quarantined.objects.exists()
    row = Heard.objects.get()
    assert (row.source, row.account, row.region) == ("cloudtrail", make.ACCOUNT, "eu-west-1")


# --- trouble ---------------------------------------------------------------------------------------------


def pauses(caplog: pytest.LogCaptureFixture) -> list[float]:
    return [one.__dict__["pause"] for one in caplog.records if one.msg == "sqs.trouble"]


def test_when_aws_is_away_it_is_left_alone_ever_longer_and_nothing_is_lost(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.send(event(1))
    with cloud.away():
        for _ in range(9):
            assert delivery.turn() == Turn()
    assert pauses(caplog) == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]

    assert delivery.turn() == Turn(received=1, deleted=1, failed=0)
    assert Alert.objects.count() == 1
    caplog.clear()
    with cloud.away():
        delivery.turn()
    assert pauses(caplog) == [1], "once it was well again, patience is new"


NO_ANSWER: dict[str, Mapping[str, Any]] = {
    "dropped": {"match": "s3:GetObject", "times": 2, "status": 0},
    "503": {"match": "s3:GetObject", "times": 2, "status": 503, "code": "InternalError"},
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_an_object_that_does_not_come_now_comes_later(
    delivery: Delivery, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = delivery.put(f"{GUARDDUTY}findings.jsonl.gz", exported(1))
    delivery.send(notice(key))
    delivery.simulator.faults([NO_ANSWER[name]])

    assert delivery.turn() == Turn()
    assert (delivery.left(), Alert.objects.count(), Quarantined.objects.count()) == (1, 0, 0)
    assert pauses(caplog) == [1]
    assert delivery.next_turn() == Turn(received=1, deleted=1, failed=0)
    assert Alert.objects.count() == 1


def test_what_was_stored_before_the_trouble_is_deleted_in_spite_of_it(delivery: Delivery) -> None:
    key = delivery.put(f"{GUARDDUTY}findings.jsonl.gz", exported(9))
    delivery.send(event(1), event(2), notice(key))
    delivery.simulator.faults([NO_ANSWER["dropped"]])

    delivery.turn()

    assert sorted(Alert.objects.values_list("external_id", flat=True)) == [f"{n:032x}" for n in (1, 2)]
    assert delivery.left() == 1
    delivery.next_turn()
    assert (delivery.left(), Alert.objects.count()) == (0, 3)
    assert set(Alert.objects.values_list("count", flat=True)) == {1}


def test_a_deletion_that_got_lost_makes_the_message_come_again_and_it_is_known(delivery: Delivery) -> None:
    delivery.send(event(1))
    delivery.simulator.faults([{"match": "sqs:DeleteMessageBatch", "times": 2, "status": 0}])

    assert delivery.turn() == Turn()
    assert (delivery.left(), Alert.objects.count()) == (1, 1)
    assert delivery.next_turn() == Turn(received=1, deleted=1, failed=0)
    assert (Alert.objects.get().count, RawDocument.objects.count()) == (1, 1)


DENIED: Mapping[str, Any] = {
    "match": "s3:GetObject", "times": 99, "status": 403, "code": "AccessDenied", "message": "no",
}  # fmt: skip


def test_a_message_that_always_fails_ends_in_the_dead_letters_and_the_others_pass(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    key = delivery.put(f"{GUARDDUTY}findings.jsonl.gz", exported(99))
    delivery.simulator.faults([DENIED])
    delivery.send(event(1), notice(key), *(event(n) for n in range(2, 9)))

    first, failed = delivery.turn(), 1
    until = time.monotonic() + 30
    while delivery.left() and time.monotonic() < until:
        failed += delivery.turn().failed

    assert first == Turn(received=9, deleted=8, failed=1)
    assert failed == RECEIVES
    assert Alert.objects.count() == 8
    assert (delivery.left(), delivery.left(delivery.dead)) == (0, 1)
    levels = [one.levelno for one in caplog.records if one.msg == "sqs.message_fails"]
    quiet, loud = ALARMED_AFTER - 1, RECEIVES - ALARMED_AFTER + 1
    assert levels == [logging.WARNING] * quiet + [logging.ERROR] * loud

    delivery.simulator.faults([])
    [dead] = delivery.sqs.receive_message(QueueUrl=delivery.dead)["Messages"]
    delivery.send(dead["Body"])  # as SQS's own redrive does
    delivery.turn()
    assert Alert.objects.filter(external_id=f"{99:032x}").count() == 1


def test_without_the_database_no_message_is_received_as_that_would_use_up_its_tries(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.send(event(1))

    def refused() -> None:
        raise OperationalError("connection refused")

    connection.close()
    with monkeypatch.context() as patch:
        patch.setattr(connections["default"], "connect", refused)
        for _ in range(RECEIVES * 2):
            assert delivery.turn() == Turn()
    assert pauses(caplog)[:3] == [1, 2, 4]
    assert cloud.calls(delivery.simulator, "ReceiveMessage") == []

    assert delivery.turn() == Turn(received=1, deleted=1, failed=0)


def test_the_command_takes_what_there_is_and_says_so(delivery: Delivery) -> None:
    delivery.send(event(1), event(2), "{")
    out = StringIO()

    call_command("poll_sqs", queue_url=delivery.url, region=cloud.REGION, once=True, stdout=out)

    assert json.loads(out.getvalue()) == {"received": 3, "deleted": 3, "failed": 0}
    assert Alert.objects.count() == 2


# --- the worker's own turns ------------------------------------------------------------------------------


@pytest.fixture
def named(delivery: Delivery, settings: Any) -> Iterator[str]:
    """The queue under the address that AWS gives it, which is what stands in the settings."""
    url = f"https://sqs.{cloud.REGION}.amazonaws.com/{delivery.url.split('/', 3)[3]}"
    settings.QUELL_SQS_QUEUES = [url]
    sweeps._pollers.clear()
    yield url
    sweeps._pollers.clear()


def test_patience_is_carried_from_one_sweep_to_the_next(
    delivery: Delivery, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.send(event(1))
    with cloud.away():
        assert [sweeps.sweep_queues() for _ in range(4)] == [0, 0, 0, 0]

    assert pauses(caplog) == [1, 2, 4, 8]
    assert delivery.left() == 1
    assert not Alert.objects.exists()


def test_a_queue_that_cannot_be_named_does_not_hold_up_another(
    delivery: Delivery, named: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.QUELL_SQS_QUEUES = ["https://queue.example.com/1/intake", named]
    with cloud.away():
        sweeps.sweep_queues()

    assert [one.__dict__["queue"] for one in caplog.records if one.msg == "sqs.unfit"] == [
        "https://queue.example.com/1/intake"
    ]
    assert pauses(caplog) == [1]


@pytest.mark.slow
def test_the_workers_sweep_empties_the_queue(delivery: Delivery, named: str) -> None:
    delivery.send(*(event(n) for n in range(25)))

    assert sweeps.sweep_queues() == 25
    assert (delivery.left(), Alert.objects.count()) == (0, 25)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/111122223333/intake", "eu-west-1"),
        ("https://eu-central-1.queue.amazonaws.com/111122223333/intake", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/intake", "cn-north-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/111122223333/intake", "us-gov-west-1"),
        ("https://sqs-fips.us-east-1.amazonaws.com/111122223333/intake", "us-east-1"),
        ("https://vpce-0a1b-2c3d.sqs.eu-west-2.vpce.amazonaws.com/111122223333/intake", "eu-west-2"),
    ],
)
def test_the_address_of_a_queue_names_its_region(url: str, region: str) -> None:
    queue = Queue.of(url)

    assert (queue.region, queue.name) == (region, "intake")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "intake",
        "https://sqs.eu-west-1.amazonaws.com/",
        "https://example.com/1/q",
        "https://xsqs.eu-west-1.a/q",
    ],
)
def test_what_names_no_queue_or_no_region_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Queue.of(url)


def test_taking_in_is_hearing(delivery: Delivery) -> None:
    delivery.send(event(1))
    before = clock.now()

    delivery.turn()

    row = Heard.objects.get()
    assert (row.source, row.account, row.region) == ("guardduty", make.ACCOUNT, "eu-west-1")
    assert row.first_at is not None
    assert row.first_at >= before
