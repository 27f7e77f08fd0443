"""The pages of triage rules: what they say, what is refused where, and that nobody overwrites unseen."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import AuditEvent
from cases import rule_list, ruling, sweeps
from cases.models import Alert, TriageRule
from cases.rule_forms import FIELDS, rows_of
from cases.ruling import Wording
from cases.words import AlertStatus, RuleEffect, Verdict
from identity.actors import Actor
from identity.models import Membership, Person, Role
from lib import clock
from tests import make
from tests.cases.test_pages import MARKER, tags_of

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

Rows = list[tuple[str, str, str]]


def sent(*rows: tuple[str, str, str], **values: Any) -> dict[str, Any]:
    """What a browser without JavaScript posts: every field of the form, and its rows in parallel."""
    given = {
        "name": "Office scanner",
        "effect": "suppress",
        "position": "100",
        "source": "",
        "type": "",
        "min_severity": "0",
        "max_severity": "100",
        "window": "24",
        "unit": "hours",
        "group_by": "subject",
        "shift": "",
        "route_to": "",
        "reason": "Weekly scan",
        "expires_at": f"{clock.now() + timedelta(days=30):%Y-%m-%d}",
        "field": [row[0] for row in rows] + ["accounts"],
        "operator": [row[1] for row in rows] + ["is"],
        "value": [row[2] for row in rows] + [""],
        "save": "1",
    }
    return {**given, **values}


def post(client: Client, to: str, /, *args: str, **data: Any) -> Any:
    return client.post(reverse(to, args=args), data)


def page(client: Client, name: str, *args: str, **query: str) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200, answer.content.decode()[:300]
    return words(answer)


def words(answer: Any) -> str:
    """The page as it is read: without tags, with single spaces."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", bare)).split())


@pytest.fixture
def client(lead: Actor) -> Client:
    return make.browser(lead)


# --- from its making to its end ------------------------------------------------------------------------


def test_a_rule_is_made_off_tried_switched_on_and_suppresses(client: Client, lead: Actor) -> None:
    due = clock.now()
    hit = make.alert(title="the scan", type="Recon:EC2/PortProbe", severity=50, due_at=due)
    make.alert(title="something else", type="Trojan:EC2/DNS", severity=50)

    tried = post(client, "rule-new", **sent(type="Recon:*", preview="1", save=[]))
    assert tried.status_code == 200
    assert "1 of 1 alerts looked at fit" in words(tried)
    assert reverse("alert", args=[hit.ulid]) in tried.content.decode()
    assert not TriageRule.objects.exists()

    made = post(client, "rule-new", **sent(type="Recon:*"))
    rule = TriageRule.objects.get()
    assert made["Location"] == reverse("rule", args=[rule.ulid])
    assert (rule.is_on, rule.created_by, rule.type) == (False, lead.label, "Recon:*")

    looked = client.get(reverse("rule-preview", args=[rule.ulid]))
    assert "1 would have been dismissed" in words(looked)
    version = re.search(r'name="version" value="([^"]+)"', looked.content.decode())
    assert version is not None
    assert post(client, "rule-switch", rule.ulid, on="yes", version=version[1]).status_code == 302
    sweeps.sweep_alerts()

    hit.refresh_from_db()
    assert (hit.status, hit.verdict, hit.verdict_reason) == (
        AlertStatus.DISMISSED,
        Verdict.SUPPRESSED,
        "Weekly scan",
    )
    shown = page(client, "rule", rule.ulid)
    assert "1 hit in 30 days" in shown
    assert "the scan" in shown
    for line in ("Switched on", "Made, switched off"):
        assert f"{line} {lead.label}," in shown
    assert post(client, "rule-remove", rule.ulid).status_code == 409
    assert post(client, "rule-switch", rule.ulid, on="no").status_code == 302
    rule.refresh_from_db()
    assert not rule.is_on


def test_one_that_did_nothing_is_removed(client: Client) -> None:
    rule = make.rule()

    assert post(client, "rule-remove", rule.ulid)["Location"] == reverse("rules")
    assert not TriageRule.objects.exists()


def test_neither_a_preview_nor_another_row_stores_anything(client: Client) -> None:
    more = post(client, "rule-new", **sent(("title", "contains", "scan"), more="1", save=[]))

    shown = more.content.decode()
    assert more.status_code == 200
    assert shown.count('class="condition"') == 4
    assert 'value="scan"' in shown
    assert 'value="Office scanner"' in shown
    assert 'aria-invalid="true"' not in shown
    assert not TriageRule.objects.exists()


