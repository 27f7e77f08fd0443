"""Addresses that name nothing, however they are spelled: never a 5xx, on either engine."""

from __future__ import annotations

import pytest
from django.urls import reverse

from identity.actors import Actor
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

NAMED_BY_TEXT = (
    "alert",
    "incident",
    "incident-timeline",
    "rule",
    "rule-edit",
    "quarantine-item",
    "action",
    "api-alert",
    "api-alert-documents",
    "api-rule",
    "api-incident",
    "api-quarantine-item",
    "api-action",
)


@pytest.mark.parametrize("name", NAMED_BY_TEXT)
@pytest.mark.parametrize("text", ["\0", "a\0b", "\u202e", "\ud7ff", "x" * 3000, "%", "'"])
def test_an_address_that_names_nothing_is_a_404(lead: Actor, name: str, text: str) -> None:
    client = make.browser(lead)
    client.raise_request_exception = False

    assert client.get(reverse(name, args=[text])).status_code == 404


@pytest.mark.parametrize(
    "name", ["alerts", "incidents", "rules", "quarantine", "sources", "metrics", "report"]
)
def test_a_query_of_nonsense_breaks_no_page(lead: Actor, name: str) -> None:
    client = make.browser(lead)
    client.raise_request_exception = False
    nonsense = (
        "q",
        "view",
        "page",
        "cursor",
        "status",
        "severity",
        "account",
        "owner",
        "source",
        "reason",
        "from",
        "to",
        "by",
        "state",
    )

    for text in ("\0", "a\0b", "-1", "9" * 400, "\u202e", "'"):
        for word in nonsense:
            assert client.get(reverse(name), {word: text}).status_code < 500, (word, text)
