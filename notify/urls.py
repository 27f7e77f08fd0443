"""The pages of the bell."""

from __future__ import annotations

from django.urls import URLPattern, path

from notify import views

urlpatterns: list[URLPattern] = [
    path("inbox", views.inbox, name="inbox"),
    path("inbox/bell", views.bell, name="inbox-bell"),
    path("inbox/read", views.read_all, name="inbox-read-all"),
    path("inbox/<str:ulid>/open", views.open_item, name="inbox-open"),
    path("inbox/<str:ulid>/read", views.read, name="inbox-read"),
    path("inbox/<str:ulid>/acknowledge", views.acknowledge, name="inbox-acknowledge"),
]
