"""E-mail that people forward or report: RFC 5322 and MIME, as hostile as anything gets.

https://www.rfc-editor.org/rfc/rfc5322, https://www.rfc-editor.org/rfc/rfc2045. Nothing of it is opened,
fetched or shown as HTML; an attachment is its name, size and SHA-256. A mail is read into a plain object,
which is what `parse` takes and what is kept as the raw copy.
"""

from __future__ import annotations

import codecs
import hashlib
import html
import ipaddress
import re
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header
from email.message import Message

from cases.decoding import JSON, Broken, Document, Unreadable
from cases.sources.reading import objects, text, texts
from cases.sources.types import AlertDraft, Observable
from cases.words import Band
from lib.defang import refang

ID = "email"

MOST_BYTES = 25 * 1024 * 1024
MOST_PARTS = 200
MOST_LAYERS = 50
"""Multiparts and attached messages: the standard parser goes one call deeper for each."""

MOST_TEXT = 100_000
MOST_HEADER = 4_000
MOST_HEADERS = 500
MOST_OBSERVABLES = 200
HEADER = re.compile(rb"(?:From |[!-9;-~]{1,80}:[ \t\r\n])")
LAYER = re.compile(rb"multipart/|message/", re.IGNORECASE)
NAMED = re.compile(rb"(?im)^(?:from|to|subject|date|message-id|received|return-path):")
CHARSETS = re.compile(
    r"ascii|utf-(?:8|16|32)|iso8859-\d+|cp\d{3,4}|koi8-[rut]|gbk|gb2312|gb18030|big5|euc_(?:jp|kr)|shift_jis"
    r"|iso2022_jp|mac-roman"
)
"""What text is decoded by; codecs such as punycode take time out of all proportion."""

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]{0,20})")
LINK = re.compile(r"""href\s{0,9}=\s{0,9}["']?([^"'\s>]{1,2000})""", re.IGNORECASE)
ENDS = {name: re.compile(rf"</{name}", re.IGNORECASE) for name in ("script", "style", "title")}
BREAKS = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3", "table"})
URL = re.compile(r"https?://[^\s<>\"'\\^`{|}\x00-\x20]{1,2000}", re.IGNORECASE)
ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9.-]{1,250}\.[A-Za-z]{2,20}")
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
HASH = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})(?![0-9A-Fa-f])")
HASHES = {64: "sha256", 40: "sha1", 32: "md5"}
INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3"),
    )
)


def matches(document: JSON) -> bool:
    """Whether this is what `read` makes of a mail."""
    return isinstance(document, dict) and {"message_id", "digest", "messages"} <= set(document)


def reads(body: bytes) -> bool:
    """Whether the body begins with header lines, two of them of a mail, and is no JSON."""
    start = body[:20_000].lstrip(b"\r\n")
    return HEADER.match(start) is not None and len(NAMED.findall(start)) >= 2


def read(body: bytes) -> Iterable[Document | Broken]:
    """The one mail. What is beyond 25 MiB is cut off, and said so; a mail that is a bomb is broken."""
    cut = body[:MOST_BYTES]
    if len(LAYER.findall(cut)) > MOST_LAYERS:
        return [Broken(pointer="", reason=f"more than {MOST_LAYERS} parts within parts", body=cut)]
    try:
        value = _mail(cut, is_cut=len(cut) < len(body))
    # The standard parser raises all of these at one malformed header or another.
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as failure:
        reason = f"not a readable e-mail: {type(failure).__name__}"
        return [Broken(pointer="", reason=reason, body=cut)]
    return [Document(pointer="", value=value, spelling=_spelling(cut))]


