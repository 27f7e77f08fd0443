"""Single sign-on by OpenID Connect: to the provider, back again, and whose login that is.

A login belongs to an account at the provider by issuer and subject and by nothing else; an e-mail address
links nobody. What comes back is believed when the state is of this browser and unused, the code was redeemed
with PKCE, and the ID token is signed by a key of the issuer, for us, in time, and carries our nonce.
Everything is asked through `lib.outbound`.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jwt
from allauth.socialaccount.internal import statekit
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.oauth2.utils import generate_code_challenge
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from audit.record import record
from identity.actors import Actor, system
from identity.models import Membership, Person, Team, User
from lib import ids, outbound
from lib.errors import AppError, Conflict

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a key that only the issuer has: neither `none` nor a shared secret."""

LEEWAY = 60
LONGEST_SUBJECT = 191
LOCAL = ("127.0.0.1", "localhost", "::1")
BY = system("single-sign-on")


class NotBelieved(AppError):
    """What the sign-in provider answered cannot be believed. Start again, or tell an administrator."""

    status = 403
    code = "sign-in-not-believed"


class NoLogin(AppError):
    """Nobody here signs in with this account. Sign in by password and link it, or ask an administrator."""

    status = 403
    code = "no-login"


class ProviderFailed(AppError):
    """The sign-in provider does not answer as it should. Try again, or sign in with a password."""

    status = 502
    code = "provider-failed"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What its discovery document says."""

    authorize: str
    token: str
    keys: str
    takes_basic: bool


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Somebody who came back: what the provider says of them, and what for they went there."""

    subject: str
    claims: Mapping[str, Any]
    purpose: str
    next: str
    user: str
    began: float

    @property
    def is_strong(self) -> bool:
        """Whether the provider says that it asked for more than one factor."""
        ways = self.claims.get("amr")
        return isinstance(ways, list) and "mfa" in ways


def is_set_up() -> bool:
    """Whether there is a provider to go to."""
    return bool(settings.QUELL_OIDC_ISSUER)


def is_linked(user: User) -> bool:
    """Whether the login belongs to an account at the provider."""
    return bool(SocialAccount.objects.filter(user=user, provider=settings.QUELL_OIDC_ISSUER).exists())


def address(request: HttpRequest, *, purpose: str, next_page: str, user: User | None, at: datetime) -> str:
    """Where to send the browser; the session keeps what must come back.

    `purpose` is `enter`, `again` (the provider has to ask anew) or `link`. Raises `ProviderFailed`.
    """
    provider = _discover()
    pkce, nonce = generate_code_challenge(), secrets.token_urlsafe(32)
    kept = {
        "nonce": nonce,
        "verifier": pkce["code_verifier"],
        "purpose": purpose,
        "next": next_page,
        "user": user.ulid if user else "",
        "began": at.timestamp(),
    }
    asked = {
        "response_type": "code",
        "client_id": settings.QUELL_OIDC_CLIENT_ID,
        "redirect_uri": _callback(),
        "scope": "openid profile email",
        "state": statekit.stash_state(request, provider_id=settings.QUELL_OIDC_ISSUER, state=kept),
        "nonce": nonce,
        "code_challenge": pkce["code_challenge"].decode(),
        "code_challenge_method": "S256",
    }
    if purpose != "enter":
        asked |= {"prompt": "login", "max_age": "0"}
    glue = "&" if urlsplit(provider.authorize).query else "?"
    return f"{provider.authorize}{glue}{urlencode(asked)}"


def arrive(request: HttpRequest) -> Arrival:
    """Who came back. The state is used up, whatever follows. Raises `NotBelieved` and `ProviderFailed`."""
    given = request.GET
    kept = statekit.unstash_state(
        request, provider_id=settings.QUELL_OIDC_ISSUER, state_id=given.get("state", "")
    )
    if kept is None:
        raise NotBelieved("This sign-in did not begin in this browser, or took too long. Start again.")
    if given.get("iss", settings.QUELL_OIDC_ISSUER) != settings.QUELL_OIDC_ISSUER:
        raise NotBelieved
    if not given.get("code"):
        raise NotBelieved("The sign-in provider let nobody in.")
    provider = _discover()
    claims = _believed(_redeem(provider, given["code"], kept["verifier"]), provider, nonce=kept["nonce"])
    if kept["purpose"] != "enter" and not _asked_anew(claims, kept["began"]):
        raise NotBelieved("The sign-in provider did not ask who you are again. Use your password.")
    return Arrival(
        subject=claims["sub"],
        claims=claims,
        purpose=kept["purpose"],
        next=kept["next"],
        user=kept["user"],
        began=kept["began"],
    )


