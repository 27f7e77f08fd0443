"""`manage ingest`: the same door as the API, one JSON line for each file."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cases.models import Alert
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

EVENT = Path(__file__).parent / "fixtures" / "guardduty" / "access-key-eventbridge.json"


def ingest(*arguments: str) -> list[dict[str, object]]:
    out = StringIO()
    call_command("ingest", *arguments, stdout=out)
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
