"""Records of VPC flow logs, out of whatever carries them.

Text in the default format, or in any other whose header names its fields, packed or not; the lines
`{"message": …}` that Firehose writes; what a subscription of CloudWatch Logs sends (there a format of one's
own is known only if the filter names its fields); a record that somebody made an object of. Fields that are
not known yet are columns like the others.
https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from itertools import pairwise

from cases import decoding
from cases.decoding import BOM, JSON, Broken, Document, Unreadable
from cases.sources import envelopes
from cases.sources.reading import at, objects, text, texts
from cases.sources.traces import ACCOUNT, IDS, REGION
from lib import clock

DEFAULT = [
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol",
    "packets", "bytes", "start", "end", "action", "log-status",
]  # fmt: skip
LATER = [
    "vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr",
    "region", "az-id", "sublocation-type", "sublocation-id",
    "pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path",
    "ecs-cluster-arn", "ecs-cluster-name", "ecs-container-instance-arn", "ecs-container-instance-id",
    "ecs-container-id", "ecs-second-container-id", "ecs-service-name", "ecs-task-definition-arn",
    "ecs-task-arn", "ecs-task-id",
    "reject-reason", "resource-id", "encryption-status",
]  # fmt: skip
"""Of versions 3, 4, 5, 7, and after."""
KNOWN = frozenset([*DEFAULT, *LATER])
ADDRESSES = frozenset({"srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"})
OF_BARE = {name.replace("-", ""): name for name in KNOWN}

MOST_LINES = 50_000
MOST_BYTES = 4 * 1024 * 1024
"""Lines, and bytes of them, that are looked at together: a part. A longer file is several, each by itself."""
MOST_OF_LINE = 16 * 1024
MOST_UNPACKED = 64 * 1024 * 1024
MOST_MEMBERS = 1_000
MOST_DIGITS = 19
LATEST = 4_102_444_800
"""Times are seconds; what would lie beyond 2100 is something else."""
AHEAD = 24 * 60 * 60
"""Seconds that a record may lie ahead: of an alert of later intake would refuse the whole part."""
HEAD, CHUNK = 4 * 1024, 64 * 1024
GZIP = b"\x1f\x8b"

NAME = re.compile(r"(?:\$\{)?([a-z][a-z0-9_-]{1,60})\}?")
USUAL = re.compile(
    r"(?:\d{4}-\d\d-\d\dT[0-9:.]{8,15}Z )?"
    r"\d{1,2} (?:\d{12}|unknown) (?:eni-[0-9a-f]{8,17}|-)(?: [0-9a-f.:-]+){9}"
    r" (?:ACCEPT|REJECT|-) (?:OK|NODATA|SKIPDATA)"
)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]{8,15}Z")
"""What CloudWatch Logs puts before each line that it exports to S3."""
LONE_MESSAGE = re.compile(r'\s*\{\s*"message"\s*:\s*"([^"\\]{1,4000})(?:\\n)?"\s*\}')
MESSAGE = re.compile(
    r'message\\*"\s*:\s*\\*"\d{1,2} (?:\d{12}|unknown) (?:eni-[0-9a-f]{8,17}|-) [0-9a-f.:-]+ [0-9a-f.:-]+ '
)
MAIL = re.compile(r"[A-Za-z][A-Za-z0-9-]*:\s|From ")
ZONE = re.compile(r"([a-z]{2})(g?)([nsewc]|n[ew]|s[ew])(\d{1,2})-[a-z0-9-]{2,20}")
DIRECTIONS = {
    "n": "north", "s": "south", "e": "east", "w": "west", "c": "central",
    "ne": "northeast", "nw": "northwest", "se": "southeast", "sw": "southwest",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """One record. What it does not tell is empty, or None for numbers; addresses are those of the packets."""

    line: str
    account: str
    region: str
    interface: str
    instance: str
    vpc: str
    source: str
    target: str
    source_port: int | None
    target_port: int | None
    protocol: int | None
    octets: int
    start: int | None
    end: int | None
    action: str
    flags: int
    direction: str
    service: str
    path: str

    @property
    def is_accepted(self) -> bool:
        """Whether security groups and network ACLs let it pass."""
        return self.action == "ACCEPT"

    @property
    def is_rejected(self) -> bool:
        """Whether they did not; a record without an action is neither."""
        return self.action == "REJECT"

    @property
    def is_reply(self) -> bool:
        """Whether it is the answering half of a conversation, by its SYN-ACK, else by its ports."""
        if self.flags & 2:
            return self.flags & 16 != 0
        if self.source_port is None or self.target_port is None:
            return False
        # From a service's port to one that clients draw: 1024 up by the RFC, from 32768 up on Linux.
        return self.source_port < 1024 <= self.target_port or self.source_port < 32768 <= self.target_port


def header_of(line: str) -> list[str] | None:
    """The names of fields that a header line gives, in its order; None for a line that is none."""
    names: list[str] = []
    for token in line.split():
        found = NAME.fullmatch(token)
        if found is None:
            return None
        names.append(found.group(1).replace("_", "-"))
    known = KNOWN.intersection(names)
    if len(known) < 3 or not known & {*ADDRESSES, "interface-id"} or len(set(names)) < len(names):
        return None
    return names


def flow_of(values: Mapping[str, str], *, line: str, owner: str = "") -> Flow:
    """A record by the names of its fields. Raises `Unreadable` where one holds what it cannot."""
    told = {name: value for name, value in values.items() if value != "-"}
    account = told.get("account-id", "unknown")
    if account != "unknown" and not ACCOUNT.fullmatch(account):
        raise Unreadable("account-id is not an account")
    if told.get("action", "ACCEPT") not in ("ACCEPT", "REJECT"):
        raise Unreadable("action is neither ACCEPT nor REJECT")
    if told.get("log-status", "OK") not in ("OK", "NODATA", "SKIPDATA"):
        raise Unreadable("log-status is not one that AWS writes")
    start, end = _number(told, "start", most=LATEST), _number(told, "end", most=LATEST)
    if start is not None and end is not None and end < start:
        raise Unreadable("it ends before it starts")
    return Flow(
        line=line,
        account=owner if account == "unknown" else account,
        region=_region(told),
        interface=_id(told, "interface-id", "network_interface"),
        instance=_id(told, "instance-id", "instance"),
        vpc=_id(told, "vpc-id", "vpc"),
        source=_address(told, "pkt-srcaddr") or _address(told, "srcaddr"),
        target=_address(told, "pkt-dstaddr") or _address(told, "dstaddr"),
        source_port=_number(told, "srcport", most=65535),
        target_port=_number(told, "dstport", most=65535),
        protocol=_number(told, "protocol", most=255),
        octets=_number(told, "bytes") or 0,
        start=start if start is not None else end,
        end=end if end is not None else start,
        action=told.get("action", ""),
        flags=_number(told, "tcp-flags", most=255) or 0,
        direction=told.get("flow-direction", ""),
        service=told.get("pkt-dst-aws-service", ""),
        path=told.get("traffic-path", ""),
    )


def _number(told: Mapping[str, str], name: str, *, most: int = 10**MOST_DIGITS) -> int | None:
    value = told.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > MOST_DIGITS or int(value) > most:
        raise Unreadable(f"{name} is not a number that it can be")
    return int(value)


def _address(told: Mapping[str, str], name: str) -> str:
    value = told.get(name)
    return canonical(value, name) if value is not None else ""


@lru_cache(maxsize=20_000)
def canonical(value: str, name: str = "address") -> str:
    """An address in its one spelling. Raises `Unreadable`, naming the field, for anything else."""
    try:
        # Most are IPv4, and in C that takes a tenth of the time; what it takes has one spelling.
        socket.inet_pton(socket.AF_INET, value)
        return value
    except (OSError, ValueError):
        pass
    try:
        found = ip_address(value[:100])
        return str(getattr(found, "ipv4_mapped", None) or found)
    except ValueError as failure:
        raise Unreadable(f"{name} is not an address") from failure


def _id(told: Mapping[str, str], name: str, kind: str) -> str:
    """Empty too for a name of another form: interfaces of AWS's own services may have one."""
    value = told.get(name, "")
    return value if IDS[kind].fullmatch(value) else ""


