"""Who gets what answer on every address: a table written by hand, walked whole.

A row is an address and a method; its columns are the roles of the team that owns the objects, someone
of another team who holds every role that matters there, and the keys. An address without a row fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from audit.models import AuditEvent
from cases import evidence
from cases.models import Action, Alert, Incident, RawDocument
from cases.words import ActionStatus, AlertStatus
from containment.automation_models import AutoRule, Hold
from containment.coverage import coverage
from containment.models import Approval, GlassReview
from containment.suggesting import suggestions
from identity.actors import SYSTEM, Actor
from identity.models import Membership, Person, Role, User
from lib import clock, ids
from notify.models import InboxItem
from tests import make

pytestmark = pytest.mark.django_db

ROLES = ("viewer", "auditor", "analyst", "responder", "approver", "lead", "admin")
COLUMNS = (*ROLES, "outsider", "key", "foreign", "bare")
"""`key` has every scope in the owning team, `foreign` every scope in another, `bare` none of use here."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

#                                       viewer auditor analyst responder approver lead admin outsider key foreign bare  # noqa: E501
API = {
    ("api-alerts", "GET"):               "200 200 200 200 200 200 200 200 200 200 403",
    ("api-alerts", "POST"):              "403 403 201 201 403 201 403 201 201 201 403",
    ("api-alerts-batch", "POST"):        "403 403 200 200 403 200 403 200 200 200 403",
    ("api-alert", "GET"):                "200 200 200 200 200 200 200 404 200 404 403",
    ("api-alert", "PATCH"):              "403 403 200 200 403 200 403 404 200 404 403",
    ("api-alert-documents", "GET"):      "200 200 200 200 200 200 200 404 200 404 403",
    ("api-alert-acknowledge", "POST"):   "403 403 200 200 403 200 403 404 403 403 403",
    ("api-alert-dismiss", "POST"):       "403 403 200 200 403 200 403 404 403 403 403",
    ("api-alert-escalate", "POST"):      "403 403 200 200 403 200 403 404 200 404 403",
    ("api-ingest", "POST"):              "403 403 200 200 403 200 403 200 200 200 403",
    # Rules reach a whole team: its leads keep them, and no key does.
    ("api-rules", "GET"):                "200 200 200 200 200 200 200 200 200 200 403",
    ("api-rules", "POST"):               "403 403 403 403 403 201 403 201 403 403 403",
    ("api-rules-preview", "POST"):       "403 403 403 403 403 200 403 200 403 403 403",
    ("api-rule", "GET"):                 "200 200 200 200 200 200 200 404 200 404 403",
    ("api-rule", "PATCH"):               "403 403 403 403 403 200 403 404 403 403 403",
    ("api-rule", "DELETE"):              "403 403 403 403 403 204 403 404 403 403 403",
    ("api-sources", "GET"):              "200 200 200 200 200 200 200 200 200 200 403",
    ("api-source-places", "GET"):        "200 200 200 200 200 200 200 404 200 404 403",
    # What could not be read is the whole team's; putting it aside is triage, which no key does.
    ("api-quarantine", "GET"):           "200 200 200 200 200 200 200 200 200 200 403",
    ("api-quarantine-item", "GET"):      "200 200 200 200 200 200 200 404 200 404 403",
    ("api-quarantine-replay", "POST"):   "403 403 200 200 403 200 403 404 200 404 403",
    ("api-quarantine-discard", "POST"):  "403 403 200 200 403 200 403 404 403 403 403",
    # Auditors and leads, of what is their team's; a copy is for who reads every team's, and here are two.
    ("api-audit", "GET"):                "403 200 403 403 403 200 403 200 200 200 200",
    ("api-audit-event", "GET"):          "403 200 403 403 403 200 403 404 200 404 200",
    ("api-audit-export", "GET"):         "403 403 403 403 403 403 403 403 403 403 403",
    ("api-accounts", "GET"):             "200 200 200 200 200 200 200 200 200 200 403",
    ("api-action-types", "GET"):         "200 200 200 200 200 200 200 200 200 200 403",
    ("api-incidents", "GET"):            "200 200 200 200 200 200 200 200 200 200 403",
    ("api-incidents", "POST"):           "403 403 201 201 403 201 403 201 201 201 403",
    ("api-incidents-import", "POST"):    "403 403 200 200 403 200 403 200 200 200 403",
    ("api-incident", "GET"):             "200 200 200 200 200 200 200 404 200 404 403",
    ("api-incident", "PATCH"):           "403 403 200 200 403 200 403 404 200 404 403",
    ("api-incident-milestones", "POST"): "403 403 403 403 403 201 403 404 403 403 403",
    ("api-incident-timeline", "GET"):    "200 200 200 200 200 200 200 404 200 404 403",
    ("api-incident-timeline", "POST"):   "403 403 201 201 403 201 403 404 201 404 403",
    ("api-incident-evidence", "GET"):    "200 200 200 200 200 200 200 404 200 404 403",
    ("api-incident-evidence", "POST"):   "403 403 201 201 403 201 403 404 201 404 403",
    ("api-evidence", "GET"):             "200 200 200 200 200 200 200 404 200 404 403",
    ("api-evidence-content", "GET"):     "200 200 200 200 200 200 200 404 200 404 403",
    ("api-evidence-verify", "POST"):     "403 403 200 200 403 200 403 404 200 404 403",
    ("api-suggestions", "GET"):          "200 200 200 200 200 200 200 404 200 404 403",
    ("api-incident-plans", "GET"):       "200 200 200 200 200 200 200 404 200 404 403",
    ("api-incident-plan", "POST"):       "403 403 201 201 403 201 403 404 201 404 403",
    ("api-actions", "GET"):              "200 200 200 200 200 200 200 404 200 404 403",
    ("api-actions", "POST"):             "403 403 201 201 403 201 403 404 201 404 403",
    ("api-action", "GET"):               "200 200 200 200 200 200 200 404 200 404 403",
    # Tier 2: the second person approves; a key is told so before anything is looked up.
    ("api-action-approve", "POST"):      "403 403 403 403 200 200 403 404 403 403 403",
    ("api-action-reject", "POST"):       "403 403 403 403 200 200 403 404 403 404 404",
    # Who approved, or may decide, takes back; one person alone starts it loudly, never a key.
    ("api-action-revoke", "POST"):       "403 403 403 403 200 200 403 404 403 403 403",
    ("api-action-break-glass", "POST"):  "403 403 403 200 403 200 403 404 403 403 403",
    ("api-tier-policy", "GET"):          "200 200 200 200 200 200 200 200 200 200 403",
    ("api-glass-reviews", "GET"):        "200 200 200 200 200 200 200 200 200 200 403",
    ("api-glass-review", "POST"):        "403 403 403 403 200 200 403 404 403 403 403",
    ("api-action-revert", "POST"):       "403 403 409 409 403 409 403 404 409 404 403",  # nothing in force yet  # noqa: E501
    ("api-in-force", "GET"):             "200 200 200 200 200 200 200 200 200 200 403",
    ("api-action-keep", "POST"):         "403 403 403 409 403 409 403 404 403 403 403",  # nothing in force yet  # noqa: E501
    ("api-action-hand-over", "POST"):    "403 403 403 409 403 409 403 404 403 403 403",
    # One switch for the installation: any team's responder pulls it, any team's lead resets it.
    ("api-automation", "GET"):           "200 200 200 200 200 200 200 200 200 200 403",
    ("api-automation-stop", "POST"):     "403 403 403 200 403 200 403 200 403 403 403",
    ("api-automation-resume", "POST"):   "403 403 403 403 403 200 403 200 403 403 403",
    # Rules and holds are the team's: read by its members, kept by people. An approver stands behind rules.
    ("api-automation-rules", "GET"):     "200 200 200 200 200 200 200 200 200 200 403",
    ("api-automation-rules", "POST"):    "403 403 403 403 403 201 403 201 403 403 403",
    ("api-automation-rule", "GET"):      "200 200 200 200 200 200 200 404 200 404 403",
    ("api-automation-rule", "PATCH"):    "403 403 403 403 403 200 403 404 403 403 403",
    ("api-automation-rule", "DELETE"):   "403 403 403 403 403 204 403 404 403 403 403",
    ("api-automation-rule-approve", "POST"):  "403 403 403 403 200 200 403 404 403 403 403",
    ("api-automation-rule-withdraw", "POST"): "403 403 403 403 403 409 403 404 403 403 403",  # not in force
    ("api-automation-holds", "GET"):     "200 200 200 200 200 200 200 200 200 200 403",
    ("api-automation-hold-release", "POST"):  "403 403 403 200 403 200 403 404 403 403 403",
    # An inbox is one person's: here the lead's. A key has none.
    ("api-inbox", "GET"):                "200 200 200 200 200 200 200 200 403 403 403",
    ("api-inbox-read", "POST"):          "404 404 404 404 404 200 404 404 403 403 403",
    ("api-metrics-summary", "GET"):      "200 200 200 200 200 200 200 200 200 200 403",
    ("api-metrics-trend", "GET"):        "200 200 200 200 200 200 200 200 200 200 403",
    ("api-metrics-incidents", "GET"):    "200 200 200 200 200 200 200 200 200 200 403",
}  # fmt: skip

