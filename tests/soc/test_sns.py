"""SNS over HTTPS: what Amazon signed for the hook's topic is taken once; nothing else is, or is opened."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3.util.connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID
from django.db import connections
from django.test import Client
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from audit.models import AuditEvent
from cases.models import Alert, IdempotentAnswer, Quarantined, RawDocument, TopicSubscription
from identity import hooks
from identity.actors import SYSTEM
from identity.models import Hook, HookKind
from lib import clock, outbound
from lib.clock import ManualClock
from simulator.server import Simulator
from soc.doors import signing
from soc.doors.sns import LARGEST_MESSAGE
from soc.throttling import throttle
from tests import make, needs
from tests.lib.test_outbound import Canary, listening

pytestmark = pytest.mark.django_db

TOPIC = f"arn:aws:sns:eu-west-1:{make.ACCOUNT}:alarms"
HOST = "sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"https://{HOST}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOTIFICATION, SUBSCRIPTION = "Notification", "SubscriptionConfirmation"
IN_ORDER = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
"""As AWS documents it, and not as the product has it."""

Message = dict[str, Any]


def finding(number: int = 1) -> str:
    """A GuardDuty finding as EventBridge puts it into a topic."""
    uid = f"{number:032x}"
    detail = {
        "schemaVersion": "2.0",
        "accountId": make.ACCOUNT,
        "region": "eu-west-1",
        "id": uid,
        "arn": f"arn:aws:guardduty:eu-west-1:{make.ACCOUNT}:detector/d/finding/{uid}",
        "type": "Recon:IAMUser/UserPermissions",
        "resource": {"resourceType": "AccessKey"},
        "service": {"serviceName": "guardduty", "count": 1},
        "severity": 5,
        "createdAt": "2026-11-24T11:50:00.000Z",
        "updatedAt": "2026-11-24T11:50:00.000Z",
        "title": f"Finding {number}",
        "description": "A finding.",
    }
    event = {"id": uid, "detail-type": "GuardDuty Finding", "source": "aws.guardduty"}
    return json.dumps({**event, "account": make.ACCOUNT, "region": "eu-west-1", "detail": detail})


class Signer:
    """Somebody with a key, and a certificate for it in the name of whom they like."""

    def __init__(
        self, *, name: str = "sns.amazonaws.com", bits: int = 2048, issuer: Signer | None = None
    ) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self.certify(self.key.public_key(), by=issuer)

    def certify(self, key: Any, *, by: Signer | None = None) -> x509.Certificate:
        common = str(self.name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        other_names = x509.SubjectAlternativeName([x509.DNSName(common)])
        return (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name((by or self).name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=400))
            .not_valid_after(NOW + timedelta(days=30))
            .add_extension(other_names, critical=False)
            .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
            .sign((by or self).key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def signed(self, message: Message, *, version: str = "2", order: tuple[str, ...] = ()) -> Message:
        names = order or IN_ORDER[message["Type"]]
        text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - version 1 is SHA-1
        made = self.key.sign(text.encode(), PKCS1v15(), digest)
        return {**message, "SignatureVersion": version, "Signature": base64.b64encode(made).decode()}


@pytest.fixture(scope="module")
def amazon() -> Signer:
    return Signer()


@pytest.fixture(scope="module")
def stranger() -> Signer:
    return Signer()


@pytest.fixture(autouse=True)
def noon() -> Iterator[ManualClock]:
    throttle.forget()
    manual = ManualClock(NOW)
    with clock.using(manual):
        yield manual


@pytest.fixture(autouse=True)
def _known(amazon: Signer) -> Iterator[None]:
    """Every test knows the certificate, and may go out to nothing."""
    signing.certificates.forget()
    signing.certificates.pin(CERTIFICATE, amazon.pem, until=NOW + timedelta(days=30))
    yield
    signing.certificates.forget()


@pytest.fixture
def path() -> str:
    make.account()
    return _hook(TOPIC)


def _hook(topic: str, *, team: str = "blue") -> str:
    made = hooks.create(
        name=f"{team} topic", kind=HookKind.SNS, team=make.team(team), by=SYSTEM, at=NOW, topic_arn=topic
    )
    return made.path


def notification(**changes: Any) -> Message:
    message = {
        "Type": NOTIFICATION,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "GuardDuty",
        "Message": finding(),
        "Timestamp": "2026-11-24T11:59:30.123Z",
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": f"https://{HOST}/?Action=Unsubscribe",
    }
    return {name: value for name, value in {**message, **changes}.items() if value is not None}


def confirmation(**changes: Any) -> Message:
    return notification(
        **{
            "Type": SUBSCRIPTION,
            "Subject": None,
            "Message": "You have chosen to subscribe.\nTo confirm, visit the SubscribeURL.",
            "Token": "2336412f37fb687f5d51",
            "SubscribeURL": f"https://{HOST}/?Action=ConfirmSubscription&Token=2336412f37fb687f5d51",
            **changes,
        }
    )


def post(path: str, message: Message | bytes, *, kind: str | None = None, **headers: str) -> Any:
    """As SNS posts: its own header for the type, and text/plain."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    told = kind if kind is not None else str(message["Type"]) if isinstance(message, dict) else NOTIFICATION
    given = {"x-amz-sns-message-type": told, **headers} if told else headers
    return Client().generic("POST", path, body, "text/plain; charset=UTF-8", headers=given)


