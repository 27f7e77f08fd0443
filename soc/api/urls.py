"""The API, under /api/v1/. Each part adds its own lines."""

from __future__ import annotations

from django.urls import URLPattern, path

from soc.api import estate, imports, metrics

urlpatterns: list[URLPattern] = [
    path("accounts", estate.Accounts.as_view(), name="api-accounts"),
    path("incidents/import", imports.Import.as_view(), name="api-incidents-import"),
    path("metrics/summary", metrics.Summary.as_view(), name="api-metrics-summary"),
    path("metrics/trend", metrics.Trend.as_view(), name="api-metrics-trend"),
    path("metrics/incidents", metrics.Incidents.as_view(), name="api-metrics-incidents"),
]
