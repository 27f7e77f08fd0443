"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Service, Steps
from containment.parameters import param
from containment.types import Affected, Category, Plan, Refused

KINDS = {"vpc-": "VPC", "subnet-": "Subnet", "eni-": "NetworkInterface"}
OF_KIND = {
    "subnet-": ("DescribeSubnets", "SubnetIds", "Subnets", "InvalidSubnetID.NotFound"),
    "eni-": (
        "DescribeNetworkInterfaces",
        "NetworkInterfaceIds",
        "NetworkInterfaces",
        "InvalidNetworkInterfaceID.NotFound",
    ),
}
PER_RESOURCE = 10
"""https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-limitations.html"""


@dataclass(frozen=True, kw_only=True)
class Params:
    destination: str = param(
        "ARN of the S3 bucket (a folder may follow) or log group that takes the records",
        pattern=r"arn:aws[a-z-]*:(s3:::[a-z0-9.-]{3,63}(/[\w/.-]*)?|logs:[a-z0-9-]+:\d{12}:log-group:[\w./#-]+)",
    )
    resource: str = param(
        "a subnet or network interface of the VPC; empty: the whole VPC",
        default="",
        pattern=r"((subnet|eni)-[0-9a-z]+)?",
    )
    role_arn: str = param(
        "role by which the flow log service writes into a log group; none for a bucket",
        default="",
        pattern=r"(arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)?",
    )


@register
class StartFlowLogs(ActionType):
    """Record every flow of a VPC, or of one subnet or network interface in it, from now on.

    Does not stop: anything; and it is not retroactive. DNS to the VPC's resolver, instance metadata and
    DHCP are not recorded, and the first records take minutes.
    """

    id = "logs.start-flow-logs"
    title = "Start flow logs"
    target = "vpc"
    category = Category.EVIDENCE
    tier = 0
    order = 8
    params = Params
    pairs_with = ("ec2.isolate-instance", "vpc.deny-address", "vpc.isolate-subnet")
    reads = (
        "ec2:DescribeFlowLogs",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    )
    writes = ("ec2:CreateFlowLogs", "ec2:DeleteFlowLogs")
    fallback = (
        (
            "aws ec2 create-flow-logs --resource-type VPC --resource-ids VPC --traffic-type ALL"
            " --log-destination-type s3 --log-destination BUCKET_ARN --max-aggregation-interval 60"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps = ctx.aws("ec2"), Steps(ctx)
        resource, kind = self._resource(ctx, ec2)
        present = self._present(ctx, ec2, resource)
        made = steps.create(
            "flow-log",
            changes=f"ec2:{resource}/flow-log/{ctx.mark}",
            find=ec2.read("DescribeFlowLogs", Filter=[{"Name": "tag:quell:action", "Values": [ctx.id]}]),
            select="FlowLogs[0].FlowLogId",
            answer="FlowLogIds[0]",
            call=ec2.call(
                "CreateFlowLogs",
                ClientToken=ctx.mark,
                ResourceType=kind,
                ResourceIds=[resource],
                TrafficType="ALL",
                MaxAggregationInterval=60,
                TagSpecifications=[{"ResourceType": "vpc-flow-log", "Tags": ctx.tags}],
                **_destination(ctx),
            ),
            undo=ec2.call("DeleteFlowLogs", FlowLogIds=[{"$ref": "flow-log"}]),
            settle=60,
        )
        return steps.plan(
            facts={"present": present, "made": made.name},
            changes=(f"All flows of {resource} are recorded into {ctx.params.destination}",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(
            what=f"{ctx.params.resource or ctx.target.id}, and whoever pays for it",
            then="goes on as before; the records cost money until the flow log is deleted",
        )

    def _resource(self, ctx: Context, ec2: Service) -> tuple[str, str]:
        """What is recorded, and AWS's word for its kind; it must be of the target VPC."""
        vpc, resource = ctx.target.id, ctx.params.resource
        found: Any = ctx.read(ec2.read("DescribeVpcs", VpcIds=[vpc], missing=("InvalidVpcID.NotFound",)))
        if not found or not found["Vpcs"]:
            raise Refused(f"there is no VPC {vpc}")
        if not resource:
            return vpc, "VPC"
        start = f"{resource.partition('-')[0]}-"
        operation, parameter, member, missing = OF_KIND[start]
        asked: dict[str, Any] = {parameter: [resource]}
        one: Any = ctx.read(ec2.read(operation, missing=(missing,), **asked))
        if not one or not one[member] or one[member][0]["VpcId"] != vpc:
            raise Refused(f"there is no {resource} in {vpc}")
        return resource, KINDS[start]

    def _present(self, ctx: Context, ec2: Service, resource: str) -> list[str]:
        """The flow logs that are there; refused where one does the same already, or there are too many."""
        found: Any = ctx.read(
            ec2.read("DescribeFlowLogs", Filter=[{"Name": "resource-id", "Values": [resource]}])
        )
        others = [one for one in found["FlowLogs"] if not _is_ours(ctx, one)]
        for one in sorted(others, key=lambda one: str(one["FlowLogId"])):
            if one["TrafficType"] == "ALL" and one.get("LogDestination") == ctx.params.destination:
                raise Refused(f"{one['FlowLogId']} records all flows of {resource} there already")
        if len(others) >= PER_RESOURCE:
            raise Refused(f"{resource} has {len(others)} flow logs; AWS allows {PER_RESOURCE}")
        return sorted(one["FlowLogId"] for one in others)


def _is_ours(ctx: Context, flow_log: dict[str, Any]) -> bool:
    return {"Key": "quell:action", "Value": ctx.id} in (flow_log.get("Tags") or [])


def _destination(ctx: Context) -> dict[str, str]:
    destination, role = ctx.params.destination, ctx.params.role_arn
    if not destination.startswith(f"arn:{ctx.partition}:"):
        raise Refused(f"{destination} is not in the partition of the target, {ctx.partition}")
    if ":s3:" in destination:
        if role:
            raise Refused("a bucket needs no role_arn; the flow log service writes there by itself")
        return {"LogDestinationType": "s3", "LogDestination": destination}
    if not role:
        raise Refused("a log group needs role_arn, the role by which the flow log service writes into it")
    return {
        "LogDestinationType": "cloud-watch-logs",
        "LogDestination": destination,
        "DeliverLogsPermissionArn": role,
    }
