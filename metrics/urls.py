"""The pages of the mirror. `/metrics` itself is Prometheus's."""

from __future__ import annotations

from django.urls import URLPattern, path

from metrics import views

urlpatterns: list[URLPattern] = [
    path("measures/", views.page, name="metrics"),
    path("measures/incidents/", views.incidents, name="metrics-incidents"),
]
