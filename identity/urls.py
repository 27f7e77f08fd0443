"""The pages of this package."""

from __future__ import annotations

from django.urls import URLPattern, path

from identity import views

urlpatterns: list[URLPattern] = [
    path("signin", views.SignIn.as_view(), name="signin"),
    path("signout", views.signout, name="signout"),
]
