"""Types that only collect: what they change is what the incident has in evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cases.models import Evidence
from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World


def kept(world: World) -> Any:
    """Names of the artefacts of the incident, one for each row, and why there is none."""
    rows = Evidence.objects.filter(incident=world.incident).values_list("step", "absent")
    return sorted(rows)


def _key_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    user = next(u for u in world.estate["users"] if u["name"] == "ci-deploy")
    key = user["access_keys"][0]["access_key_id"]
    return {"type": "principal", "account": SHIPPING, "region": REGION, "id": f"access_key/{key}"}, {}


HISTORY = (
    "moto has no LookupEvents; simulator.additions.lookup_events answers from the simulator's own log, "
    "validated by boto3 against botocore's model"
)

SUBJECTS: dict[str, Subject] = {
    "iam.capture-principal": Subject(
        aim=_key_aim, look=kept, has_undo=False, collects=True, where="stub", why=HISTORY
    ),
}
