"""What holds for every view of the API, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from identity.permissions import Permission

METHODS = ("get", "post", "put", "patch", "delete")


def views(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, type[APIView]]]:
    """Every REST view of ours with its path."""
    for entry in (resolver or get_resolver()).url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from views(entry, path)
        elif isinstance(entry, URLPattern):
            cls: Any = getattr(entry.callback, "cls", None)
            if isinstance(cls, type) and issubclass(cls, APIView) and cls.__module__.startswith("soc."):
                yield path, cls


HOOKS = ("hooks/sns/", "hooks/wazuh/", "hooks/splunk/", "hooks/webhook/", "hooks/<")
"""The secret is in the address: whoever does not know it finds nothing there (404)."""


@pytest.mark.fast
def test_every_view_says_who_may() -> None:
    found = list(views())
    assert len(found) > 5
    for path, view in found:
        if path.startswith(HOOKS):
            continue
        needed = getattr(view, "permissions_needed", {})
        handled = {method.upper() for method in METHODS if hasattr(view, method)}
        assert handled == set(needed), f"{path}: {view.__name__}"
        assert all(permission is None or isinstance(permission, Permission) for permission in needed.values())


@pytest.mark.fast
@pytest.mark.django_db
def test_strangers_get_401_everywhere() -> None:
    client = Client()
    for path, view in views():
        if path.startswith(("compat/", *HOOKS)):  # in their tools' shapes: tests/api/test_access.py
            continue
        url = "/" + path.replace("<str:ref>", "INC-2026-0001").replace("<str:ulid>", "0" * 26).replace(
            "<str:source>", "guardduty"
        )
        for method in METHODS:
            if hasattr(view, method):
                response = getattr(client, method)(url)
                assert response.status_code == 401, f"{method} {url}"
                assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_the_schema_is_valid_and_complete(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))
    response = Client().get("/api/schema/", headers={"Accept": "application/json"})
    assert response.status_code == 200
    schema = response.json()
    assert {"key", "session"} <= set(schema["components"]["securitySchemes"])
    assert "/api/v1/accounts" in schema["paths"]
