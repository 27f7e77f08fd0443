"""The API, under /api/v1/. Each part adds its own lines."""

from __future__ import annotations

from django.urls import URLPattern, path

from soc.api import (
    actions,
    alerts,
    estate,
    imports,
    inbox,
    incidents,
    ingest,
    lean,
    metrics,
    quarantine,
    rules,
    sources,
)

urlpatterns: list[URLPattern] = [
    path("alerts", lean.alerts_door(alerts.Alerts.as_view()), name="api-alerts"),
    path("alerts/batch", alerts.AlertBatch.as_view(), name="api-alerts-batch"),
    path("alerts/<str:ulid>", alerts.OneAlert.as_view(), name="api-alert"),
    path("alerts/<str:ulid>/documents", alerts.Documents.as_view(), name="api-alert-documents"),
    path("alerts/<str:ulid>/acknowledge", alerts.Acknowledge.as_view(), name="api-alert-acknowledge"),
    path("alerts/<str:ulid>/dismiss", alerts.Dismiss.as_view(), name="api-alert-dismiss"),
    path("alerts/<str:ulid>/escalate", alerts.Escalate.as_view(), name="api-alert-escalate"),
    path("ingest/<str:source>", ingest.Ingest.as_view(), name="api-ingest"),
    path("rules", rules.Rules.as_view(), name="api-rules"),
    path("rules/preview", rules.RulePreview.as_view(), name="api-rules-preview"),
    path("rules/<str:ulid>", rules.OneRule.as_view(), name="api-rule"),
    path("sources", sources.Sources.as_view(), name="api-sources"),
    path("sources/<str:source>/places", sources.Places.as_view(), name="api-source-places"),
    path("quarantine", quarantine.Items.as_view(), name="api-quarantine"),
    path("quarantine/<str:ulid>", quarantine.OneItem.as_view(), name="api-quarantine-item"),
    path("quarantine/<str:ulid>/replay", quarantine.Replay.as_view(), name="api-quarantine-replay"),
    path("quarantine/<str:ulid>/discard", quarantine.Discard.as_view(), name="api-quarantine-discard"),
    path("accounts", estate.Accounts.as_view(), name="api-accounts"),
    path("action-types", actions.ActionTypes.as_view(), name="api-action-types"),
    path("incidents", incidents.Incidents.as_view(), name="api-incidents"),
    path("incidents/import", imports.Import.as_view(), name="api-incidents-import"),
    path("incidents/<str:ref>", incidents.OneIncident.as_view(), name="api-incident"),
    path("incidents/<str:ref>/milestones", incidents.Milestones.as_view(), name="api-incident-milestones"),
    path("incidents/<str:ref>/timeline", incidents.Timeline.as_view(), name="api-incident-timeline"),
    path("incidents/<str:ref>/suggestions", actions.Suggestions.as_view(), name="api-suggestions"),
    path("incidents/<str:ref>/actions", actions.Actions.as_view(), name="api-actions"),
    path("actions/<str:ulid>", actions.OneAction.as_view(), name="api-action"),
    path("actions/<str:ulid>/approve", actions.Approve.as_view(), name="api-action-approve"),
    path("actions/<str:ulid>/reject", actions.Reject.as_view(), name="api-action-reject"),
    path("actions/<str:ulid>/revert", actions.Revert.as_view(), name="api-action-revert"),
    path("inbox", inbox.Inbox.as_view(), name="api-inbox"),
    path("inbox/<str:ulid>/read", inbox.Read.as_view(), name="api-inbox-read"),
    path("metrics/summary", metrics.Summary.as_view(), name="api-metrics-summary"),
    path("metrics/trend", metrics.Trend.as_view(), name="api-metrics-trend"),
    path("metrics/incidents", metrics.Incidents.as_view(), name="api-metrics-incidents"),
]
