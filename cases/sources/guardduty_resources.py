"""What a GuardDuty finding speaks of: the resources it names and the traces it holds."""

from __future__ import annotations

from collections.abc import Iterator

from cases.decoding import JSON
from cases.sources.assets import once
from cases.sources.countries import code_of
from cases.sources.reading import at, objects, pairs, text, texts
from cases.sources.types import Observable, Place, Resource

OF_USER_TYPE = {
    "IAMUser": "user",
    "AssumedRole": "role",
    "Role": "role",
    "Root": "root",
    "FederatedUser": "federated_user",
    "AWSAccount": "account",
    "AWSService": "service",
}
OF_SEQUENCE = {
    "ACCESS_KEY": "access_key",
    "EC2_INSTANCE": "instance",
    "EC2_NETWORK_INTERFACE": "network_interface",
    "EC2_IMAGE": "image",
    "EC2_VPC": "vpc",
    "EC2_LAUNCH_TEMPLATE": "launch_template",
    "S3_BUCKET": "bucket",
    "S3_OBJECT": "object",
    "EKS_CLUSTER": "eks_cluster",
    "ECS_CLUSTER": "ecs_cluster",
    "ECS_TASK": "ecs_task",
    "KUBERNETES_WORKLOAD": "kubernetes_workload",
    "CONTAINER": "container",
    "IAM_INSTANCE_PROFILE": "instance_profile",
    "AUTOSCALING_AUTO_SCALING_GROUP": "auto_scaling_group",
    "CLOUDFORMATION_STACK": "stack",
}
MOST = 200


def resources_of(finding: JSON, *, account: str, region: str) -> tuple[Resource, ...]:
    """The resources, the finding's own subject first, each once."""
    resource = at(finding, "resource")
    role = text(finding, "service", "resourceRole").lower()
    partition = text(finding, "partition") or "aws"
    regional = f"arn:{partition}:{{}}:{region}:{account}:{{}}"
    parts = {
        "Instance": lambda: _instance(resource, role, regional),
        "AccessKey": lambda: _access_key(resource, role),
        "S3Bucket": lambda: _buckets(resource, role),
        "EKSCluster": lambda: _kubernetes(resource, role),
        "ECSCluster": lambda: _ecs(resource, role),
        "Container": lambda: _container(resource, role),
        "Lambda": lambda: _function(resource, role),
        "RDSDBInstance": lambda: _database(resource, role),
    }
    subject = text(resource, "resourceType")
    order = sorted(parts, key=lambda name: name != subject)
    found = [thing for name in order for thing in parts[name]()]
    return once([*found, *_volumes(resource, role), *_of_sequence(finding)])


def observables_of(finding: JSON) -> tuple[Observable, ...]:
    """Addresses, domains, hashes and clients of the other side, each once."""
    action = at(finding, "service", "action")
    found = [*_of_actions(action), *_of_processes(finding), *_of_endpoints(finding)]
    return tuple(dict.fromkeys(one for one in found if one.value))[:MOST]


# --- resources -----------------------------------------------------------------------------------------


def _instance(resource: JSON, role: str, regional: str) -> Iterator[Resource]:
    instance = at(resource, "instanceDetails")
    identity = text(instance, "instanceId")
    if not identity:
        return
    yield Resource(
        type="instance", id=identity, arn=regional.format("ec2", f"instance/{identity}"), role=role
    )
    for interface in objects(instance, "networkInterfaces"):
        if eni := text(interface, "networkInterfaceId"):
            arn = regional.format("ec2", f"network-interface/{eni}")
            yield Resource(type="network_interface", id=eni, arn=arn, role=role)
    profile = at(instance, "iamInstanceProfile")
    if arn := text(profile, "arn"):
        yield Resource(type="instance_profile", id=arn.rsplit("/", maxsplit=1)[-1], arn=arn, role=role)


def _access_key(resource: JSON, role: str) -> Iterator[Resource]:
    key = at(resource, "accessKeyDetails")
    if identity := text(key, "accessKeyId"):
        yield credential(identity, role)
    yield from principal(text(key, "userType"), text(key, "userName"), text(key, "principalId"), role)


def credential(identity: str, role: str) -> Resource:
    """A key: long-lived ones can be switched off, those of a session (ASIA…) cannot."""
    return Resource(
        type="session_key" if identity.startswith("ASIA") else "access_key", id=identity, role=role
    )


def principal(user_type: str, name: str, uid: str, role: str) -> Iterator[Resource]:
    """Who acted or is acted on, as a type of user, a name and an AWS principal id tell."""
    kind = OF_USER_TYPE.get(user_type, "principal" if name else "")
    if kind and (name or uid):
        yield Resource(type=kind, id=name or uid, role=role)
    if kind == "role" and ":" in uid:
        yield Resource(type="role_session", id=uid, role=role)


