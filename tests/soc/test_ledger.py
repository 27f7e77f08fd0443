"""The ledger as auditors see it: who sees which event, on the page and over the API."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import receipts, record
from audit.models import AuditEvent, Receipt
from cases.models import Action, Evidence
from containment.automation_models import Hold
from identity import hooks, keys
from identity.actors import SYSTEM, Actor, system
from identity.models import ApiKey, Hook, HookKind, Role, Team, User
from launcher import layout
from lib import clock, guards
from lib.errors import Forbidden, NotFound
from soc.ledger import access, listing
from soc.models import LedgerProof
from tests import make
from tests.cases.test_pages import HTMX

pytestmark = pytest.mark.django_db


def tell(kind: str, number: str, *, by: Actor = SYSTEM, act: str = "tested", **details: Any) -> int:
    """One event, and its number."""
    with transaction.atomic():
        return record.record(act=act, by=by, at=clock.now(), on=(kind, number), details=details)


def seen(actor: Actor) -> set[int]:
    return set(access.events_for(actor).values_list("seq", flat=True))


def listed(client: Client, query: str = "") -> list[int]:
    return [one["seq"] for one in client.get(f"/api/v1/audit{query}").json()["results"]]


# --- every kind has its line ------------------------------------------------------------------------------

SPELLED = {
    ("audit/receipts.py", "seal"): {"receipts"},
    ("cases/sweeps.py", "_write"): {"rule", "alert"},
    ("containment/auto_rules.py", "stop"): {"automation"},
    ("containment/auto_rules.py", "resume"): {"automation"},
    ("estate/places.py", "set_allowed"): {"account", "ou"},
}
"""Calls of `record` whose `on` is no pair that begins with a word, by function: the kinds they give."""


def calls() -> Iterator[tuple[str, str, ast.expr]]:
    """Every `on=` given to the ledger: its file, the function it stands in, and the expression."""
    for package in ("audit", "cases", "containment", "estate", "identity", "metrics", "notify", "soc"):
        for path in sorted((layout.ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for name in written_as(tree):
                yield from uses(tree, name, str(path.relative_to(layout.ROOT)))


def written_as(tree: ast.AST) -> set[str]:
    """The names under which a module calls `record`."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "audit.record"
        for alias in node.names
        if alias.name == "record"
    }


def uses(tree: ast.AST, name: str, path: str) -> Iterator[tuple[str, str, ast.expr]]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield from ((path, function.name, one.value) for one in node.keywords if one.arg == "on")


def kinds_of(path: str, function: str, on: ast.expr) -> set[str]:
    """The kinds of one call; an expression that is not a pair with a word has its line in `SPELLED`."""
    if isinstance(on, ast.Tuple) and isinstance(on.elts[0], ast.Constant):
        return {str(on.elts[0].value)}
    assert (path, function) in SPELLED, (
        f"{path}, {function}: say in SPELLED which kinds {ast.unparse(on)} gives"
    )
    return SPELLED[path, function]


@pytest.mark.fast
def test_every_kind_that_is_recorded_has_its_line() -> None:
    found = {kind for call in calls() for kind in kinds_of(*call)}
    assert len(list(calls())) > 40
    assert found == set(access.KINDS)
    used = {(path, function) for path, function, _ in calls()}
    assert set(SPELLED) <= used


@pytest.mark.fast
def test_a_kind_without_a_line_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(access.KINDS, "hold")
    with pytest.raises(AssertionError):
        test_every_kind_that_is_recorded_has_its_line()


# --- whose an event is ------------------------------------------------------------------------------------


