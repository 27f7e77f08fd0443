"""Web processes killed with -9 every 300 ms under load: whatever got a 2xx is there, once and whole.

The workers are forked from a master that has loaded everything, so that kills hit processes at work and
not such as are only starting.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.models import AuditEvent, Receipt
from cases.models import Alert, IdempotentAnswer, Incident, RawDocument
from tests import evidence, make
from tests.faults.web import APPLICATION, Answer, Killer, Post, send_all, serving

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

EVERY = 0.3
CLIENTS = 12
PLANTED = "tests.faults.planted_web"
OF_BATCH = 5


@dataclass(frozen=True, kw_only=True)
class Run:
    """What clients were told, how many processes died meanwhile, and what is wrong with the database."""

    answers: list[Answer]
    kills: int
    violations: list[str]

    @property
    def figures(self) -> dict[str, int]:
        tries = Counter(status for answer in self.answers for status in answer.before)
        return {
            "requests": len(self.answers),
            "kills": self.kills,
            "without_an_answer": tries[0],
            "in_progress": tries[409],
            "busy": tries[503],
            "failed": sum(count for status, count in tries.items() if status == 500),
            "told_again": sum("Idempotency-Replayed" in answer.headers for answer in self.answers),
            "violations": len(self.violations),
        }


def posts() -> Iterator[Post]:
    """Single alerts, batches, findings, and incidents, which only their key makes one."""
    for number in itertools.count():
        yield _post("alerts", _alert(f"single-{number}"))
        yield _post("incidents", {"title": f"incident-{number}"}, key=f"k-{number}")
        yield _post("alerts/batch", [_alert(f"batch-{number}-{one}") for one in range(OF_BATCH)])
        yield _post("ingest/guardduty", _finding(f"{number:032x}"))
        yield _post(
            "alerts/batch", [_alert(f"keyed-{number}-{one}") for one in range(OF_BATCH)], key=f"k-{number}"
        )


def run(directory: Path, *, seconds: float, plant: str = "", at_least: int = 0) -> Run:
    """Send requests for so long to web processes that die, each until it is told that it is done.

    On a busy machine it goes on, up to a minute, until there were `at_least` requests.
    """
    make.account()
    secret = make.key()
    application = PLANTED if plant else APPLICATION
    with (
        serving(directory, "--preload", application=application, QUELL_PLANT=plant) as web,
        Killer(web, every=EVERY) as killer,
    ):
        ends, latest = time.monotonic() + seconds, time.monotonic() + 60
        numbered = itertools.takewhile(
            lambda one: time.monotonic() < (latest if one[0] < at_least else ends), enumerate(posts())
        )
        load = (post for _, post in numbered)
        answers = send_all(web, load, secret=secret, clients=CLIENTS, retry=True)
    return Run(answers=answers, kills=killer.kills, violations=violations(answers))


def violations(answers: list[Answer]) -> list[str]:
    """Everything that was promised and is not so."""
    return [*_not_once(answers), *_not_whole()]


def _not_once(answers: list[Answer]) -> Iterator[str]:
    """Each thing that was sent is one row, and that which was told; and there is nothing else."""
    alerts = Counter(Alert.objects.values_list("external_id", flat=True))
    titles = Counter(Incident.objects.values_list("title", flat=True))
    sent_alerts, sent_incidents = set[str](), set[str]()
    for answer in answers:
        said = json.loads(answer.post.body)
        if answer.post.path.endswith("incidents"):
            sent_incidents.add(said["title"])
            ref = answer.body.get("ref")
            if not Incident.objects.filter(title=said["title"], ref=ref).exists():
                yield f"the incident {said['title']} was told as {ref}"
            continue
        for one in said if isinstance(said, list) else [said]:
            sent_alerts.add(str(one.get("external_id") or one["id"]))
        for ulid in _told(answer):
            if not Alert.objects.filter(ulid=ulid).exists():
                yield f"the alert {ulid} was told"
    for name, rows, sent in (("alert", alerts, sent_alerts), ("incident", titles, sent_incidents)):
        yield from (f"{name} {one}: {rows[one]} rows" for one in sorted(sent | set(rows)) if rows[one] != 1)
        yield from (f"{name} {one} was never sent" for one in sorted(set(rows) - sent))


def _told(answer: Answer) -> list[str]:
    if "results" in answer.body:
        return [one["id"] for one in answer.body["results"]]
    if "alerts" in answer.body:
        return [one["id"] for one in answer.body["alerts"]]
    return [answer.body["id"]] if "id" in answer.body else []


def _not_whole() -> Iterator[str]:
    """Each alert has its copy and its receipt, each incident its history, each key its answer."""
    alerts = set(Alert.objects.values_list("ulid", flat=True))
    copies = Counter(RawDocument.objects.values_list("alert__ulid", flat=True))
    received = Counter(
        ulid for row in Receipt.objects.all() if row.details.get("created") for ulid in row.details["alerts"]
    )
    opened = Counter(AuditEvent.objects.filter(act="incident.opened").values_list("object_id", flat=True))
    refs = set(Incident.objects.values_list("ref", flat=True))
    for name, there, wanted in (
        ("copies of alert", copies, alerts),
        ("receipts of alert", received, alerts),
        ("events of incident", opened, refs),
    ):
        yield from (f"{there[one]} {name} {one}" for one in sorted(wanted | set(there)) if there[one] != 1)
    for incident in Incident.objects.all():
        if not incident.milestones.exists() or not incident.timeline.exists():
            yield f"incident {incident.ref} without times or timeline"
    yield from (f"key {row.key} without an answer" for row in IdempotentAnswer.objects.filter(status=0))


def test_every_2xx_is_one_row_whoever_dies(tmp_path: Path) -> None:
    done = run(tmp_path, seconds=6, at_least=40)

    assert done.violations == []
    figures = done.figures
    assert figures["kills"] >= 10, figures
    assert figures["requests"] >= 30, figures
    assert figures["without_an_answer"] >= 20, "the kills did hit requests"
    assert figures["failed"] == 0


def test_answers_lost_after_the_commit_are_told_again(tmp_path: Path) -> None:
    done = run(tmp_path, seconds=4, plant="slow-answers")

    assert done.violations == []
    assert done.figures["told_again"] >= 1, done.figures


@pytest.mark.exhaustive
def test_a_minute_of_kills(tmp_path: Path) -> None:
    done = run(tmp_path, seconds=60)

    evidence.write("3", "web_kills", {"every_ms": int(EVERY * 1000), "clients": CLIENTS, **done.figures})
    assert done.violations == []


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        ("answered-before-the-commit", "0 rows"),
        ("stored-in-parts", "0 receipts of alert"),
        ("key-ignored", "2 rows"),
        ("key-committed-before-the-work", "0 rows"),
    ],
)
def test_a_planted_defect_is_found(tmp_path: Path, plant: str, says: str) -> None:
    done = run(tmp_path, seconds=4, plant=plant, at_least=150)

    assert [one for one in done.violations if says in one], (done.figures, done.violations[:5])


def _post(path: str, body: Any, *, key: str = "") -> Post:
    headers = {"Idempotency-Key": key} if key else {}
    return Post(path=f"/api/v1/{path}", body=json.dumps(body).encode(), headers=headers)


def _alert(name: str) -> dict[str, Any]:
    return {"source": "edr", "external_id": name, "title": "Beacon", "account": make.ACCOUNT}


def _finding(name: str) -> dict[str, Any]:
    return {
        "schemaVersion": "2.0",
        "accountId": make.ACCOUNT,
        "region": "eu-west-1",
        "partition": "aws",
        "id": name,
        "arn": f"arn:aws:guardduty:eu-west-1:{make.ACCOUNT}:detector/d/finding/{name}",
        "type": "Recon:IAMUser/UserPermissions",
        "resource": {"resourceType": "AccessKey"},
        "service": {"serviceName": "guardduty", "count": 1},
        "severity": 5,
        "createdAt": "2026-11-20T09:14:07.412Z",
        "updatedAt": "2026-11-20T09:14:07.412Z",
        "title": "Finding",
        "description": "A finding.",
    }
