"""The pages of the hand: what they show of an action, who gets what, and what is asked again."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from cases.models import Action, Incident
from cases.words import ActionStatus
from containment import pages, sweeps
from containment.models import Approval
from identity.actors import Actor
from lib import clock
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import World

KEY = "iam.deactivate-access-key"
ISOLATE = "ec2.isolate-instance"
HTMX = {"HX-Request": "true"}


def planned(world: World, type_id: str = KEY) -> Action:
    target, params = SUBJECTS[type_id].aim(world)
    return world.propose(type_id, target, params)


def read(client: Client, action: Action, *, headers: dict[str, str] | None = None) -> str:
    response = client.get(reverse("action", args=[action.ulid]), headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def suggest(world: World) -> Incident:
    """Let the incident's alert name the stolen key, so that there is something to suggest."""
    target, params = SUBJECTS[KEY].aim(world)
    resources = [{"type": "access_key", "id": target["id"]}, {"type": "user", "id": params["user"]}]
    make.alert(incident=world.incident, account=target["account"], resources=resources)
    return world.incident


def test_a_plan_is_shown_as_a_difference_with_what_it_does_not_stop(world: World) -> None:
    action = planned(world)

    page = read(make.browser(world.asks), action)

    assert re.search(r'class="del">Active<', page)
    assert re.search(r'class="add">Inactive<', page)
    assert "What this does not stop" in page
    assert "iam:UpdateAccessKey" in page
    assert f'name="plan_hash" value="{action.plan_hash}"' in page
    assert "tier 1: confirmation by a responder" in page


def test_approving_applies_and_the_page_says_verified_only_after_a_look(world: World) -> None:
    action = planned(world)
    client = make.browser(world.asks)

    response = client.post(reverse("action-approve", args=[action.ulid]), {"plan_hash": action.plan_hash})
    assert response["Location"] == reverse("action", args=[action.ulid])
    assert 'data-status="approved"' in read(client, action)
    action = world.drive(action)

    page = read(client, action)
    assert 'data-status="verified"' in page
    assert f"Verified {action.verified_at:%H:%M:%S} UTC" in page
    assert "A second look follows" in page


def test_the_hash_that_was_on_the_screen_is_what_is_approved(world: World) -> None:
    action = planned(world)

    response = make.browser(world.asks).post(
        reverse("action-approve", args=[action.ulid]), {"plan_hash": "0" * 64}
    )

    assert response.status_code == 409
    assert not Approval.objects.exists()


def test_without_a_fresh_sign_in_the_way_leads_to_the_password_and_back(world: World) -> None:
    action = planned(world)
    client = make.browser(world.asks, signed_in_at=clock.now() - timedelta(hours=1))
    page = reverse("action", args=[action.ulid])
    assert "You are asked for your password first" in read(client, action)

    response = client.post(
        reverse("action-approve", args=[action.ulid]),
        {"plan_hash": action.plan_hash},
        headers={"Referer": f"http://testserver{page}"},
    )

    assert response.status_code == 302
    assert response["Location"].startswith(reverse("signin"))
    assert "again=1" in response["Location"]
    assert page.replace("/", "%2F") in response["Location"]
    assert not Approval.objects.exists()


def test_the_one_who_asked_is_told_that_another_must_approve(world: World, approver: Actor) -> None:
    lead = world.asks = make.person("lead")
    action = planned(world, ISOLATE)

    assert "You asked for this plan; someone else must approve." in read(make.browser(lead), action)
    assert "Approve this plan" in read(make.browser(approver), action)


def test_rejecting_needs_a_reason(world: World) -> None:
    action = planned(world)
    client, address = make.browser(world.asks), reverse("action-reject", args=[action.ulid])

    assert client.post(address, {"reason": "  "}).status_code == 422
    client.post(address, {"reason": "Not this key."})

    assert world.fresh(action).status == ActionStatus.REJECTED
    assert "Not this key." in read(client, action)


