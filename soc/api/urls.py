"""The API, under /api/v1/. Each part adds its own lines."""

from __future__ import annotations

from django.urls import URLPattern, path

from soc.api import actions, estate, imports, metrics

urlpatterns: list[URLPattern] = [
    path("accounts", estate.Accounts.as_view(), name="api-accounts"),
    path("action-types", actions.ActionTypes.as_view(), name="api-action-types"),
    path("incidents/import", imports.Import.as_view(), name="api-incidents-import"),
    path("incidents/<str:ref>/suggestions", actions.Suggestions.as_view(), name="api-suggestions"),
    path("incidents/<str:ref>/actions", actions.Actions.as_view(), name="api-actions"),
    path("actions/<str:ulid>", actions.OneAction.as_view(), name="api-action"),
    path("actions/<str:ulid>/approve", actions.Approve.as_view(), name="api-action-approve"),
    path("actions/<str:ulid>/reject", actions.Reject.as_view(), name="api-action-reject"),
    path("actions/<str:ulid>/revert", actions.Revert.as_view(), name="api-action-revert"),
    path("metrics/summary", metrics.Summary.as_view(), name="api-metrics-summary"),
    path("metrics/trend", metrics.Trend.as_view(), name="api-metrics-trend"),
    path("metrics/incidents", metrics.Incidents.as_view(), name="api-metrics-incidents"),
]