def _refused(answer: Any) -> bool:
    """As what nobody verified, and not for another reason."""
    return bool(answer.status_code == 403 and answer.json()["type"] == "urn:quell:problem:not-verified")


def nothing_is_kept() -> bool:
    kept = (Alert, RawDocument, Quarantined, TopicSubscription, IdempotentAnswer)
    return not any(model.objects.exists() for model in kept)


# --- what Amazon signed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", ["GuardDuty", None])
def test_a_signed_notification_becomes_the_alert_that_it_carries(
    path: str, amazon: Signer, version: str, subject: str | None
) -> None:
    answer = post(path, amazon.signed(notification(Subject=subject), version=version))

    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "received", "alerts": 1, "quarantined": 0, "passed": 0},
    )
    alert = Alert.objects.get()
    assert (alert.source, alert.external_id, alert.severity) == ("guardduty", f"{1:032x}", 50)
    assert (alert.account, alert.region, alert.team.slug) == (make.ACCOUNT, "eu-west-1", "blue")
    assert RawDocument.objects.get().door == "sns"


def test_an_alarm_and_a_text_for_people_are_told_apart(path: str, amazon: Signer) -> None:
    alarm = {
        "AlarmName": "root-use",
        "AlarmArn": f"arn:aws:cloudwatch:eu-west-1:{make.ACCOUNT}:alarm:root-use",
        "AWSAccountId": make.ACCOUNT,
        "NewStateValue": "ALARM",
        "OldStateValue": "OK",
        "NewStateReason": "Threshold Crossed",
        "StateChangeTime": "2026-11-24T11:59:00.000+0000",
        "Trigger": {"MetricName": "RootUse", "Namespace": "Trail"},
    }

    told = post(path, amazon.signed(notification(Message=json.dumps(alarm), MessageId="a-1"))).json()
    people = post(path, amazon.signed(notification(Message="the build is red", MessageId="a-2"))).json()

    assert (told["alerts"], people["alerts"], people["quarantined"]) == (1, 0, 1)
    assert Alert.objects.get().source == "cloudwatch"
    assert bytes(Quarantined.objects.get().body) == b"the build is red"


def test_version_1_can_be_switched_off(path: str, amazon: Signer, settings: Any) -> None:
    settings.QUELL_SNS_SIGNATURE_V1 = False

    assert post(path, amazon.signed(notification(), version="1")).status_code == 403
    assert nothing_is_kept()
    assert post(path, amazon.signed(notification(), version="2")).status_code == 200


