"""E-mail as people forward it, and as attackers write it."""

from __future__ import annotations

import base64
import io
import json
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from cases import ingest
from cases.models import Alert, Quarantined
from cases.sources import email
from identity.actors import SYSTEM
from tests import make

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HEAD = b"From: Ana <ana@example.com>\r\nTo: soc@example.com\r\nMessage-ID: <1@example.com>\r\n"


def take(body: bytes, *, source: str = "email") -> ingest.Received:
    return ingest.receive(source=source, body=body, by=SYSTEM, at=NOW, team=make.team())


def phish() -> bytes:
    inner = EmailMessage()
    inner["From"] = '"IT Support" <help@evil.example>'
    inner["Reply-To"] = "collect@evil.example"
    inner["Subject"] = "Your password =?utf-8?q?expir=C3=ABs?="
    inner["Received"] = "from mx.example.com ([10.0.0.5]) by inside"
    inner["Received"] = "from evil ([203.0.113.77]) by mx.example.com"
    inner.set_content("hello")
    inner.add_alternative(
        "<p>Go <a href='https://login.evil.example/a'>here</a><script>bad('https://x.example')</script>",
        subtype="html",
    )
    inner.add_attachment(b"MZ!", maintype="application", subtype="x-msdownload", filename="invoice.exe")
    outer = EmailMessage()
    outer["From"] = "Ana <ana@example.com>"
    outer["To"] = "soc@example.com"
    outer["Subject"] = "Fwd: is this real?"
    outer["Message-ID"] = "<report-1@example.com>"
    outer.set_content("Please look. It also named hxxps://two[.]evil[.]example/b and 198.51.100.9")
    outer.add_attachment(inner)
    return outer.as_bytes()


@pytest.mark.parametrize("source", ["email", "auto"])
def test_a_forwarded_phish_becomes_an_alert_with_what_to_look_for(source: str) -> None:
    received = take(phish(), source=source)

    assert received.quarantined == ()
    alert = Alert.objects.get()
    assert (alert.source, alert.external_id) == ("email", "<report-1@example.com>")
    assert (alert.title, alert.severity) == ("Fwd: is this real?", 50)
    seen = {(one["kind"], one["value"]) for one in alert.observables}
    assert {
        ("email", "ana@example.com"),
        ("email", "help@evil.example"),
        ("email", "collect@evil.example"),
        ("ip", "203.0.113.77"),
        ("ip", "198.51.100.9"),
        ("url", "https://login.evil.example/a"),
        ("url", "https://two.evil.example/b"),
    } <= seen
    assert ("ip", "10.0.0.5") not in seen
    assert not any("x.example" in value for _, value in seen)
    assert "invoice.exe, 3 bytes, SHA-256" in alert.summary
    assert base64.b64encode(b"MZ!").decode() not in json.dumps(alert.documents.get().body)


def test_the_same_mail_twice_is_one_alert() -> None:
    take(phish())
    take(phish())

    assert Alert.objects.get().count == 1


def test_without_an_id_the_content_is_the_identity() -> None:
    take(b"From: a@example.com\nSubject: x\n\nbody")

    assert len(Alert.objects.get().external_id) == 64


def nested(depth: int) -> bytes:
    parts = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )
    return HEAD + parts + b"\r\ndeep"


