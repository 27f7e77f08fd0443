"""A security key made of software: WebAuthn's two ceremonies, with whatever a test wants wrong in them."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256

PRESENT, ATTESTED = 0x01, 0x40


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class SoftKey:
    """One key, of one site; `counter` is what it says next time."""

    def __init__(self, *, origin: str = "http://localhost:8000", site: str = "localhost") -> None:
        self.origin, self.site, self.counter = origin, site, 1
        self.id = secrets.token_bytes(32)
        self.private = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: dict[str, Any]) -> str:
        """What a browser sends after a new key was made."""
        made = ES256.from_cryptography_key(self.private.public_key())  # type: ignore[no-untyped-call]
        public = cbor.encode(dict(made))
        credential = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        data = self._data(PRESENT | ATTESTED) + credential
        self.counter += 1
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options["publicKey"]["challenge"])
        return self._answer({"clientDataJSON": b64(client), "attestationObject": b64(attestation)})

    def get(self, options: dict[str, Any]) -> str:
        """What a browser sends after the key signed."""
        client = self._client("webauthn.get", options["publicKey"]["challenge"])
        data = self._data(PRESENT)
        signed = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        self.counter += 1
        return self._answer(
            {"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signed)}
        )

    def _data(self, flags: int) -> bytes:
        site = hashlib.sha256(self.site.encode()).digest()
        return site + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps(
            {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        ).encode()

    def _answer(self, response: dict[str, str]) -> str:
        return json.dumps(
            {
                "id": b64(self.id),
                "rawId": b64(self.id),
                "type": "public-key",
                "clientExtensionResults": {},
                "response": response,
            }
        )
