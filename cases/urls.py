"""The pages of the record."""

from __future__ import annotations

from django.urls import URLPattern, path

from cases import views

urlpatterns: list[URLPattern] = [
    path("alerts", views.alerts, name="alerts"),
    path("alerts/news", views.news, name="alerts-news"),
    path("alerts/selected", views.selected, name="alerts-selected"),
    path("alerts/<str:ulid>", views.alert, name="alert"),
    path("alerts/<str:ulid>/acknowledge", views.acknowledge, name="alert-acknowledge"),
    path("alerts/<str:ulid>/dismiss", views.dismiss, name="alert-dismiss"),
    path("alerts/<str:ulid>/restore", views.restore, name="alert-restore"),
    path("alerts/<str:ulid>/escalate", views.escalate, name="alert-escalate"),
    path("incidents", views.incidents, name="incidents"),
    path("incidents/<str:ref>", views.incident, name="incident"),
    path("incidents/<str:ref>/timeline", views.timeline, name="incident-timeline"),
    path("incidents/<str:ref>/alerts", views.incident_alerts, name="incident-alerts"),
    path("incidents/<str:ref>/milestones", views.milestones, name="incident-milestones"),
    path("incidents/<str:ref>/take", views.take, name="incident-take"),
    path("incidents/<str:ref>/severity", views.set_severity, name="incident-severity"),
    path("incidents/<str:ref>/phase", views.move, name="incident-phase"),
    path("incidents/<str:ref>/close", views.close, name="incident-close"),
]
