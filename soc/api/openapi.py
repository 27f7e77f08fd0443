"""What the OpenAPI document at /api/schema/ says about how to come in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from cases.words import AlertStatus, Phase

# Choices that share the field name `status`, so that each gets a name of its own (see the settings).
ALERT_STATUS = [status.value for status in AlertStatus]
INCIDENT_STATUS = [phase.value for phase in Phase]


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A program's key."""

    target_class = "soc.api.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """https://spec.openapis.org/oas/v3.0.3#security-scheme-object"""
        del auto_schema
        return {"type": "http", "scheme": "bearer", "bearerFormat": "qk_…", "description": "an API key"}


class BrowserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A person's session."""

    target_class = "soc.api.authentication.BrowserAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """https://spec.openapis.org/oas/v3.0.3#security-scheme-object"""
        del auto_schema
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