def parse(document: JSON) -> Iterator[AlertDraft]:
    """One alert of medium severity: what a person found worth reporting is looked at."""
    if not matches(document):
        raise Unreadable("not an e-mail")
    subject = text(document, "subject", most=500) or "(no subject)"
    sender = text(document, "from", most=300)
    identity = text(document, "message_id", most=2000) or text(document, "digest", most=64)
    if len(identity) > 300:
        identity = hashlib.sha256(identity.encode()).hexdigest()
    if not identity:
        raise Unreadable("neither a Message-ID nor a digest", "/message_id")
    yield AlertDraft(
        source=ID,
        external_id=identity,
        fingerprint=(ID, sender, subject),
        title=subject,
        summary=_summary(document),
        severity=Band.MEDIUM.severity,
        type="Report:Email",
        observables=tuple(_observables(document)),
        tags=("email", *(("cut",) if isinstance(document, dict) and document.get("is_cut") is True else ())),
        raw=document,
    )


# --- reading a mail -----------------------------------------------------------------------------------


def _mail(body: bytes, *, is_cut: bool) -> JSON:
    outer = message_from_bytes(body)
    messages: list[JSON] = []
    attachments: list[JSON] = []
    _walk(outer, messages, attachments)
    headers = _headers(outer)
    return {
        "message_id": _first(headers, "message-id"),
        "digest": hashlib.sha256(body).hexdigest(),
        "subject": _first(headers, "subject"),
        "from": _first(headers, "from"),
        "date": _first(headers, "date"),
        "messages": messages,
        "attachments": attachments,
        "is_cut": is_cut,
    }


def _walk(outer: Message, messages: list[JSON], attachments: list[JSON]) -> None:
    """Every part once, without recursion; each message within gets an entry of its own."""
    pending: list[tuple[Message, dict[str, JSON] | None]] = [(outer, None)]
    for _ in range(MOST_PARTS):
        if not pending:
            return
        part, into = pending.pop(0)
        if into is None:
            into = _message(part)
            messages.append(into)
        if part.get_content_type() == "message/rfc822" and isinstance(part.get_payload(), list):
            pending += [(inner, None) for inner in part.get_payload() if isinstance(inner, Message)]
        elif part.is_multipart():
            pending += [(inner, into) for inner in part.get_payload() if isinstance(inner, Message)]
        else:
            _leaf(part, into, attachments)


def _message(part: Message) -> dict[str, JSON]:
    headers = _headers(part)
    return {
        "from": _first(headers, "from"),
        "reply_to": _first(headers, "reply-to"),
        "subject": _first(headers, "subject"),
        "received_from": _origin(headers),
        "text": "",
        "html": "",
    }


def _leaf(part: Message, into: dict[str, JSON], attachments: list[JSON]) -> None:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    kind = part.get_content_type()
    name = _clean(str(part.get_filename() or ""))[:300]
    is_text = kind in {"text/plain", "text/html"} and part.get_content_disposition() != "attachment"
    if not is_text or name:
        digest = hashlib.sha256(content).hexdigest()
        attachments.append({"name": name, "type": kind[:100], "size": len(content), "sha256": digest})
        return
    found = _decoded(content[: MOST_TEXT * 4], part.get_content_charset() or "utf-8")[:MOST_TEXT]
    field = "text" if kind == "text/plain" else "html"
    found = found if field == "text" else _reduced(found)
    into[field] = f"{into[field]}\n{found}".strip()[:MOST_TEXT]


def _headers(part: Message) -> list[tuple[str, str]]:
    return [(name.lower(), _header(str(value))) for name, value in list(part.raw_items())[:MOST_HEADERS]]


def _first(headers: list[tuple[str, str]], name: str) -> str:
    return next((value for known, value in headers if known == name), "")


def _header(raw: str) -> str:
    """A header in words: encoded words decoded, line breaks and controls made spaces."""
    plain = raw[:MOST_HEADER].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        pieces = decode_header(plain)
    except (MessageError, ValueError):  # an encoded word that is none stays as it is spelled
        pieces = [(plain, None)]
    words = [
        _decoded(piece, charset or "utf-8") if isinstance(piece, bytes) else piece
        for piece, charset in pieces
    ]
    return " ".join(_clean("".join(words)).split())