def test_a_switch_says_whether_it_is_to_be_on(client: Client) -> None:
    rule = make.rule()

    assert post(client, "rule-switch", rule.ulid, on="maybe").status_code == 422
    rule.refresh_from_db()
    assert not rule.is_on


# --- what a form says ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "conditions"),
    [
        ([("accounts", "is", "111122223333, 444455556666")], {"accounts": ["111122223333", "444455556666"]}),
        (
            [("principals", "begins", "ci-"), ("principals", "is", "root")],
            {"principals": ["ci-*", "root"]},
        ),
        ([("resources", "ends", "/prod")], {"resources": ["*/prod"]}),
        ([("title", "contains", "port scan")], {"title": "*port scan*"}),
        ([("resources", "like", "arn:*:role/*-ci")], {"resources": ["arn:*:role/*-ci"]}),
        ([("observables", "is", "198[.]51[.]100[.]0/24")], {"observables": ["198.51.100.0/24"]}),
        (
            [("labels", "is", "team=web"), ("labels", "begins", "env=prod")],
            {"labels": {"team": "web", "env": "prod*"}},
        ),
        ([("is_sample", "is", "No"), ("is_posture", "is", "yes")], {"is_sample": False, "is_posture": True}),
        ([("ou_paths", "is", "Root/Production/")], {"ou_paths": ["Root/Production"]}),
        (
            [("environments", "is", "production"), ("techniques", "is", "T1078")],
            {"environments": ["production"], "techniques": ["T1078"]},
        ),
        ([("tags", "is", "   ")], {}),
    ],
)
def test_rows_become_conditions_and_conditions_rows(
    client: Client, rows: Rows, conditions: dict[str, Any]
) -> None:
    assert post(client, "rule-new", **sent(*rows)).status_code == 302
    rule = TriageRule.objects.get()
    assert rule.conditions == conditions

    shown = rows_of(rule.conditions)
    again = sent(*[(row.field, row.operator, row.value) for row in shown])
    assert post(client, "rule-edit", rule.ulid, **again).status_code == 302
    rule.refresh_from_db()
    assert rule.conditions == conditions


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("accounts", "is", "12345"), "An AWS account id has twelve digits."),
        (("accounts", "is", "111122223333, 12"), "An AWS account id has twelve digits."),
        (("accounts", "begins", "1111"), "choose “is”"),
        (("environments", "is", "moon"), "One of production"),
        (("techniques", "is", "Phishing"), "A technique such as T1078"),
        (("regions", "is", "Ireland!"), "A region such as eu-west-1."),
        (("observables", "is", "10.0.0.0/99"), "No network is written like that."),
        (("principals", "is", "ci-*"), "only where the condition “is like”"),
        (("labels", "is", "no equals sign"), "the tag's key, =, and its value"),
        (("is_sample", "is", "perhaps"), "Write yes or no."),
        (("title", "is", "x" * 301), "A text of 1 to 300 characters."),
        (("nothing", "is", "x"), "Choose what is compared"),
        (("accounts", "is", ","), "Write at least one."),
    ],
)
def test_a_condition_that_cannot_be_is_refused_at_its_row(
    client: Client, row: tuple[str, str, str], says: str
) -> None:
    answer = post(client, "rule-new", **sent(("regions", "is", "eu-west-1"), row))

    assert answer.status_code == 422
    beside = re.search(r'id="row-2-error".*?</p>', answer.content.decode(), flags=re.DOTALL)
    assert beside is not None
    assert says in unescape(beside[0])
    assert 'id="row-1-error"' not in answer.content.decode()
    assert not TriageRule.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "rule-name"),
        ({"reason": ""}, "rule-reason"),
        ({"expires_at": ""}, "rule-end"),
        ({"expires_at": "soon"}, "rule-end"),
        ({"expires_at": "2020-01-01"}, "rule-end"),
        ({"expires_at": "2999-01-01"}, "rule-end"),
        ({"min_severity": "80", "max_severity": "20"}, "rule-min"),
        ({"max_severity": "101"}, "rule-max"),
        ({"position": "first"}, "rule-position"),
        ({"type": "a*b"}, "rule-type"),
        ({"effect": "adjust"}, "rule-shift"),
        ({"effect": "adjust", "shift": "0"}, "rule-shift"),
        ({"effect": "adjust", "shift": "--5"}, "rule-shift"),
        ({"effect": "route"}, "rule-route"),
        ({"effect": "route", "route_to": "nobody"}, "rule-route"),
        ({"effect": "route", "route_to": "blue"}, "rule-route"),
        ({"effect": "open", "window": "0"}, "rule-window"),
        ({"effect": "open", "window": "91", "unit": "days"}, "rule-window"),
        ({"effect": "open", "group_by": "luck"}, "rule-group"),
        ({"effect": "explode"}, "rule-effect"),
        ({"effect": ""}, "rule-effect"),
    ],
)
def test_a_field_that_cannot_be_is_refused_where_it_stands(
    client: Client, values: dict[str, str], field: str
) -> None:
    for button in ("save", "preview"):
        answer = post(client, "rule-new", **sent(**{"save": [], button: "1", **values}))
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.content.decode()
        assert "Nothing is saved." in answer.content.decode()
    assert not TriageRule.objects.exists()


