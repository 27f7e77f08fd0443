"""Taking documents out of what carried them: EventBridge, SNS, SQS, and answers of the list APIs.

Pointers go on through a text that holds JSON (`/Records/0/body/detail`), so they name the place even
where RFC 6901 would end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cases import decoding
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.sources.reading import at, text

LAYERS = 6
"""SQS holding SNS holding EventBridge holding a list is four; more is a bomb."""

LISTS = ("findings", "Findings", "Messages", "Records")
LOOKED_UP = "CloudTrailEvent"
"""Where an answer of CloudTrail's `LookupEvents` holds each event, as a text."""

BODIES = ("body", "Body", "Message")

KEPT = frozenset(
    {
        "AWS Health Abuse Event",
        "AWS Health Event",
        "CloudWatch Alarm State Change",
        "Quell Heartbeat",
        "Security Hub Insight Results",
    }
)
"""Types of EventBridge events whose envelope says what their detail does not: left closed."""


@dataclass(frozen=True, kw_only=True)
class Carried(Document):
    """A document with what carried it, outermost first: `sns TOPIC-ARN`, `eventbridge ACCOUNT REGION`.

    One finding reaches a team in its own account's event, in its administrator's, and through topics,
    and may be the same to the byte; each way is a copy of its own. Ids of deliveries are not part of it,
    so a delivery that is repeated stays a repeat.
    """

    carriers: tuple[str, ...]


def unwrap(document: Document) -> Iterator[Document | Broken]:
    """The documents inside, each with its pointer; the document itself when nothing is around it.

    What S3 sends to try a queue or topic out is swallowed: it holds no document.
    """
    yield from _open(document, LAYERS)


def _open(document: Document, layers: int) -> Iterator[Document | Broken]:
    if text(document.value, "Event") == "s3:TestEvent":
        return
    opener = _opener(document.value)
    if opener is None:
        yield document
    elif layers == 0:
        yield _broken(document, "too many envelopes around it")
    else:
        for inner in opener(document):
            if isinstance(inner, Broken):
                yield inner
            else:
                yield from _open(inner, layers - 1)


def _opener(value: JSON) -> Callable[[Document], Iterator[Document | Broken]] | None:
    if isinstance(value, list):
        return _members
    if not isinstance(value, dict):
        return None
    if "detail-type" in value and "detail" in value:
        if text(value, "detail-type") in KEPT:
            return None
        return lambda document: _at(_carried(document, "eventbridge", "account", "region"), "detail")
    if isinstance(at(value, "Sns", "Message"), str):
        return lambda document: _at(document, "Sns")
    for name in BODIES:
        if isinstance(value.get(name), str) and _is_message(value):
            return lambda document, name=name: _text_at(  # type: ignore[misc]
                _carried(document, "sns", "TopicArn") if "TopicArn" in value else document, name
            )
    if isinstance(value.get(LOOKED_UP), str):
        return lambda document: _text_at(document, LOOKED_UP)
    if listed := _list_in(value):
        return lambda document: _at(document, listed)
    return None


def _list_in(value: dict[str, JSON]) -> str:
    """Under which name it holds documents; empty for none."""
    named = (name for name in LISTS if isinstance(value.get(name), list))
    return next(named, "Events" if _are_looked_up(value.get("Events")) else "")


def _are_looked_up(members: JSON) -> bool:
    """Whether the events of a list are what `LookupEvents` answers; others have such lists too."""
    if not isinstance(members, list) or not members:
        return False
    return all(isinstance(at(one, LOOKED_UP), str) for one in members)


def _is_message(value: dict[str, JSON]) -> bool:
    """Whether a text in it is the message: SNS and SQS name their messages, findings have other names."""
    return any(
        name in value for name in ("MessageId", "messageId", "TopicArn", "receiptHandle", "ReceiptHandle")
    )


def _carried(document: Document, carrier: str, *names: str) -> Document:
    """The same, with one more that carried what is in it."""
    told = " ".join([carrier, *filter(None, (text(document.value, name, most=200) for name in names))])
    return Carried(
        pointer=document.pointer,
        value=document.value,
        spelling=document.spelling,
        is_altered=document.is_altered,
        carriers=(*carriers_of(document), told),
    )


def carriers_of(document: Document) -> tuple[str, ...]:
    """What carried a document; nothing for one that came bare."""
    return document.carriers if isinstance(document, Carried) else ()


def _members(document: Document) -> Iterator[Document | Broken]:
    if isinstance(document.value, list):
        for number, member in enumerate(document.value):
            yield _inner(document, member, decoding.step(document.pointer, number))


def _at(document: Document, name: str) -> Iterator[Document | Broken]:
    if isinstance(document.value, dict):
        yield _inner(document, document.value[name], decoding.step(document.pointer, name))


def _text_at(document: Document, name: str) -> Iterator[Document | Broken]:
    spelling = at(document.value, name)
    pointer = decoding.step(document.pointer, name)
    if at(document.value, "Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        yield _broken(document, "a message about a subscription, not a notification")
        return
    try:
        parts = decoding.documents(str(spelling).encode("utf-8"))
    except Unreadable as failure:
        yield _broken(document, failure.reason, pointer + failure.pointer)
        return
    for part in parts:
        if isinstance(part, Broken):
            yield Broken(pointer=pointer + part.pointer, reason=part.reason, body=part.body)
        else:
            is_altered = part.is_altered or document.is_altered
            yield _like(document, replace(part, pointer=pointer + part.pointer, is_altered=is_altered))


def _inner(document: Document, value: JSON, pointer: str) -> Document:
    """A part of a document. The spelling stays that of the whole where text had to be replaced."""
    spelling = document.spelling if document.is_altered else ""
    part = Document(pointer=pointer, value=value, spelling=spelling, is_altered=document.is_altered)
    return _like(document, part)


def _like(document: Document, part: Document) -> Document:
    """A part, carried by what carried the whole."""
    if not isinstance(document, Carried):
        return part
    return Carried(
        pointer=part.pointer,
        value=part.value,
        spelling=part.spelling,
        is_altered=part.is_altered,
        carriers=document.carriers,
    )


def _broken(document: Document, reason: str, pointer: str = "") -> Broken:
    return Broken(pointer=pointer or document.pointer, reason=reason, body=decoding.bytes_of(document))
