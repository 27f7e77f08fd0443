"""`manage ingest` and `manage replay_quarantined`: the same door as the API, one JSON line for each."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cases.models import Alert, Quarantined
from lib import clock
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

EVENT = Path(__file__).parent / "fixtures" / "guardduty" / "access-key-eventbridge.json"


def ingest(*arguments: str, command: str = "ingest") -> list[dict[str, object]]:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_file_has_its_line(tmp_path: Path) -> None:
    make.team()
    (tmp_path / "bad.json").write_bytes(b"nonsense")

    lines = ingest("guardduty", str(EVENT), str(EVENT), str(tmp_path / "bad.json"))

    figures = [
        tuple(line[name] for name in ("created", "updated", "repeated", "quarantined")) for line in lines
    ]
    assert figures == [(1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert "not JSON" in json.dumps(lines[2]["reasons"])


def test_what_no_account_claims_goes_to_the_team_named_else_to_the_largest() -> None:
    make.team("first")
    make.account("999988887777", team="largest")

    ingest("guardduty", str(EVENT))
    assert Alert.objects.get().team.slug == "largest"
    Alert.objects.all().delete()
    ingest("guardduty", str(EVENT), "--team", "first")

    assert Alert.objects.get().team.slug == "first"


@pytest.mark.parametrize(
    "arguments",
    [("nonsense", str(EVENT)), ("guardduty", "/nowhere"), ("guardduty", str(EVENT), "--team", "x")],
)
def test_what_cannot_be_done_says_so(arguments: tuple[str, ...]) -> None:
    make.team()

    with pytest.raises(CommandError):
        ingest(*arguments)


def test_without_a_team_there_is_nobody_to_give_it_to() -> None:
    with pytest.raises(CommandError):
        ingest("guardduty", str(EVENT))


def test_what_can_be_read_by_now_is_taken_out_of_quarantine(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(b"nonsense")
    make.team()
    ingest("guardduty", str(tmp_path / "bad.json"))
    # As if the source had not understood this finding on the day it came.
    Quarantined.objects.create(
        source="guardduty",
        digest="0" * 64,
        body=EVENT.read_bytes(),
        reason="not yet understood",
        received_at=clock.now(),
        team=make.team(),
    )

    lines = ingest(command="replay_quarantined")
    again = ingest(command="replay_quarantined")

    assert [bool(line["alerts"]) for line in lines] == [False, True]
    assert [bool(line["reasons"]) for line in lines] == [True, False]
    assert [line["alerts"] for line in again] == [[]]
    assert Alert.objects.count() == 1
    with pytest.raises(CommandError, match="not in quarantine"):
        ingest("01ARZ3NDEKTSV4RRFFQ69G5FAV", command="replay_quarantined")