#                                   viewer auditor analyst responder approver lead admin outsider
PAGES = {
    ("home", "GET"):                 "302 302 302 302 302 302 302 302",
    ("alerts", "GET"):               "200 200 200 200 200 200 200 200",
    ("alerts-news", "GET"):          "200 200 200 200 200 200 200 200",
    ("alerts-selected", "POST"):     "302 302 302 302 302 302 302 302",  # each row answers for itself
    ("alert", "GET"):                "200 200 200 200 200 200 200 404",
    ("alert-document", "GET"):       "200 200 200 200 200 200 200 404",
    ("alert-acknowledge", "POST"):   "403 403 302 302 403 302 403 404",
    ("alert-dismiss", "POST"):       "403 403 302 302 403 302 403 404",
    ("alert-restore", "POST"):       "403 403 409 409 403 409 403 404",  # it is not dismissed
    ("alert-escalate", "POST"):      "403 403 302 302 403 302 403 404",
    ("incidents", "GET"):            "200 200 200 200 200 200 200 200",
    ("incident", "GET"):             "200 200 200 200 200 200 200 404",
    ("incident-timeline", "GET"):    "200 200 200 200 200 200 200 404",
    ("incident-timeline", "POST"):   "403 403 302 302 403 302 403 404",
    ("incident-alerts", "GET"):      "200 200 200 200 200 200 200 404",
    ("incident-milestones", "GET"):  "200 200 200 200 200 200 200 404",
    ("incident-milestones", "POST"): "403 403 403 403 403 302 403 404",
    ("incident-take", "POST"):       "403 403 302 302 403 302 403 404",
    ("incident-severity", "POST"):   "403 403 302 302 403 302 403 404",
    ("incident-phase", "POST"):      "403 403 302 302 403 302 403 404",
    ("incident-close", "GET"):       "403 403 200 200 403 200 403 404",
    ("incident-close", "POST"):      "403 403 302 302 403 302 403 404",
    ("incident-evidence", "GET"):    "200 200 200 200 200 200 200 404",
    ("incident-evidence", "POST"):   "403 403 302 302 403 302 403 404",
    ("evidence", "GET"):             "200 200 200 200 200 200 200 404",
    ("evidence-view", "GET"):        "200 200 200 200 200 200 200 404",
    ("evidence-content", "GET"):     "200 200 200 200 200 200 200 404",
    ("evidence-verify", "POST"):     "403 403 302 302 403 302 403 404",
    ("incident-containment", "GET"): "200 200 200 200 200 200 200 404",
    ("incident-containment-all", "GET"): "200 200 200 200 200 200 200 404",
    ("action-propose", "POST"):      "403 403 302 302 403 302 403 404",
    ("action", "GET"):               "200 200 200 200 200 200 200 404",
    ("action-approve", "POST"):      "403 403 403 403 302 302 403 404",
    # Several at once: what is refused is told one by one, on the page that it leads back to.
    ("incident-approve", "GET"):     "200 200 200 200 200 200 200 404",
    ("incident-approve", "POST"):    "302 302 302 302 302 302 302 404",
    ("coverage-require", "POST"):    "403 403 403 302 403 302 403 404",
    ("in-force", "GET"):             "200 200 200 200 200 200 200 200",
    ("action-keep", "POST"):         "403 403 403 409 403 409 403 404",  # nothing in force yet
    ("action-hand-over", "GET"):     "403 403 403 409 403 409 403 404",
    ("action-hand-over", "POST"):    "403 403 403 409 403 409 403 404",
    ("action-reject", "POST"):       "403 403 403 403 302 302 403 404",
    ("action-revoke", "POST"):       "403 403 403 403 302 302 403 404",
    ("action-break-glass", "POST"):  "403 403 403 302 403 302 403 404",
    # One policy for the whole installation: read by all, changed by two leads of whole teams.
    ("tier-policy", "GET"):          "200 200 200 200 200 200 200 200",
    ("tier-policy", "POST"):         "403 403 403 403 403 302 403 302",
    ("tier-policy-decide", "POST"):  "403 403 403 403 403 404 403 404",
    ("glass-reviews", "GET"):        "200 200 200 200 200 200 200 200",
    ("glass-review", "POST"):        "403 403 403 403 302 302 403 404",
    ("action-revert", "POST"):       "403 403 409 409 403 409 403 404",
    ("sources", "GET"):              "200 200 200 200 200 200 200 200",
    ("source", "GET"):               "200 200 200 200 200 200 200 404",
    # What could not be read is the whole team's.
    ("quarantine", "GET"):           "200 200 200 200 200 200 200 200",
    ("quarantine-item", "GET"):      "200 200 200 200 200 200 200 404",
    ("quarantine-raw", "GET"):       "200 200 200 200 200 200 200 404",
    ("quarantine-replay", "POST"):   "403 403 302 302 403 302 403 404",
    ("quarantine-discard", "POST"):  "403 403 302 302 403 302 403 404",
    ("quarantine-replay-waiting", "POST"): "302 302 302 302 302 302 302 302",  # of what one may replay
    # Auditors and leads, of what is their team's; a copy is for who reads every team's, and here are two.
    ("audit", "GET"):                "403 200 403 403 403 200 403 200",
    ("audit-event", "GET"):          "403 200 403 403 403 200 403 404",
    ("audit-export", "GET"):         "403 403 403 403 403 403 403 403",
    # One switch for the installation; rules, holds and modes are the team's. An approver stands behind rules.
    ("automation", "GET"):               "200 200 200 200 200 200 200 200",
    ("automation-stop", "POST"):         "403 403 403 302 403 302 403 302",
    ("automation-resume", "POST"):       "403 403 403 403 403 302 403 302",
    ("automation-rule-new", "GET"):      "403 403 403 403 403 200 403 200",
    ("automation-rule-new", "POST"):     "403 403 403 403 403 302 403 302",
    ("automation-rule-edit", "GET"):     "403 403 403 403 403 200 403 404",
    ("automation-rule-edit", "POST"):    "403 403 403 403 403 302 403 404",
    ("automation-rule-approve", "POST"): "403 403 403 403 302 302 403 404",
    ("automation-rule-withdraw", "POST"): "403 403 403 403 403 409 403 404",  # it is not in force
    ("automation-rule-remove", "POST"):  "403 403 403 403 403 302 403 404",
    ("automation-hold-release", "POST"): "403 403 403 302 403 302 403 404",
    ("automation-mode", "POST"):         "403 403 403 403 403 302 403 404",
    # An inbox is one person's: here the lead's.
    ("inbox", "GET"):                "200 200 200 200 200 200 200 200",
    ("inbox-bell", "GET"):           "200 200 200 200 200 200 200 200",
    ("inbox-read-all", "POST"):      "302 302 302 302 302 302 302 302",
    ("inbox-open", "POST"):          "404 404 404 404 404 302 404 404",
    ("inbox-read", "POST"):          "404 404 404 404 404 302 404 404",
    ("inbox-acknowledge", "POST"):   "404 404 404 404 404 302 404 404",
    # People are kept by administrators; here the viewer's login. An outsider keeps nobody.
    ("people", "GET"):               "403 403 403 403 403 403 200 403",
    ("person", "GET"):               "403 403 403 403 403 403 200 403",
    ("person-sessions-end", "POST"): "403 403 403 403 403 403 302 403",
    ("person-active", "POST"):       "403 403 403 403 403 403 302 403",
    ("person-factors-reset", "POST"): "403 403 403 403 403 403 302 403",
    ("person-role", "POST"):         "403 403 403 403 403 403 302 403",
    # One's own account; what is asked of it here, nobody has.
    ("account-security", "GET"):     "200 200 200 200 200 200 200 200",
    ("account-app", "GET"):          "200 200 200 200 200 200 200 200",
    ("account-app", "POST"):         "422 422 422 422 422 422 422 422",
    ("account-key", "GET"):          "200 200 200 200 200 200 200 200",
    ("account-key", "POST"):         "422 422 422 422 422 422 422 422",
    ("account-codes", "POST"):       "409 409 409 409 409 409 409 409",
    ("account-factor-remove", "POST"): "404 404 404 404 404 404 404 404",
    ("account-sessions-end", "POST"): "302 302 302 302 302 302 302 302",
    ("account-password", "POST"):    "422 422 422 422 422 422 422 422",
    # Without a provider there is nothing to link.
    ("account-link", "POST"):        "404 404 404 404 404 404 404 404",
    ("account-unlink", "POST"):      "409 409 409 409 409 409 409 409",
    ("metrics", "GET"):              "200 200 200 200 200 200 200 200",
    ("metrics-incidents", "GET"):    "200 200 200 200 200 200 200 200",
    # Whoever may write alerts may report.
    ("report", "GET"):               "403 403 200 200 403 200 403 200",
    ("report", "POST"):              "403 403 302 302 403 302 403 302",
    # Rules reach a whole team: read by its members, kept by its leads.
    ("rules", "GET"):                "200 200 200 200 200 200 200 200",
    ("rule-new", "GET"):             "403 403 403 403 403 200 403 200",
    ("rule-new", "POST"):            "403 403 403 403 403 302 403 302",
    ("rule", "GET"):                 "200 200 200 200 200 200 200 404",
    ("rule-edit", "GET"):            "403 403 403 403 403 200 403 404",
    ("rule-edit", "POST"):           "403 403 403 403 403 302 403 404",
    ("rule-preview", "GET"):         "403 403 403 403 403 200 403 404",
    ("rule-switch", "POST"):         "403 403 403 403 403 302 403 404",
    ("rule-remove", "POST"):         "403 403 403 403 403 302 403 404",
}  # fmt: skip