def objects(team: str) -> dict[str, str]:
    """One object of each kind that a team owns, by its id in the ledger."""
    number = "111122223333" if team == "blue" else "444455556666"
    account = make.account(number, team=team)
    alert, incident = make.alert(team=team), make.incident(team=team)
    action = Action.objects.create(
        incident=incident,
        type="ec2.isolate-instance",
        target={"type": "instance", "account": make.ACCOUNT, "region": "eu-west-1", "id": "i-1"},
        category="containment",
        tier=2,
        requested_at=clock.now(),
        updated_at=clock.now(),
    )
    evidence = Evidence.objects.create(
        incident=incident, name="x", size=1, sha256="a" * 64, collected_at=clock.now()
    )
    with transaction.atomic():
        keys.create(
            name=f"k-{team}",
            team=make.team(team),
            scopes=frozenset({"alerts:write"}),
            by=SYSTEM,
            at=clock.now(),
        )
    hooks.create(name=f"h-{team}", team=make.team(team), kind=HookKind.WEBHOOK, by=SYSTEM, at=clock.now())
    member = make.person(Role.VIEWER, team=team)
    rule = make.automation(team=team)
    hold = Hold.objects.create(
        cause=f"test-{team}",
        team=make.team(team),
        account=number,
        thing="user/ci",
        finding="Test:Finding",
        reason="benign",
        placed_by="analyst",
        placed_at=clock.now(),
    )
    return {
        "alert": alert.ulid,
        "incident": incident.ref,
        "action": action.ulid,
        "evidence": evidence.ulid,
        "quarantined": make.quarantined(team=team).ulid,
        "rule": make.rule(team=team).ulid,
        "auto-rule": rule.ulid,
        "hold": hold.ulid,
        "account": account.account_id,
        "ou": str(account.ou_id),
        "api_key": ApiKey.objects.get(account__name=f"k-{team}").ulid,
        "hook": Hook.objects.get(account__name=f"h-{team}").ulid,
        "login": User.objects.get(username=member.label).ulid,
        "team": make.team(team).ulid,
        "notice": make.inbox_item(member).notice.ulid,
    }


def test_an_auditor_sees_what_belongs_to_their_team_and_the_one_of_all_teams_everything() -> None:
    told = {
        team: {kind: tell(kind, one) for kind, one in objects(team).items()} for team in ("blue", "other")
    }
    owned = {kind for kind, one in access.KINDS.items() if one.rows is not None}
    assert set(told["blue"]) == owned
    nobodys = {kind: tell(kind, "1") for kind in set(access.KINDS) - owned}
    auditors = {team: make.person(Role.AUDITOR, team=team) for team in told}
    both = make.person(Role.LEAD)
    join(both, "other")

    # Both accounts of the two teams lie in one unit: it is told to both.
    shared = {told["blue"]["ou"], told["other"]["ou"]}
    for team, numbers in told.items():
        mine = seen(auditors[team]) & {one for each in told.values() for one in each.values()}
        assert mine == set(numbers.values()) | shared, team
        assert not seen(auditors[team]) & set(nobodys.values())
    assert seen(refreshed(both)) == set(AuditEvent.objects.values_list("seq", flat=True))


def join(actor: Actor, team: str, role: Role = Role.LEAD, **limits: Any) -> None:
    from identity.models import Membership, Person

    person = Person.objects.get(ulid=actor.person_ulid)
    Membership.objects.create(person=person, team=make.team(team), role=role, **limits)


def refreshed(actor: Actor) -> Actor:
    from identity.actors import of_user

    return of_user(User.objects.get(username=actor.label))


def test_the_people_of_a_team_are_seen_whatever_they_touch() -> None:
    make.team("other")
    auditor, colleague = make.person(Role.AUDITOR), make.person(Role.VIEWER)
    stranger = make.person(Role.VIEWER, team="other")
    seqs = [tell("tier-policy", "1", by=one) for one in (colleague, stranger, SYSTEM)]
    assert seen(auditor) & set(seqs) == {seqs[0]}


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.AUDITOR, Role.LEAD}))
def test_other_roles_see_none(role: Role) -> None:
    with pytest.raises(Forbidden):
        access.events_for(make.person(role))


def test_a_seat_for_some_accounts_sees_what_is_of_these_and_no_more() -> None:
    make.team("other")
    inside, outside = make.alert(), make.alert(account="999999999999")
    seqs = {
        "inside": tell("alert", inside.ulid),
        "outside": tell("alert", outside.ulid),
        "rule": tell("rule", make.rule().ulid),
        "colleague": tell("tier-policy", "1", by=make.person(Role.VIEWER)),
    }
    limited = make.person(Role.AUDITOR, accounts=[make.ACCOUNT])
    assert seen(limited) & set(seqs.values()) == {seqs["inside"]}
    assert not access.is_installation_wide(limited)
    Team.objects.filter(slug="other").delete()
    assert not access.is_installation_wide(limited)
    assert access.is_installation_wide(make.person(Role.AUDITOR))