def test_what_moto_signs_verifies(path: str) -> None:
    """Another hand's reading of AWS's page (its signature leaves the subject out, so it has none here)."""
    simulator = Simulator().start()
    try:
        hub = simulator.estate["hub"]
        given = {
            "endpoint_url": simulator.url,
            "region_name": "eu-west-1",
            "aws_access_key_id": hub["access_key_id"],
            "aws_secret_access_key": hub["secret_access_key"],
        }
        sns, sqs = boto3.client("sns", **given), boto3.client("sqs", **given)
        topic = sns.create_topic(Name="alarms")["TopicArn"]
        queue = sqs.create_queue(QueueName="alarms")["QueueUrl"]
        asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=asked["Attributes"]["QueueArn"])
        sns.publish(TopicArn=topic, Message=finding())
        message = json.loads(sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"])
        pem_of = sns_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"]._message_public_keys
        pem = pem_of[message["SigningCertURL"].rpartition("/")[2]]
    finally:
        simulator.stop()
    at = datetime.fromisoformat(message["Timestamp"])
    mine = _hook(topic, team="green")

    with clock.using(ManualClock(at + timedelta(seconds=5))):
        signing.certificates.pin(message["SigningCertURL"], pem, until=at + timedelta(days=1))
        changed = post(mine, {**message, "Message": finding(2)})
        answer = post(mine, message)

    assert (changed.status_code, answer.status_code) == (403, 200)
    assert Alert.objects.get().external_id == f"{1:032x}"


# --- what Amazon really signed, published with its certificate of 2013 -------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shared")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data" / "generic_alerts" / "sns_http"


def _published(root: Path) -> tuple[list[Message], bytes]:
    messages = [json.loads(path.read_bytes()) for path in sorted(root.glob("*.json"))]
    [certificate] = root.glob("*.pem")
    return messages, certificate.read_bytes()


def test_the_published_messages_verify_in_their_time_and_none_that_was_changed(published: Path) -> None:
    messages, certificate = _published(published)
    assert [message["Type"] for message in messages] == [NOTIFICATION, SUBSCRIPTION]
    then = datetime(2013, 10, 18, 15, 51, tzinfo=UTC)
    path = _hook(messages[0]["TopicArn"])

    with clock.using(ManualClock(then)):
        signing.certificates.pin(messages[0]["SigningCertURL"], certificate, until=then + timedelta(days=999))
        for message in messages:
            for name in IN_ORDER[message["Type"]]:
                if name in message and name != "Type":
                    changed = post(path, {**message, name: message[name] + "x"})
                    assert _refused(changed), name
        assert nothing_is_kept()
        answers = [post(path, message) for message in messages]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["quarantined"] == 1, "a bounced mail is nothing that a security team watches for"
    assert TopicSubscription.objects.get().token == messages[1]["Token"]


def test_the_published_messages_are_refused_when_their_certificate_is_over(published: Path) -> None:
    messages, certificate = _published(published)
    path = _hook(messages[0]["TopicArn"])
    signing.certificates.pin(messages[0]["SigningCertURL"], certificate, until=NOW + timedelta(days=1))

    answers = [post(path, message) for message in messages]

    assert {answer.status_code for answer in answers} == {403}
    assert "not valid at this time" in answers[0].json()["detail"]
    assert nothing_is_kept()


# --- forgeries: each is refused, nothing is kept, and nobody is connected to -------------------------------


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Canary]:
    """Whoever is connected to, under whatever name and port, is the canary; and nothing forbids that."""
    settings.QUELL_OUTBOUND_ALLOW = outbound.exceptions(["127.0.0.0/8"])
    with listening() as found:

        def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
            del host
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        def connect(*_: Any, **__: Any) -> socket.socket:
            return socket.create_connection(("127.0.0.1", found.port), timeout=5)

        monkeypatch.setattr(socket, "getaddrinfo", _only_python(resolve))
        monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
        yield found


def _only_python(resolve: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    real = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **more: Any) -> list[Any]:
        if host in ("127.0.0.1", "localhost"):
            return list(real("127.0.0.1", port, *rest, **more))
        return resolve(host, port)

    return answer


