"""From an alert's posting to its key's end: one alert after another, under a rule that may act by itself.

Each is about a key of its own, of a user of its own, in the simulated AWS. Measured are the moment at
which AWS has carried out the call, and the moment from which the action counts as verified, both since
the request was begun. Of the latter, *AWS* is the time in which at least one call to AWS was under way,
by the simulator's own log; the rest is ours. n is stated; no run is left out.
"""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import psycopg

from bench.desk import Desk
from launcher.console import LauncherError
from lib import clock

WARM = 5
PATIENCE_SECONDS = 60.0
BETWEEN_LOOKS_SECONDS = 0.01
MOST = 100
"""A rule's greatest budget for an hour."""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class Run:
    """One alert: when it was posted, and when its key was dead and seen to be (seconds since the epoch)."""

    posted: float
    answered: float
    deactivated: float
    verified: float
    aws: float
    calls: int

    @property
    def ours(self) -> float:
        """Seconds until verified in which no call to AWS was under way."""
        return self.verified - self.posted - self.aws


def measure(desk: Desk, *, runs: int) -> dict[str, Any]:
    """The percentiles of `runs` alerts (at most `MOST`), in milliseconds."""
    if not 1 <= runs <= MOST:
        raise LauncherError(f"a rule may do at most {MOST} an hour; --runs is from 1 to {MOST}", code=64)
    account = _account(desk)
    region = account["regions"][0]
    key = desk.ask(_PREPARE.format(account=account["id"], most=MOST)).splitlines()[-1]
    users = _users(desk, account["root_key"], WARM + runs)
    found = []
    with psycopg.connect(desk.database, autocommit=True) as connection:
        for number, (user, access_key) in enumerate(users):
            kind = "Warm" if number < WARM else "Key"
            body = _alert(account["id"], region, user, access_key, kind)
            found.append(_one(desk, connection, key, body, access_key))
    return _told(found[WARM:])


def _told(runs: Sequence[Run]) -> dict[str, Any]:
    spans = {
        "posted_to_deactivated": [run.deactivated - run.posted for run in runs],
        "posted_to_verified": [run.verified - run.posted for run in runs],
        "of_it_aws": [run.aws for run in runs],
        "of_it_ours": [run.ours for run in runs],
        "post_answered": [run.answered - run.posted for run in runs],
    }
    return {
        "n": len(runs),
        "aws_calls": statistics.median(run.calls for run in runs),
        **{f"{name}_ms": _percentiles(seconds) for name, seconds in spans.items()},
    }


def _percentiles(seconds: Iterable[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        name: round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 1)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
    }


def _one(
    desk: Desk, connection: psycopg.Connection[Any], key: str, body: Mapping[str, Any], access_key: str
) -> Run:
    seen = _calls(desk, 0)["next"]
    posted = time.time()
    _post(desk, key, body)
    answered = time.time()
    action, verified = _verified(connection, access_key)
    calls = [call for call in _calls(desk, seen)["calls"] if action in json.dumps(call)]
    return Run(
        posted=posted,
        answered=answered,
        deactivated=next(call["answeredAt"] for call in calls if _is_the_one(call)),
        verified=verified,
        aws=_covered((call["receivedAt"], min(call["answeredAt"], verified)) for call in calls),
        calls=sum(call["receivedAt"] < verified for call in calls),
    )


def _is_the_one(call: Mapping[str, Any]) -> bool:
    return call["eventName"] == "UpdateAccessKey" and "errorCode" not in call


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that at least one of the spans covers."""
    total, until = 0.0, 0.0
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, until))
        until = max(until, ended)
    return total


def _verified(connection: psycopg.Connection[Any], access_key: str) -> tuple[str, float]:
    """The action about a key and when it was verified. `LauncherError` when it ends otherwise, or never."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    row: Any = None
    while time.monotonic() < deadline:
        row = connection.execute(_LOOK, [access_key]).fetchone()
        if row is not None and row[2] is not None:
            return str(row[0]), float(row[2])
        time.sleep(BETWEEN_LOOKS_SECONDS)
    raise LauncherError(f"the key {access_key} is not off after {PATIENCE_SECONDS:g} s: {row}")


_LOOK = """
SELECT ulid, status || ': ' || note, extract(epoch FROM verified_at) FROM cases_action
WHERE type = 'iam.deactivate-access-key' AND target ->> 'id' = %s
"""


def _alert(account: str, region: str, user: str, access_key: str, kind: str) -> dict[str, Any]:
    return {
        "source": "bench",
        "external_id": f"bench-{access_key}",
        "title": f"The key {access_key} of {user} is used from an address on a list",
        "severity": 85,
        "type": f"Bench:IAMUser/{kind}",
        "account": account,
        "region": region,
        "resources": [
            {"type": "access_key", "id": access_key, "role": "target"},
            {"type": "user", "id": user, "role": "target"},
        ],
        "detected_at": clock.now().isoformat(),
    }


def _account(desk: Desk) -> dict[str, Any]:
    with _opener.open(f"{desk.simulator}/_sim/estate", timeout=30) as answer:
        accounts: list[dict[str, Any]] = json.load(answer)["accounts"]
    return next(one for one in accounts if one["environment"] == "sandbox" and one["roles"].get("contain"))


def _users(desk: Desk, root: Mapping[str, str], count: int) -> list[tuple[str, str]]:
    """Users of the simulated account with a key each: names and key ids."""
    iam = boto3.client(
        "iam",
        endpoint_url=desk.simulator,
        region_name="us-east-1",
        aws_access_key_id=root["access_key_id"],
        aws_secret_access_key=root["secret_access_key"],
    )
    made = []
    for number in range(count):
        name = f"bench-{number}"
        iam.create_user(UserName=name)
        made.append((name, iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]))
    return made


def _post(desk: Desk, key: str, body: Mapping[str, Any]) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{desk.stack.url}/api/v1/alerts",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with _opener.open(request, timeout=30) as answer:
        answer.read()


def _calls(desk: Desk, since: int) -> dict[str, Any]:
    with _opener.open(f"{desk.simulator}/_sim/calls?since={since}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


_PREPARE = """
from datetime import timedelta
from containment import auto_rules
from estate.models import Account, Mode
from identity import keys
from identity.actors import SYSTEM, of_user
from identity.models import Team, User
from lib import clock
at, team = clock.now(), Team.objects.get(slug='blue')
lead, approver = (of_user(User.objects.get(username=name)) for name in ('lead', 'approver'))
Account.objects.filter(account_id='{account}').update(mode=Mode.AUTO)
for kind in ('Warm', 'Key'):
    rule = auto_rules.create(
        wording=auto_rules.Wording(
            name='Bench ' + kind, type='Bench:IAMUser/' + kind, expires_at=at + timedelta(days=1),
            environments=('sandbox',), action_types=('iam.deactivate-access-key',), max_tier=2,
            per_hour={most}, per_account={most},
        ),
        team=team, by=lead, at=at,
    )
    auto_rules.approve(rule=rule, seen=rule.version, by=approver, at=at, is_fresh=True)
print(keys.create(name='bench', team=team, scopes=frozenset(('alerts:write',)), by=SYSTEM, at=at,
                  expires_at=None).secret)
"""
