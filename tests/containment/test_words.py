"""What a screen shows of an action type is plain text: no marks of Markdown or HTML in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from containment import parameters
from containment.actions import catalogue
from containment.describing import ActionType

pytestmark = pytest.mark.fast


def shown(declared: type[ActionType]) -> Iterator[str]:
    """Everything that an author writes for the reader of a plan."""
    yield declared.title
    yield (declared.__doc__ or "").split("\n")[0]
    yield declared.does_not_stop()
    for facts in parameters.schema(declared.params)["properties"].values():
        yield facts["description"]


@pytest.mark.parametrize("declared", [pytest.param(one, id=one.id) for one in catalogue()])
def test_it_is_shown_as_it_is_written(declared: type[ActionType]) -> None:
    assert [text for text in shown(declared) if set(text) & set("`<>")] == []


def test_a_mark_would_be_found() -> None:
    class Marked(ActionType):
        """Do a thing.

        Does not stop: whatever `iam` allows.
        """

        title = "Mark"

    assert [text for text in shown(Marked) if set(text) & set("`<>")] == ["whatever `iam` allows."]
