"""Taking documents out of what carried them: EventBridge, SNS, SQS, and answers of the list APIs.

Pointers go on through a text that holds JSON (`/Records/0/body/detail`), so they name the place even
where RFC 6901 would end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cases import decoding
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.sources.reading import at

LAYERS = 6
"""SQS holding SNS holding EventBridge holding a list is four; more is a bomb."""

LISTS = ("findings", "Findings", "Messages", "Records")
BODIES = ("body", "Body", "Message")


def unwrap(document: Document) -> Iterator[Document | Broken]:
    """The documents inside, each with its pointer; the document itself when nothing is around it."""
    yield from _open(document, LAYERS)


def _open(document: Document, layers: int) -> Iterator[Document | Broken]:
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
        return lambda document: _at(document, "detail")
    if isinstance(at(value, "Sns", "Message"), str):
        return lambda document: _at(document, "Sns")
    for name in BODIES:
        if isinstance(value.get(name), str) and _is_message(value):
            return lambda document, name=name: _text_at(document, name)  # type: ignore[misc]
    for name in LISTS:
        if isinstance(value.get(name), list):
            return lambda document, name=name: _at(document, name)  # type: ignore[misc]
    return None


def _is_message(value: dict[str, JSON]) -> bool:
    """Whether a text in it is the message: SNS and SQS name their messages, findings have other names."""
    return any(
        name in value for name in ("MessageId", "messageId", "TopicArn", "receiptHandle", "ReceiptHandle")
    )


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
            yield Document(
                pointer=pointer + part.pointer,
                value=part.value,
                spelling=part.spelling,
                is_altered=part.is_altered or document.is_altered,
            )


def _inner(document: Document, value: JSON, pointer: str) -> Document:
    """A part of a document. The spelling stays that of the whole where text had to be replaced."""
    spelling = document.spelling if document.is_altered else ""
    return Document(pointer=pointer, value=value, spelling=spelling, is_altered=document.is_altered)


def _broken(document: Document, reason: str, pointer: str = "") -> Broken:
    return Broken(pointer=pointer or document.pointer, reason=reason, body=decoding.bytes_of(document))