PEM = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
ADDRESSES = {
    "another host": f"https://sns.attacker.example{PEM}",
    "not https": f"http://{HOST}{PEM}",
    "behind the name": f"https://{HOST}.evil.example{PEM}",
    "before the name": f"https://evil{HOST}{PEM}",
    "a dot that is none": f"https://sns.eu-west-1xamazonaws.com{PEM}",
    "any host of AWS": f"https://bucket.s3.amazonaws.com{PEM}",
    "a bucket called sns": f"https://sns.s3.amazonaws.com{PEM}",
    "a bucket called sns, by region": f"https://sns.s3-eu-west-1.amazonaws.com{PEM}",
    "a site called sns": f"https://sns.s3-website-us-east-1.amazonaws.com{PEM}",
    "as a user": f"https://{HOST}@evil.example{PEM}",
    "with a user": f"https://evil@{HOST}{PEM}",
    "another port": f"https://{HOST}:8443{PEM}",
    "its own port": f"https://{HOST}:443{PEM}",
    "empty port": f"https://{HOST}:{PEM}",
    "a backslash": f"https://evil.example\\@{HOST}{PEM}",
    "a query": f"https://{HOST}{PEM}?x",
    "an empty query": f"https://{HOST}{PEM}?",
    "a fragment": f"https://{HOST}{PEM}#x",
    "a path upwards": f"https://{HOST}/x/../SimpleNotificationService-0.pem",
    "a path upwards, escaped": f"https://{HOST}/SimpleNotificationService-%2e%2e%2fevil.pem",
    "a parameter": f"https://{HOST}{PEM};x.pem",
    "what the topic serves": f"https://{HOST}/?Action=GetTopicAttributes&x={PEM}",
    "another file": f"https://{HOST}/evil.pem",
    "no pem": f"https://{HOST}/SimpleNotificationService-0.pem.txt",
    "capitals": f"HTTPS://{HOST}{PEM}",
    "a newline": f"https://{HOST}{PEM}\n",
    "a tab": f"https://{HOST}\t{PEM}",
    "a space": f" https://{HOST}{PEM}",
    "a dot at the end": f"https://{HOST}.{PEM}",
    "wide dots": f"https://sns。eu-west-1。amazonaws。com{PEM}",
    "loopback": f"https://127.0.0.1{PEM}",
    "by name": f"https://localhost{PEM}",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "a file": "file:///etc/ssl/cert.pem",
    "data": "data:application/x-pem-file,x",
    "no scheme": f"//{HOST}{PEM}",
    "long": f"https://{HOST}/SimpleNotificationService-{'a' * 400}.pem",
    "nothing": "",
}
"""Where a certificate is not. Each time the message is signed by whom the certificate there would name."""


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_certificate_from_elsewhere_is_not_even_asked_for(
    path: str, stranger: Signer, canary: Canary, name: str
) -> None:
    signing.certificates.forget()

    for make_it in (notification, confirmation):
        answer = post(path, stranger.signed(make_it(SigningCertURL=ADDRESSES[name])))
        assert _refused(answer)

    assert nothing_is_kept()
    assert canary.connected == 0


def test_the_canary_hears_a_check_that_is_too_lax(
    path: str, stranger: Signer, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "HOST", re.compile(r"[a-z0-9.-]+\.amazonaws\.com"))
    lax = stranger.signed(notification(SigningCertURL=ADDRESSES["any host of AWS"]))

    assert post(path, lax).status_code == 429, "no certificate was had, as the canary speaks no TLS"
    assert canary.connected > 0


def _changed(name: str, value: Any) -> Callable[[Signer, Signer], Message]:
    return lambda amazon, _: {**amazon.signed(notification()), name: value}


def _without(name: str) -> Callable[[Signer, Signer], Message]:
    return lambda amazon, _: {k: v for k, v in amazon.signed(notification()).items() if k != name}


def _properly(**changes: Any) -> Callable[[Signer, Signer], Message]:
    return lambda amazon, _: amazon.signed(notification(**changes))


def _as_subscription(amazon: Signer, _: Signer) -> Message:
    return {**amazon.signed(notification()), "Type": SUBSCRIPTION, "Token": "t", "SubscribeURL": CERTIFICATE}


