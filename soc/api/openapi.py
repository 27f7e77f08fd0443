"""What the OpenAPI document at /api/schema/ says about how to come in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from cases.quarantine_list import STATES
from cases.source_health import Health
from cases.words import AlertStatus, Phase

# Choices that share a field name (`status`, `state`), so that each gets a name of its own (see the settings).
ALERT_STATUS = [status.value for status in AlertStatus]
INCIDENT_STATUS = [phase.value for phase in Phase]
SOURCE_STATE = [health.value for health in Health]
PLACE_STATE = ["heard", "fell_silent", "never_heard", "awaited"]
QUARANTINE_STATE = [word for word, _ in STATES[:3]]


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
