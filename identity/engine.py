"""What allauth, which keeps second factors, is told about Quell: names, the site, and how secrets rest.

None of its pages, URLs or sign-in flows is used; the decision is in `docs/adr/`, number 34.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet
from django.conf import settings
from django.utils.crypto import salted_hmac

from identity.models import User


class Factors(DefaultMFAAdapter):  # type: ignore[misc]  # allauth ships no types
    """allauth's door for settings: secrets are encrypted at rest, names come from `QUELL_BASE_URL`."""

    def encrypt(self, text: str) -> str:
        """The secret as it rests in the database, readable with `QUELL_SECRET_KEY` alone."""
        return _box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The secret again. Raises `cryptography.fernet.InvalidToken` under another key."""
        return _box().decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: User) -> str:
        """What an authenticator app shows beside the code."""
        return user.get_username()

    def get_totp_issuer(self) -> str:
        """What an authenticator app shows above it."""
        return f"Quell {site_host()}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The site that a security key is bound to."""
        return {"id": site_host(), "name": "Quell"}

    def get_public_key_credential_user_entity(self, user: User) -> dict[str, Any]:
        """Whose key it is, under an id that says nothing."""
        name = user.get_username()
        return {"id": user.ulid.encode(), "name": name, "display_name": name}


def site_host() -> str:
    """The host name under which browsers reach Quell."""
    return urlsplit(settings.QUELL_BASE_URL).hostname or "localhost"


def _box() -> Fernet:
    secret = salted_hmac("quell.second-factor", "key of secrets at rest", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(secret))
