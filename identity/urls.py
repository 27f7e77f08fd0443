"""The pages of this package."""

from __future__ import annotations

from django.urls import URLPattern, path

from identity import account_views, people_views, sso_views, views

urlpatterns: list[URLPattern] = [
    path("signin", views.SignIn.as_view(), name="signin"),
    path("signin/factor", views.ShowFactor.as_view(), name="signin-factor"),
    path("signin/sso", sso_views.start, name="signin-sso"),
    path("signin/sso/callback", sso_views.callback, name="signin-sso-callback"),
    path("signout", views.signout, name="signout"),
    path("account/security", account_views.security, name="account-security"),
    path("account/security/app", account_views.app, name="account-app"),
    path("account/security/key", account_views.key, name="account-key"),
    path("account/security/codes", account_views.recovery_codes, name="account-codes"),
    path("account/security/remove", account_views.remove_factor, name="account-factor-remove"),
    path("account/security/sessions", account_views.end_sessions, name="account-sessions-end"),
    path("account/security/password", account_views.password, name="account-password"),
    path("account/security/link", sso_views.link, name="account-link"),
    path("account/security/unlink", sso_views.unlink, name="account-unlink"),
    path("people", people_views.people, name="people"),
    path("people/<str:ulid>", people_views.person, name="person"),
    path("people/<str:ulid>/sessions", people_views.end_sessions, name="person-sessions-end"),
    path("people/<str:ulid>/active", people_views.set_active, name="person-active"),
    path("people/<str:ulid>/factors", people_views.reset_factors, name="person-factors-reset"),
    path("people/<str:ulid>/roles", people_views.change_role, name="person-role"),
]
