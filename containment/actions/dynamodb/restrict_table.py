"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from containment.actions import denials, register
from containment.actions.denials import Holder
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Plan, Refused

NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
POLICY_BYTES = 20_480
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html"""


@register
class RestrictTable(ActionType):
    """Deny a table and its indexes to everyone but the responders, by a statement in its resource policy.

    Does not stop: readers of the table's stream, which has a policy of its own; exports and backups
    already made; replicas of a global table in other regions; the root user of the table's account.
    """

    id = "dynamodb.restrict-table"
    title = "Restrict table"
    target = "table"
    category = Category.DESTINATION
    tier = 2
    order = 66
    reads = ("dynamodb:DescribeTable", "dynamodb:GetResourcePolicy")
    writes = ("dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy")
    fallback = (
        "aws dynamodb get-resource-policy --resource-arn ARN",
        (
            "add to Statement: Effect Deny, Principal *, Action dynamodb:*, the ARN and ARN/index/*, "
            "ArnNotLike aws:PrincipalArn [responder and break-glass roles]"
        ),
        "aws dynamodb put-resource-policy --resource-arn ARN --policy file://policy.json",
    )

    def plan(self, ctx: Context) -> Plan:
        dynamodb, table = ctx.aws("dynamodb"), self._table(ctx)
        arn = str(table["TableArn"])
        holder = Holder(
            what=f"table {ctx.target.id}",
            changes=f"dynamodb:table/{dynamodb.place.region}/{ctx.target.id}/policy",
            read=dynamodb.read(
                "GetResourcePolicy",
                ResourceArn=arn,
                decode=("Policy",),
                missing=("PolicyNotFoundException",),
            ),
            call=dynamodb.call("PutResourcePolicy", ResourceArn=arn),
            at="Policy",
            into="Policy",
            limit=POLICY_BYTES,
            empty=dynamodb.call("DeleteResourcePolicy", ResourceArn=arn),
            token={"ExpectedRevisionId": "RevisionId || 'NO_POLICY'"},
        )
        statement = denials.everyone_but_exempt(
            ctx, actions=["dynamodb:*"], resources=[arn, f"{arn}/index/*"]
        )
        steps = Steps(ctx)
        denials.add(steps, "deny", holder=holder, statement=statement)
        return steps.plan(
            changes=(
                f"Everything on table {ctx.target.id} is denied to all but {', '.join(denials.spared(ctx))}",
            ),
            warnings=self._left_open(table, region=dynamodb.place.region),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(what=f"programs that use table {ctx.target.id}", then="are denied")
        for one in self._table(ctx).get("GlobalSecondaryIndexes", []):
            yield Affected(what=f"index {one['IndexName']}", then="is denied with the table")

    @staticmethod
    def _left_open(table: dict[str, Any], *, region: str) -> tuple[str, ...]:
        """What of the table has a policy of its own, in sentences."""
        replicas = sorted(one["RegionName"] for one in table.get("Replicas", []))
        open_still = [f"the replica in {one} stays open" for one in replicas if one != region]
        if table.get("LatestStreamArn"):
            open_still.append("the table's stream stays open to its readers")
        return tuple(open_still)

    @staticmethod
    def _table(ctx: Context) -> dict[str, Any]:
        name = ctx.target.id
        if not NAME.fullmatch(name):
            raise Refused(f"{name[:80]!r} is not the name of a table; give the name alone, not its ARN")
        asked = ctx.aws("dynamodb").read(
            "DescribeTable", TableName=name, missing=("ResourceNotFoundException",)
        )
        answer = ctx.read(asked)
        if answer is None:
            raise Refused(f"there is no table {name}")
        table: dict[str, Any] = answer["Table"]
        return table