def _buckets(resource: JSON, role: str) -> Iterator[Resource]:
    for bucket in objects(resource, "s3BucketDetails"):
        arn, name = text(bucket, "arn"), text(bucket, "name")
        if name or arn:
            yield Resource(type="bucket", id=name or arn.rsplit(":", maxsplit=1)[-1], arn=arn, role=role)
        for item in objects(bucket, "s3ObjectDetails"):
            if key := text(item, "key"):
                yield Resource(type="object", id=key, arn=text(item, "objectArn"), role=role)


def _kubernetes(resource: JSON, role: str) -> Iterator[Resource]:
    cluster = at(resource, "eksClusterDetails")
    if name := text(cluster, "name"):
        yield Resource(type="eks_cluster", id=name, arn=text(cluster, "arn"), role=role)
    workload = at(resource, "kubernetesDetails", "kubernetesWorkloadDetails")
    if name := text(workload, "name"):
        where = text(workload, "namespace")
        yield Resource(type="kubernetes_workload", id=f"{where}/{name}" if where else name, role=role)
    if name := text(resource, "kubernetesDetails", "kubernetesUserDetails", "username"):
        yield Resource(type="kubernetes_user", id=name, role="actor")


def _ecs(resource: JSON, role: str) -> Iterator[Resource]:
    cluster = at(resource, "ecsClusterDetails")
    if name := text(cluster, "name"):
        yield Resource(type="ecs_cluster", id=name, arn=text(cluster, "arn"), role=role)
    if arn := text(cluster, "taskDetails", "arn"):
        yield Resource(type="ecs_task", id=arn.rsplit("/", maxsplit=1)[-1], arn=arn, role=role)
    for container in objects(cluster, "taskDetails", "containers"):
        if identity := text(container, "id") or text(container, "name"):
            yield Resource(type="container", id=identity, role=role)


def _container(resource: JSON, role: str) -> Iterator[Resource]:
    container = at(resource, "containerDetails")
    if identity := text(container, "id") or text(container, "name"):
        yield Resource(type="container", id=identity, role=role)


def _function(resource: JSON, role: str) -> Iterator[Resource]:
    function = at(resource, "lambdaDetails")
    if name := text(function, "functionName"):
        yield Resource(type="function", id=name, arn=text(function, "functionArn"), role=role)
    if arn := text(function, "role"):
        yield Resource(type="role", id=arn.rsplit("/", maxsplit=1)[-1], arn=arn, role=role)


def _database(resource: JSON, role: str) -> Iterator[Resource]:
    database = at(resource, "rdsDbInstanceDetails")
    if name := text(database, "dbInstanceIdentifier"):
        yield Resource(type="db_instance", id=name, arn=text(database, "dbInstanceArn"), role=role)
    if name := text(resource, "rdsDbUserDetails", "user"):
        yield Resource(type="db_user", id=name, role="actor")


def _volumes(resource: JSON, role: str) -> Iterator[Resource]:
    arns = [
        ("volume", text(v, "volumeArn"))
        for v in objects(resource, "ebsVolumeDetails", "scannedVolumeDetails")
    ]
    arns.append(("snapshot", text(resource, "ebsSnapshotDetails", "snapshotArn")))
    arns.append(("image", text(resource, "ec2ImageDetails", "imageArn")))
    arns.append(("recovery_point", text(resource, "recoveryPointDetails", "recoveryPointArn")))
    for kind, arn in arns:
        if arn:
            yield Resource(type=kind, id=arn.rsplit("/", maxsplit=1)[-1], arn=arn, role=role)


def _of_sequence(finding: JSON) -> Iterator[Resource]:
    """An attack sequence has no subject of its own but names actors and resources."""
    sequence = at(finding, "service", "detection", "sequence")
    for actor in objects(sequence, "actors"):
        user = at(actor, "user")
        if key := text(user, "credentialUid"):
            yield credential(key, "actor")
        yield from principal(text(user, "type"), text(user, "name"), text(user, "uid"), "actor")
    for thing in objects(sequence, "resources"):
        uid, name = text(thing, "uid"), text(thing, "name")
        kind = OF_SEQUENCE.get(text(thing, "resourceType"), text(thing, "resourceType").lower())
        arn = uid if uid.startswith("arn:") else ""
        identity = name or (arn.rsplit("/", maxsplit=1)[-1] if arn else uid)
        if kind == "access_key" and identity:
            yield credential(identity, "target")
        elif kind and identity:
            yield Resource(type=kind, id=identity, arn=arn, role="target")
        key = at(thing, "data", "accessKey")
        yield from principal(text(key, "userType"), text(key, "userName"), text(key, "principalId"), "target")