def test_a_restricted_incident_is_told_to_the_people_named_alone() -> None:
    """Not even to whoever reads every team's trail."""
    named, other = make.person(Role.LEAD), make.person(Role.AUDITOR)
    incident = make.incident(named=[named])
    alert = make.alert(incident=incident)
    plain, rule = make.incident(), make.rule()
    hidden = {
        tell("incident", incident.ref),
        tell("alert", alert.ulid),
        tell("rule", rule.ulid, incident=incident.ref),
        tell("rule", rule.ulid, alert=alert.ulid),
        tell("tier-policy", "1", by=other, incident=incident.ref),
    }
    shown = {
        tell("incident", plain.ref),
        tell("rule", rule.ulid, incident=plain.ref),
        tell("rule", rule.ulid),
    }
    everything = set(AuditEvent.objects.values_list("seq", flat=True))
    assert access.is_installation_wide(other)
    assert hidden | shown <= seen(named)
    assert seen(other) == everything - hidden
    with pytest.raises(NotFound):
        access.event_for(other, str(min(hidden)))
    assert seen(system("test")) == everything


@pytest.mark.parametrize("seq", ["0", "-1", "x", "1e3", "٣", "9" * 19, "9" * 40, ""])
def test_a_number_that_is_none_is_not_there(seq: str) -> None:
    tell("team", "1")
    with pytest.raises(NotFound):
        access.event_for(make.person(Role.LEAD), seq)


# --- the API ----------------------------------------------------------------------------------------------


def test_the_list_goes_on_where_a_page_ended() -> None:
    seqs = [tell("tier-policy", "1") for _ in range(5)]
    client = make.browser(make.person(Role.AUDITOR))
    first = client.get("/api/v1/audit?limit=2&type=tier-policy").json()
    assert [one["seq"] for one in first["results"]] == [seqs[4], seqs[3]]
    tell("tier-policy", "1")
    second = client.get(first["next"]).json()
    assert [one["seq"] for one in second["results"]] == [seqs[2], seqs[1]]
    third = client.get(second["next"]).json()
    assert [one["seq"] for one in third["results"]] == [seqs[0]]
    assert third["next"] is None


def test_a_key_reads_by_its_scope_and_its_team() -> None:
    make.team("other")
    mine, theirs = make.alert(), make.alert(team="other")
    seqs = [tell("alert", mine.ulid), tell("alert", theirs.ulid)]
    client = make.program(make.key("audit:read"))
    assert listed(client, "?type=alert") == [seqs[0]]
    assert client.get(f"/api/v1/audit/{seqs[1]}").status_code == 404
    assert client.get(f"/api/v1/audit/{seqs[0]}").json()["object"] == {"type": "alert", "id": mine.ulid}
    assert make.program(make.key("alerts:read")).get("/api/v1/audit").status_code == 403


@pytest.mark.parametrize(
    ("query", "pointer"), [("?ip=x", "/ip"), ("?from=never", "/from"), ("?colour=red", "/colour")]
)
def test_what_cannot_be_asked_is_told_with_its_place(query: str, pointer: str) -> None:
    answer = make.browser(make.person(Role.AUDITOR)).get(f"/api/v1/audit{query}")
    assert answer.status_code == 422
    assert pointer in answer.content.decode()


def test_one_event_says_whether_it_holds() -> None:
    seqs = [tell("tier-policy", "1", n=number) for number in range(3)]
    client = make.browser(make.person(Role.AUDITOR))
    middle = client.get(f"/api/v1/audit/{seqs[1]}").json()
    assert middle["details"] == {"n": 1}
    assert middle["holds"] == {"content": True, "link": True, "signature": True, "following": True}
    last = client.get(f"/api/v1/audit/{AuditEvent.objects.count()}").json()
    assert last["holds"]["following"] is None

    guards.drop()
    AuditEvent.objects.filter(seq=seqs[1]).update(actor="someone else")
    assert client.get(f"/api/v1/audit/{seqs[1]}").json()["holds"]["content"] is False
    AuditEvent.objects.filter(seq=seqs[2]).update(prev_hash="f" * 64, signature="f" * 64)
    assert client.get(f"/api/v1/audit/{seqs[1]}").json()["holds"]["following"] is False
    held = client.get(f"/api/v1/audit/{seqs[2]}").json()["holds"]
    assert (held["link"], held["signature"], held["content"]) == (False, False, False)


def sealed(count: int) -> int:
    for number in range(count):
        with transaction.atomic():
            receipts.write(
                act="received", by=SYSTEM, at=clock.now(), on=("source", "edr"), details={"n": number}
            )
    assert receipts.seal(at=clock.now()) == count
    return AuditEvent.objects.order_by("-seq")[0].seq