#                                              key foreign bare stranger lead
DOORS = {
    ("compat-thehive-alerts", "POST"):          "201 201 403 401 401",
    ("compat-thehive-alerts-v0", "POST"):       "201 201 403 401 401",
    ("compat-thehive-alert", "GET"):            "200 404 403 401 401",
    ("compat-thehive-alert", "PATCH"):          "204 404 403 401 401",
    ("compat-thehive-observables", "POST"):     "201 404 403 401 401",
    ("compat-iris-alerts", "POST"):             "200 200 403 401 401",
    ("compat-alertmanager-webhook", "POST"):    "200 200 403 401 401",
    ("compat-alertmanager-alerts-v1", "POST"):  "200 200 403 401 401",
    ("compat-alertmanager-alerts-v2", "POST"):  "200 200 403 401 401",
    ("hook-eventbridge", "POST"):               "202 202 403 401 401",
    # The secret is in the address; a header or a session opens nothing.
    ("hook-sns", "POST"):                       "404 404 404 404 404",
    ("hook-wazuh", "POST"):                     "404 404 404 404 404",
    ("hook-splunk", "POST"):                    "404 404 404 404 404",
    ("hook-webhook", "POST"):                   "404 404 404 404 404",
    # The key is in the body; a header or a session opens nothing.
    ("compat-pagerduty-enqueue", "POST"):       "400 400 400 400 400",
    ("compat-pagerduty-create-event", "POST"):  "400 400 400 400 400",
}  # fmt: skip
"""Doors in the language of other tools: they know keys only, a person's session opens none."""

