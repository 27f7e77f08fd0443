"""The pages of the hand."""

from __future__ import annotations

from django.urls import URLPattern, path

from containment import approval_views, auto_views, handing_views, plan_views, views

urlpatterns: list[URLPattern] = [
    path("automation", auto_views.page, name="automation"),
    path("automation/stop", auto_views.stop, name="automation-stop"),
    path("automation/resume", auto_views.resume, name="automation-resume"),
    path("automation/rules/new", auto_views.rule_new, name="automation-rule-new"),
    path("automation/rules/<str:ulid>", auto_views.rule_edit, name="automation-rule-edit"),
    path("automation/rules/<str:ulid>/approve", auto_views.rule_approve, name="automation-rule-approve"),
    path("automation/rules/<str:ulid>/withdraw", auto_views.rule_withdraw, name="automation-rule-withdraw"),
    path("automation/rules/<str:ulid>/remove", auto_views.rule_remove, name="automation-rule-remove"),
    path("automation/holds/<str:ulid>/release", auto_views.hold_release, name="automation-hold-release"),
    path("automation/accounts/<str:account>/mode", auto_views.mode, name="automation-mode"),
    path("incidents/<str:ref>/containment", views.panel, name="incident-containment"),
    path("incidents/<str:ref>/containment/all", plan_views.everything, name="incident-containment-all"),
    path("incidents/<str:ref>/actions", views.propose, name="action-propose"),
    path("incidents/<str:ref>/approve", plan_views.approve_waiting, name="incident-approve"),
    path("incidents/<str:ref>/coverage", plan_views.require, name="coverage-require"),
    path("in-force", plan_views.in_force_page, name="in-force"),
    path("actions/<str:ulid>/keep", plan_views.keep, name="action-keep"),
    path("actions/<str:ulid>/hand-over", handing_views.hand_over, name="action-hand-over"),
    path("actions/<str:ulid>", views.action, name="action"),
    path("actions/<str:ulid>/approve", views.approve, name="action-approve"),
    path("actions/<str:ulid>/reject", views.reject, name="action-reject"),
    path("actions/<str:ulid>/revoke", approval_views.revoke, name="action-revoke"),
    path("actions/<str:ulid>/break-glass", approval_views.break_glass, name="action-break-glass"),
    path("containment/policy", approval_views.policy, name="tier-policy"),
    path("containment/policy/<str:ulid>", approval_views.policy_decide, name="tier-policy-decide"),
    path("containment/reviews", approval_views.reviews, name="glass-reviews"),
    path("containment/reviews/<str:ulid>", approval_views.review, name="glass-review"),
    path("actions/<str:ulid>/revert", views.revert, name="action-revert"),
]
