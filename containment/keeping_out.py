"""The tag that keeps a thing out of containment, as AWS shows it whenever a plan is made. Pure.

A plan is made when it is asked for and once more before its first call, so a tag that is set after the
approval is seen as well. Tags are read from the service that keeps them: an index over all services
(the Resource Groups Tagging API) lags behind and knows neither users nor roles.
https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from containment.hitting import NAMED_BY, account_in, name_of
from containment.looking import select
from containment.types import Plan, Read

if TYPE_CHECKING:
    from containment.describing import ActionType, Context

KEEP_OUT = "quell:do-not-contain"
"""The tag of what no containment may touch, whatever its value."""

NO_ENTITY = ("NoSuchEntity",)


@dataclass(frozen=True, kw_only=True)
class Tags:
    """Where a service shows a thing's tags: the read, its parameters, and a JMESPath to the tags' keys."""

    read: str
    params: Callable[[Context, Plan], Mapping[str, Any]]
    keys: str
    missing: tuple[str, ...] = ()


def _plain(name: str) -> Callable[[Context, Plan], Mapping[str, Any]]:
    """The target's id as one parameter."""
    return lambda ctx, _: {name: ctx.target.id}


def _arn(name: str, service: str, prefix: str = "") -> Callable[[Context, Plan], Mapping[str, Any]]:
    """The target's ARN as one parameter."""
    return lambda ctx, plan: {
        name: ctx.arn(service, f"{prefix}{ctx.target.id}", region=_region(ctx, plan, service))
    }


def _bucket(ctx: Context, plan: Plan) -> Mapping[str, Any]:
    del plan
    return {"Bucket": ctx.target.id, "ExpectedBucketOwner": ctx.target.account}


def _queue(ctx: Context, plan: Plan) -> Mapping[str, Any]:
    del ctx
    return {"QueueUrl": next(step.call.params["QueueUrl"] for step in plan.steps if step.call)}


def _db_snapshot(ctx: Context, plan: Plan) -> Mapping[str, Any]:
    """A snapshot of an instance or of a cluster: the plan found out which."""
    is_cluster = any("Cluster" in step.call.operation for step in plan.steps if step.call)
    kind = "cluster-snapshot" if is_cluster else "snapshot"
    return _arn("ResourceName", "rds", f"{kind}:")(ctx, plan)


def _of_ec2(ctx: Context, plan: Plan) -> Mapping[str, Any]:
    del plan
    return {
        "Filters": [
            {"Name": "key", "Values": [KEEP_OUT]},
            {"Name": "resource-id", "Values": [ctx.target.id]},
        ]
    }


_EC2 = Tags(read="ec2:DescribeTags", params=_of_ec2, keys="Tags[].Key")
_USER = Tags(read="iam:GetUser", params=_plain("UserName"), keys="User.Tags[].Key", missing=NO_ENTITY)
_ROLE = Tags(read="iam:GetRole", params=_plain("RoleName"), keys="Role.Tags[].Key", missing=NO_ENTITY)

TAGS: Mapping[str, Tags] = {
    "instance": _EC2,
    "image": _EC2,
    "security_group": _EC2,
    "snapshot": _EC2,
    "subnet": _EC2,
    "vpc": _EC2,
    "user": _USER,
    "role": _ROLE,
    "policy": Tags(read="iam:GetPolicy", params=_plain("PolicyArn"), keys="Policy.Tags[].Key"),
    "bucket": Tags(
        read="s3:GetBucketTagging", params=_bucket, keys="TagSet[].Key", missing=("NoSuchTagSet",)
    ),
    "db_instance": Tags(
        read="rds:DescribeDBInstances",
        params=_plain("DBInstanceIdentifier"),
        keys="DBInstances[0].TagList[].Key",
    ),
    "db_snapshot": Tags(read="rds:ListTagsForResource", params=_db_snapshot, keys="TagList[].Key"),
    "eks_cluster": Tags(read="eks:DescribeCluster", params=_plain("name"), keys="keys(cluster.tags || `{}`)"),
    "function": Tags(
        read="lambda:ListTags",
        params=_arn("Resource", "lambda", "function:"),
        keys="keys(Tags || `{}`)",
    ),
    "kms_key": Tags(read="kms:ListResourceTags", params=_plain("KeyId"), keys="Tags[].TagKey"),
    "queue": Tags(read="sqs:ListQueueTags", params=_queue, keys="keys(Tags || `{}`)"),
    "secret": Tags(read="secretsmanager:DescribeSecret", params=_plain("SecretId"), keys="Tags[].Key"),
    "table": Tags(
        read="dynamodb:ListTagsOfResource",
        params=_arn("ResourceArn", "dynamodb", "table/"),
        keys="Tags[].Key",
    ),
    "topic": Tags(read="sns:ListTagsForResource", params=_arn("ResourceArn", "sns"), keys="Tags[].Key"),
}
"""How the tags of each kind of target are read."""