OPEN = {
    "healthz": {200},
    "readyz": {200, 503},
    "prometheus": {200},
    "schema": {200},
    "signin": {200},
    "signin-factor": {302},
    "signin-sso": {404},
    "signin-sso-callback": {404},
}
"""Answered to anyone who asks by GET."""

POSTED_BY_ANYONE = {"signout": 302, "theme": 302}

BY_EITHER = {
    "tier-policy",
    "incident-approve",
    "metrics",
    "metrics-incidents",
    "incident-timeline",
    "incident-milestones",
    "incident-close",
}
"""Pages that take any method and treat what is not POST as reading."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What one team owns, one of each, and how to name it in an address or a body."""

    alert: Alert
    incident: Incident
    action: Action
    rule: str = "0" * 26
    held: str = "0" * 26
    glass: str = "0" * 26
    absent: bool = False

    def address(self, name: str) -> str:
        """The address of that name for these objects; with `absent`, for objects that there are not."""
        known = {
            "<str:source>": "guardduty",
            "<str:account>": "000000000000" if self.absent else make.ACCOUNT,
            "<str:secret>": "qh_unknown",
            "<str:ref>": "INC-1999-0001" if self.absent else self.incident.ref,
            "<str:plan>": "compromised-access-key",
            "<str:ulid>": "0" * 26 if self.absent else self._ulid(name),
            "<str:digest>": DIGEST,
            "<str:seq>": "999999999" if self.absent else self._seq(),
        }
        given = [value for part, value in known.items() if part in ROUTES[name]]
        return reverse(name, args=given)

    def _seq(self) -> str:
        """The event that tells of the incident's evidence."""
        added = AuditEvent.objects.filter(object_type="evidence")
        return str(added.values_list("seq", flat=True).get(object_id=self.incident.evidence.get().ulid))

    def _ulid(self, name: str) -> str:
        if name.startswith("person"):
            return str(User.objects.filter(username="viewer").values_list("ulid", flat=True).get())
        if "automation-hold" in name:
            return str(Hold.objects.values_list("ulid", flat=True).get())
        if "automation-rule" in name:
            return str(AutoRule.objects.values_list("ulid", flat=True).get())
        if "inbox" in name:
            return str(InboxItem.objects.values_list("ulid", flat=True).get())
        if "evidence" in name:
            return str(self.incident.evidence.values_list("ulid", flat=True).get())
        if "rule" in name:
            return self.rule
        if "quarantine" in name:
            return self.held
        if name == "tier-policy-decide":
            return "0" * 26
        if "glass-review" in name:
            return self.glass
        return self.action.ulid if "action" in name else self.alert.ulid