def test_undo_is_a_second_action_and_both_say_so(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    client = make.browser(world.asks)
    assert "Undo…" in read(client, action)

    response = client.post(reverse("action-revert", args=[action.ulid]), {"reason": "All clear."})
    undo = Action.objects.get(reverts=action)
    assert response["Location"] == reverse("action", args=[undo.ulid])
    undo = world.drive(world.approve(until_planned(world, undo)))

    assert reverse("action", args=[undo.ulid]) in read(client, action)
    assert 'data-status="reverted"' in read(client, action)
    page = read(client, undo)
    assert reverse("action", args=[action.ulid]) in page
    assert "What was there before is back" in page
    assert 'data-state="contained"' not in page


def test_a_conflict_shows_the_three_values_and_that_nothing_was_sent(world: World) -> None:
    action = world.apply(ISOLATE, *SUBJECTS[ISOLATE].aim(world))
    disturb = SUBJECTS[ISOLATE].disturb
    assert disturb
    disturb(world)
    undo = world.revert(action)

    page = read(make.browser(world.approves), undo)

    assert 'data-status="conflict"' in page
    assert "Nothing was sent." in page
    for word in ("It was", "Quell made it", "Now it is"):
        assert f"<dt>{word}</dt>" in page


def test_a_page_asks_again_only_while_something_can_change(world: World) -> None:
    client = make.browser(world.asks)
    action = planned(world)
    assert 'data-every="3"' in read(client, action)

    world.approve(action)
    assert 'data-every="1"' in read(client, action)

    other = planned(world, "iam.revoke-role-sessions")
    client.post(reverse("action-reject", args=[other.ulid]), {"reason": "x"})
    make.browser(world.approves).post(reverse("action-reject", args=[other.ulid]), {"reason": "x"})
    assert world.fresh(other).status == ActionStatus.REJECTED
    assert not re.search(r'<div id="action"[^>]*data-live', read(client, other))


def test_what_has_not_changed_is_not_sent_again(world: World) -> None:
    action = planned(world)
    client, address = make.browser(world.asks), reverse("action", args=[action.ulid])
    part = {**HTMX, "HX-Target": "action"}

    first = client.get(address, headers=part)
    world.clock.advance(5)
    same = client.get(address, headers={**part, "If-None-Match": first["ETag"]})
    world.approve(action)
    changed = client.get(address, headers={**part, "If-None-Match": first["ETag"]})

    assert "<html" not in first.content.decode()
    assert same.status_code == 304
    assert changed.status_code == 200


def test_a_suggestion_is_planned_by_its_button_once(world: World) -> None:
    incident = suggest(world)
    client, address = make.browser(world.asks), reverse("action-propose", args=[incident.ref])
    page = client.get(reverse("incident-containment", args=[incident.ref])).content.decode()
    suggested = page.partition("<h2>Suggested</h2>")[2]
    at = next(part for part in suggested.split("<li>") if "Deactivate access key" in part)
    form = {"pick": re.findall(r'name="pick" value="([^"]+)"', at)}

    first = client.post(address, form)
    second = client.post(address, form)

    action = Action.objects.get()
    assert first["Location"] == reverse("action", args=[action.ulid])
    assert second.status_code == 409
    assert action.type == KEY


def test_the_panel_says_what_is_open_and_then_what_is_contained(world: World) -> None:
    incident = suggest(world)
    client, address = make.browser(world.asks), reverse("incident-containment", args=[incident.ref])
    part = {**HTMX, "HX-Target": "containment"}

    before = client.get(address, headers=part)
    world.apply(KEY, *SUBJECTS[KEY].aim(world))
    after = client.get(address, headers={**part, "If-None-Match": before["ETag"]})

    assert 'data-cell="open"' in before.content.decode()
    assert after.status_code == 200
    assert 'data-cell="verified"' in after.content.decode()
    assert 'data-cell="open"' not in after.content.decode()
    assert "Coverage complete" in after.content.decode()
    assert client.get(address, headers={**part, "If-None-Match": after["ETag"]}).status_code == 304


def test_the_outsider_finds_no_action(world: World, outsider: Actor) -> None:
    action = planned(world)
    client = make.browser(outsider)

    assert client.get(reverse("action", args=[action.ulid])).status_code == 404
    for verb in ("action-approve", "action-reject", "action-revert"):
        answer = client.post(
            reverse(verb, args=[action.ulid]), {"plan_hash": action.plan_hash, "reason": "x"}
        )
        assert answer.status_code == 404
    assert world.fresh(action).status == ActionStatus.PLANNED


def test_a_viewer_reads_the_plan_and_has_no_buttons(world: World, viewer: Actor) -> None:
    action = planned(world)
    client = make.browser(viewer)

    page = read(client, action)

    assert 'id="approve"' not in page
    assert "Your role does not approve tier 1" in page
    assert client.post(reverse("action-revert", args=[action.ulid]), {"reason": "x"}).status_code == 403
    refused = client.post(reverse("action-approve", args=[action.ulid]), {"plan_hash": action.plan_hash})
    assert refused.status_code == 403


def test_what_lies_in_other_accounts_is_counted_and_not_named(world: World) -> None:
    incident = suggest(world)
    target, _ = SUBJECTS[KEY].aim(world)
    Incident.objects.filter(pk=incident.pk).update(account="999999999999")
    limited = make.person("responder", accounts=["999999999999"])
    address = reverse("incident-containment", args=[incident.ref])

    page = make.browser(limited).get(address).content.decode()

    assert target["id"] not in page
    assert "2 more targets lie" in page or "Nothing in the accounts" in page


@pytest.mark.fast
@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("", []),
        ("AccessDenied", []),
        (
            "ec2:eni/eni-1/groups: was ['sg-1'], we made it ['sg-2'], now it is ['sg-3']",
            [("ec2:eni/eni-1/groups", "['sg-1']", "['sg-2']", "['sg-3']")],
        ),
    ],
)
def test_three_values_are_read_from_the_executors_words(
    note: str, expected: list[tuple[str, str, str, str]]
) -> None:
    assert [(v.what, v.was, v.made, v.now) for v in pages.three_values(note)] == expected


def until_planned(world: World, undo: Action) -> Action:
    """Let the worker plan an undo that was asked for on a page."""
    for _ in range(60):
        world.clock.advance(5)
        sweeps.run_due_actions()
        undo = world.fresh(undo)
        if undo.plan:
            return undo
    raise AssertionError("never planned")