HOSTILE: dict[str, bytes] = {
    "nothing but headers": HEAD,
    "nested 40": nested(40),
    "nested 5,000": nested(5000),
    "messages in messages": HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 2000,
    "digest of messages": HEAD
    + b"Content-Type: multipart/digest; boundary=x\r\n\r\n"
    + b"--x\r\n\r\n" * 5000,
    "boundary without end": HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
    "empty boundary": HEAD + b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
    "no boundary": HEAD + b"Content-Type: multipart/mixed\r\n\r\nx",
    "charset unknown": HEAD + b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff",
    "charset nul": HEAD + b"Content-Type: text/plain; charset=a\x00b\r\n\r\n\xff",
    "charset codec": HEAD + b"Content-Type: text/plain; charset=zlib\r\n\r\nx",
    "charset punycode": HEAD + b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a" * 300_000,
    "charset undefined": HEAD + b"Content-Type: text/plain; charset=undefined\r\n\r\nx",
    "charset idna": HEAD + b"Content-Type: text/plain; charset=idna\r\n\r\n" + b"a." * 50_000,
    "charset utf-7": HEAD + b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    "charset utf-16": HEAD + b"Content-Type: text/plain; charset=utf-16\r\n\r\n\xff\xfe\x00\xd8",
    "charset long": HEAD + b"Content-Type: text/plain; charset=" + b"x" * 5000 + b"\r\n\r\nx",
    "base64 broken": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n=?!%\xff",
    "quoted broken": HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\xff=",
    "uuencode broken": HEAD + b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 666 x\r\n\xff\xff",
    "encoding unknown": HEAD + b"Content-Transfer-Encoding: \xff\xfe\r\n\r\nx",
    "subject injects a header": HEAD + b"Subject: =?utf-8?q?a=0D=0ABcc:_all@example.com?=\r\n\r\nx",
    "subject with nul": HEAD + b"Subject: a\x00b =?utf-8?b?AAAA?=\r\n\r\nx",
    "subject broken base64": HEAD + b"Subject: =?utf-8?b?A?= =?utf-8?b?====?=\r\n\r\nx",
    "subject broken charset": HEAD + b"Subject: =?punycode?q?" + b"a" * 3000 + b"?=\r\n\r\nx",
    "subject raw bytes": HEAD + b"Subject: \xff\xfe\xed\xa0\x80\r\n\r\nx",
    "subject markup": HEAD + b"Subject: <script>alert(1)</script>\r\n\r\nx",
    "subject turned around": HEAD + "Subject: \u202egpj.exe\r\n\r\nx".encode(),
    "subject endless": HEAD + b"Subject: " + b"x" * 2_000_000 + b"\r\n\r\nx",
    "100,000 headers": HEAD + b"X: y\r\n" * 100_000 + b"\r\nx",
    "100,000 encoded words": HEAD + b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\r\n\r\nx",
    "file name with a way": HEAD
    + b'Content-Disposition: attachment; filename="../../etc/passwd\x00.exe"\r\n\r\nx',
    "file name in pieces": HEAD
    + b"Content-Disposition: attachment; filename*0*=utf-8''%ff; filename*9999999*=x; filename*=a'b\r\n\r\nx",
    "type without sense": HEAD + b"Content-Type: ;;;=\xff/;\r\n\r\nx",
    "html of open tags": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<a href=" * 200_000,
    "html of comments": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<!--" * 200_000,
    "html of scripts": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<script>" * 200_000,
    "html entities": HEAD + b"Content-Type: text/html\r\n\r\n" + b"&#x110000;&#0;&#xd800;" * 1000,
    "addresses without end": HEAD + b"\r\n" + b"a@" * 500_000,
    "addresses of dots": HEAD + b"\r\n" + b"a@" + b"a." * 50_000 + b"1",
    "numbers without end": HEAD + b"\r\n" + b"1." * 500_000,
    "hex without end": HEAD + b"\r\n" + b"a" * 1_000_000,
    "brackets without end": HEAD + b"\r\n" + b"[.] " * 25_000 + b" " * 90_000,
    "links by the thousand": HEAD + b"\r\n" + b"https://a.example/1 " * 20_000,
    "ip beyond": HEAD + b"Received: from [999.999.999.999]\r\n\r\n256.1.1.1",
    "id endless": b"From: a@example.com\r\nSubject: x\r\nMessage-ID: <" + b"x" * 100_000 + b">\r\n\r\nx",
    "id empty": b"From: a@example.com\r\nSubject: x\r\nMessage-ID:\r\n\r\nx",
    "no header at all": b"\xff\xfe\x00\x01",
    "empty": b"",
    "json": b'{"message_id": 3, "digest": [], "messages": "x"}',
    "json of ours, hollow": b'{"message_id": "", "digest": "d", "messages": [{"text": 3}], "attachments": 7}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_comes_is_stored_or_kept(name: str) -> None:
    began = time.monotonic()

    received = take(HOSTILE[name])

    assert time.monotonic() - began < 5
    assert len(received.alerts) + len(received.quarantined) == 1
    for alert in Alert.objects.all():
        assert not set("\r\n\0\u202e") & set(alert.title)
        assert len(alert.observables) <= 200
        assert len(alert.summary) <= 20_000


def test_what_is_beyond_the_limit_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "MOST_BYTES", 300)

    take(HEAD + b"Subject: long\r\n\r\n" + b"x" * 1000)

    assert "cut" in Alert.objects.get().tags


def run(body: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    call_command("ingest", "email", "-", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(("body", "created"), [(phish(), 1), (b"\xff\x00", 0)])
def test_a_mail_server_is_told_that_it_was_taken(
    body: bytes, created: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.team()

    told = json.loads(run(body, monkeypatch))

    assert (told["created"], told["quarantined"]) == (created, 1 - created)
    assert Quarantined.objects.count() == 1 - created


def test_a_mail_server_comes_back_when_the_database_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    make.team()

    def broken(**_: Any) -> None:
        raise OperationalError("locked")

    monkeypatch.setattr(ingest, "receive", broken)
    with pytest.raises(CommandError) as told:
        run(phish(), monkeypatch)
    assert told.value.returncode == 75


def test_a_mail_server_comes_back_while_there_is_no_team(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError) as told:
        run(phish(), monkeypatch)
    assert told.value.returncode == 75