def _subject_split_off(amazon: Signer, _: Signer) -> Message:
    """The same signed bytes read otherwise: half of the message as a subject, and an id of one's own."""
    whole = amazon.signed(notification(Subject=None, Message=f"{finding()}\nMessageId\nmine\nSubject\nrest"))
    return {
        **whole,
        "Message": finding(),
        "MessageId": "mine",
        "Subject": f"rest\nMessageId\n{whole['MessageId']}",
    }


FORGERIES: dict[str, Callable[[Signer, Signer], Message]] = {
    "message changed": _changed("Message", finding(2)),
    "id changed": _changed("MessageId", "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf325"),
    "time changed": _changed("Timestamp", "2026-11-24T11:59:31.123Z"),
    "subject changed": _changed("Subject", "Guardduty"),
    "subject taken out": _without("Subject"),
    "subject put in": lambda amazon, _: {**amazon.signed(notification(Subject=None)), "Subject": "x"},
    "subject split off": _subject_split_off,
    "signed for another topic": lambda amazon, _: {
        **amazon.signed(notification(TopicArn=TOPIC + "2")), "TopicArn": TOPIC,
    },
    "topic not allowed": _properly(TopicArn=TOPIC + "2"),
    "topic of another account": _properly(TopicArn="arn:aws:sns:eu-west-1:999999999999:alarms"),
    "no topic": _without("TopicArn"),
    "a list of topics": _changed("TopicArn", [TOPIC]),
    "1 said, 2 signed": _changed("SignatureVersion", "1"),
    "2 said, 1 signed": lambda amazon, _: {
        **amazon.signed(notification(), version="1"), "SignatureVersion": "2",
    },
    "version 3": _changed("SignatureVersion", "3"),
    "version as a number": _changed("SignatureVersion", 2),
    "no version": _without("SignatureVersion"),
    "signed by another": lambda _, stranger: stranger.signed(notification()),
    "signed in another order": lambda amazon, _: amazon.signed(
        notification(), order=("Type", "TopicArn", "Timestamp", "Subject", "MessageId", "Message")
    ),
    "signed without the id": lambda amazon, _: amazon.signed(
        notification(), order=("Message", "Subject", "Timestamp", "TopicArn", "Type")
    ),
    "no signature": _without("Signature"),
    "an empty signature": _changed("Signature", ""),
    "a signature of zeros": _changed("Signature", base64.b64encode(bytes(256)).decode()),
    "a signature that is no text": _changed("Signature", ["x"]),
    "a signature that is no base64": _changed("Signature", "!" * 344),
    "no certificate": _without("SigningCertURL"),
    "certificates in a list": _changed("SigningCertURL", [CERTIFICATE]),
    "certificate under Lambda's name alone": lambda amazon, _: {
        **{k: v for k, v in amazon.signed(notification()).items() if k != "SigningCertURL"},
        "SigningCertUrl": CERTIFICATE,
    },
    "two hours old": _properly(Timestamp="2026-11-24T09:59:30.123Z"),
    "from the future": _properly(Timestamp="2026-11-24T14:00:00.000Z"),
    "no time": _properly(Timestamp="soon"),
    "an id that is a path": _properly(MessageId="../../x"),
    "a notification as a subscription": _as_subscription,
    "an empty token": lambda amazon, _: amazon.signed(confirmation(Token="")),
    "a token too long": lambda amazon, _: amazon.signed(confirmation(Token="t" * 2001)),
    "an object as the message": _changed("Message", {"a": 1}),
    "no message": _without("Message"),
    "a type of our own": _changed("Type", "Confirmation"),
    "a type in small letters": _changed("Type", "notification"),
    "raw": lambda *_: json.loads(finding()),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_and_leaves_nothing(
    path: str, amazon: Signer, stranger: Signer, canary: Canary, name: str
) -> None:
    message = FORGERIES[name](amazon, stranger)

    answer = post(path, message, kind=str(message.get("Type", NOTIFICATION)))

    assert _refused(answer), answer.content
    assert nothing_is_kept()
    assert canary.connected == 0
    assert not AuditEvent.objects.filter(act__startswith="subscription").exists()


@pytest.mark.parametrize("kind", ["", SUBSCRIPTION, "notification", "Notification "])
def test_the_type_in_the_header_must_be_that_of_the_body(path: str, amazon: Signer, kind: str) -> None:
    assert post(path, amazon.signed(notification()), kind=kind).status_code == 403
    assert nothing_is_kept()


def test_a_raw_delivery_is_refused_as_nobody_signed_it(path: str) -> None:
    answer = post(path, finding().encode(), **{"x-amz-sns-rawdelivery": "true"})

    assert answer.status_code == 403
    assert nothing_is_kept()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b'{"Type": "Notification", "Type": "Notification"}', 422),
        (b'{"Message": "' + b"\\u0041" * (LARGEST_MESSAGE + 1) + b'"}', 413),
        (b'{"Message": "' + b"x" * (LARGEST_MESSAGE + 1) + b'"}', 413),
        (b" " * 4_000_000, 413),
        (b'{"Message": "\\ud800"}', 422),
    ],
    ids=["empty", "cut", "a list", "a name twice", "1.5 MB", "a long message", "4 MB", "half a character"],
)
def test_what_is_no_message_is_refused(path: str, body: bytes, status: int) -> None:
    assert post(path, body).status_code == status
    assert nothing_is_kept()


