"""Databases, functions, trails, and what findings' services are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]


def _target(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "account": SHIPPING, "region": REGION, "id": name}


# --- trails -----------------------------------------------------------------------------------------

TRAIL = "shipping-trail"


def make_trail(world: World) -> None:
    """A trail that was started once and stopped since."""
    cloudtrail, bucket = world.admin("cloudtrail"), world.estate["buckets"]
    name = next(one["name"] for one in bucket if one["account"] == SHIPPING)
    cloudtrail.create_trail(Name=TRAIL, S3BucketName=name, IsMultiRegionTrail=True)
    cloudtrail.start_logging(Name=TRAIL)
    cloudtrail.stop_logging(Name=TRAIL)


def _is_logging(world: World) -> Any:
    return world.admin("cloudtrail").get_trail_status(Name=TRAIL)["IsLogging"]


def _start_trail(world: World) -> None:
    world.admin("cloudtrail").start_logging(Name=TRAIL)


SUBJECTS: dict[str, Subject] = {
    "cloudtrail.start-logging": Subject(
        arrange=make_trail,
        aim=lambda _: (_target("trail", TRAIL), {}),
        look=_is_logging,
        already=_start_trail,
        drift=_start_trail,
        has_undo=False,
    ),
}