def test_receipts_are_found_under_their_seal() -> None:
    seq = sealed(listing.MOST_RECEIPTS + 5)
    client = make.browser(make.person(Role.AUDITOR))
    found = client.get(f"/api/v1/audit/{seq}").json()
    assert found["receipts_sealed"] == listing.MOST_RECEIPTS + 5
    assert len(found["receipts"]) == listing.MOST_RECEIPTS
    assert all(one["holds"] for one in found["receipts"])

    guards.drop()
    Receipt.objects.filter(pk=found["receipts"][0]["id"]).delete()
    Receipt.objects.filter(pk=found["receipts"][1]["id"]).update(actor="x")
    again = client.get(f"/api/v1/audit/{seq}").json()["receipts"]
    assert [(one["holds"], one["act"]) for one in again[:3]] == [
        (False, None),
        (False, "received"),
        (True, "received"),
    ]
    page = client.get(f"/audit/{seq}").content.decode()
    assert "Missing" in page
    assert "Changed after it was sealed" in page


# --- the page ---------------------------------------------------------------------------------------------


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_the_page_lists_opens_and_narrows() -> None:
    incident = make.incident()
    seq = tell("incident", incident.ref, by=make.person(Role.ANALYST, login="ana"), act="incident.moved")
    client = make.browser(make.person(Role.AUDITOR))
    page = text_of(client.get("/audit"))
    assert "incident.moved" in page
    assert 'aria-current="page">Audit' in page
    assert "Not proved yet" in page
    opened = text_of(client.get(f"/audit/{seq}?act=incident.*"))
    assert f'<a class="mono" href="/incidents/{incident.ref}">{incident.ref}</a>' in opened
    assert "Quell signed it" in opened
    assert 'value="incident.*"' in opened
    assert text_of(client.get(f"/audit/{seq}", headers=HTMX | {"HX-Target": "panel"})).startswith("<aside")
    assert text_of(client.get("/audit", headers=HTMX | {"HX-Target": "panel"})) == '<div id="panel"></div>'
    assert "<h1" in text_of(client.get(f"/audit/{seq}?as=page"))
    assert "No event matches" in text_of(client.get("/audit?act=nothing"))


def test_a_filter_that_makes_no_sense_is_told_above_an_empty_list() -> None:
    answer = make.browser(make.person(Role.AUDITOR)).get("/audit?ip=somewhere")
    assert answer.status_code == 422
    assert "This is no IP address." in text_of(answer)


def test_pages_of_the_list_follow_one_another() -> None:
    for _ in range(listing.PAGE + 3):
        tell("tier-policy", "1")
    client = make.browser(make.person(Role.AUDITOR))
    first = text_of(client.get("/audit?type=tier-policy"))
    assert "type=tier-policy&amp;before=4" in first
    second = client.get("/audit?type=tier-policy&before=4")
    assert 'id="event-3"' in text_of(second)
    assert 'id="event-4"' not in text_of(second)
    assert "Nothing older" in text_of(client.get("/audit?before=1"))


def test_only_those_who_may_are_led_there() -> None:
    for role, leads in ((Role.AUDITOR, True), (Role.LEAD, True), (Role.ANALYST, False), (Role.ADMIN, False)):
        page = text_of(make.browser(make.person(role)).get("/alerts"))
        assert ('href="/audit"' in page) is leads, role


def test_what_is_hostile_stays_text() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    seq = tell("source", hostile[:40], by=Actor(kind="person", label=hostile, ip=""), act="x" + hostile[:20])
    client = make.browser(make.person(Role.AUDITOR))
    for address in ("/audit", f"/audit/{seq}", f"/audit/{seq}?as=page", f"/audit?actor={hostile}"):
        assert "<img" not in text_of(client.get(address)), address


def test_what_was_found_broken_stands_above_the_list() -> None:
    LedgerProof.objects.create(
        pk=1,
        due_at=clock.now(),
        proved_at=clock.now(),
        whole_at=clock.now(),
        broken_seq=7,
        broken_reason="its content does not fit its hash",
        broken_at=clock.now(),
    )
    page = text_of(make.browser(make.person(Role.AUDITOR)).get("/audit"))
    assert "The ledger does not hold at event 7" in page
    assert "its content does not fit its hash" in page


def test_the_cost_of_a_page_does_not_grow_with_the_rows() -> None:
    make.team("other")
    client = make.browser(make.person(Role.AUDITOR))
    counts = []
    for _ in range(2):
        for _ in range(10):
            tell("alert", make.alert().ulid)
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/audit").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 16