def test_the_largest_message_of_sns_is_taken(path: str, amazon: Signer) -> None:
    text = json.dumps({"text": "é" * ((LARGEST_MESSAGE - 20) // 2)}, ensure_ascii=False)
    assert len(text.encode()) <= LARGEST_MESSAGE

    assert post(path, amazon.signed(notification(Message=text))).status_code == 200
    assert Quarantined.objects.count() == 1


# --- certificates ----------------------------------------------------------------------------------------


def test_a_certificate_that_is_not_of_sns_signs_nothing(path: str, amazon: Signer) -> None:
    other = Signer(name="evil.example")

    with pytest.raises(signing.NotVerified):
        signing.certificates.pin(CERTIFICATE, other.pem, until=NOW + timedelta(days=1))
    for pem in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", amazon.pem[:-80]):
        with pytest.raises(signing.NotVerified):
            signing.certificate_of(pem)


def test_a_certificate_with_a_chain_must_be_by_the_next(amazon: Signer, stranger: Signer) -> None:
    leaf = Signer(issuer=amazon)

    assert signing.certificate_of(leaf.pem + amazon.pem) == leaf.certificate
    with pytest.raises(signing.NotVerified):
        signing.certificate_of(leaf.pem + stranger.pem)


@pytest.mark.parametrize("days", [-401, 31])
def test_a_certificate_counts_in_its_time_only(path: str, amazon: Signer, days: int) -> None:
    at = NOW + timedelta(days=days)
    message = notification(Timestamp=at.isoformat())
    signing.certificates.pin(CERTIFICATE, amazon.pem, until=at + timedelta(days=1))

    with clock.using(ManualClock(at)):
        answer = post(path, amazon.signed(message))

    assert answer.status_code == 403
    assert "not valid at this time" in answer.json()["detail"]


def test_a_key_that_is_too_weak_or_of_another_kind_signs_nothing(path: str, amazon: Signer) -> None:
    weak = Signer(bits=1024)
    curve = amazon.certify(ec.generate_private_key(ec.SECP256R1()).public_key())

    for pem in (weak.pem, curve.public_bytes(serialization.Encoding.PEM)):
        signing.certificates.pin(CERTIFICATE, pem, until=NOW + timedelta(days=1))
        answer = post(path, weak.signed(notification()))
        assert (answer.status_code, "no key" in answer.json()["detail"]) == (403, True)


@dataclass
class Site:
    """What serves certificates over TLS under the name of SNS, on a port of its own."""

    answers: list[bytes] = field(default_factory=list)
    canary: Canary = field(default_factory=Canary)

    def speak(self, client: socket.socket) -> None:
        client.sendall(self.answers[0] if len(self.answers) == 1 else self.answers.pop(0))


def _http(status: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def _context(directory: Path, name: str, authority: Signer) -> ssl.SSLContext:
    host = Signer(name=name, issuer=authority)
    key = host.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / f"{name}.pem"
    file.write_bytes(key + host.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _serve(
    name: str, monkeypatch: pytest.MonkeyPatch, settings: Any, directory: Path, authority: Signer
) -> Iterator[Site]:
    trusted = directory / "authority.pem"
    trusted.write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    settings.QUELL_OUTBOUND_ALLOW = outbound.exceptions([f"{HOST}:443"])
    signing.certificates.forget()
    site = Site()
    with listening(site.speak, tls=_context(directory, name, authority)) as found:
        site.canary = found
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            _only_python(
                lambda host, port: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
            ),
        )
        monkeypatch.setattr(
            urllib3.util.connection,
            "create_connection",
            lambda *_, **__: socket.create_connection(("127.0.0.1", found.port), timeout=5),
        )
        yield site


@pytest.fixture(scope="module")
def authority() -> Signer:
    return Signer(name="authority.example")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path, authority: Signer) -> Iterator[Site]:
    yield from _serve(HOST, monkeypatch, settings, tmp_path, authority)


@pytest.fixture
def wrong_site(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path, authority: Signer
) -> Iterator[Site]:
    """Of an authority that is trusted, under another name: who can turn our traffic away has only that."""
    yield from _serve("evil.example", monkeypatch, settings, tmp_path, authority)


def test_a_certificate_is_fetched_over_tls_once_a_day(
    path: str, amazon: Signer, site: Site, noon: ManualClock
) -> None:
    site.answers = [_http("200 OK", amazon.pem)]

    for number in range(3):
        assert post(path, amazon.signed(notification(MessageId=f"m-{number}"))).status_code == 200
    assert site.canary.connected == 1
    assert site.canary.heard[0].startswith(f"GET {PEM} HTTP/1.1\r\n".encode())
    assert f"\r\nHost: {HOST}\r\n".encode() in site.canary.heard[0]

    noon.advance(86_401)
    late = notification(MessageId="m-4", Timestamp=clock.now().isoformat())
    assert post(path, amazon.signed(late)).status_code == 200
    assert site.canary.connected == 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (_http("503 Service Unavailable"), 429),
        (_http("429 Too Many Requests"), 429),
        (_http("404 Not Found"), 403),
        (_http("302 Found", headers="Location: https://evil.example/x.pem\r\n"), 403),
        (_http("200 OK", b"x" * 40_000), 429),
        (_http("200 OK", b"hello"), 403),
        (b"nonsense\r\n\r\n", 429),
    ],
    ids=["503", "429", "404", "redirect", "too large", "no certificate", "no HTTP"],
)
def test_without_the_certificate_nothing_counts_and_sns_is_told_whether_to_come_again(
    path: str, amazon: Signer, site: Site, answer: bytes, status: int
) -> None:
    site.answers = [answer, _http("200 OK", amazon.pem)]
    message = amazon.signed(notification())

    first = post(path, message)

    assert first.status_code == status
    assert (first.headers.get("Retry-After") == "30") == (status == 429)
    assert nothing_is_kept()
    assert site.canary.connected == 1
    assert post(path, message).status_code == 200, "the failure is not remembered"


def test_a_server_with_the_certificate_of_another_name_is_not_believed(
    path: str, amazon: Signer, wrong_site: Site
) -> None:
    wrong_site.answers = [_http("200 OK", amazon.pem)]

    assert post(path, amazon.signed(notification())).status_code == 429
    assert b"".join(wrong_site.canary.heard) == b"", "not a byte was asked"
    assert nothing_is_kept()


# --- again and again -------------------------------------------------------------------------------------


def test_a_message_that_comes_again_is_taken_once_however_late(
    path: str, amazon: Signer, noon: ManualClock
) -> None:
    message = amazon.signed(notification())

    first, second = post(path, message), post(path, message)
    noon.advance(7_200)
    third = post(path, message)

    assert [one.status_code for one in (first, second, third)] == [200, 200, 200]
    assert [one.json().get("repeated", False) for one in (first, second, third)] == [False, True, True]
    assert (Alert.objects.get().count, RawDocument.objects.count()) == (1, 1)


def test_two_messages_about_one_finding_are_one_alert(path: str, amazon: Signer) -> None:
    post(path, amazon.signed(notification(MessageId="m-1")))
    post(path, amazon.signed(notification(MessageId="m-2")))

    assert (Alert.objects.count(), IdempotentAnswer.objects.count()) == (1, 2)


def test_the_same_id_over_two_hooks_is_two_messages(path: str, amazon: Signer) -> None:
    """Each team subscribes to the topic for itself; what one took in must not silence the other."""
    theirs = _hook(TOPIC, team="other")
    message = amazon.signed(notification(Message="for people"))

    answers = [post(one, message).json() for one in (path, theirs)]

    assert [answer["quarantined"] for answer in answers] == [1, 1]
    assert set(Quarantined.objects.values_list("team__slug", flat=True)) == {"blue", "other"}


@pytest.mark.django_db(transaction=True)
def test_twenty_deliveries_at_the_same_moment_make_one_row(path: str, amazon: Signer) -> None:
    body = json.dumps(amazon.signed(notification(Message="for people"))).encode()
    start, told = threading.Barrier(20), []

    def go() -> None:
        try:
            start.wait(30)
            told.append(post(path, body))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [answer.status_code for answer in told] == [200] * 20
    assert sum("repeated" not in answer.json() for answer in told) == 1
    assert (Quarantined.objects.get().count, IdempotentAnswer.objects.count()) == (1, 1)


# --- the hook and its subscription -----------------------------------------------------------------------


def test_a_subscription_is_asked_for_and_its_address_never_opened(
    path: str, amazon: Signer, canary: Canary
) -> None:
    elsewhere = f"https://127.0.0.1:{canary.port}/?Action=ConfirmSubscription"

    answers = [post(path, amazon.signed(confirmation(SubscribeURL=elsewhere))) for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"status": "received"}] * 2
    row = TopicSubscription.objects.get()
    assert (row.topic_arn, row.token, row.confirmed_at) == (TOPIC, "2336412f37fb687f5d51", None)
    assert row.due_at == NOW
    assert AuditEvent.objects.filter(act="subscription-asked").count() == 1
    assert canary.connected == 0
    assert not Alert.objects.exists()


