"""Everyday findings: what else is in the queue of a company of this size. All text is our own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from simulator.guardduty import (
    Sighting,
    api_call,
    bucket_resource,
    connection,
    dns_request,
    finding,
    function_resource,
    key_resource,
    machine_resource,
    port_probe,
)

Json = dict[str, Any]
AGENT = "Boto3/1.40.11 md/Botocore#1.40.11 lang/python#3.12.4"


@dataclass(frozen=True, slots=True)
class _Noise:
    """One kind of everyday finding: type, severity, what it is about, title, sentence."""

    kind: str
    severity: float
    about: str
    title: str
    sentence: str


_NOISE = (
    _Noise(
        "Recon:EC2/PortProbeUnprotectedPort",
        2.0,
        "probe",
        "Port 22 of {name} is being probed.",
        "A scanner tried port 22 of {name}, which answers.",
    ),
    _Noise(
        "UnauthorizedAccess:EC2/SSHBruteForce",
        2.0,
        "probe",
        "{name} is the target of SSH password guessing.",
        "Many SSH connections to {name} came from {address} in a short time.",
    ),
    _Noise(
        "Behavior:EC2/NetworkPortUnusual",
        5.0,
        "flow",
        "{name} talks over a port it never used.",
        "{name} opened connections to {address} on a port outside its usual behaviour.",
    ),
    _Noise(
        "Recon:EC2/Portscan",
        5.0,
        "flow",
        "{name} scans the ports of another host.",
        "{name} tried many ports of {address} within a minute.",
    ),
    _Noise(
        "Backdoor:EC2/Spambot",
        5.0,
        "flow",
        "{name} sends mail to many servers.",
        "{name} opened connections to port 25 of many hosts, {address} among them.",
    ),
    _Noise(
        "UnauthorizedAccess:EC2/MaliciousIPCaller.Custom",
        5.0,
        "flow",
        "{name} talks to a listed address.",
        "{name} exchanged packets with {address}, which is on the company's own list.",
    ),
    _Noise(
        "UnauthorizedAccess:EC2/TorClient",
        8.0,
        "flow",
        "{name} connects to the Tor network.",
        "{name} connected to {address}, a Tor guard node.",
    ),
    _Noise(
        "CryptoCurrency:EC2/BitcoinTool.B!DNS",
        8.0,
        "dns",
        "{name} looks up a mining pool.",
        "{name} asked for the name of a host that belongs to a mining pool.",
    ),
    _Noise(
        "Trojan:EC2/DNSDataExfiltration",
        8.0,
        "dns",
        "{name} sends data out in DNS queries.",
        "The names {name} asks for carry encoded data.",
    ),
    _Noise(
        "DefenseEvasion:EC2/UnusualDNSResolver",
        5.0,
        "flow",
        "{name} uses a resolver it never used.",
        "{name} sends its DNS queries to {address} and not to the network's resolver.",
    ),
    _Noise(
        "UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B",
        5.0,
        "key",
        "{name} signed in from two places at once.",
        "Sign-ins of {name} came from places too far apart for the time between, the last from {address}.",
    ),
    _Noise(
        "Recon:IAMUser/MaliciousIPCaller",
        5.0,
        "key",
        "{name} listed resources from a listed address.",
        "Describe calls with a key of {name} came from {address}.",
    ),
    _Noise(
        "UnauthorizedAccess:IAMUser/TorIPCaller",
        5.0,
        "key",
        "{name} called an API through Tor.",
        "A call with a key of {name} came from {address}, a Tor exit node.",
    ),
    _Noise(
        "Persistence:IAMUser/AnomalousBehavior",
        5.0,
        "key",
        "{name} changed access in an unusual way.",
        "Calls that grant lasting access were made with a key of {name} from {address}.",
    ),
    _Noise(
        "PenTest:IAMUser/KaliLinux",
        5.0,
        "key",
        "{name} called an API from a penetration testing system.",
        "The client of a call with a key of {name} is one that testers and attackers use.",
    ),
    _Noise(
        "Impact:IAMUser/AnomalousBehavior",
        8.0,
        "key",
        "{name} deleted resources in an unusual way.",
        "Calls that delete or overwrite were made with a key of {name} from {address}.",
    ),
    _Noise(
        "Policy:S3/BucketBlockPublicAccessDisabled",
        2.0,
        "bucket",
        "Block Public Access is off for {name}.",
        "Block Public Access was switched off for the bucket {name}.",
    ),
    _Noise(
        "Discovery:S3/MaliciousIPCaller",
        8.0,
        "bucket",
        "{name} was listed from a listed address.",
        "ListObjectsV2 on {name} came from {address}.",
    ),
    _Noise(
        "Exfiltration:S3/AnomalousBehavior",
        8.0,
        "bucket",
        "{name} is read in an unusual way.",
        "Many objects of {name} were read from {address} by a caller that seldom reads.",
    ),
    _Noise(
        "Backdoor:Lambda/C&CActivity.B",
        8.0,
        "function",
        "{name} talks to a command and control server.",
        "The function {name} connects to {address}.",
    ),
    _Noise(
        "CryptoCurrency:Lambda/BitcoinTool.B",
        8.0,
        "function",
        "{name} talks to a mining pool.",
        "The function {name} connects to {address}, which belongs to a mining pool.",
    ),
)
# What the story is about stays out, so that its findings stand out by their facts.
OF_THE_STORY = ("ci-deploy", "tracking-api", "quell-hub")
_ADDRESSES = tuple(
    f"{network}.{host}" for network in ("203.0.113", "198.51.100", "192.0.2") for host in (9, 41, 118, 201)
)


def noise(
    estate: Mapping[str, Any], at: datetime, *, days: int = 14, number: int = 48, seed: int = 1
) -> list[Json]:
    """Everyday findings of many types, severities and accounts over the days before `at`, oldest first.

    Every type occurs about equally often, so `number` of 40 to 60 makes a plausible queue; the same
    arguments give the same findings.
    """
    chance = random.Random(seed)  # noqa: S311  # a plausible queue, not a secret
    made = [_everyday(_NOISE[index % len(_NOISE)], estate, at, days, chance) for index in range(number)]
    return sorted(made, key=lambda item: str(item["detail"]["updatedAt"]))


def _everyday(
    kind: _Noise, estate: Mapping[str, Any], at: datetime, days: int, chance: random.Random
) -> Json:
    address = chance.choice(_ADDRESSES)
    listing = {"key": "users", "bucket": "buckets", "function": "functions"}.get(kind.about, "instances")
    choices = [
        item
        for item in estate[listing]
        if item["name"] not in OF_THE_STORY and (listing != "users" or item["access_keys"])
    ]
    item = chance.choice(choices)
    created = at - timedelta(seconds=chance.uniform(1800, days * 86400))
    first = created - timedelta(seconds=chance.uniform(240, 7200))
    words = {"name": item["name"], "address": address}
    sighting = Sighting(
        kind=kind.kind,
        severity=kind.severity,
        title=kind.title.format(**words),
        description=kind.sentence.format(**words),
        account=item["account"],
        region=item.get("region", "us-east-1"),
        first=first,
        last=created - timedelta(seconds=chance.uniform(30, 200)),
        created=created,
        count=chance.choice((1, 1, 1, 2, 5, 31)),
    )
    resource, service = _about(kind.about, item, address)
    return finding(sighting, resource=resource, service=service)


def _about(kind: str, item: Json, address: str) -> tuple[Json, Json]:
    if kind == "key":
        return key_resource(item), api_call("ListUsers", "iam.amazonaws.com", address, ("ListUsers",), AGENT)
    if kind == "bucket":
        return bucket_resource(item), api_call(
            "ListObjectsV2", "s3.amazonaws.com", address, ("ListObjectsV2",), AGENT
        )
    if kind == "function":
        return function_resource(item), connection(address, 443)
    if kind == "dns":
        return machine_resource(item), dns_request("pool.mining-collective.example")
    if kind == "probe":
        return machine_resource(item), port_probe(22, address)
    return machine_resource(item), connection(address, 9001)