def test_only_what_belongs_to_the_effect_counts(client: Client) -> None:
    made = post(
        client, "rule-new", **sent(effect="adjust", shift="+15", window="many", route_to="nobody", reason="")
    )

    rule = TriageRule.objects.get()
    assert made.status_code == 302
    assert (rule.shift, rule.route_to, rule.effect) == (15, None, RuleEffect.ADJUST)


def test_a_date_alone_means_its_end(client: Client) -> None:
    day = clock.now() + timedelta(days=3)
    post(client, "rule-new", **sent(expires_at=f"{day:%Y-%m-%d}"))

    assert f"{TriageRule.objects.get().expires_at:%Y-%m-%d %H:%M:%S}" == f"{day:%Y-%m-%d} 23:59:59"


def test_an_ended_rule_can_be_renamed_but_switched_on_only_with_a_later_end(client: Client) -> None:
    ended = clock.now() - timedelta(hours=1)
    rule = make.rule(effect="suppress", reason="old", expires_at=ended)
    form = client.get(reverse("rule-edit", args=[rule.ulid])).content.decode()
    shown = re.search(r'name="expires_at" value="([^"]+)"', form)
    assert shown is not None

    renamed = post(client, "rule-edit", rule.ulid, **sent(name="Renamed", reason="old", expires_at=shown[1]))
    assert renamed.status_code == 302
    rule.refresh_from_db()
    assert (rule.name, rule.expires_at) == ("Renamed", ended)
    assert post(client, "rule-switch", rule.ulid, on="yes").status_code == 409
    assert "Ended" in page(client, "rules", view="ended")
    assert "1 rule of your teams is in another state" in page(client, "rules", view="on")


def test_a_rule_keeps_its_effect(client: Client) -> None:
    rule = make.rule(effect="open")

    answer = post(client, "rule-edit", rule.ulid, **sent())

    assert answer.status_code == 422
    rule.refresh_from_db()
    assert rule.effect == RuleEffect.OPEN


def test_a_name_that_is_taken_is_said_at_the_name(client: Client) -> None:
    make.rule(name="Office scanner")

    answer = post(client, "rule-new", **sent())

    assert answer.status_code == 409
    assert 'id="rule-name-error"' in answer.content.decode()
    assert "Weekly scan" in answer.content.decode()


# --- two people at once --------------------------------------------------------------------------------


def version_on(client: Client, rule: TriageRule) -> str:
    form = client.get(reverse("rule-edit", args=[rule.ulid])).content.decode()
    found = re.search(r'name="version" value="([^"]+)"', form)
    assert found is not None
    return found[1]


def test_whoever_edits_what_somebody_changed_meanwhile_is_told_who_and_keeps_what_they_wrote(
    client: Client,
) -> None:
    rui = make.person(Role.LEAD, login="rui")
    rule = make.rule(effect="suppress", reason="first", expires_at=clock.now() + timedelta(days=9))
    seen = version_on(client, rule)
    assert (
        post(make.browser(rui), "rule-edit", rule.ulid, **sent(reason="of rui", version=seen)).status_code
        == 302
    )

    late = post(client, "rule-edit", rule.ulid, **sent(reason="of mine", version=seen))

    assert late.status_code == 409
    assert "Not saved: rui was faster" in words(late)
    assert "reason" in words(late)
    assert 'value="of mine"' in late.content.decode()
    rule.refresh_from_db()
    assert rule.reason == "of rui"
    # Saving again, having been told, is meant.
    now = re.search(r'name="version" value="([^"]+)"', late.content.decode())
    assert now is not None
    assert post(client, "rule-edit", rule.ulid, **sent(reason="of mine", version=now[1])).status_code == 302
    rule.refresh_from_db()
    assert rule.reason == "of mine"