def test_a_token_that_is_old_is_not_asked_with(path: str, amazon: Signer) -> None:
    old = confirmation(Timestamp="2026-11-24T10:30:00.000Z")

    assert post(path, amazon.signed(old)).status_code == 403
    assert nothing_is_kept()


def test_an_unsubscription_ends_it(path: str, amazon: Signer) -> None:
    post(path, amazon.signed(confirmation()))
    over = amazon.signed(confirmation(Type="UnsubscribeConfirmation"))

    assert post(path, over).status_code == 200
    row = TopicSubscription.objects.get()
    assert (row.due_at, row.failure) == (None, "unsubscribed")
    assert AuditEvent.objects.filter(act="subscription-ended").count() == 1


@pytest.mark.parametrize("change", ["unknown", "revoked", "of another kind"])
def test_without_the_secret_there_is_no_such_address(path: str, amazon: Signer, change: str) -> None:
    message = amazon.signed(notification())
    if change == "revoked":
        hooks.revoke(hook=Hook.objects.get(), by=SYSTEM, at=NOW)
    elif change == "unknown":
        path = path[:-1] + ("x" if path[-1] != "x" else "y")
    else:
        path = path.replace("/sns/", "/webhook/")

    answer = post(path, message)

    assert answer.status_code == 404
    never = Client().post("/hooks/sns/never", "{}", content_type="application/json")
    assert _told(answer.json()) == _told(never.json())
    assert nothing_is_kept()


def _told(problem: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name not in ("instance", "request_id")}