def patterns(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every address of the product: its name and its pattern."""
    for entry in (resolver or get_resolver()).url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, path)
        elif isinstance(entry, URLPattern):
            assert entry.name, f"{path} has no name"
            yield entry.name, path


ROUTES = dict(patterns())

NATIVE = {"source": "edr", "external_id": "fresh-1", "title": "Fresh"}
QUERIES = {"api-metrics-incidents": {"metric": "time_to_contain"}, "alerts-news": {"since": "0" * 26}}
DIGEST = "d" * 64
RULE = {
    "name": "Known",
    "effect": "open",
    "position": "100",
    "min_severity": "0",
    "max_severity": "100",
    "window": "24",
    "unit": "hours",
    "save": "1",
}
ALONE = {"reason": "nobody who may approve can be reached", "typed": "i-0123456789abcdef0"}
KEY = {"type": "access_key", "account": make.ACCOUNT, "region": "eu-west-1", "id": "AKIAEXAMPLE0000001"}


AUTO_RULE = {
    "name": "Known",
    "type": "UnauthorizedAccess:*",
    "min_severity": "70",
    "max_tier": "1",
    "per_hour": "5",
    "per_account": "3",
    "environments": ["production"],
    "action_types": ["iam.deactivate-access-key"],
    "version": "1",
}


AUTO_RULE_BODY = {
    name: int(value) if isinstance(value, str) and value.isdigit() else value
    for name, value in AUTO_RULE.items()
    if name != "version"
}


def _picked(site: Site) -> dict[str, list[str]]:
    """The first of what is offered for the incident, as a form names it."""
    return {"pick": [one.pick for one in suggestions(site.incident)[:1]]}


def _tainted(site: Site) -> dict[str, str]:
    """One tainted target of the incident, as a form names it."""
    row = coverage(site.incident)[0]
    return {"kind": row.kind, "target": row.id, "account": row.account}


def body_of(name: str, site: Site) -> Any:
    """A body that is right for the address, so that only the caller decides about the answer."""
    at = clock.now() - timedelta(minutes=1)
    bodies: dict[str, Any] = {
        "api-alerts": NATIVE,
        "api-alerts-batch": [NATIVE],
        "api-alert": {"tags": ["seen"]},
        "api-alert-dismiss": {"verdict": "benign", "reason": "known"},
        "api-ingest": {"not": "a finding"},
        "api-incidents": {"title": "By hand"},
        "api-incidents-import": {
            "external_id": "old-1",
            "title": "Old",
            "severity": 50,
            "milestones": {"detected_at": "2026-10-01T00:00:00Z"},
        },
        "api-incident": {"title": "Renamed"},
        "api-incident-milestones": {"kind": "first_ioc_at", "at": at.isoformat(), "reason": "the log"},
        "api-incident-timeline": {"title": "Called the owner"},
        "api-quarantine-discard": {"reason": "noise"},
        "quarantine-discard": {"reason": "noise"},
        "api-rules": {"name": "Known", "effect": "open"},
        "api-rules-preview": {"effect": "open"},
        "api-rule": {"min_severity": 10},
        "api-actions": {"type": "iam.deactivate-access-key", "target": KEY, "params": {"user": "ci"}},
        "api-action-approve": {"plan_hash": site.action.plan_hash},
        "api-action-reject": {"reason": "not this"},
        "api-action-revert": {"reason": "all clear"},
        "api-action-revoke": {"reason": "not sure"},
        "api-action-break-glass": ALONE | {"plan_hash": site.action.plan_hash},
        "api-glass-review": {"is_justified": True, "finding": "nobody answered"},
        "action-revoke": {"reason": "not sure"},
        "action-break-glass": ALONE | {"plan_hash": site.action.plan_hash},
        "tier-policy": {"reason": "the sandbox holds nothing"},
        "glass-review": {"justified": "yes", "finding": "nobody answered"},
        "alerts-selected": {"do": "take", "alert": site.alert.ulid},
        "alert-dismiss": {"verdict": "benign", "reason": "known"},
        "incident-timeline": {"at": f"{at:%Y-%m-%d %H:%M:%S}", "text": "Called the owner"},
        "incident-milestones": {
            "kind": "first_ioc_at",
            "at": f"{at:%Y-%m-%d %H:%M:%S}",
            "reason": "the log says so",
        },
        "person-role": {"role": "analyst", "team": make.team().ulid},
        "report": {
            "token": ids.ulid(),
            "title": "Odd mail",
            "happened": "It asked for a password.",
            "noticed_at": f"{at:%Y-%m-%d %H:%M:%S}",
            "severity": "medium",
        },
        "api-action-hand-over": {"incident": site.incident.ref, "reason": "it goes on there"},
        "action-hand-over": {"incident": site.incident.ref, "reason": "it goes on there"},
        "api-action-keep": {"until": (at + timedelta(days=1)).isoformat(), "reason": "still hunting"},
        "api-automation-rules": AUTO_RULE_BODY | {"expires_at": (at + timedelta(days=30)).isoformat()},
        "api-automation-rule": {"version": 1, "min_severity": 80},
        "api-automation-rule-approve": {"version": 1},
        "api-automation-hold-release": {"reason": "fine"},
        "api-automation-stop": {"reason": "odd"},
        "api-automation-resume": {"reason": "fine"},
        "automation-stop": {"reason": "odd"},
        "automation-resume": {"reason": "fine"},
        "automation-rule-new": AUTO_RULE | {"expires_at": f"{at + timedelta(days=30):%Y-%m-%d}"},
        "automation-rule-edit": AUTO_RULE | {"expires_at": f"{at + timedelta(days=30):%Y-%m-%d}"},
        "automation-rule-approve": {"version": "1"},
        "automation-hold-release": {"reason": "fine"},
        "automation-mode": {"mode": "observe", "reason": "calm"},
        "rule-new": RULE,
        "rule-edit": RULE,
        "rule-switch": {"on": "yes"},
        "incident-severity": {"severity": "low"},
        "incident-phase": {"to": "containment"},
        "incident-close": {"verdict": "true_positive", "resolution": "The key was replaced."},
        "incident-approve": {"plan": f"{site.action.ulid}:{site.action.plan_hash}"},
        "action-keep": {"until": f"{at + timedelta(days=1):%Y-%m-%dT%H:%M}", "reason": "still hunting"},
        "action-approve": {"plan_hash": site.action.plan_hash},
        "action-reject": {"reason": "not this"},
        "action-revert": {"reason": "all clear"},
    }
    if name == "action-propose":
        return _picked(site)
    if name == "coverage-require":
        return {**_tainted(site), "required": "no", "reason": "a drill"}
    if "incident-evidence" in name:
        return {"file": SimpleUploadedFile("log.txt", b"a line"), "source": "the owner's laptop"}
    return bodies.get(name, {})


def ask(client: Client, name: str, method: str, site: Site) -> Any:
    """Ask, and take back whatever the answer changed."""
    given: dict[str, Any] = {}
    if name.startswith("api-") and name != "api-incident-evidence":
        given = {"data": json.dumps(body_of(name, site)), "content_type": "application/json"}
    elif method == "POST":
        given = {"data": body_of(name, site)}
    address = site.address(name)
    with transaction.atomic():
        if method == "GET":
            response = client.get(address, QUERIES.get(name))
        elif method == "POST":
            response = client.post(address, **given)
        else:
            response = client.generic(method, address, **given)
        transaction.set_rollback(True)
    return response


def site(**incident: Any) -> Site:
    """An alert, an incident with a stolen key in it, and a plan that waits for a second person."""
    opened = make.incident(**incident)
    resources = [{"type": "access_key", "id": KEY["id"]}, {"type": "user", "id": "ci"}]
    inner, alert = make.alert(incident=opened, resources=resources), make.alert()
    for one in (inner, alert):
        RawDocument.objects.create(alert=one, digest=DIGEST, body={}, received_at=one.received_at)
    evidence.upload(
        incident=opened,
        name="notes.txt",
        media_type="text/plain",
        source="the owner",
        chunks=[b"seen at two"],
        by=SYSTEM,
        at=clock.now(),
    )
    action = Action.objects.create(
        incident=opened,
        type="ec2.isolate-instance",
        target={
            "type": "instance",
            "account": make.ACCOUNT,
            "region": "eu-west-1",
            "id": "i-0123456789abcdef0",
        },
        category="containment",
        tier=2,
        status=ActionStatus.PLANNED,
        plan={"steps": [], "facts": {}, "holds": [], "notes": {}, "changes": [], "warnings": []},
        plan_hash="ab" * 32,
        requested_label="someone",
        requested_at=clock.now(),
        planned_at=clock.now(),
        expires_at=clock.now() + timedelta(hours=4),
        updated_at=clock.now(),
    )
    make.heard()
    make.automation()
    return Site(
        alert=alert,
        incident=opened,
        action=action,
        rule=make.rule().ulid,
        held=make.quarantined().ulid,
        glass=_broken(action),
    )


def _broken(action: Action) -> str:
    """A broken glass over the action, which waits on for the sake of the other addresses."""
    login = f"alone-{action.ulid.lower()}"
    alone = make.person(Role.RESPONDER, login=login)
    assert alone.person_id
    made = Approval.objects.create(
        action=action,
        plan_hash=action.plan_hash,
        person_id=alone.person_id,
        login=login,
        decision="break-glass",
        reason=ALONE["reason"],
        at=clock.now(),
    )
    return GlassReview.objects.create(approval=made, due_at=clock.now() + timedelta(hours=24)).ulid


@pytest.fixture
def blue() -> Site:
    make.account()
    return site()


@pytest.fixture
def callers(outsider: Actor) -> dict[str, Client]:
    actors = {role: make.person(Role(role), login=role) for role in ROLES}
    make.inbox_item(actors["lead"])
    people = {role: make.browser(actor) for role, actor in actors.items()}
    return people | {
        "outsider": make.browser(outsider),
        "key": make.program(make.key()),
        "foreign": make.program(make.key(team="other")),
        "bare": make.program(make.key("audit:read")),
    }


def test_every_address_is_in_the_table() -> None:
    told = {name for name, _ in (*API, *PAGES, *DOORS)} | set(OPEN) | set(POSTED_BY_ANYONE)
    assert set(ROUTES) == told
    assert all(ROUTES[name].startswith("api/v1/") for name, _ in API)
    assert not any(ROUTES[name].startswith("api/") for name, _ in PAGES)
    assert all(len(row.split()) == len(COLUMNS) for row in API.values())
    assert all(len(row.split()) == len(ROLES) + 1 for row in PAGES.values())


@pytest.mark.parametrize(("name", "method"), [*API, *PAGES])
def test_everyone_gets_the_answer_of_the_table(
    blue: Site, callers: dict[str, Client], name: str, method: str
) -> None:
    row = (API.get((name, method)) or PAGES[name, method]).split()
    expected = dict(zip(COLUMNS, row, strict=False))

    answers = {who: ask(callers[who], name, method, blue) for who in expected}

    assert {who: str(answer.status_code) for who, answer in answers.items()} == expected
    if name.startswith("api-"):
        refused = [answer for answer in answers.values() if answer.status_code >= 400]
        assert {answer["Content-Type"] for answer in refused} <= {"application/problem+json"}


@pytest.mark.parametrize(("name", "method"), [*API, *PAGES])
def test_strangers_and_keys_on_pages(blue: Site, callers: dict[str, Client], name: str, method: str) -> None:
    stranger = ask(Client(), name, method, blue)

    if name.startswith("api-"):
        assert stranger.status_code == 401
        assert stranger["Content-Type"] == "application/problem+json"
        return
    keyed = ask(callers["key"], name, method, blue)
    for answer in (stranger, keyed):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/signin" if name != "home" else "/alerts")


@pytest.mark.parametrize("name", sorted({name for name, _ in (*API, *PAGES)} - {"home"} - BY_EITHER))
def test_no_other_method_does_anything(blue: Site, callers: dict[str, Client], name: str) -> None:
    told = {method for known, method in (*API, *PAGES) if known == name}
    for method in set(METHODS) - told:
        assert ask(callers["lead"], name, method, blue).status_code == 405, method


@pytest.mark.parametrize("name", sorted(BY_EITHER))
def test_other_methods_on_pages_that_read_change_nothing(
    blue: Site, callers: dict[str, Client], name: str
) -> None:
    before = Incident.objects.values().get()
    for method in ("PUT", "PATCH", "DELETE"):
        assert callers["lead"].generic(method, blue.address(name)).status_code in (200, 405)
    assert Incident.objects.values().get() == before


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name, method in (*API, *PAGES)
        if any(part in ROUTES[name] for part in ("<str:ref>", "ulid", "<str:seq>"))
        and "rule" not in name
        and "quarantine" not in name
        and "inbox" not in name
        and "person" not in name
        and "automation" not in name
        and "tier-policy" not in name
    ],
)
def test_what_is_foreign_or_restricted_is_as_if_it_were_not_there(
    blue: Site, callers: dict[str, Client], name: str, method: str, named_lead: Actor
) -> None:
    hidden = site(named=[named_lead])
    inner = Alert.objects.get(incident=hidden.incident)
    hidden = Site(alert=inner, incident=hidden.incident, action=hidden.action, glass=hidden.glass)
    absent = Site(alert=inner, incident=hidden.incident, action=hidden.action, absent=True)
    row = (API.get((name, method)) or PAGES[name, method]).split()
    for who, status in dict(zip(COLUMNS, row, strict=False)).items():
        nothing = ask(callers[who], name, method, absent)
        restricted = ask(callers[who], name, method, hidden)
        assert told(restricted) == told(nothing), who
        # Where a role or key is refused whatever it names, it stays 403; for all others it is 404.
        assert restricted.status_code in ((403, 404) if status == "403" else (404,)), who
        if who in ("outsider", "foreign"):
            assert told(ask(callers[who], name, method, blue)) == told(nothing), who
    seen = ask(make.browser(named_lead), name, method, hidden).status_code
    assert seen != 404


@pytest.mark.parametrize(
    ("name", "method"),
    [one for one in (*API, *PAGES) if "rules/<str:ulid>" in ROUTES[one[0]] and "automation" not in one[0]],
)
def test_a_foreign_rule_is_as_if_it_were_not_there(
    blue: Site, callers: dict[str, Client], name: str, method: str
) -> None:
    absent = replace(blue, rule="0" * 26)
    limited = make.browser(make.person("lead", accounts=[make.ACCOUNT]))
    for client in (callers["outsider"], callers["foreign"], limited):
        assert told(ask(client, name, method, blue)) == told(ask(client, name, method, absent))


@pytest.mark.parametrize(
    ("name", "method"), [one for one in (*API, *PAGES) if "quarantine/<str:ulid>" in ROUTES[one[0]]]
)
def test_a_foreign_item_of_quarantine_is_as_if_it_were_not_there(
    blue: Site, callers: dict[str, Client], name: str, method: str
) -> None:
    absent = replace(blue, held="0" * 26)
    limited = make.browser(make.person("lead", accounts=[make.ACCOUNT]))
    askers = (callers["outsider"], limited, *([callers["foreign"]] if name.startswith("api-") else []))
    for client in askers:
        assert told(ask(client, name, method, blue)) == told(ask(client, name, method, absent))


@pytest.mark.parametrize(("name", "method"), [one for one in PAGES if "people/<str:ulid>" in ROUTES[one[0]]])
def test_a_person_of_another_team_is_as_if_there_were_nobody(
    blue: Site, callers: dict[str, Client], name: str, method: str
) -> None:
    assert ask(callers["admin"], name, method, blue).status_code in (200, 302)
    foreign = make.browser(make.person(Role.ADMIN, team="other"))
    limited = make.browser(make.person(Role.ADMIN, accounts=[make.ACCOUNT]))
    assert ask(foreign, name, method, blue).status_code == 404
    assert ask(limited, name, method, blue).status_code == 403


@pytest.fixture
def named_lead(db: None) -> Actor:
    return make.person(Role.LEAD, login="named")


def told(answer: Any) -> object:
    """What an answer tells: all of a problem but the id of the request, of a page its status."""
    if answer["Content-Type"] != "application/problem+json":
        return answer.status_code
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def test_lists_leave_out_what_is_foreign_or_restricted(
    blue: Site, callers: dict[str, Client], named_lead: Actor
) -> None:
    hidden = site(named=[named_lead]).incident
    inner = Alert.objects.get(incident=hidden)
    for who in (*ROLES, "key", "outsider", "foreign"):
        client = callers[who]
        refs = {one["ref"] for one in client.get("/api/v1/incidents").json()["results"]}
        ids = {one["id"] for one in client.get("/api/v1/alerts").json()["results"]}
        counted = {
            one["ref"] for one in client.get("/api/v1/metrics/incidents?metric=ttc").json().get("results", [])
        }
        is_ours = who not in ("outsider", "foreign")
        assert refs == ({blue.incident.ref} if is_ours else set()), who
        assert (blue.alert.ulid in ids) is is_ours, who
        assert inner.ulid not in ids, who
        assert hidden.ref not in counted, who


@pytest.mark.parametrize("who", ["viewer", "auditor", "approver", "admin", "outsider"])
def test_the_verb_for_selected_rows_leaves_what_is_not_for_them(
    blue: Site, callers: dict[str, Client], who: str
) -> None:
    callers[who].post(reverse("alerts-selected"), {"do": "take", "alert": blue.alert.ulid})

    assert Alert.objects.get(pk=blue.alert.pk).status == AlertStatus.NEW


def test_a_seat_for_some_accounts_reaches_no_target_in_another(blue: Site) -> None:
    """An incident's account is theirs, an action's target is not: they neither see it nor ask for it."""
    Incident.objects.filter(pk=blue.incident.pk).update(account="999999999999")
    limited = make.browser(make.person("lead", accounts=["999999999999"]))
    actions = f"/api/v1/incidents/{blue.incident.ref}/actions"

    assert limited.get(actions).json()["results"] == []
    assert limited.get(f"/api/v1/incidents/{blue.incident.ref}/suggestions").json()["results"] == []
    assert limited.get(f"/api/v1/actions/{blue.action.ulid}").status_code == 404
    asked = limited.post(actions, json.dumps(body_of("api-actions", blue)), content_type="application/json")
    assert asked.status_code == 403
    assert Action.objects.count() == 1


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_whoever_reads_everywhere_decides_only_where_their_role_reaches(blue: Site, verb: str) -> None:
    """A lead for one account who reads all others approves nothing in those."""
    lead = make.person("lead", login="limited", accounts=["999999999999"])
    Membership.objects.create(
        person=Person.objects.get(ulid=lead.person_ulid), team=make.team(), role="viewer"
    )

    for name in (f"api-action-{verb}", f"action-{verb}"):
        client = make.browser(lead)
        assert ask(client, name, "POST", blue).status_code == 403


DOOR_BODIES: dict[str, Any] = {
    "compat-thehive-alerts": {"type": "t", "source": "s", "sourceRef": "r", "title": "T", "description": "d"},
    "compat-thehive-alert": {"addTags": ["seen"]},
    "compat-thehive-observables": {"dataType": "ip", "data": "198.51.100.7"},
    "compat-iris-alerts": {"alert_title": "T", "alert_severity_id": 4},
    "compat-alertmanager-webhook": {"status": "firing", "alerts": [{"labels": {"alertname": "A"}}]},
    "compat-alertmanager-alerts-v1": [{"labels": {"alertname": "A"}}],
}


@pytest.mark.parametrize(("name", "method"), [*DOORS])
def test_every_door_knows_keys_alone(blue: Site, callers: dict[str, Client], name: str, method: str) -> None:
    alike = {"compat-thehive-alerts-v0": "compat-thehive-alerts"}.get(name, name.replace("-v2", "-v1"))
    body = json.dumps(DOOR_BODIES.get(alike, {}))
    told = {}
    for who, client in (callers | {"stranger": Client()}).items():
        with transaction.atomic():
            asked = client.generic(method, blue.address(name), body, content_type="application/json")
            transaction.set_rollback(True)
        told[who] = str(asked.status_code)

    order = ("key", "foreign", "bare", "stranger", "lead")
    assert [told[who] for who in order] == DOORS[name, method].split()
    for other in set(METHODS) - {known for door, known in DOORS if door == name}:
        asked = callers["key"].generic(other, blue.address(name), body, content_type="application/json")
        assert asked.status_code == 405, other


@pytest.mark.parametrize("name", sorted(OPEN))
def test_what_is_open_to_anyone(name: str) -> None:
    assert Client().get(reverse(name)).status_code in OPEN[name]


@pytest.mark.parametrize("name", sorted(POSTED_BY_ANYONE))
def test_what_anyone_may_post(name: str) -> None:
    assert Client().post(reverse(name)).status_code == POSTED_BY_ANYONE[name]
    assert Client().get(reverse(name)).status_code == 405
