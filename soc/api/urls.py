"""The API, under /api/v1/. Each part adds its own lines."""

from __future__ import annotations

from django.urls import URLPattern, path

from soc.api import estate

urlpatterns: list[URLPattern] = [
    path("accounts", estate.Accounts.as_view(), name="api-accounts"),
]