BY_PRINCIPAL: Mapping[str, tuple[str, ...]] = {"access_key": ("user",), "principal": ("user", "role")}
"""Kinds that have no tags of their own: whose tags are looked at in their place."""

WITHOUT: Mapping[str, str] = {
    "account": "the estate holds what an account is marked with",
    "finding": "a finding is a report, and nothing is cut off",
    "firewall_rule_group": "an address is written into a list; whom it blocks is outside",
    "identity_user": "users of Identity Center have no tags",
    "ip_set": "an address is written into a list; whom it blocks is outside",
    "trail": "its logging is only switched on again",
}
"""Kinds whose tags are not looked at, and why."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What a type cuts off with its target: a read, and a JMESPath to the ids of those with the tag.

    `params` gives none where the plan at hand cuts off nothing else.
    """

    what: str
    read: str
    params: Callable[[Context, Plan], Mapping[str, Any] | None]
    tagged: str


def _in_subnet(ctx: Context, plan: Plan) -> Mapping[str, Any]:
    del plan
    inside = {"Name": "subnet-id", "Values": [ctx.target.id]}
    return {"Filters": [inside, {"Name": "tag-key", "Values": [KEEP_OUT]}]}


def _cluster(ctx: Context, plan: Plan) -> Mapping[str, Any] | None:
    """The cluster that the plan changes in place of the one database."""
    del ctx
    named = (step.call.params.get("DBClusterIdentifier") for step in plan.steps if step.call)
    return next(({"DBClusterIdentifier": name} for name in named if name), None)


def _in_cluster(ctx: Context, plan: Plan) -> Mapping[str, Any] | None:
    found = _cluster(ctx, plan)
    return found and {"Filters": [{"Name": "db-cluster-id", "Values": [found["DBClusterIdentifier"]]}]}


_CARRIES_IT = f"[?TagList[?Key=='{KEEP_OUT}']]"
INSIDE: Mapping[str, tuple[Inside, ...]] = {
    "vpc.isolate-subnet": (
        Inside(
            what="instance",
            read="ec2:DescribeInstances",
            params=_in_subnet,
            tagged="Reservations[].Instances[].InstanceId",
        ),
    ),
    "rds.isolate-instance": (
        Inside(
            what="cluster",
            read="rds:DescribeDBClusters",
            params=_cluster,
            tagged=f"DBClusters{_CARRIES_IT}.DBClusterIdentifier",
        ),
        Inside(
            what="database",
            read="rds:DescribeDBInstances",
            params=_in_cluster,
            tagged=f"DBInstances{_CARRIES_IT}.DBInstanceIdentifier",
        ),
    ),
}
"""By type: what else must not carry the tag."""


def reads_for(declared: type[ActionType]) -> tuple[str, ...]:
    """The reads that finding out needs beside a type's own; none for evidence, which is taken anywhere."""
    if declared.tier == 0:
        return ()
    own = TAGS.get(declared.target)
    found = [own.read] if own else []
    found += [one.read for one in INSIDE.get(declared.id, ())]
    whose = ("user", "role") if _takes_a_principal(declared) else BY_PRINCIPAL.get(declared.target, ())
    return (*found, *(TAGS[kind].read for kind in whose))


