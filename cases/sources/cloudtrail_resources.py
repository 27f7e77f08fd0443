"""What a CloudTrail event speaks of: who called, with what, on what."""

from __future__ import annotations

from collections.abc import Iterator

from cases.decoding import JSON
from cases.sources import traces
from cases.sources.assets import once
from cases.sources.guardduty_resources import credential
from cases.sources.reading import at, objects, text, texts
from cases.sources.types import Resource

OF_PARAMETER = {
    "userName": "user",
    "roleName": "role",
    "groupName": "group",
    "policyArn": "policy",
    "accessKeyId": "access_key",
    "serialNumber": "mfa_device",
    "instanceId": "instance",
    "groupId": "security_group",
    "imageId": "image",
    "snapshotId": "snapshot",
    "volumeId": "volume",
    "bucketName": "bucket",
    "functionName": "function",
    "dBInstanceIdentifier": "db_instance",
    "dBClusterIdentifier": "db_cluster",
    "dBSnapshotIdentifier": "db_snapshot",
    "dBClusterSnapshotIdentifier": "db_cluster_snapshot",
    "keyId": "kms_key",
    "secretId": "secret",
    "trailName": "trail",
    "detectorId": "detector",
    "logGroupName": "log_group",
    "flowLogId": "flow_log",
    "analyzerName": "analyzer",
    "configurationRecorderName": "config_recorder",
    "backupVaultName": "backup_vault",
    "regionName": "region",
    "RegionName": "region",
    "roleArn": "role",
    "resolverQueryLogConfigId": "resolver_query_log",
}
NAMED = {"cloudtrail.amazonaws.com": "trail", "rolesanywhere.amazonaws.com": "trust_anchor"}
"""What a parameter that is only called `name` names, by service."""

IAM_GROUP = "iam.amazonaws.com"
MOST = 200
UNKNOWN = "somebody unknown"


def name_of(event: JSON) -> str:
    """Who called, for people: a user's name, a role with its session, `root`, or a service."""
    identity = at(event, "userIdentity")
    kind = text(identity, "type")
    if kind == "Root":
        return "root"
    if kind in ("AssumedRole", "Role") and (name := text(identity, "arn").rpartition(":assumed-role/")[2]):
        return name[:200]
    told = (
        text(identity, "userName"),
        text(identity, "onBehalfOf", "userId"),
        text(identity, "invokedBy"),
        text(identity, "arn").rpartition("/")[2],
        text(identity, "principalId"),
        text(identity, "accountId"),
    )
    return next((one for one in told if one), UNKNOWN)[:200]


def principal_of(event: JSON) -> str:
    """Who called, for machines: the same for all sessions of a role, other for each user."""
    identity = at(event, "userIdentity")
    told = (
        text(identity, "sessionContext", "sessionIssuer", "arn"),
        text(identity, "arn"),
        text(identity, "principalId"),
    )
    return next((one for one in told if one), name_of(event))


def resources_of(event: JSON) -> tuple[Resource, ...]:
    """Who called and with what, then what the call was about; each once."""
    return once([*_actors(event), *_targets(event)])


def _actors(event: JSON) -> Iterator[Resource]:
    identity = at(event, "userIdentity")
    kind, arn = text(identity, "type"), text(identity, "arn")
    if key := text(identity, "accessKeyId", most=128):
        yield credential(key, "actor")
    if kind == "Root":
        yield Resource(type="root", id=text(identity, "accountId") or "root", arn=arn, role="actor")
    elif kind == "IAMUser" and (name := text(identity, "userName", most=500)):
        yield Resource(type="user", id=name, arn=arn, role="actor")
    elif kind == "FederatedUser" and arn:
        yield Resource(type="federated_user", id=arn.rpartition("/")[2], arn=arn, role="actor")
    elif kind in ("AssumedRole", "Role"):
        yield from _role(identity)


def _role(identity: JSON) -> Iterator[Resource]:
    issuer = at(identity, "sessionContext", "sessionIssuer")
    arn = text(identity, "arn")
    name = text(issuer, "userName") or arn.rpartition(":assumed-role/")[2].partition("/")[0]
    if name:
        yield Resource(type="role", id=name, arn=text(issuer, "arn"), role="actor")
    if session := text(identity, "principalId"):
        yield Resource(type="role_session", id=session, arn=arn, role="actor")


def _targets(event: JSON) -> Iterator[Resource]:
    asked, answered = at(event, "requestParameters"), at(event, "responseElements")
    yield from _made(answered)
    yield from _parameters(event, asked)
    yield from _many(asked)
    for one in objects(event, "resources", most=MOST):
        if found := traces.resource_of(text(one, "ARN") or text(one, "arn")):
            yield _target(found.type, found.id, found.arn)


def _made(answered: JSON) -> Iterator[Resource]:
    """What the call brought into being: keys above all, which somebody holds now."""
    if key := text(answered, "accessKey", "accessKeyId", most=128):
        yield credential(key, "target")
    if key := text(answered, "credentials", "accessKeyId", most=128):
        yield credential(key, "target")
    if name := text(answered, "user", "userName"):
        yield _target("user", name, text(answered, "user", "arn"))
    if name := text(answered, "role", "roleName"):
        yield _target("role", name, text(answered, "role", "arn"))
    for one in objects(answered, "instancesSet", "items", most=MOST):
        if instance := text(one, "instanceId"):
            yield _target("instance", instance)


def _parameters(event: JSON, asked: JSON) -> Iterator[Resource]:
    is_iam = text(event, "eventSource") == IAM_GROUP
    for name, kind in OF_PARAMETER.items():
        value = text(asked, name, most=1800)
        if not value or (kind in ("group", "user") and not is_iam):
            continue
        yield _named(kind, value)
    if (kind := NAMED.get(text(event, "eventSource"), "")) and (value := text(asked, "name", most=1800)):
        yield _named(kind, value)


def _many(asked: JSON) -> Iterator[Resource]:
    """Things that a call of EC2 names in lists."""
    for one in objects(asked, "instancesSet", "items", most=MOST):
        if instance := text(one, "instanceId"):
            yield _target("instance", instance)
    told = at(asked, "DeleteFlowLogsRequest", "FlowLogId")
    for one in objects(told if isinstance(told, list) else [told], most=MOST):
        if log := text(one, "content"):
            yield _target("flow_log", log)
    for log in texts(asked, "flowLogIds", most=MOST):
        yield _target("flow_log", log)


def _named(kind: str, value: str) -> Resource:
    """A thing by its name or ARN, as the kind that its parameter says."""
    if not traces.ARN.fullmatch(value):
        return _target(kind, value)
    found = traces.resource_of(value)
    return _target(kind, found.id if found else value, value)


def _target(kind: str, identity: str, arn: str = "") -> Resource:
    return Resource(type=kind, id=identity[:500], arn=arn, role="target")