def _region(told: Mapping[str, str]) -> str:
    region = told.get("region", "")
    return region if REGION.fullmatch(region) else _region_of_zone(told.get("az-id", ""))


@lru_cache(maxsize=1_000)
def _region_of_zone(zone: str) -> str:
    """`eu-west-1` of `euw1-az2`: the ids of zones shorten the region's words by a rule."""
    found = ZONE.fullmatch(zone)
    if found is None:
        return ""
    area, is_gov, direction, number = found.groups()
    return "-".join(filter(None, (area, "gov" if is_gov else "", DIRECTIONS[direction], number)))


# --- documents -----------------------------------------------------------------------------------------


def flows_in(document: JSON) -> Iterator[Flow]:
    """The records of a part, of a message of CloudWatch Logs, or the one that an object is.

    Raises `Unreadable` for what is none of these, and at the first record that cannot be read.
    """
    told = opened(document)
    if told is None:
        yield flow_of(_named(document), line=str(document)[:1000])
        return
    for owner, names, lines in told:
        for number, line in enumerate(lines):
            try:
                yield flow_of(_columns(names, line), line=line, owner=owner)
            except Unreadable as failure:
                raise Unreadable(f"line {number + 1}: {failure.reason}") from failure


def opened(document: JSON) -> list[tuple[str, list[str], list[str]]] | None:
    """Owner, fields and lines of a document that holds lines; None for one that does not."""
    if is_part(document):
        return [(text(document, "owner"), texts(document, "fields"), _lines_in(document))]
    message = _packed_in(document) if not is_message(document) else document
    return list(_messages(message)) if message is not None else None


