"""One SQS queue: messages become rows, and are deleted only when the rows are committed.

SQS delivers at least once and in no order, and so may this process be killed anywhere: a message that was
stored and not deleted comes again, and is known. Several pollers may share a queue. What cannot be read is
in quarantine before its message is deleted; what cannot even be stored is left to the queue's
dead letters, and said so in the log.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from cases import ingest
from cases.collecting import notices, objects
from cases.collecting.notices import Location
from cases.sources.registry import sources
from identity.actors import Actor, system
from identity.models import Team
from lib import aws, clock
from lib.aws import AwsError, NoAnswer

log = logging.getLogger(__name__)

AT_ONCE = 10
"""Messages of one receive; SQS gives no more."""

ALARMED_AFTER = 3
"""So many receives that came to nothing make a message an alarm; the stack's queue gives up after five."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds without a call after AWS or the database failed, doubled up to the longest."""

HELD_AT_MOST = 900.0
"""Seconds for which the messages of one receive are kept from others, however long they take."""

_REGION = r"([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})"
HOST = re.compile(rf"(?:^|\.)sqs(?:-fips)?\.{_REGION}\.|^{_REGION}\.queue\.")
"""Also of interface endpoints (`vpce-….sqs.eu-west-1.vpce…`), and of the old form.
https://docs.aws.amazon.com/general/latest/gr/sqs-service.html"""


class Interrupted(BaseException):
    """Raised into a long poll to end it, when the process is to stop."""


class _Away(Exception):
    """The database does not answer: no fault of a message."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue's address and region."""

    url: str
    region: str

    @classmethod
    def of(cls, url: str, *, region: str = "") -> Queue:
        """From an address; its host names the region unless `region` does. ValueError where neither does."""
        named = HOST.search(f"{urlsplit(url).hostname or ''}.")
        region = region or (named[1] or named[2] if named else "")
        if not region or not urlsplit(url).path.strip("/"):
            raise ValueError(f"{url[:200]!r} is no queue's address, or names no region")
        return cls(url=url, region=region)

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One delivery of a message; `times` is how often it was received, this time included."""

    id: str
    receipt: str
    body: bytes
    times: int


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What became of the messages of one receive."""

    received: int = 0
    deleted: int = 0
    failed: int = 0


