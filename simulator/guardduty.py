"""GuardDuty findings, as EventBridge delivers them: the structure, filled with what a story gives.

https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a finding says apart from its resource: type, severity (GuardDuty's 1 to 10), words, times."""

    kind: str
    severity: float
    title: str
    description: str
    account: str
    region: str
    first: datetime
    last: datetime
    created: datetime
    count: int = 1
    archived: bool = False


def finding(sighting: Sighting, *, resource: Json, service: Json) -> Json:
    """One finding in EventBridge's envelope."""
    chance = random.Random(f"{sighting.kind} {sighting.title} {sighting.created.isoformat()}")  # noqa: S311  # an id
    identifier, detector = f"{chance.getrandbits(128):032x}", _detector(sighting.account)
    arn = f"arn:aws:guardduty:{sighting.region}:{sighting.account}:detector/{detector}/finding/{identifier}"
    detail = {
        "schemaVersion": "2.0",
        "accountId": sighting.account,
        "region": sighting.region,
        "partition": "aws",
        "id": identifier,
        "arn": arn,
        "type": sighting.kind,
        "resource": resource,
        "service": {
            "serviceName": "guardduty",
            "detectorId": detector,
            "featureName": _feature(service),
            "additionalInfo": {},
            **service,
            "eventFirstSeen": _milliseconds(sighting.first),
            "eventLastSeen": _milliseconds(sighting.last),
            "archived": sighting.archived,
            "count": sighting.count,
        },
        "severity": sighting.severity,
        "createdAt": _milliseconds(sighting.created),
        "updatedAt": _milliseconds(sighting.created),
        "title": sighting.title,
        "description": sighting.description,
    }
    return {
        "version": "0",
        "id": str(UUID(int=chance.getrandbits(128), version=4)),
        "detail-type": "GuardDuty Finding",
        "source": "aws.guardduty",
        "account": sighting.account,
        "time": _stamp(sighting.created + timedelta(seconds=41)),
        "region": sighting.region,
        "resources": [],
        "detail": detail,
    }


def _detector(account: str) -> str:
    return f"{random.Random(account).getrandbits(128):032x}"  # noqa: S311  # the account's detector id


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _feature(service: Json) -> str:
    return {"AWS_API_CALL": "CloudTrail", "DNS_REQUEST": "DnsLogs"}.get(
        service["action"]["actionType"], "FlowLogs"
    )


def _remote(address: str) -> Json:
    return {
        "ipAddressV4": address,
        "country": {"countryName": "Nowhere"},
        "city": {"cityName": ""},
        "geoLocation": {"lat": 0.0, "lon": 0.0},
        "organization": {
            "asn": "64496",
            "asnOrg": "Example Hosting",
            "isp": "Example Hosting",
            "org": "Example Hosting",
        },
    }


def api_call(operation: str, source: str, address: str, unusual: tuple[str, ...], agent: str) -> Json:
    """The service part of a finding about API calls."""
    return {
        "action": {
            "actionType": "AWS_API_CALL",
            "awsApiCallAction": {
                "api": operation,
                "serviceName": source,
                "callerType": "Remote IP",
                "userAgent": agent,
                "remoteIpDetails": _remote(address),
                "affectedResources": {},
            },
        },
        "resourceRole": "TARGET",
        "additionalInfo": {
            "userAgent": {"fullUserAgent": agent, "userAgentCategory": "AWS CLI"},
            "anomalies": {"anomalousAPIs": f"{source}:[{', '.join(f'{name}:success' for name in unusual)}]"},
        },
    }


def dns_request(domain: str) -> Json:
    """The service part of a finding about a DNS query."""
    suffix = ".".join(domain.split(".")[-2:])
    asked = {"domain": domain, "protocol": "UDP", "blocked": False, "domainWithSuffix": suffix}
    return {"action": {"actionType": "DNS_REQUEST", "dnsRequestAction": asked}, "resourceRole": "ACTOR"}


def connection(address: str, port: int) -> Json:
    """The service part of a finding about an outgoing connection."""
    return {
        "action": {
            "actionType": "NETWORK_CONNECTION",
            "networkConnectionAction": {
                "connectionDirection": "OUTBOUND",
                "protocol": "TCP",
                "blocked": False,
                "localPortDetails": {"port": 49822, "portName": "Unknown"},
                "remotePortDetails": {"port": port, "portName": "HTTPS" if port == 443 else "Unknown"},
                "remoteIpDetails": _remote(address),
            },
        },
        "resourceRole": "ACTOR",
    }


def port_probe(port: int, address: str) -> Json:
    """The service part of a finding about a probed port."""
    probed = {
        "localPortDetails": {"port": port, "portName": "SSH" if port == 22 else "Unknown"},
        "remoteIpDetails": _remote(address),
    }
    return {
        "action": {
            "actionType": "PORT_PROBE",
            "portProbeAction": {"blocked": False, "portProbeDetails": [probed]},
        },
        "resourceRole": "TARGET",
    }


def key_resource(user: Json) -> Json:
    """The resource part for a user's first access key."""
    return {
        "resourceType": "AccessKey",
        "accessKeyDetails": {
            "accessKeyId": user["access_keys"][0]["access_key_id"],
            "principalId": user["id"],
            "userType": "IAMUser",
            "userName": user["name"],
        },
    }


def machine_resource(machine: Json) -> Json:
    """The resource part for an instance."""
    account = machine["account"]
    profile = machine["profile"] and {
        "arn": f"arn:aws:iam::{account}:instance-profile/{machine['profile']}",
        "id": f"AIPA{machine['id'][-16:].upper()}",
    }
    return {
        "resourceType": "Instance",
        "instanceDetails": {
            "instanceId": machine["id"],
            "instanceType": machine["type"],
            "instanceState": "running",
            "availabilityZone": f"{machine['region']}a",
            "imageId": machine["image"],
            "iamInstanceProfile": profile,
            "networkInterfaces": [
                {
                    "networkInterfaceId": interface["id"],
                    "vpcId": machine["vpc"],
                    "subnetId": interface["subnet"],
                    "privateIpAddress": interface["private_address"],
                    "privateIpAddresses": [{"privateIpAddress": interface["private_address"]}],
                    "ipv6Addresses": [],
                    "securityGroups": [
                        {"groupId": group, "groupName": group} for group in interface["groups"]
                    ],
                }
                for interface in machine["interfaces"]
            ],
            "tags": [{"key": key, "value": value} for key, value in machine["tags"].items()],
        },
    }


def bucket_resource(bucket: Json) -> Json:
    """The resource part for a bucket."""
    return {
        "resourceType": "S3Bucket",
        "s3BucketDetails": [
            {
                "arn": bucket["arn"],
                "name": bucket["name"],
                "type": "Destination",
                "owner": {"id": bucket["account"]},
                "tags": [],
                "publicAccess": {"effectivePermission": "NOT_PUBLIC"},
            }
        ],
    }


def function_resource(function: Json) -> Json:
    """The resource part for a function."""
    return {
        "resourceType": "Lambda",
        "lambdaDetails": {
            "functionArn": function["arn"],
            "functionName": function["name"],
            "functionVersion": "$LATEST",
            "role": function["role"],
            "tags": [],
        },
    }