@pytest.mark.parametrize("verb", ["rule-switch", "rule-remove"])
def test_nobody_switches_or_removes_what_reads_differently_by_now(
    client: Client, lead: Actor, verb: str
) -> None:
    rule = make.rule()
    seen = ruling.version_of(rule)
    ruling.change(rule=rule, wording=Wording(name="Another", min_severity=5), by=lead, at=clock.now())

    late = post(client, verb, rule.ulid, on="yes", version=seen)

    assert late.status_code == 409
    assert "changed this rule since you loaded it" in words(late)
    rule.refresh_from_db()
    assert not rule.is_on


# --- the list ------------------------------------------------------------------------------------------


def test_the_list_is_in_the_order_in_which_rules_are_looked_at_and_in_plain_words(client: Client) -> None:
    make.team("green")
    end = clock.now() + timedelta(days=3)
    make.rule(name="Opens", effect="open", min_severity=70, type="UnauthorizedAccess:*", is_on=True)
    make.rule(
        name="Quiet",
        effect="suppress",
        reason="known",
        expires_at=end,
        is_on=True,
        conditions={"accounts": ["1" * 12], "labels": {"env": "prod*"}},
    )
    make.rule(name="Moves", effect="route", route_to=make.team("green"), conditions={"is_sample": False})
    make.rule(name="Later", effect="adjust", shift=-20, position=200)
    make.rule(name="Sooner", effect="adjust", shift=15, position=1, source="guardduty")

    shown = page(client, "rules")

    order = ["Sooner", "Later", "Moves", "Quiet", "Opens"]
    assert sorted(order, key=shown.index) == order
    for said in (
        "Raises the severity by 15",
        "Lowers the severity by 20",
        "Gives them to Green team",
        "Dismisses them as suppressed",
        "Opens an incident, joined by others about the same principal or resource within 24 h",
        "type UnauthorizedAccess:* and severity 70 or more",
        "account 111111111111 and AWS tag env prod*",
        "source guardduty",
        "no samples",
        "every alert",
        "in 2 d",
    ):
        assert said in shown, said
    assert "Moves" not in page(client, "rules", view="on")
    assert "Opens" not in page(client, "rules", view="off")


def test_conditions_that_cannot_be_read_are_said_to_fit_nothing(client: Client) -> None:
    make.rule(name="Odd", conditions={"moon": 1})

    assert "nothing, as its conditions cannot be read" in page(client, "rules")


def test_hits_are_those_of_30_days_and_counted_to_a_thousand(client: Client, lead: Actor) -> None:
    few, many, old = make.rule(name="few"), make.rule(name="many"), make.rule(name="old")
    now, seq = clock.now(), AuditEvent.objects.count() + 1000
    hits = (
        [(few, now)] * 3 + [(many, now)] * (rule_list.MOST_HITS + 5) + [(old, now - timedelta(days=31))] * 4
    )
    AuditEvent.objects.bulk_create(
        AuditEvent(
            seq=seq + n,
            at=at,
            act="rule.applied",
            actor_kind="system",
            actor="quell",
            object_type="rule",
            object_id=rule.ulid,
            details={},
            prev_hash="0",
            hash=f"{n}",
        )
        for n, (rule, at) in enumerate(hits)
    )

    found = rule_list.page(lead, client.get("/").wsgi_request.GET, at=now)

    lines = {line.rule.name: line.hits_shown for _, lines in found.groups for line in lines}
    assert lines == {"few": "3", "many": "1,000+", "old": "0"}


def test_the_list_costs_the_same_with_many_rules(client: Client) -> None:
    counts = []
    for _ in range(2):
        for number in range(20):
            make.rule(effect=RuleEffect.OPEN, conditions={"accounts": [f"{number:012}"]})
        with CaptureQueriesContext(connection) as queries:
            page(client, "rules")
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 13


def test_a_rule_page_costs_the_same_with_many_hits(client: Client) -> None:
    rule = make.rule(effect="adjust", shift=5, is_on=True)
    counts = []
    for _ in range(2):
        for _ in range(10):
            make.alert(severity=50, due_at=clock.now())
        sweeps.sweep_alerts()
        with CaptureQueriesContext(connection) as queries:
            page(client, "rule", rule.ulid)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 15