def is_part(document: JSON) -> bool:
    """Whether it is lines as `read` gives them."""
    return (
        isinstance(at(document, "lines"), list) and header_of(" ".join(texts(document, "fields"))) is not None
    )


def is_message(document: JSON) -> bool:
    """Whether it is what a subscription of CloudWatch Logs sends; of what log is not said."""
    return text(document, "messageType") in ("DATA_MESSAGE", "CONTROL_MESSAGE") and isinstance(
        at(document, "logEvents"), list
    )


def is_of_flows(document: JSON) -> bool:
    """Whether it surely holds records: by its lines, or by the names and values of an object's fields."""
    told = opened(document)
    if told is not None:
        return is_part(document) or any(
            names is not DEFAULT or USUAL.fullmatch(line.strip())
            for _, names, lines in told
            for line in lines[:1]
        )
    values = _named(document, is_lenient=True)
    if not {"srcaddr", "dstaddr"} <= set(values) or len(values) < 4:
        return False
    try:
        return bool({"interface-id", "vpc-id", "flow-direction", "log-status"} & set(values)) and bool(
            flow_of(values, line="").source
        )
    except Unreadable:
        return False


def _lines_in(document: JSON) -> list[str]:
    lines = at(document, "lines")
    return [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []


def _messages(document: JSON) -> Iterator[tuple[str, list[str], list[str]]]:
    """Events with the same fields together, in their order."""
    owner = text(document, "owner")
    owner = owner if ACCOUNT.fullmatch(owner) else ""
    if text(document, "messageType") == "CONTROL_MESSAGE":
        return
    by_fields: dict[tuple[str, ...], list[str]] = {}
    for event in objects(document, "logEvents", most=decoding.LIMITS.keys):
        extracted = event.get("extractedFields")
        names = [_known(name) for name in extracted] if isinstance(extracted, dict) else []
        by_fields.setdefault(tuple(names), []).append(text(event, "message", most=MOST_OF_LINE))
    for names_of, lines in by_fields.items():
        yield owner, (list(names_of) if header_of(" ".join(names_of)) else DEFAULT), lines


def _known(name: str) -> str:
    """The field's own name, however it is written: `srcAddr` and `src_addr` are `srcaddr`."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    return OF_BARE.get(bare, name.lower().replace("_", "-"))


def _named(document: JSON, *, is_lenient: bool = False) -> dict[str, str]:
    """An object's values by the fields' own names."""
    found: dict[str, str] = {}
    if isinstance(document, dict):
        for name in document:
            value = text(document, name, most=100)
            if value and value.lower() not in ("null", "none"):
                found.setdefault(_known(name), value)
    # Queries at a resolver have a srcaddr too.
    if not is_lenient and not {"dstaddr", "pkt-dstaddr"} & set(found):
        raise Unreadable("not a record of a VPC flow log")
    return found


def _columns(names: list[str], line: str) -> dict[str, str]:
    values = line.split()
    if len(values) == len(names) + 1 and STAMP.fullmatch(values[0]):
        del values[0]
    if len(values) != len(names):
        raise Unreadable(f"{len(values)} fields instead of {len(names)}")
    if not line.isprintable():
        raise Unreadable("it holds characters that are no text")
    return dict(zip(names, values, strict=True))


def _packed_in(document: JSON) -> JSON:
    """The message in what Lambda or Kinesis hands on: base64 of gzip. None where there is none."""
    packed = at(document, "awslogs", "data") or at(document, "kinesis", "data")
    if not isinstance(packed, str):
        return None
    try:
        body = base64.b64decode(packed, validate=True)
        whole = b"".join(_pages(body, most=decoding.LIMITS.bytes))
        found = decoding.decode(whole, text=decoding.Text.REPLACE)
    except (binascii.Error, Unreadable):
        return None
    return found if is_message(found) else None


# --- bodies --------------------------------------------------------------------------------------------


def reads(body: bytes) -> bool:
    """Whether a body surely holds flow logs, by its beginning."""
    head = _head(body)
    if head.startswith(("{", "[")):
        told = LONE_MESSAGE.match(head)
        if told:
            return USUAL.fullmatch(told.group(1).strip()) is not None
        return "DATA_MESSAGE" in head and (
            MESSAGE.search(head) is not None or ("srcaddr" in head and "dstaddr" in head)
        )
    lines = [line.strip() for line in head.splitlines() if line.strip()]
    if not lines:
        return False
    if header_of(lines[0]) or USUAL.fullmatch(lines[0]):
        return True
    if MAIL.match(lines[0]):
        return False
    # The first may be broken; the last may be cut by where the beginning ends.
    fitting = sum(USUAL.fullmatch(line) is not None for line in lines)
    return fitting >= 2 and 2 * fitting > len(lines) - 1


def _head(body: bytes) -> str:
    head = body[:CHUNK]
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD)
        except zlib.error:
            return ""
    return head[:HEAD].removeprefix(BOM).decode("utf-8", "replace").lstrip()


def read(body: bytes) -> Iterator[Document | Broken]:
    """The body in parts; lines that cannot be read are put together as one broken part beside each.

    Where a packed file ends too early, unpacks to too much or has a line without end, what came before
    counts, and the file as it came is broken.
    """
    try:
        if _head(body).startswith(("{", "[")):
            yield from _of_json(b"".join(_pages(body, most=decoding.LIMITS.bytes)))
        else:
            yield from _parts(_lines(_pages(body, most=MOST_UNPACKED)))
    except Unreadable as failure:
        yield Broken(pointer=failure.pointer, reason=failure.reason, body=body)


def _of_json(body: bytes) -> Iterator[Document | Broken]:
    """What CloudWatch Logs or Firehose wrote: the lines in it, those of one owner and format together."""
    together: dict[tuple[str, tuple[str, ...]], list[bytes]] = {}
    for part in decoding.documents(body):
        for inner in [part] if isinstance(part, Broken) else envelopes.unwrap(part):
            if isinstance(inner, Broken):
                yield inner
                continue
            told = opened(inner.value) or _lone_message(inner.value)
            if told is None:
                yield inner
            for owner, names, lines in told or []:
                together.setdefault((owner, tuple(names)), []).extend(line.encode() for line in lines)
    for (owner, names_of), spelled in together.items():
        yield from _parts(enumerate(spelled), names=list(names_of), owner=owner)


def _lone_message(document: JSON) -> list[tuple[str, list[str], list[str]]] | None:
    """The line in an object that holds nothing else."""
    if not isinstance(document, dict) or set(document) != {"message"}:
        return None
    return [("", DEFAULT, [text(document, "message", most=MOST_OF_LINE)])]


def _parts(
    lines: Iterable[tuple[int, bytes]], *, names: list[str] | None = None, owner: str = ""
) -> Iterator[Document | Broken]:
    part = _Part(names=names or DEFAULT, owner=owner)
    try:
        for number, line in lines:
            header = header_of(line.decode("utf-8", "replace"))
            if header is None and not part.is_full:
                part.add(number, line)
                continue
            yield from part.closed()
            part = _Part(names=header or part.names, owner=owner, first=number, is_headed=header is not None)
            if header is None:
                part.add(number, line)
    except Unreadable:
        yield from part.closed()
        raise
    yield from part.closed()


@dataclass(kw_only=True)
class _Part:
    """Lines under one header, as far as they are looked at together."""

    names: list[str]
    owner: str = ""
    first: int = 0
    is_headed: bool = False
    lines: list[JSON] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    size: int = 0
    latest: float = field(default_factory=lambda: clock.now().timestamp() + AHEAD)
    complaint: str = ""
    place: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.lines) + len(self.broken) >= MOST_LINES or self.size >= MOST_BYTES

    def add(self, number: int, line: bytes) -> None:
        """Take a line in, as one that can be read or one that cannot."""
        self.size += len(line)
        try:
            spelled = line.decode("utf-8")
            flow = flow_of(_columns(self.names, spelled), line=spelled)
            if flow.end is not None and flow.end > self.latest:
                raise Unreadable("it lies in the future")
            self.lines.append(spelled)
        except UnicodeDecodeError:
            self._refuse(number, line, "it is not UTF-8")
        except Unreadable as failure:
            self._refuse(number, line, failure.reason)

    def _refuse(self, number: int, line: bytes, why: str) -> None:
        if not self.broken:
            self.place, self.complaint = number, why
        self.broken.append(line)

    def closed(self) -> Iterator[Document | Broken]:
        """What it holds: its records, then the lines that are none, under the header that they were under."""
        pointer = f"/{self.first}" if self.first else ""
        if self.lines or (self.is_headed and not self.broken):
            names: list[JSON] = list(self.names)
            value: dict[str, JSON] = {"fields": names, "lines": self.lines}
            yield Document(
                pointer=pointer, value={**value, "owner": self.owner} if self.owner else value, spelling=""
            )
        if self.broken:
            told = len(self.lines) + len(self.broken)
            reason = (
                f"{len(self.broken)} of {told} lines are no records of a flow log;"
                f" the first is line {self.place + 1}: {self.complaint}"
            )
            body = b"\n".join([" ".join(self.names).encode(), *self.broken, b""])
            yield Broken(pointer=f"/{self.place}", reason=reason, body=body)


def _lines(pages: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line that is not empty, with its number from 0."""
    number, left = 0, b""
    for page in pages:
        *whole, left = (left + page).split(b"\n")
        for line in whole:
            yield from _line(number, line)
            number += 1
        if len(left) > MOST_OF_LINE:
            raise Unreadable(f"line {number + 1} is longer than {MOST_OF_LINE} bytes")
    yield from _line(number, left)


def _line(number: int, line: bytes) -> Iterator[tuple[int, bytes]]:
    line = line.removeprefix(BOM).strip() if number == 0 else line.strip()
    if len(line) > MOST_OF_LINE:
        raise Unreadable(f"line {number + 1} is longer than {MOST_OF_LINE} bytes")
    if line:
        yield number, line


def _pages(body: bytes, *, most: int) -> Iterator[bytes]:
    """The body in pages, unpacked where it is packed. Raises `Unreadable` beyond `most` bytes."""
    size = 0
    for page in _inflated(body) if body.startswith(GZIP) else _cut(body):
        size += len(page)
        if size > most:
            raise Unreadable(f"unpacks to more than {most} bytes")
        yield page


def _cut(body: bytes) -> Iterator[bytes]:
    for start, end in pairwise([*range(0, len(body), CHUNK), len(body)]):
        yield body[start:end]


def _inflated(packed: bytes) -> Iterator[bytes]:
    """One gzip member after the other, as S3 objects put together are; at most `MOST_MEMBERS`.

    Packed bytes go in a page at a time: what zlib has not looked at yet is copied at each call.
    """
    member, members, is_begun = zlib.decompressobj(wbits=31), 1, False
    for part in _cut(packed):
        waiting = part
        while waiting:
            is_begun = True
            try:
                page = member.decompress(waiting, CHUNK)
            except zlib.error as failure:
                raise Unreadable(f"not a gzip file: {failure}") from failure
            waiting = member.unused_data if member.eof else member.unconsumed_tail
            yield page
            if member.eof:
                member, members, is_begun = zlib.decompressobj(wbits=31), members + 1, False
            if members > MOST_MEMBERS:
                raise Unreadable(f"more than {MOST_MEMBERS} gzip files in one")
    if is_begun:
        raise Unreadable("the gzip file is not whole")
