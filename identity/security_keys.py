"""Security keys and passkeys (WebAuthn): adding one, and proving that one has it.

The challenge lies in the session and is taken out when it is answered. Beside what `fido2` checks, the
answer must come from the very origin of `QUELL_BASE_URL`, and a key's counter must not go back.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth as webauthn
from django.conf import settings
from django.core.exceptions import ValidationError

from identity.engine import site_host
from identity.models import User
from lib import ids
from lib.errors import Invalid

LONGEST_NAME = 60
MOST_CREDENTIAL = 20_000


def can_be_used() -> bool:
    """Whether browsers allow security keys under `QUELL_BASE_URL`: https, or http on a name of localhost."""
    scheme, host = urlsplit(settings.QUELL_BASE_URL).scheme, site_host()
    if scheme == "http":
        return host == "localhost" or host.endswith(".localhost")
    return not host.replace(".", "").isdigit() and ":" not in host


def keys_of(user: User) -> list[Any]:
    """allauth's rows of the login's keys, oldest first."""
    return list(Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).order_by("pk"))


def begin_adding(user: User) -> str:
    """What the browser asks a new key for, as JSON. The challenge goes into the session."""
    return json.dumps(_plain(webauthn.begin_registration(user, passwordless=False)))


def add(*, user: User, name: str, credential: str) -> str:
    """Keep the key that answered; its ulid. Raises `Invalid`."""
    answer = _read(credential)
    _from_here(answer, "webauthn.create")
    try:
        data = webauthn.complete_registration(answer)
    except (ValidationError, ValueError, KeyError, TypeError) as failure:
        raise Invalid("The key did not answer as it should. Try again.") from failure
    ulid = ids.ulid()
    Authenticator.objects.create(
        user=user,
        type=Authenticator.Type.WEBAUTHN,
        data={"name": name, "credential": answer, "ulid": ulid, "counter": data.counter},
    )
    return ulid


def begin_proving(user: User) -> str:
    """What the browser asks the login's keys for, as JSON; empty without keys."""
    if not can_be_used() or not keys_of(user):
        return ""
    return json.dumps(_plain(webauthn.begin_authentication(user)))


def prove(*, user: User, credential: str) -> bool:
    """Whether one of the login's keys signed the challenge of this session."""
    try:
        answer = _read(credential)
        _from_here(answer, "webauthn.get")
        counter = webauthn.parse_authentication_response(answer).response.authenticator_data.counter
        key = webauthn.complete_authentication(user, answer)
    except (Invalid, ValidationError, ValueError, KeyError, TypeError, AttributeError):
        webauthn.clear_state()
        return False
    return _moved_on(key, counter)


def _moved_on(key: Any, counter: int) -> bool:
    """Whether a key that counts has counted on: a copy of it would not have. Keeps the new figure."""
    known = int(key.data.get("counter", 0))
    if (known or counter) and counter <= known:
        return False
    key.data["counter"] = counter
    key.save(update_fields=["data"])
    return True


def _read(credential: str) -> dict[str, Any]:
    if len(credential) > MOST_CREDENTIAL:
        raise Invalid("The key answered with too much.")
    try:
        answer = json.loads(credential)
    except (ValueError, RecursionError) as failure:
        raise Invalid("The key did not answer.") from failure
    if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
        raise Invalid("The key did not answer.")
    return answer


def _from_here(answer: dict[str, Any], kind: str) -> None:
    """`Invalid` unless the browser says that the answer was given on a page of ours, for this purpose."""
    try:
        said = json.loads(webauthn.websafe_decode(str(answer["response"]["clientDataJSON"])))
        is_ours = said["type"] == kind and said["origin"] == _origin() and not said.get("crossOrigin")
    except (ValueError, KeyError, TypeError) as failure:
        raise Invalid("The key did not answer.") from failure
    if not is_ours:
        raise Invalid("The key answered on another page than ours.")


def _origin() -> str:
    parts = urlsplit(settings.QUELL_BASE_URL)
    return f"{parts.scheme}://{parts.netloc}"


def _plain(options: Any) -> Any:
    """fido2's options without what JSON cannot hold."""
    return json.loads(json.dumps(options, default=dict))