def login_of(arrival: Arrival, *, at: datetime) -> User:
    """The login of who came back, made where `QUELL_OIDC_CREATE` allows. Raises `NoLogin`.

    Memberships follow the provider's groups where `QUELL_OIDC_GROUPS` names them.
    """
    user = _linked(arrival.subject)
    if user is None and settings.QUELL_OIDC_CREATE:
        user = _create(arrival, at=at)
    if user is None or not user.is_active:
        raise NoLogin
    if settings.QUELL_OIDC_GROUPS and user.person is not None:
        _follow_groups(user, user.person, arrival.claims.get("groups"), at=at)
    return user


def link(arrival: Arrival, *, user: User, by: Actor, at: datetime) -> None:
    """Let an account at the provider sign this login in. Raises `Conflict`."""
    if is_linked(user):
        raise Conflict("This login is linked already.")
    try:
        with transaction.atomic():
            _keep_link(user, arrival.subject)
            record(act="login-linked", by=by, at=at, on=("login", user.ulid))
    except IntegrityError as failure:
        raise Conflict("This account at the provider belongs to another login.") from failure


def unlink(*, user: User, by: Actor, at: datetime) -> None:
    """Forget the link. Raises `Conflict` for a login that has no password to go in with."""
    if not user.has_usable_password():
        raise Conflict("This login has no password: without the link nobody could sign in.")
    with transaction.atomic():
        SocialAccount.objects.filter(user=user).delete()
        record(act="login-unlinked", by=by, at=at, on=("login", user.ulid))


# --- asking the provider ---------------------------------------------------------------------------------


def _discover() -> Provider:
    """The provider's addresses, from where its issuer says, if it is that issuer."""
    issuer = settings.QUELL_OIDC_ISSUER
    told = _ask(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if told.get("issuer") != issuer:
        raise ProviderFailed("The sign-in provider says that it is another one. Tell an administrator.")
    ways = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    try:
        return Provider(
            authorize=_safe(told["authorization_endpoint"]),
            token=_safe(told["token_endpoint"]),
            keys=_safe(told["jwks_uri"]),
            takes_basic="client_secret_basic" in ways,
        )
    except (KeyError, TypeError, ValueError) as failure:
        raise ProviderFailed from failure


def _redeem(provider: Provider, code: str, verifier: str) -> str:
    """The ID token for a code."""
    client, secret = settings.QUELL_OIDC_CLIENT_ID, settings.QUELL_OIDC_CLIENT_SECRET
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": _callback()}
    form |= {"code_verifier": verifier}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if provider.takes_basic:
        pair = f"{quote(client, safe='')}:{quote(secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": client, "client_secret": secret}
    told = _ask(provider.token, method="POST", headers=headers, body=urlencode(form).encode())
    token = told.get("id_token")
    if not isinstance(token, str):
        raise ProviderFailed
    return token


