"""Pollers of a queue that are killed in the middle: every message becomes one row, and none is left."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from cases.models import Alert, Quarantined
from launcher import demo, layout, processes, surroundings
from launcher.console import last_lines
from launcher.datadir import DataDirectory
from lib import clock
from tests import make
from tests.faults.site import RATE, FarSimulator, database_url, until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

MESSAGES = 1_000
VISIBLE_AGAIN = "60"
"""Seconds of the product's clock; three of the machine's."""


class Delivery:
    """A queue with dead letters in the simulated AWS, and pollers as processes of their own."""

    def __init__(self, far: FarSimulator, data: DataDirectory) -> None:
        self._far, self._data = far, data
        self._pollers: list[subprocess.Popen[bytes]] = []
        hub = far.estate["hub"]
        self._sqs = boto3.client(
            "sqs",
            endpoint_url=far.url,
            region_name="eu-west-1",
            aws_access_key_id=hub["access_key_id"],
            aws_secret_access_key=hub["secret_access_key"],
            config=Config(retries={"total_max_attempts": 3}),
        )
        self.dead = self._sqs.create_queue(QueueName="intake-dead")["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": 5}
        self.url = self._sqs.create_queue(
            QueueName="intake",
            Attributes={"VisibilityTimeout": VISIBLE_AGAIN, "RedrivePolicy": json.dumps(redrive)},
        )["QueueUrl"]

    def send(self, bodies: list[str]) -> None:
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": b} for n, b in enumerate(bodies[start : start + 10])]
            assert not self._sqs.send_message_batch(QueueUrl=self.url, Entries=entries).get("Failed")

    def poller(self) -> subprocess.Popen[bytes]:
        own = {
            "DATABASE_URL": database_url(),
            "REDIS_URL": surroundings.NOWHERE,
            "QUELL_CLOCK_RATE": str(RATE),
            "QUELL_TESTING": "1",
            "QUELL_LOG": "text",
        }
        process = processes.spawn(
            [
                layout.python_of(layout.VENV), layout.ROOT / "manage.py", "poll_sqs",
                "--queue-url", self.url, "--region", "eu-west-1", "--team", "blue",
            ],
            environment=surroundings.of_process(
                "worker-collect",
                common=surroundings.common(self._data, **own),
                aws=demo.simulated_aws(self._far.url),
            ),
            log=self.log,
        )  # fmt: skip
        self._pollers.append(process)
        return process

    @property
    def log(self) -> Path:
        return self._data.logs / "poller.log"

    def left(self, url: str) -> int:
        """Messages in a queue, those under work too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def until(self, condition: Any, *, seconds: float = 90) -> None:
        until(condition, seconds=seconds, why=lambda: "\n".join(last_lines(self.log, 30)))

    def close(self) -> None:
        for process in self._pollers:
            processes.kill_group(process)


@pytest.fixture
def delivery(
    transactional_db: None, far: FarSimulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivery]:
    data = DataDirectory(tmp_path_factory.mktemp("poller") / "data")
    data.open_for_command()
    far.reset()
    make.team()
    running = Delivery(far, data)
    yield running
    running.close()


def _message(number: int) -> str:
    moment = clock.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    finding = f"{number:032x}"
    detail = {
        "schemaVersion": "2.0",
        "accountId": make.ACCOUNT,
        "region": "eu-west-1",
        "partition": "aws",
        "id": finding,
        "arn": f"arn:aws:guardduty:eu-west-1:{make.ACCOUNT}:detector/d/finding/{finding}",
        "type": "Recon:IAMUser/UserPermissions",
        "resource": {"resourceType": "AccessKey"},
        "service": {"serviceName": "guardduty", "count": 1},
        "severity": 5,
        "createdAt": moment,
        "updatedAt": moment,
        "title": f"Finding {number}",
        "description": "A finding.",
    }
    envelope = {"version": "0", "id": finding, "detail-type": "GuardDuty Finding", "source": "aws.guardduty"}
    return json.dumps({**envelope, "account": make.ACCOUNT, "region": "eu-west-1", "detail": detail})


def test_a_poller_killed_twice_stores_every_message_once(delivery: Delivery) -> None:
    bodies = [_message(number) for number in range(MESSAGES)]
    bodies.insert(500, "{not json")
    delivery.send(bodies)

    for share in (MESSAGES // 4, MESSAGES // 2):
        poller = delivery.poller()
        delivery.until(lambda share=share: Alert.objects.count() >= share)
        processes.kill_group(poller)
        assert Alert.objects.count() < MESSAGES, "it was to be killed in the middle"
    delivery.poller()
    delivery.until(lambda: delivery.left(delivery.url) == 0)

    ids = list(Alert.objects.values_list("external_id", flat=True))
    assert sorted(ids) == [f"{number:032x}" for number in range(MESSAGES)]
    assert Quarantined.objects.count() == 1
    assert delivery.left(delivery.dead) == 0


def test_two_pollers_share_a_queue_and_end_cleanly(delivery: Delivery) -> None:
    delivery.send([_message(number) for number in range(100)])
    pollers = [delivery.poller(), delivery.poller()]
    delivery.until(lambda: delivery.left(delivery.url) == 0 and Alert.objects.count() == 100)
    for poller in pollers:
        poller.terminate()
    assert [poller.wait(10) for poller in pollers] == [0, 0]
    assert delivery.left(delivery.dead) == 0
