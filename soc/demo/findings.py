"""GuardDuty findings of the demo's past: our own words in GuardDuty's structure, about things of the estate.

https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime

from soc.demo.simulator import Json

# Documentation ranges (RFC 5737): nobody's addresses.
ADDRESSES = tuple(
    f"{network}.{host}" for network in ("198.51.100", "203.0.113") for host in range(7, 240, 13)
)


@dataclass(frozen=True, kw_only=True)
class Sort:
    """One sort of finding: its type, severity from 1 to 10, what it is about, and its words."""

    type: str
    severity: float
    about: str
    title: str
    text: str


OF_THE_STORY = ("ci-deploy", "tracking-api")
KEY, MACHINE, BUCKET = "users", "instances", "buckets"

SORTS: dict[str, tuple[Sort, ...]] = {
    "compromised_credentials": (
        Sort(
            type="UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
            severity=8.0,
            about=KEY,
            title="Credentials of {name} were used from an address outside AWS.",
            text="API calls were signed with credentials of {name} from {address}, outside AWS.",
        ),
        Sort(
            type="PrivilegeEscalation:IAMUser/AnomalousBehavior",
            severity=5.0,
            about=KEY,
            title="{name} called APIs that can widen its own rights.",
            text="AttachUserPolicy was called as {name} from {address}, which {name} had not done before.",
        ),
        Sort(
            type="Persistence:IAMUser/AnomalousBehavior",
            severity=5.0,
            about=KEY,
            title="{name} created an access key in an unusual way.",
            text="CreateAccessKey was called as {name} from {address}, an address not seen before.",
        ),
        Sort(
            type="Impact:IAMUser/AnomalousBehavior",
            severity=8.0,
            about=KEY,
            title="{name} deleted resources in an unusual way.",
            text="Calls that delete resources were made as {name} from {address}.",
        ),
    ),
    "compromised_instance": (
        Sort(
            type="Backdoor:EC2/C&CActivity.B!DNS",
            severity=8.0,
            about=MACHINE,
            title="{name} asks for the name of a command and control server.",
            text="The instance {name} looks up a name that is known to control compromised machines.",
        ),
        Sort(
            type="UnauthorizedAccess:EC2/TorClient",
            severity=8.0,
            about=MACHINE,
            title="{name} connects to the Tor network.",
            text="The instance {name} opened connections to {address}, an entrance of the Tor network.",
        ),
        Sort(
            type="Behavior:EC2/NetworkPortUnusual",
            severity=5.0,
            about=MACHINE,
            title="{name} talks over a port that it never used.",
            text="The instance {name} exchanges traffic with {address} over port 4444.",
        ),
    ),
    "crypto_mining": (
        Sort(
            type="CryptoCurrency:EC2/BitcoinTool.B!DNS",
            severity=8.0,
            about=MACHINE,
            title="{name} asks for the name of a mining pool.",
            text="The instance {name} looks up a name that belongs to a pool of miners.",
        ),
    ),
    "data_exfiltration": (
        Sort(
            type="Exfiltration:S3/AnomalousBehavior",
            severity=8.0,
            about=BUCKET,
            title="Objects of {name} were read in an unusual way.",
            text="Far more objects of {name} than usual were read from {address}.",
        ),
        Sort(
            type="Discovery:S3/MaliciousIPCaller",
            severity=8.0,
            about=BUCKET,
            title="The bucket {name} was listed from a listed address.",
            text="ListObjectsV2 was called on {name} from {address}, which is on a list of bad addresses.",
        ),
    ),
    "public_exposure": (
        Sort(
            type="Policy:S3/BucketAnonymousAccessGranted",
            severity=8.0,
            about=BUCKET,
            title="Anyone may read the bucket {name}.",
            text="A policy that lets anyone read was put on {name} from {address}.",
        ),
    ),
    "log_tampering": (
        Sort(
            type="Stealth:IAMUser/LoggingConfigurationModified",
            severity=5.0,
            about=KEY,
            title="{name} changed what is logged.",
            text="StopLogging was called as {name} from {address}.",
        ),
    ),
    "reconnaissance": (
        Sort(
            type="Recon:EC2/PortProbeUnprotectedPort",
            severity=2.0,
            about=MACHINE,
            title="An open port of {name} is being probed.",
            text="Hosts on the internet, {address} among them, probe an open port of {name}.",
        ),
        Sort(
            type="UnauthorizedAccess:EC2/SSHBruteForce",
            severity=2.0,
            about=MACHINE,
            title="Passwords are being guessed at {name}.",
            text="{address} tries SSH passwords at the instance {name}.",
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One finding to be written: what, about which thing, and when."""

    sort: Sort
    thing: Json
    first_seen_at: datetime
    detected_at: datetime
    count: int
    address: str

    @property
    def title(self) -> str:
        return self._words(self.sort.title)

    def body(self) -> bytes:
        """The finding as GuardDuty exports it."""
        return json.dumps(self._document()).encode()

    def _document(self) -> Json:
        account, region = self.thing["account"], self.thing.get("region", "us-east-1")
        detector = _id("detector", account, region)
        identity = _id("finding", self.sort.type, self.thing["arn"], self.detected_at.isoformat())
        return {
            "schemaVersion": "2.0",
            "accountId": account,
            "region": region,
            "partition": "aws",
            "id": identity,
            "arn": f"arn:aws:guardduty:{region}:{account}:detector/{detector}/finding/{identity}",
            "type": self.sort.type,
            "resource": _resource(self.sort.about, self.thing),
            "service": {
                "serviceName": "guardduty",
                "detectorId": detector,
                "action": self._action(),
                "resourceRole": "TARGET",
                "eventFirstSeen": _time(self.first_seen_at),
                "eventLastSeen": _time(self.detected_at),
                "archived": False,
                "count": self.count,
            },
            "severity": self.sort.severity,
            "createdAt": _time(self.detected_at),
            "updatedAt": _time(self.detected_at),
            "title": self.title,
            "description": self._words(self.sort.text),
        }

    def _action(self) -> Json:
        remote = {"ipAddressV4": self.address, "organization": {"asn": "64500", "asnOrg": "Example Hosting"}}
        if self.sort.about == MACHINE:
            connection = {
                "connectionDirection": "OUTBOUND",
                "protocol": "TCP",
                "blocked": False,
                "remoteIpDetails": remote,
            }
            return {"actionType": "NETWORK_CONNECTION", "networkConnectionAction": connection}
        call = {"api": "", "serviceName": "", "callerType": "Remote IP", "remoteIpDetails": remote}
        call |= (
            {"api": "GetObject", "serviceName": "s3.amazonaws.com"}
            if self.sort.about == BUCKET
            else {"api": "ListUsers", "serviceName": "iam.amazonaws.com"}
        )
        return {"actionType": "AWS_API_CALL", "awsApiCallAction": call}

    def _words(self, text: str) -> str:
        return text.format(name=self.thing["name"], address=self.address)