def _decoded(content: bytes, charset: str) -> str:
    name = charset.strip().lower()
    try:
        known = codecs.lookup(name).name if name.isascii() and len(name) < 40 else ""
    except (LookupError, ValueError):
        known = ""
    return _clean(content.decode(known if CHARSETS.fullmatch(known) else "utf-8", "replace"))


def _clean(found: str) -> str:
    """Without what a database cannot hold, and without what turns text around."""
    return CONTROL.sub("\ufffd", found).encode("utf-8", "replace").decode("utf-8")


def _reduced(source: str) -> str:
    """HTML as text, with the targets of links in brackets. Each character is looked at once or twice."""
    out: list[str] = []
    at = 0
    while (start := source.find("<", at)) >= 0:
        out.append(source[at:start])
        closing = "-->" if source.startswith("<!--", start) else ">"
        end = source.find(closing, start + 1)
        if end < 0:
            return html.unescape("".join(out))
        at = end + len(closing)
        found = TAG.match(source, start)
        name = found[1].lower() if found else ""
        if name in ENDS and source[start + 1] != "/":
            over = ENDS[name].search(source, at)
            if over is None:
                return html.unescape("".join(out))
            at = over.start()
        elif name == "a" and (link := LINK.search(source, start, end)):
            out.append(f" [{link[1]}] ")
        elif name in BREAKS:
            out.append("\n")
    return html.unescape("".join([*out, source[at:]]))


def _origin(headers: list[tuple[str, str]]) -> str:
    """The first address from outside, newest `Received` first: older ones may be the sender's invention."""
    for name, value in headers:
        if name == "received":
            for found in IPV4.finditer(value):
                if _is_outside(found[0]):
                    return str(found[0])
    return ""


def _is_outside(spelled: str) -> bool:
    try:
        address = ipaddress.ip_address(spelled)
    except ValueError:
        return False
    return not any(address in network for network in INSIDE)


def _spelling(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return ""


# --- what is made of it -------------------------------------------------------------------------------


def _summary(document: JSON) -> str:
    lines = [f"From: {text(document, 'from', most=300)}"]
    for message in objects(document, "messages", most=MOST_LAYERS):
        lines += [
            text(message, "subject", most=500),
            text(message, "text", most=10_000) or text(message, "html", most=10_000),
        ]
    for one in objects(document, "attachments", most=MOST_PARTS):
        name, size = text(one, "name", most=200) or "unnamed", text(one, "size", most=20)
        lines.append(f"Attachment: {name}, {size} bytes, SHA-256 {text(one, 'sha256', most=64)}")
    return "\n".join(line for line in lines if line)[:20_000]


def _observables(document: JSON) -> list[Observable]:
    found: dict[Observable, None] = {}
    for message in objects(document, "messages", most=MOST_LAYERS):
        for name in ("from", "reply_to"):
            found |= {
                Observable(kind="email", value=one): None for one in ADDRESS.findall(text(message, name))
            }
        if origin := text(message, "received_from", most=50):
            found[Observable(kind="ip", value=origin)] = None
        words = f"{text(message, 'text', most=MOST_TEXT)}\n{text(message, 'html', most=MOST_TEXT)}"
        found |= dict.fromkeys(_in_words(refang(words)))
    for digest in texts([one.get("sha256") for one in objects(document, "attachments", most=MOST_PARTS)]):
        found[Observable(kind="sha256", value=digest[:64])] = None
    return list(found)[:MOST_OBSERVABLES]


def _in_words(words: str) -> Iterator[Observable]:
    for url in URL.findall(words):
        yield Observable(kind="url", value=url.rstrip(".,;:!?)]"))
    for address in IPV4.findall(words):
        if _is_outside(address):
            yield Observable(kind="ip", value=address)
    for digest in HASH.findall(words):
        yield Observable(kind=HASHES[len(digest)], value=digest.lower())
