"""The story's other half: the attack is played against the simulated AWS, and Quell answers over HTTP.

`simulator.story` runs as a program of its own and posts its findings like any sender; then a rule
opens the incident, and a plan to deactivate the leaked key is asked for, so that the first person who
looks finds it waiting for approval. Begun twice, it is the same story: the findings carry the ids of
the first time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings
from django.db import transaction

from audit.models import AuditEvent
from audit.record import record
from identity import keys
from identity.actors import Actor
from identity.models import Team

BEGUN, PLAYED = "demo-story-begun", "demo-story-played"
SCOPES = frozenset(
    {"alerts:write", "alerts:read", "incidents:read", "incidents:write", "actions:plan", "actions:read"}
)
WANTED = "iam.deactivate-access-key"
SEVERE = 7.0
PATIENCE_SECONDS = 90.0
OVER = ("refused", "rejected", "expired", "withdrawn", "failed", "reverted")

Json = dict[str, Any]
T = TypeVar("T")


class StoryFailed(RuntimeError):
    """The story did not come to its end; the reason is said."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """How the story stands: the incident it became, and the action that waits there."""

    incident: str
    action: str
    status: str
    findings: int


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Quell's API, as a program with a key sees it."""

    url: str
    secret: str

    def get(self, path: str) -> Json:
        """The answer to a GET. Raises `StoryFailed` for anything but success."""
        return self._send(Request(f"{self.url}/api/v1/{path}"))  # noqa: S310 - the caller's own address

    def rows(self, path: str) -> list[Json]:
        """The first page of a list."""
        results: list[Json] = self.get(path)["results"]
        return results

    def post(self, path: str, body: Json) -> Json:
        """The answer to a POST of JSON. Raises `StoryFailed` for anything but success."""
        return self._send(
            Request(  # noqa: S310 - the caller's own address
                f"{self.url}/api/v1/{path}",
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
        )

    def _send(self, request: Request) -> Json:
        request.add_header("Authorization", f"Bearer {self.secret}")
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
                found: Json = json.load(answer)
        except HTTPError as failure:
            said = failure.read(2000).decode("utf-8", "replace")
            raise StoryFailed(f"{request.full_url} answered {failure.code}: {said}") from failure
        except (OSError, ValueError) as failure:
            raise StoryFailed(f"{request.full_url}: {failure}") from failure
        return found


def tell(*, simulator: str, base_url: str, by: Actor, at: datetime) -> Told | None:
    """Play the story to the point where a plan waits for approval; None when that was done before."""
    if AuditEvent.objects.filter(act=PLAYED).exists():
        return None
    team = Team.objects.get(slug="blue")
    begun = _begin(team, by=by, at=at)
    made = keys.create(
        name="demo-story", team=team, scopes=SCOPES, by=by, at=at, expires_at=at + timedelta(hours=1)
    )
    try:
        findings = _attack(simulator=simulator, base_url=base_url, secret=made.secret, at=begun)
        told = _answer(Desk(url=base_url.rstrip("/"), secret=made.secret), findings)
    finally:
        keys.revoke(key=made.key, by=by, at=at)
    with transaction.atomic():
        record(act=PLAYED, by=by, at=at, on=("incident", told.incident), details={"action": told.action})
    return told


def _begin(team: Team, *, by: Actor, at: datetime) -> datetime:
    """When the story first began: now, unless an earlier attempt did not come to its end."""
    earlier = AuditEvent.objects.filter(act=BEGUN).order_by("seq").first()
    if earlier is not None:
        return earlier.at
    with transaction.atomic():
        record(act=BEGUN, by=by, at=at, on=("team", team.ulid))
    return at


def _attack(*, simulator: str, base_url: str, secret: str, at: datetime) -> list[Json]:
    """Run the attacker's program; the findings it posted, as `{"id", "severity"}`."""
    program = subprocess.run(  # noqa: S603 - a fixed program with our own addresses
        [
            sys.executable, "-m", "simulator.story",
            "--simulator", simulator, "--base-url", base_url, "--at", at.isoformat(),
        ],
        cwd=settings.BASE_DIR,
        env={**os.environ, "QUELL_KEY": secret},
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )  # fmt: skip
    if program.returncode:
        raise StoryFailed(f"simulator.story: {program.stderr.decode('utf-8', 'replace')[-2000:]}")
    findings: list[Json] = json.loads(program.stdout)["findings"]
    return findings


def _answer(desk: Desk, findings: list[Json]) -> Told:
    """Wait for the rule to open the incident, then ask for the plan and wait for it."""
    severe = [finding["id"] for finding in findings if finding["severity"] >= SEVERE]
    action = _until("an incident that suggests what to do", lambda: _action(desk, severe))
    planned = _until("the plan", lambda: _planned(desk, action["id"]))
    if planned["status"] in OVER:
        raise StoryFailed(f"the action is {planned['status']}: {planned['note']}")
    return Told(
        incident=planned["incident"], action=planned["id"], status=planned["status"], findings=len(findings)
    )


def _action(desk: Desk, finding_ids: list[str]) -> Json | None:
    """The action that an earlier attempt asked for, or one that an incident of the findings suggests."""
    for finding_id in finding_ids:
        for alert in desk.rows(f"alerts?source=guardduty&external_id={finding_id}"):
            if not alert["incident"]:
                continue
            path = f"incidents/{alert['incident']}"
            for action in desk.rows(f"{path}/actions"):
                if action["type"] == WANTED and action["status"] not in OVER:
                    return action
            for suggestion in desk.rows(f"{path}/suggestions"):
                if suggestion["type"] == WANTED:
                    asked = {name: suggestion[name] for name in ("type", "target", "params")}
                    return desk.post(f"{path}/actions", asked)
    return None


def _planned(desk: Desk, action: str) -> Json | None:
    found = desk.get(f"actions/{action}")
    return None if found["status"] == "proposed" else found


def _until(what: str, look: Callable[[], T | None]) -> T:
    """Look until there is something. Real time: the workers it waits for are other processes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = look()
        if found is not None:
            return found
        time.sleep(0.5)
    raise StoryFailed(f"{what} did not come within {PATIENCE_SECONDS:.0f} s")