def kept_out(declared: type[ActionType], plan: Plan, ctx: Context, *, is_ours: Callable[[str], bool]) -> str:
    """What of a plan carries the tag, in a sentence; empty where nothing does.

    Looked at are the target, what is cut off with it, and every user and role that the plan changes or its
    parameters name in accounts that the estate has (`is_ours`). Raises whatever a read raises: what
    cannot be read is not known to be free.
    """
    if declared.tier == 0:
        return ""
    for what, read, keys in (*_of_target(plan, ctx), *_of_principals(plan, ctx, is_ours)):
        tags: Any = select(keys, ctx.read(read))
        if KEEP_OUT in (tags or []):
            return f"{what} carries the tag {KEEP_OUT}"
    said = (_inside(one, plan, ctx) for one in INSIDE.get(declared.id, ()))
    return next((one for one in said if one), "")


def _of_target(plan: Plan, ctx: Context) -> Iterator[tuple[str, Read, str]]:
    tags = TAGS.get(ctx.target.type)
    if tags is None:
        return
    service, _, operation = tags.read.partition(":")
    aws = ctx.aws(service, region=_region(ctx, plan, service))
    yield (
        f"{ctx.target.type.replace('_', ' ')} {ctx.target.id}",
        aws.read(operation, missing=tags.missing, **tags.params(ctx, plan)),
        tags.keys,
    )


def _of_principals(
    plan: Plan, ctx: Context, is_ours: Callable[[str], bool]
) -> Iterator[tuple[str, Read, str]]:
    iam = ctx.aws("iam")
    for account, kind, name in sorted({*_changed(plan), *_named(ctx)}):
        if (kind, name, account) == (ctx.target.type, ctx.target.id, ctx.target.account):
            continue  # looked at as the target
        if not is_ours(account):
            continue
        tags = TAGS[kind]
        named: dict[str, Any] = {"UserName" if kind == "user" else "RoleName": name}
        read = iam.read(tags.read.partition(":")[2], missing=tags.missing, **named)
        yield f"{kind} {name}", replace(read, at=replace(read.at, account=account)), tags.keys


def _changed(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """The users and roles that calls of the plan name, as `(account, kind, name)`."""
    for step in plan.steps:
        if step.call and step.call.service == "iam":
            for key in NAMED_BY:
                if isinstance(name := step.call.params.get(key), str):
                    yield step.call.at.account, "user" if key == "UserName" else "role", name


def _named(ctx: Context) -> Iterator[tuple[str, str, str]]:
    """The users and roles whose ARN is among the parameters."""
    for value in vars(ctx.params).values():
        for arn in value if isinstance(value, list | tuple) else (value,):
            if isinstance(arn, str) and arn.startswith("arn:"):
                kind = arn.split(":", 5)[-1].partition("/")[0]
                known = {"user": "user", "role": "role", "assumed-role": "role"}.get(kind)
                if known and arn.split(":")[2] in ("iam", "sts"):
                    yield account_in(arn), known, name_of(arn)


def _inside(one: Inside, plan: Plan, ctx: Context) -> str:
    """The first of what is cut off with the target that carries the tag, in a sentence."""
    params = one.params(ctx, plan)
    if params is None:
        return ""
    service, _, operation = one.read.partition(":")
    read = ctx.aws(service, region=_region(ctx, plan, service)).read(operation, **params)
    found: Any = select(one.tagged, ctx.read(read))
    return f"{one.what} {min(found)} of {ctx.target.id} carries the tag {KEEP_OUT}" if found else ""


def _takes_a_principal(declared: type[ActionType]) -> bool:
    """Whether a parameter of the type names a user or role by ARN."""
    names: set[str] = set(getattr(declared.params, "__dataclass_fields__", {}))
    return bool(names & {"principal", "principal_arn"})


def _region(ctx: Context, plan: Plan, service: str) -> str:
    """Where the plan calls the service: a bucket's region is found out while planning."""
    calls = (step.call for step in plan.steps if step.call and step.call.service == service)
    return next((call.at.region for call in calls), ctx.target.region)
