"""Resources as Security Hub, OCSF, Inspector and Access Analyzer name them, in our words.

`AwsEc2Instance`, `AWS::EC2::Instance` and `AWS_EC2_INSTANCE` are one kind. Kinds without a word of ours
keep their name in snake case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cases.sources.types import Resource

WORDS = {
    "ec2instance": "instance",
    "ec2networkinterface": "network_interface",
    "ec2securitygroup": "security_group",
    "ec2volume": "volume",
    "ec2snapshot": "snapshot",
    "ec2vpc": "vpc",
    "ec2subnet": "subnet",
    "ec2image": "image",
    "iamaccesskey": "access_key",
    "iamuser": "user",
    "iamrole": "role",
    "iamgroup": "group",
    "iampolicy": "policy",
    "iaminstanceprofile": "instance_profile",
    "s3bucket": "bucket",
    "s3object": "object",
    "s3expressdirectorybucket": "bucket",
    "lambdafunction": "function",
    "ekscluster": "eks_cluster",
    "ecscluster": "ecs_cluster",
    "ecstask": "ecs_task",
    "container": "container",
    "rdsdbinstance": "db_instance",
    "rdsdbcluster": "db_cluster",
    "rdsdbsnapshot": "db_snapshot",
    "rdsdbclustersnapshot": "db_cluster_snapshot",
    "kmskey": "kms_key",
    "secretsmanagersecret": "secret",
    "snstopic": "topic",
    "sqsqueue": "queue",
    "cloudtrailtrail": "trail",
    "cloudformationstack": "stack",
    "ecrcontainerimage": "container_image",
    "ecrrepository": "repository",
    "account": "account",
}
MOST = 200

PLAIN = re.compile(r"[^a-z0-9]")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def word_of(kind: str) -> str:
    """Our word for a kind of resource, however it is spelled; empty for none."""
    plain = PLAIN.sub("", kind.lower()).removeprefix("aws")
    if plain in WORDS:
        return WORDS[plain]
    spaced = HUMP.sub("_", re.sub(r"^(?:AWS::|Aws|AWS_)", "", kind))
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")[:60]


def resource(kind: str, uid: str, *, role: str = "") -> Iterator[Resource]:
    """The resource of a kind that an id or ARN names; none where either is missing."""
    word, arn = word_of(kind), uid if uid.startswith("arn:") else ""
    identity = _id_of(word, uid)
    if not word or not identity:
        return
    if word == "access_key" and identity.startswith("ASIA"):
        word = "session_key"
    yield Resource(type=word, id=identity, arn=arn, role=role)


def _id_of(word: str, uid: str) -> str:
    if not uid.startswith("arn:"):
        return uid.rsplit(":", maxsplit=1)[-1] if uid.startswith("AWS::") else uid
    rest = uid.split(":", maxsplit=5)[-1]
    if word == "object":
        return rest.partition("/")[2] or rest
    if word == "function":
        return rest.removeprefix("function:").partition(":")[0]
    return rest.rsplit("/", maxsplit=1)[-1].rsplit(":", maxsplit=1)[-1]


def once(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Each thing once, as it was first told, with an ARN that was told later."""
    found: dict[tuple[str, str], Resource] = {}
    for one in resources:
        before = found.get((one.type, one.id))
        if before is None:
            found[one.type, one.id] = one
        elif not before.arn and one.arn:
            found[one.type, one.id] = Resource(type=one.type, id=one.id, arn=one.arn, role=before.role)
    return tuple(found.values())[:MOST]