def test_200_rules_make_a_page_and_the_rest_the_next(client: Client) -> None:
    for number in range(rule_list.PAGE + 3):
        make.rule(name=f"rule {number:03}.", position=number)

    first, second = page(client, "rules"), page(client, "rules", page="1")

    assert "Next 200" in first
    assert "rule 199." in first
    assert "rule 200." not in first
    assert "rule 202." in second
    assert "Next 200" not in second


# --- who sees what -------------------------------------------------------------------------------------


def test_a_seat_for_some_accounts_sees_no_rules_and_is_told_why() -> None:
    make.rule(name="Hidden from them")
    limited = make.browser(make.person(Role.LEAD, accounts=[make.ACCOUNT]))

    shown = page(limited, "rules")

    assert "Hidden from them" not in shown
    assert "Rules reach a whole team" in shown
    assert reverse("rules") + '"' not in limited.get(reverse("alerts")).content.decode()


def test_readers_see_rules_and_no_way_to_change_them(viewer: Actor) -> None:
    rule = make.rule()
    client = make.browser(viewer)

    for shown in (client.get(reverse("rules")), client.get(reverse("rule", args=[rule.ulid]))):
        tags = tags_of(shown.content.decode())
        assert not [
            value for name, value in tags.attributes if name in ("href", "action") and "edit" in value
        ]
        assert reverse("rule-new") not in shown.content.decode()
    assert "Switch" not in words(client.get(reverse("rule", args=[rule.ulid])))


def test_whoever_keeps_the_rules_of_two_teams_says_which() -> None:
    make.team("green")
    lead = make.person(Role.LEAD, login="both")
    Membership.objects.create(
        person=Person.objects.get(ulid=lead.person_ulid), team=make.team("green"), role="lead"
    )
    client = make.browser(lead)

    assert post(client, "rule-new", **sent()).status_code == 422
    assert post(client, "rule-new", **sent(team="red")).status_code == 422
    assert post(client, "rule-new", **sent(team="green")).status_code == 302
    assert TriageRule.objects.get().team.slug == "green"


def test_the_alerts_a_rule_acted_on_are_shown_to_whoever_may_read_them(lead: Actor, viewer: Actor) -> None:
    rule = make.rule(effect="adjust", shift=5, is_on=True)
    secret = make.alert(title="of a secret incident", severity=50, due_at=clock.now())
    sweeps.sweep_alerts()
    Alert.objects.filter(pk=secret.pk).update(
        incident=make.incident(named=[lead]), status=AlertStatus.ESCALATED
    )

    assert "of a secret incident" in page(make.browser(lead), "rule", rule.ulid)
    told = page(make.browser(viewer), "rule", rule.ulid)
    assert "of a secret incident" not in told
    assert "None of the alerts it acted on lately is yours to see." in told


# --- hostile text --------------------------------------------------------------------------------------


def test_nothing_written_into_a_rule_or_an_alert_becomes_an_element(client: Client) -> None:
    alert = make.alert(title=f"{MARKER} title", type=f"{MARKER} type", severity=50)
    made = post(
        client,
        "rule-new",
        **sent(("title", "contains", MARKER), name=f"{MARKER} \u202e name", type=f"{MARKER}*", reason=MARKER),
    )
    rule = TriageRule.objects.get()
    assert made.status_code == 302
    pages = [
        client.get(reverse("rules")),
        client.get(reverse("rule", args=[rule.ulid])),
        client.get(reverse("rule-edit", args=[rule.ulid])),
        client.get(reverse("rule-preview", args=[rule.ulid])),
        post(
            client,
            "rule-new",
            **sent(("title", MARKER, MARKER), name=MARKER, type=f"{MARKER}*x", expires_at=MARKER),
        ),
    ]
    for answer in pages:
        tags = tags_of(answer.content.decode())
        assert "img" not in tags.elements
        assert not [name for name, _ in tags.attributes if name.startswith("on")]
        assert not [value for _, value in tags.attributes if value.startswith("javascript:")]
    assert alert.title in unescape(pages[3].content.decode())


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_no_value_of_any_condition_breaks_the_form(client: Client, name: str) -> None:
    for operator in ("is", "begins", "ends", "contains", "like", MARKER):
        for value in (
            "\0",
            "*",
            "=",
            "a=",
            "=b",
            ",,,",
            "\u202e",
            "x" * 5000,
            "99999999999999999999/33",
            "💥",
        ):
            answer = post(client, "rule-new", **sent((name, operator, value), preview="1", save=[]))
            assert answer.status_code in (200, 422), (operator, value)
