"""A real OpenID Connect provider as a second process: a small Django project around django-oauth-toolkit.

    python tests/identity/provider.py PORT DIRECTORY CALLBACK

It signs in whoever the cookie `who` names. What it shall do wrong stands in `DIRECTORY/wrong.json`: `claims`
replaces claims of ID tokens, `discovery` entries of the discovery document, `sign` is `other` or `none`.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

CLIENT, SECRET = "quell", "a-secret-of-the-test"


class Server(ThreadingMixIn, WSGIServer):
    """One thread per request."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """No line for each request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Nothing."""


def new_key() -> str:
    """An RSA key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def main(port: int, directory: Path, callback: str) -> None:
    """Set up, and serve until killed."""
    issuer, own = f"http://127.0.0.1:{port}/o", new_key()
    settings.configure(
        SECRET_KEY="of-the-provider-and-nobody-else" * 2,
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="__main__",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / "provider.sqlite3")}
        },
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        LOGIN_URL="/login",
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": issuer,
            "OIDC_RSA_PRIVATE_KEY": own,
            "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "", "profile": "", "email": ""},
            "OAUTH2_VALIDATOR_CLASS": "__main__.Validator",
        },
    )
    django.setup()
    _define(directory, own)
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    for name in ("ada", "bob", "eve"):
        User.objects.create(username=name, email="ana@example.com", first_name=name.title())
    for client in (CLIENT, "another"):
        Application.objects.create(
            name=client,
            client_id=client,
            client_secret=SECRET,
            client_type="confidential",
            authorization_grant_type="authorization-code",
            redirect_uris=callback,
            skip_authorization=True,
            algorithm="RS256",
        )
    with make_server(
        "127.0.0.1", port, get_wsgi_application(), server_class=Server, handler_class=Quiet
    ) as server:
        (directory / "ready").touch()
        server.serve_forever()


def _define(directory: Path, own: str) -> None:
    """URLs and the validator, which need Django's models."""
    import jwt
    from django.contrib.auth import get_user_model, login
    from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
    from django.urls import include, path
    from oauth2_provider.oauth2_validators import OAuth2Validator
    from oauth2_provider.views import ConnectDiscoveryInfoView

    other = new_key()

    def wrong() -> dict[str, Any]:
        try:
            read: dict[str, Any] = json.loads((directory / "wrong.json").read_text())
        except OSError:
            return {}
        return read

    class Validator(OAuth2Validator):  # type: ignore[misc]
        def get_additional_claims(self, request: Any) -> dict[str, Any]:
            return {"name": request.user.first_name, "email": request.user.email, "email_verified": True}

        def get_id_token_dictionary(self, token: Any, handler: Any, request: Any) -> Any:
            claims, expires = super().get_id_token_dictionary(token, handler, request)
            return {**claims, "name": request.user.first_name, "email": request.user.email}, expires

        def finalize_id_token(self, id_token: Any, token: Any, handler: Any, request: Any) -> str:
            made = str(super().finalize_id_token(id_token, token, handler, request))
            asked = wrong()
            if not asked.get("claims") and not asked.get("sign"):
                return made
            header = jwt.get_unverified_header(made)
            claims = jwt.decode(made, options={"verify_signature": False}) | asked.get("claims", {})
            claims = {name: value for name, value in claims.items() if value is not None}
            if asked.get("sign") == "none":
                parts = [json.dumps(header | {"alg": "none"}), json.dumps(claims)]
                return (
                    ".".join(base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in parts)
                    + "."
                )
            key = other if asked.get("sign") == "other" else own
            return jwt.encode(claims, key, algorithm="RS256", headers={"kid": header["kid"]})

    def sign_in(request: HttpRequest) -> HttpResponse:
        user = get_user_model().objects.get(username=request.COOKIES["who"])
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponseRedirect(request.GET["next"])

    def discovery(request: HttpRequest) -> HttpResponse:
        told = json.loads(ConnectDiscoveryInfoView.as_view()(request).content)
        return JsonResponse(told | wrong().get("discovery", {}))

    here = sys.modules["__main__"]
    here.Validator = Validator  # type: ignore[attr-defined]
    here.urlpatterns = [  # type: ignore[attr-defined]
        path("login", sign_in),
        path("o/.well-known/openid-configuration", discovery),
        path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    ]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
