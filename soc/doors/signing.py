"""Whether an SNS message is by Amazon SNS: certificate, canonical string, signature.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html. The certificate is fetched
over TLS from a host of SNS itself and from nowhere else, which is what ties it to AWS: its issuers are not
in the files that SNS serves. If such a file does hold more certificates, each must be by the next. Whether a
certificate is valid is asked of the clock now, as AWS's own libraries do.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from lib import outbound
from lib.errors import AppError, Forbidden

HOST = re.compile(r"sns\.[a-z]{2,4}(-[a-z]+){1,3}-\d{1,2}\.amazonaws\.com(\.cn)?")
"""A region's name has to be there: `sns.s3-eu-west-1.amazonaws.com` is anybody's bucket of that name."""

PATH = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,100}\.pem")
NAMES = re.compile(r"sns(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_ABOUT_SUBSCRIPTIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _ABOUT_SUBSCRIPTIONS,
    UNSUBSCRIPTION: _ABOUT_SUBSCRIPTIONS,
}
"""What is signed of each type, in this order; a missing subject is left out."""

KEPT_FOR = timedelta(days=1)
MOST_KEPT = 50
LARGEST = 32 * 1024
SMALLEST_KEY = 2048


class NotVerified(Forbidden):
    """This is no message that Amazon SNS signed for this topic."""

    code = "not-verified"


class NoCertificate(AppError):
    """The certificate that signed the message cannot be had at the moment; send it again.

    429 and not 503: SNS repeats after both, and what arrives here should never be able to cause a 5xx.
    """

    status = 429
    code = "certificate-unavailable"
    retry_after = 30


@dataclass(frozen=True)
class _Kept:
    certificate: x509.Certificate
    until: datetime


class Certificates:
    """Signing certificates by their address, fetched once a day. Safe between threads; holds `MOST_KEPT`."""

    def __init__(self, fetch: Callable[[str], bytes] | None = None) -> None:
        self._fetch = fetch or (lambda url: _fetch(url))  # noqa: PLW0108 - stands further down
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, url: str, *, now: datetime) -> x509.Certificate:
        """The valid certificate of SNS at an address that was checked. `NotVerified`, `NoCertificate`."""
        with self._lock:
            kept = self._kept.get(url)
        if kept is None or kept.until <= now:
            kept = _Kept(certificate_of(self._fetch(url)), now + KEPT_FOR)
            with self._lock:
                self._kept[url] = kept
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        certificate = kept.certificate
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise NotVerified("The signing certificate is not valid at this time.")
        return certificate

    def pin(self, url: str, pem: bytes, *, until: datetime) -> None:
        """Know the certificate at an address without fetching it. For tests."""
        with self._lock:
            self._kept[url] = _Kept(certificate_of(pem), until)

    def forget(self) -> None:
        """Fetch every certificate anew. For tests."""
        with self._lock:
            self._kept.clear()


certificates = Certificates()
"""The certificates that this process knows."""


def verify(message: Mapping[str, object], *, kind: str, now: datetime, takes_v1: bool) -> None:
    """See that SNS signed the message, which is of the type `kind`. Raises `NotVerified`, `NoCertificate`."""
    version = message.get("SignatureVersion")
    if version not in ("1", "2") or (version == "1" and not takes_v1):
        raise NotVerified("This version of the signature is not taken.")
    signature = _signature(message.get("Signature"))
    signed = canonical(message, kind=kind)
    certificate = certificates.at(checked_url(message.get("SigningCertURL")), now=now)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < SMALLEST_KEY:
        raise NotVerified("The signing certificate has no key that SNS would sign with.")
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - version 1 is SHA-1
    try:
        key.verify(signature, signed, PKCS1v15(), algorithm)
    except (InvalidSignature, UnsupportedAlgorithm) as failure:
        raise NotVerified("The signature is not of this message.") from failure


def canonical(message: Mapping[str, object], *, kind: str) -> bytes:
    """The bytes that are signed: each name and value on a line of its own."""
    lines: list[str] = []
    for name in SIGNED[kind]:
        value = message.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            raise NotVerified(f"A message that SNS signs has the text {name}.")
        if "\n" in value and name != "Message":
            # The names are signed as lines too: the end of a message could pass for other fields.
            raise NotVerified(f"A message that SNS signs has one line as {name}.")
        lines += [name, value]
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def checked_url(url: object) -> str:
    """The address of a certificate, if it is one of SNS itself. Raises `NotVerified`."""
    if not isinstance(url, str) or len(url) > 300 or not url.isascii():
        raise NotVerified("A message that SNS signs names its certificate.")
    try:
        parts = urlsplit(url)
    except ValueError as failure:
        raise NotVerified("The certificate is not at an address of SNS.") from failure
    # Put together again it must be the same: no port, user, query, fragment, and nothing that was ignored.
    plain = f"https://{parts.netloc}{parts.path}"
    if url != plain or not HOST.fullmatch(parts.netloc) or not PATH.fullmatch(parts.path):
        raise NotVerified("The certificate is not at an address of SNS.")
    return url


def certificate_of(pem: bytes) -> x509.Certificate:
    """The signing certificate in a PEM file. Raises `NotVerified` where there is none of SNS."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
        for certificate, issuer in pairwise(chain):
            certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as failure:
        raise NotVerified("The signing certificate cannot be read.") from failure
    if not any(NAMES.fullmatch(name) for name in _names(chain[0])):
        raise NotVerified("The signing certificate is not of SNS.")
    return chain[0]


def _names(certificate: x509.Certificate) -> list[str]:
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = [str(one.value) for one in common]
    try:
        other = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return names
    return [*names, *other.value.get_values_for_type(x509.DNSName)]


def _signature(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > 4000:
        raise NotVerified("A message that SNS signs has a signature.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as failure:
        raise NotVerified("The signature cannot be read.") from failure


def _fetch(url: str) -> bytes:
    try:
        answer = outbound.fetch(url, most=LARGEST)
    except outbound.NotAllowed as refusal:
        raise NotVerified("The certificate is not at an address of SNS.") from refusal
    except outbound.NoAnswer as silence:
        raise NoCertificate from silence
    if answer.status >= 500 or answer.status == 429:
        raise NoCertificate
    if answer.status != 200:
        raise NotVerified("There is no such certificate.")
    return answer.body