def things_of(estate: Json, about: str) -> list[Json]:
    """What findings can be about: nothing of the story's, whose incident shall be a new one; no hub user.

    Of users only those that have a key.
    """
    spared = {*OF_THE_STORY, estate["hub"]["user"]}
    things: list[Json] = [thing for thing in estate[about] if thing["name"] not in spared]
    return [thing for thing in things if about != KEY or thing["access_keys"]]


def draw_sort(rng: random.Random, kind: str) -> Sort:
    """One sort of finding that starts an incident of this kind."""
    return rng.choice(SORTS[kind])


def _resource(about: str, thing: Json) -> Json:
    if about == KEY:
        details = {
            "accessKeyId": thing["access_keys"][-1]["access_key_id"],
            "principalId": thing["id"],
            "userName": thing["name"],
            "userType": "IAMUser",
        }
        return {"resourceType": "AccessKey", "accessKeyDetails": details}
    if about == BUCKET:
        bucket = {"arn": thing["arn"], "name": thing["name"], "type": "Destination"}
        return {"resourceType": "S3Bucket", "s3BucketDetails": [bucket]}
    interfaces = [
        {"networkInterfaceId": one["id"], "privateIpAddress": one["private_address"]}
        for one in thing["interfaces"]
    ]
    details = {"instanceId": thing["id"], "instanceType": thing["type"], "networkInterfaces": interfaces}
    return {"resourceType": "Instance", "instanceDetails": details}


def _id(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