class Poller:
    """Takes messages from one queue. One thread at a time; several pollers may share a queue."""

    def __init__(self, queue: Queue, *, team: Team, stop: threading.Event | None = None) -> None:
        self._queue = queue
        self._team = team
        self._by: Actor = system("sqs")
        self._stop = stop or threading.Event()
        self._pause = 0.0
        self._visible_again: float | None = None
        self.is_waiting = False
        """Whether nothing but an answer of the queue is being waited for."""

    def run(self) -> None:
        """Take turns until `stop` is set."""
        while not self._stop.is_set():
            self.careful_turn()

    def careful_turn(self, *, wait: int = aws.LONG_POLL_SECONDS) -> Turn:
        """One turn; when AWS or the database are in trouble, a pause instead of an error."""
        try:
            turn = self._checked_turn(wait=wait)
        except (AwsError, NoAnswer, _Away) as trouble:
            self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            log.warning(
                "sqs.trouble",
                extra={"queue": self._queue.name, "error": str(trouble)[:500], "pause": self._pause},
            )
            self._stop.wait(self._pause / clock.rate())
            return Turn()
        self._pause = 0.0
        return turn

    def turn(self, *, wait: int = aws.LONG_POLL_SECONDS) -> Turn:
        """Receive once, waiting so many seconds for a message, and take in what came.

        Raises `lib.aws.AwsError` and `lib.aws.NoAnswer`; then whatever was not deleted comes again.
        """
        messages = self._receive(wait)
        failed, deleted = 0, 0
        stored: list[Message] = []
        with self._held(messages):
            try:
                for number, message in enumerate(messages):
                    if self._stop.is_set():
                        self._release(messages[number:])
                        break
                    if message.times >= ALARMED_AFTER:
                        deleted += self._delete(stored)  # whatever this one does to us
                        stored = []
                    if self._take(message):
                        stored.append(message)
                    else:
                        failed += 1
            except (AwsError, NoAnswer, _Away):
                self._delete_if_possible(stored)  # what is committed need not come again
                raise
            deleted += self._delete(stored)
        return Turn(received=len(messages), deleted=deleted, failed=failed)

    def _checked_turn(self, *, wait: int) -> Turn:
        """A turn that begins with the database; without it, receiving would use up the messages' tries."""
        try:
            close_old_connections()
            connection.ensure_connection()
        except (OperationalError, InterfaceError) as failure:
            raise _Away(f"the database: {failure}") from failure
        return self.turn(wait=wait)

    # --- messages -------------------------------------------------------------------------------------

    def _take(self, message: Message) -> bool:
        """Whether everything the message stands for is committed. Raises `_Away`, `NoAnswer`."""
        try:
            located = notices.objects_in(message.body)
            if located is None:
                self._ingest(message.body, source=ingest.AUTO)
            else:
                for location in located:
                    self._take_object(location, notice=message.body)
        except (OperationalError, InterfaceError) as failure:
            raise _Away(f"the database: {failure}") from failure
        except NoAnswer:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever one message does, the others are taken in
            self._alarm(message, failure)
            return False
        return True

    def _take_object(self, location: Location, *, notice: bytes) -> None:
        if location.is_skipped:
            return
        source = location.source if location.source in sources() else ingest.AUTO
        try:
            for body in objects.fetch(location, region=self._queue.region):
                self._ingest(body, source=source)
        except objects.Unfit as unfit:
            ingest.set_aside(
                source=source,
                body=notice,
                reason=f"{unfit} ({location})",
                by=self._by,
                at=clock.now(),
                team=self._team,
                door="sqs",
            )

    def _ingest(self, body: bytes, *, source: str) -> None:
        ingest.receive(source=source, body=body, by=self._by, at=clock.now(), team=self._team, door="sqs")

    def _alarm(self, message: Message, failure: Exception) -> None:
        level = logging.ERROR if message.times >= ALARMED_AFTER else logging.WARNING
        log.log(
            level,
            "sqs.message_fails",
            exc_info=failure,
            extra={"queue": self._queue.name, "message_id": message.id, "received": message.times},
        )

    # --- the queue --------------------------------------------------------------------------------------

    def _receive(self, wait: int) -> list[Message]:
        """Up to ten messages, those that were tried least first."""
        if self._visible_again is None:
            self._visible_again = self._visibility()
        self.is_waiting = True
        try:
            body = self._call(
                "ReceiveMessage",
                MaxNumberOfMessages=AT_ONCE,
                WaitTimeSeconds=wait,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        finally:
            self.is_waiting = False
        found = [_message(one) for one in body.get("Messages") or ()]
        return sorted(found, key=lambda message: message.times)

    def _visibility(self) -> float:
        """Seconds after which a message that was received and not deleted is given to another."""
        body = self._call("GetQueueAttributes", AttributeNames=["VisibilityTimeout"])
        return max(float(body["Attributes"]["VisibilityTimeout"]), 1.0)

    @contextmanager
    def _held(self, messages: Sequence[Message]) -> Iterator[None]:
        """Keep messages from other pollers while they are worked on; SQS would give them out again."""
        if not messages:
            yield
            return
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(messages, done), name="sqs-hold", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _keep(self, messages: Sequence[Message], done: threading.Event) -> None:
        seconds = self._visible_again or 1.0
        until = time.monotonic() + HELD_AT_MOST / clock.rate()
        while not done.wait(seconds / 3 / clock.rate()) and time.monotonic() < until:
            entries = [
                {"Id": str(n), "ReceiptHandle": one.receipt, "VisibilityTimeout": int(seconds)}
                for n, one in enumerate(messages)
            ]
            try:
                self._call("ChangeMessageVisibilityBatch", Entries=entries)
            except (AwsError, NoAnswer) as failure:  # then another may get them too, and finds them known
                log.warning("sqs.not_held", extra={"queue": self._queue.name, "error": str(failure)[:500]})

    def _release(self, messages: Sequence[Message]) -> None:
        """Give back what was received and not begun, so that another poller has it at once."""
        entries = [
            {"Id": str(n), "ReceiptHandle": one.receipt, "VisibilityTimeout": 0}
            for n, one in enumerate(messages)
        ]
        self._call("ChangeMessageVisibilityBatch", Entries=entries)

    def _delete(self, messages: Sequence[Message]) -> int:
        """How many are gone. One that is not comes again, and is known."""
        if not messages:
            return 0
        entries = [{"Id": str(n), "ReceiptHandle": one.receipt} for n, one in enumerate(messages)]
        body = self._call("DeleteMessageBatch", Entries=entries)
        if left := body.get("Failed"):
            log.warning("sqs.not_deleted", extra={"queue": self._queue.name, "left": len(left)})
        return len(body.get("Successful") or ())

    def _delete_if_possible(self, messages: Sequence[Message]) -> None:
        """In the middle of other trouble: a second failure only means that they come again."""
        try:
            self._delete(messages)
        except (AwsError, NoAnswer) as failure:
            log.warning("sqs.not_deleted", extra={"queue": self._queue.name, "error": str(failure)[:500]})

    def _call(self, operation: str, **params: Any) -> Any:
        answer = aws.own(
            region=self._queue.region,
            service="sqs",
            operation=operation,
            params={"QueueUrl": self._queue.url, **params},
        )
        return answer.body


def _message(told: dict[str, Any]) -> Message:
    times = str(told.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
    return Message(
        id=str(told.get("MessageId", "")),
        receipt=str(told.get("ReceiptHandle", "")),
        body=str(told.get("Body", "")).encode("utf-8", "surrogatepass"),
        times=int(times) if times.isdigit() else 1,
    )
