"""The pages of the hand."""

from __future__ import annotations

from django.urls import URLPattern, path

from containment import plan_views, views

urlpatterns: list[URLPattern] = [
    path("incidents/<str:ref>/containment", views.panel, name="incident-containment"),
    path("incidents/<str:ref>/actions", views.propose, name="action-propose"),
    path("incidents/<str:ref>/approve", plan_views.approve_waiting, name="incident-approve"),
    path("incidents/<str:ref>/coverage", plan_views.require, name="coverage-require"),
    path("in-force", plan_views.in_force_page, name="in-force"),
    path("actions/<str:ulid>/keep", plan_views.keep, name="action-keep"),
    path("actions/<str:ulid>", views.action, name="action"),
    path("actions/<str:ulid>/approve", views.approve, name="action-approve"),
    path("actions/<str:ulid>/reject", views.reject, name="action-reject"),
    path("actions/<str:ulid>/revert", views.revert, name="action-revert"),
]
