"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html

Snapshots of instances and of clusters have operations of their own, alike but for the names.
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBClusterSnapshotAttribute.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Read, Refused

EVERYONE = "all"


@dataclass(frozen=True, kw_only=True)
class Params:
    keep: tuple[str, ...] = param(
        "accounts that stay allowed, the forensic account say; nobody when empty",
        default=(),
        pattern=r"\d{12}",
        maximum=20,
    )


@register
class UnshareSnapshot(ActionType):
    """Take a database snapshot, of an instance or a cluster, back from everyone it is shared with.

    Does not stop: copies that others have made, and databases restored from it, which are theirs;
    whoever may share it again.
    """

    id = "rds.unshare-snapshot"
    title = "Unshare database snapshot"
    target = "db_snapshot"
    category = Category.DESTINATION
    tier = 1
    order = 60
    params = Params
    pairs_with = ("rds.isolate-instance",)
    reads = ("rds:DescribeDBSnapshotAttributes", "rds:DescribeDBClusterSnapshotAttributes")
    writes = ("rds:ModifyDBSnapshotAttribute", "rds:ModifyDBClusterSnapshotAttribute")
    fallback = (
        (
            "aws rds modify-db-snapshot-attribute --db-snapshot-identifier SNAPSHOT --attribute-name restore"
            " --values-to-remove all ACCOUNT"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        kind, read, shared = _shared_with(ctx)
        leave = [one for one in shared if one not in ctx.params.keep]
        stay = [one for one in shared if one in ctx.params.keep]
        rds, name = ctx.aws("rds"), ctx.target.id
        attribute = {f"{kind}SnapshotIdentifier": name, "AttributeName": "restore"}
        operation = f"Modify{kind}SnapshotAttribute"
        steps = Steps(ctx)
        steps.set(
            "unshare",
            changes=f"rds:{kind}Snapshot/{name}/restore",
            # Shared with nobody it is so already and nothing is sent; AWS wants a value all the same.
            call=rds.call(operation, **attribute, ValuesToRemove=leave or [EVERYONE]),
            seen=Check(read=read, select=_values(kind), equals=stay or None, compare=Compare.SET),
            undo=rds.call(operation, **attribute, ValuesToAdd=leave) if leave else None,
        )
        return steps.plan(
            changes=tuple(f"Snapshot {name} is no longer shared with {_words(one)}" for one in leave)
            or (f"Snapshot {name} is shared with nobody to be removed",),
            warnings=("it was public: treat its data as known to everyone",) if EVERYONE in leave else (),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        _, _, shared = _shared_with(ctx)
        for one in shared:
            if one not in ctx.params.keep:
                yield Affected(what=_words(one), then="can no longer restore or copy it")


def _shared_with(ctx: Context) -> tuple[str, Read, list[str]]:
    """`DB` or `DBCluster`, the read of its attributes, and whom it is shared with. Raises `Refused`."""
    name = ctx.target.id
    if name.startswith("arn:"):
        raise Refused("name the snapshot by its identifier; its ARN may be given beside it")
    found = {}
    for kind in ("DB", "DBCluster"):
        named: dict[str, Any] = {f"{kind}SnapshotIdentifier": name}
        read = ctx.aws("rds").read(
            f"Describe{kind}SnapshotAttributes",
            **named,
            missing=(f"{kind}SnapshotNotFound", f"{kind}SnapshotNotFoundFault"),
        )
        answer: Any = ctx.read(read)
        if answer is not None:
            found[kind] = (kind, read, _members(answer, kind))
    if len(found) == 2:
        found.pop("DB" if ":cluster-snapshot:" in ctx.target.arn else "DBCluster")
        if ":snapshot:" not in ctx.target.arn and ":cluster-snapshot:" not in ctx.target.arn:
            raise Refused(f"{name} is the name of an instance's snapshot and of a cluster's; give its ARN")
    if not found:
        raise Refused(f"there is no database snapshot {name} in {ctx.target.region}")
    (one,) = found.values()
    return one


def _members(answer: Any, kind: str) -> list[str]:
    attributes = answer[f"{kind}SnapshotAttributesResult"].get(f"{kind}SnapshotAttributes") or []
    return sorted(
        value
        for one in attributes
        if one["AttributeName"] == "restore"
        for value in one.get("AttributeValues") or []
    )


def _values(kind: str) -> str:
    result = f"{kind}SnapshotAttributesResult.{kind}SnapshotAttributes"
    return f"{result}[?AttributeName=='restore'].AttributeValues[]"


def _words(who: str) -> str:
    return "everyone" if who == EVERYONE else f"account {who}"
