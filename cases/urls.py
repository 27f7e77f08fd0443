"""The pages of the record."""

from __future__ import annotations

from django.urls import URLPattern, path

from cases import evidence_views, quarantine_views, report_views, rule_views, source_views, views

urlpatterns: list[URLPattern] = [
    path("alerts", views.alerts, name="alerts"),
    path("alerts/news", views.news, name="alerts-news"),
    path("alerts/selected", views.selected, name="alerts-selected"),
    path("alerts/<str:ulid>", views.alert, name="alert"),
    path("alerts/<str:ulid>/documents/<str:digest>", views.document, name="alert-document"),
    path("alerts/<str:ulid>/acknowledge", views.acknowledge, name="alert-acknowledge"),
    path("alerts/<str:ulid>/dismiss", views.dismiss, name="alert-dismiss"),
    path("alerts/<str:ulid>/restore", views.restore, name="alert-restore"),
    path("alerts/<str:ulid>/escalate", views.escalate, name="alert-escalate"),
    path("incidents", views.incidents, name="incidents"),
    path("incidents/<str:ref>", views.incident, name="incident"),
    path("incidents/<str:ref>/timeline", views.timeline, name="incident-timeline"),
    path("incidents/<str:ref>/alerts", views.incident_alerts, name="incident-alerts"),
    path("incidents/<str:ref>/milestones", views.milestones, name="incident-milestones"),
    path("incidents/<str:ref>/evidence", evidence_views.incident_evidence, name="incident-evidence"),
    path("evidence/<str:ulid>", evidence_views.one, name="evidence"),
    path("evidence/<str:ulid>/view", evidence_views.view, name="evidence-view"),
    path("evidence/<str:ulid>/content", evidence_views.content, name="evidence-content"),
    path("evidence/<str:ulid>/verify", evidence_views.verify, name="evidence-verify"),
    path("incidents/<str:ref>/take", views.take, name="incident-take"),
    path("incidents/<str:ref>/severity", views.set_severity, name="incident-severity"),
    path("incidents/<str:ref>/phase", views.move, name="incident-phase"),
    path("incidents/<str:ref>/close", views.close, name="incident-close"),
    path("sources", source_views.sources, name="sources"),
    path("sources/<str:source>", source_views.source, name="source"),
    path("quarantine", quarantine_views.items, name="quarantine"),
    path("quarantine/replay-waiting", quarantine_views.replay_waiting, name="quarantine-replay-waiting"),
    path("quarantine/<str:ulid>", quarantine_views.item, name="quarantine-item"),
    path("quarantine/<str:ulid>/raw", quarantine_views.raw, name="quarantine-raw"),
    path("quarantine/<str:ulid>/replay", quarantine_views.replay, name="quarantine-replay"),
    path("quarantine/<str:ulid>/discard", quarantine_views.discard, name="quarantine-discard"),
    path("report", report_views.report, name="report"),
    path("rules", rule_views.rules, name="rules"),
    path("rules/new", rule_views.new, name="rule-new"),
    path("rules/<str:ulid>", rule_views.rule, name="rule"),
    path("rules/<str:ulid>/edit", rule_views.edit, name="rule-edit"),
    path("rules/<str:ulid>/preview", rule_views.preview, name="rule-preview"),
    path("rules/<str:ulid>/switch", rule_views.switch, name="rule-switch"),
    path("rules/<str:ulid>/remove", rule_views.remove, name="rule-remove"),
]
