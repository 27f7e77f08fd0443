"""The attacker's part of the demo: a leaked deployment key is used, and GuardDuty notices.

Somebody found the access key of `ci-deploy` (prod-shipping), looked around, and read from buckets.
`attack` makes those calls, `findings` are the alerts about them, `noise` is what else is in the queue
of such a company. All text here is our own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from lib import clock
from simulator.guardduty import (
    Sighting,
    api_call,
    dns_request,
    finding,
    key_resource,
    machine_resource,
    port_probe,
)
from simulator.noise import noise

__all__ = ["Attempt", "Played", "attack", "fetch_estate", "findings", "noise", "play"]

Json = dict[str, Any]
Estate = Mapping[str, Any]

LEAKED_USER = "ci-deploy"
VICTIM_MACHINE = "tracking-api"
# Addresses from the documentation ranges of RFC 5737: nobody's.
ATTACKER_ADDRESS = "203.0.113.77"
ATTACKER_AGENT = "aws-cli/2.15.30 Python/3.11.8 Linux/6.6.15-amd64 source/x86_64.kali.2024"
FIRST_USE, NOTICED = timedelta(hours=5, minutes=12), timedelta(minutes=6)  # before the story's present
C2_DOMAIN = "cdn-metrics.telemetry-edge.example"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of the attacker: its name and `ok`, or the code it was refused with."""

    call: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Played:
    """What the story did: the attacker's calls and the findings that were delivered."""

    attempts: tuple[Attempt, ...]
    findings: tuple[Json, ...]


def leaked_user(estate: Estate) -> Json:
    """The user whose key leaked."""
    return _named(estate["users"], LEAKED_USER)


def victim_machine(estate: Estate) -> Json:
    """The instance that speaks to the attacker's server."""
    return _named(estate["instances"], VICTIM_MACHINE)


def _named(items: list[Json], name: str) -> Json:
    return next(item for item in items if item["name"] == name)


def fetch_estate(url: str) -> Json:
    """The estate of a running simulated AWS."""
    with urllib.request.urlopen(f"{url}/_sim/estate", timeout=10) as answer:  # noqa: S310  # our own address
        document: Json = json.load(answer)
        return document


def attack(estate: Estate, url: str) -> tuple[Attempt, ...]:
    """Make the attacker's calls with the leaked key, in order. Refused calls are part of the story."""
    user = leaked_user(estate)
    key, own = (
        user["access_keys"][0],
        [item for item in estate["buckets"] if item["account"] == user["account"]],
    )
    other = _named(estate["buckets"], "nf-prod-manifests")
    artifact = _named(own, "nf-prod-artifacts")
    labels = _named(own, "nf-prod-labels")
    script: tuple[tuple[str, str, Json], ...] = (
        ("sts", "GetCallerIdentity", {}),
        ("s3", "ListBuckets", {}),
        ("iam", "ListUsers", {}),
        ("iam", "ListAttachedUserPolicies", {"UserName": LEAKED_USER}),
        ("iam", "GetUserPolicy", {"UserName": LEAKED_USER, "PolicyName": "deploy"}),
        ("ec2", "DescribeInstances", {}),
        ("ec2", "DescribeSecurityGroups", {}),
        ("s3", "ListObjectsV2", {"Bucket": labels["name"]}),
        ("s3", "GetObject", {"Bucket": labels["name"], "Key": labels["objects"][0]}),
        *(("s3", "GetObject", {"Bucket": artifact["name"], "Key": name}) for name in artifact["objects"]),
        ("s3", "GetObject", {"Bucket": other["name"], "Key": other["objects"][0]}),
    )
    session = botocore.session.Session()  # shared, so that it reads its data once
    clients = {service: _client(session, url, service, key) for service in {step[0] for step in script}}
    return tuple(_attempt(clients[service], service, name, given) for service, name, given in script)


def _client(session: botocore.session.Session, url: str, service: str, key: Mapping[str, str]) -> Any:
    client = session.create_client(
        service,
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
        config=Config(
            retries={"total_max_attempts": 1}, user_agent=ATTACKER_AGENT, connect_timeout=5, read_timeout=20
        ),
    )

    def come_from_elsewhere(request: Any, **_: object) -> None:
        request.headers["X-Quell-Source-Ip"] = ATTACKER_ADDRESS

    client.meta.events.register(f"before-sign.{service}.*", come_from_elsewhere)
    return client


def _attempt(client: Any, service: str, name: str, given: Json) -> Attempt:
    method = {operation: python for python, operation in client.meta.method_to_api_mapping.items()}[name]
    try:
        answer = getattr(client, method)(**given)
    except ClientError as error:
        return Attempt(f"{service}:{name}", str(error.response["Error"]["Code"]))
    if "Body" in answer:
        answer["Body"].read()
        answer["Body"].close()
    return Attempt(f"{service}:{name}", "ok")


def findings(estate: Estate, at: datetime) -> list[Json]:
    """The findings about the attack: the key first used five hours before `at`, noticed minutes ago."""
    return [_discovery(estate, at), _probe(estate, at), _backdoor(estate, at), _exfiltration(estate, at)]