# --- observables ---------------------------------------------------------------------------------------


def labels_of(finding: JSON) -> tuple[tuple[str, str], ...]:
    """The AWS tags of the resources, the first of a key."""
    resource = at(finding, "resource")
    holders = [
        at(resource, "instanceDetails"),
        at(resource, "eksClusterDetails"),
        at(resource, "ecsClusterDetails"),
        at(resource, "lambdaDetails"),
        at(resource, "rdsDbInstanceDetails"),
        *objects(resource, "s3BucketDetails"),
    ]
    told = [pair for holder in holders for pair in pairs(holder, "tags")]
    return tuple(dict(reversed(told)).items())[:MOST]


def places_of(finding: JSON) -> tuple[Place, ...]:
    """Where the other side's addresses are, as GuardDuty tells it."""
    found = [place(at(remote, "remoteIpDetails")) for remote in _remotes(at(finding, "service", "action"))]
    for endpoint in objects(finding, "service", "detection", "sequence", "endpoints"):
        where, system = at(endpoint, "location"), at(endpoint, "autonomousSystem")
        told = text(where, "country", most=80)
        found.append(
            Place(
                address=text(endpoint, "ip", most=45),
                country=code_of(told, told),
                country_name="" if len(told) == 2 else told,
                city=text(where, "city", most=80),
                organization=text(system, "name", most=120),
                asn=asn_of(at(system, "number")),
            )
        )
    return tuple(
        dict.fromkeys(
            one for one in found if one.address and (one.country_name or one.country or one.organization)
        )
    )[:MOST]


def place(remote: JSON) -> Place:
    """A place from `remoteIpDetails`; empty address where it holds none."""
    name = text(remote, "country", "countryName", most=80)
    network = at(remote, "organization")
    return Place(
        address=text(remote, "ipAddressV4", most=45) or text(remote, "ipAddressV6", most=45),
        country=code_of(text(remote, "country", "countryCode"), name),
        country_name=name,
        city=text(remote, "city", "cityName", most=80),
        organization=text(network, "org", most=120) or text(network, "asnOrg", most=120),
        asn=asn_of(at(network, "asn")),
    )


def asn_of(value: JSON) -> int | None:
    """The number of an autonomous system, told as a number or its digits."""
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None


def _remotes(action: JSON) -> list[JSON]:
    """The parts of an action that name an other side."""
    return [
        at(action, "awsApiCallAction"),
        at(action, "networkConnectionAction"),
        at(action, "kubernetesApiCallAction"),
        at(action, "rdsLoginAttemptAction"),
        *objects(action, "portProbeAction", "portProbeDetails"),
    ]


def _of_actions(action: JSON) -> Iterator[Observable]:
    call = at(action, "awsApiCallAction")
    for remote in _remotes(action):
        yield Observable(kind="ip", value=text(remote, "remoteIpDetails", "ipAddressV4"))
        yield Observable(kind="ip", value=text(remote, "remoteIpDetails", "ipAddressV6"))
    for address in texts(action, "kubernetesApiCallAction", "sourceIPs"):
        yield Observable(kind="ip", value=address)
    yield Observable(kind="domain", value=text(action, "dnsRequestAction", "domain"))
    if not text(call, "domainDetails", "domain").endswith(".amazonaws.com"):  # a service acting for itself
        yield Observable(kind="domain", value=text(call, "domainDetails", "domain"))
    yield Observable(kind="user_agent", value=text(call, "userAgent"))
    if at(call, "remoteAccountDetails", "affiliated") is False:
        yield Observable(kind="account", value=text(call, "remoteAccountDetails", "accountId"))


def _of_processes(finding: JSON) -> Iterator[Observable]:
    runtime = at(finding, "service", "runtimeDetails")
    for process in (at(runtime, "process"), at(runtime, "context", "modifyingProcess")):
        yield Observable(kind="sha256", value=text(process, "executableSha256"))
    for threat in objects(finding, "service", "malwareScanDetails", "threats"):
        yield Observable(kind="threat", value=text(threat, "name"))


def _of_endpoints(finding: JSON) -> Iterator[Observable]:
    sequence = at(finding, "service", "detection", "sequence")
    for endpoint in objects(sequence, "endpoints"):
        yield Observable(kind="ip", value=text(endpoint, "ip"))
        yield Observable(kind="domain", value=text(endpoint, "domain"))
    for actor in objects(sequence, "actors"):
        yield Observable(kind="sha256", value=text(actor, "process", "sha256"))