def _believed(token: str, provider: Provider, *, nonce: str) -> dict[str, Any]:
    """The claims of an ID token that is all it should be. Raises `NotBelieved`."""
    try:
        header = jwt.get_unverified_header(token)
        claims: dict[str, Any] = jwt.decode(
            token,
            key=_key(_ask(provider.keys), header),
            algorithms=list(ALGORITHMS),
            audience=settings.QUELL_OIDC_CLIENT_ID,
            issuer=settings.QUELL_OIDC_ISSUER,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.PyJWTError as failure:
        raise NotBelieved from failure
    if not constant_time_compare(str(claims.get("nonce", "")), nonce):
        raise NotBelieved
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", "" if several else settings.QUELL_OIDC_CLIENT_ID) != settings.QUELL_OIDC_CLIENT_ID:
        raise NotBelieved
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
        raise NotBelieved
    return claims


def _key(told: Mapping[str, Any], header: Mapping[str, Any]) -> Any:
    """The issuer's key that the token names; its only one where it names none."""
    keys = [
        key
        for key in jwt.PyJWKSet.from_dict(dict(told)).keys
        if key.public_key_use in (None, "sig") and key.algorithm_name in ALGORITHMS
    ]
    named = [key for key in keys if key.key_id == header.get("kid")] if header.get("kid") else keys
    if len(named) != 1:
        raise NotBelieved
    return named[0].key


def _asked_anew(claims: Mapping[str, Any], began: float) -> bool:
    then = claims.get("auth_time")
    return isinstance(then, int | float) and then >= began - LEEWAY


def _ask(url: str, **given: Any) -> dict[str, Any]:
    try:
        answer = outbound.fetch(url, schemes=_schemes(), **given)
        told = json.loads(answer.body) if answer.status == 200 else None
    except (outbound.NotAllowed, outbound.NoAnswer, ValueError, RecursionError) as failure:
        raise ProviderFailed from failure
    if not isinstance(told, dict):
        raise ProviderFailed
    return told


def _safe(url: str) -> str:
    """An address of the provider, https unless the issuer itself is a local one."""
    if urlsplit(url).scheme not in _schemes():
        raise ValueError("an address of the provider without https")
    return url


def _schemes() -> tuple[str, ...]:
    parts = urlsplit(settings.QUELL_OIDC_ISSUER)
    return ("https", "http") if parts.scheme == "http" and parts.hostname in LOCAL else ("https",)


def _callback() -> str:
    return f"{settings.QUELL_BASE_URL}{reverse('signin-sso-callback')}"


# --- whose login -----------------------------------------------------------------------------------------


def _linked(subject: str) -> User | None:
    row = SocialAccount.objects.filter(provider=settings.QUELL_OIDC_ISSUER, uid=subject).first()
    return User.objects.select_related("person").get(pk=row.user_id) if row else None


def _keep_link(user: User, subject: str) -> None:
    SocialAccount.objects.create(user=user, provider=settings.QUELL_OIDC_ISSUER, uid=subject)


def _create(arrival: Arrival, *, at: datetime) -> User | None:
    """A person without roles. Of two sign-ins at once one makes them; the other finds them."""
    name = str(arrival.claims.get("name") or arrival.claims.get("preferred_username") or "New person")[:120]
    try:
        with transaction.atomic():
            person = Person.objects.create(name=name)
            user = User(username=f"sso-{ids.ulid().lower()}", person=person)
            user.set_unusable_password()
            user.save()
            _keep_link(user, arrival.subject)
            record(act="person-added", by=BY, at=at, on=("login", user.ulid), details={"way": "sso"})
    except IntegrityError:
        return _linked(arrival.subject)
    return user


def _follow_groups(user: User, person: Person, told: object, *, at: datetime) -> None:
    """Give and take the roles that the map knows of, and leave all others alone.

    A provider that says nothing of groups changes nothing.
    """
    if not isinstance(told, list):
        return
    due = {settings.QUELL_OIDC_GROUPS[group] for group in told if group in settings.QUELL_OIDC_GROUPS}
    teams = {team.slug: team for team in Team.objects.all()}
    for slug, role in sorted(set(settings.QUELL_OIDC_GROUPS.values())):
        held = Membership.objects.filter(person=person, team__slug=slug, role=role)
        is_due = (slug, role) in due
        if slug not in teams or held.exists() == is_due:
            continue
        with transaction.atomic():
            if is_due:
                Membership.objects.create(person=person, team=teams[slug], role=role)
            else:
                held.delete()
            details = {"team": teams[slug].ulid, "role": role, "way": "sso"}
            act = "role-given" if is_due else "role-taken"
            record(act=act, by=BY, at=at, on=("login", user.ulid), details=details)


def note_refusal(*, why: str, ip: str, request_id: str, at: datetime) -> None:
    """Write down that somebody came back from the provider and was not let in."""
    nobody = Actor(kind="anonymous", label="", ip=ip, request_id=request_id)
    with transaction.atomic():
        details = {"way": "sso", "why": why}
        record(act="sign-in-failed", by=nobody, at=at, on=("login", "sso"), details=details)