def _exfiltration(estate: Estate, at: datetime) -> Json:
    user = leaked_user(estate)
    sighting = Sighting(
        kind="Exfiltration:IAMUser/AnomalousBehavior",
        severity=8.0,
        title=f"The user {LEAKED_USER} read objects in a way it never did before.",
        description=f"GetObject was called with the access key of {LEAKED_USER} from {ATTACKER_ADDRESS}, "
        "an address, network and client this user had not been seen with. "
        "Such reads often mean that data is being taken.",
        account=user["account"],
        region="eu-west-1",
        first=at - FIRST_USE,
        last=at - timedelta(minutes=14),
        created=at - NOTICED,
        count=9,
    )
    calls = ("ListBuckets", "ListObjectsV2", "GetObject")
    service = api_call("GetObject", "s3.amazonaws.com", ATTACKER_ADDRESS, calls, ATTACKER_AGENT)
    return finding(sighting, resource=key_resource(user), service=service)


def _discovery(estate: Estate, at: datetime) -> Json:
    user = leaked_user(estate)
    sighting = Sighting(
        kind="Discovery:IAMUser/AnomalousBehavior",
        severity=2.0,
        title=f"The user {LEAKED_USER} listed resources in a way it never did before.",
        description=f"ListUsers, DescribeInstances and similar calls were made with the access key of "
        f"{LEAKED_USER} from {ATTACKER_ADDRESS}. Listing like this often comes before an attack.",
        account=user["account"],
        region="eu-west-1",
        first=at - FIRST_USE,
        last=at - FIRST_USE + timedelta(minutes=11),
        created=at - NOTICED - timedelta(minutes=3),
        count=6,
    )
    calls = ("ListUsers", "DescribeInstances")
    service = api_call("ListUsers", "iam.amazonaws.com", ATTACKER_ADDRESS, calls, ATTACKER_AGENT)
    return finding(sighting, resource=key_resource(user), service=service)


def _backdoor(estate: Estate, at: datetime) -> Json:
    machine = victim_machine(estate)
    sighting = Sighting(
        kind="Backdoor:EC2/C&CActivity.B!DNS",
        severity=8.0,
        title=f"The instance {machine['id']} asked for the name of a command and control server.",
        description=f"The instance {machine['id']} ({machine['name']}) looks up {C2_DOMAIN}, "
        "which is known to control compromised machines.",
        account=machine["account"],
        region=machine["region"],
        first=at - timedelta(hours=3, minutes=40),
        last=at - timedelta(minutes=9),
        created=at - timedelta(minutes=8),
        count=44,
    )
    listed = {"threatListName": "Northgate Freight watch list", "threatNames": ["edge-loader"]}
    service = dns_request(C2_DOMAIN) | {
        "resourceRole": "TARGET",
        "evidence": {"threatIntelligenceDetails": [listed]},
        "additionalInfo": {"domain": C2_DOMAIN, "threatListName": listed["threatListName"]},
    }
    return finding(sighting, resource=machine_resource(machine), service=service)


def _probe(estate: Estate, at: datetime) -> Json:
    printer = _named(estate["instances"], "label-printer")
    sighting = Sighting(
        kind="Recon:EC2/PortProbeUnprotectedPort",
        severity=2.0,
        title=f"Port 631 of the instance {printer['id']} is being probed.",
        description=f"A host known for scanning probed port 631 of {printer['id']} ({printer['name']}).",
        account=printer["account"],
        region=printer["region"],
        first=at - timedelta(hours=9),
        last=at - timedelta(hours=1),
        created=at - timedelta(minutes=55),
        count=3,
    )
    return finding(sighting, resource=machine_resource(printer), service=port_probe(631, "198.51.100.23"))


def play(*, url: str, deliver: Callable[[list[Json]], None], at: datetime | None = None) -> Played:
    """Attack the simulated AWS at `url`, then hand the findings to `deliver` (which posts them to Quell)."""
    estate = fetch_estate(url)
    attempts = attack(estate, url)
    told = findings(estate, at or clock.now())
    deliver(told)
    return Played(attempts, tuple(told))


def _post(url: str, secret: str, told: list[Json]) -> None:
    """Hand findings to Quell's door for GuardDuty, as EventBridge would."""
    request = urllib.request.Request(  # noqa: S310  # our own address
        f"{url.rstrip('/')}/api/v1/ingest/guardduty",
        data=json.dumps(told).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {secret}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        answer.read()


def main() -> None:
    """Play the story against a running Quell, whose key is in QUELL_KEY; tells in JSON what was posted."""
    parser = argparse.ArgumentParser(prog="python -m simulator.story", description=__doc__.split("\n")[0])
    parser.add_argument("--simulator", required=True, help="address of the simulated AWS")
    parser.add_argument("--base-url", required=True, help="address of Quell")
    parser.add_argument(
        "--at", type=datetime.fromisoformat, help="when it plays; the same time, the same findings"
    )
    given = parser.parse_args()
    at = given.at or clock.now()
    deliver = partial(_post, given.base_url, os.environ["QUELL_KEY"])
    everyday = [
        one for one in noise(fetch_estate(given.simulator), at, days=2) if one["detail"]["severity"] < 7
    ]
    deliver(everyday)
    played = play(url=given.simulator, deliver=deliver, at=at)
    told = [{"id": one["detail"]["id"], "severity": one["detail"]["severity"]} for one in played.findings]
    print(json.dumps({"findings": told, "attempts": [dataclasses.asdict(one) for one in played.attempts]}))


if __name__ == "__main__":
    main()
