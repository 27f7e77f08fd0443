"""The pages of the ledger."""

from __future__ import annotations

from django.urls import URLPattern, path

from soc.ledger import views

urlpatterns: list[URLPattern] = [
    path("audit", views.events, name="audit"),
    path("audit/export", views.export, name="audit-export"),
    path("audit/<str:seq>", views.event, name="audit-event"),
]
