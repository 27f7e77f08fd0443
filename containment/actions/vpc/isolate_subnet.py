"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceNetworkAclAssociation.html

A new network ACL has no rule but the last, which denies everything. Moving the subnet to it cuts open
flows too, and leaves the old ACL as it is for the way back. Each move gives the association a new id.
"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import register
from containment.actions.vpc.acls import DEFAULT_RULES, READS, acl_of, hosts_of, subnet_of
from containment.describing import ActionType, Context, Ref, Service, Steps, filters, ref
from containment.looking import q
from containment.types import Affected, Category, Check, Compare, Plan, Refused

RULES = f"length(NetworkAcls[0].Entries[?RuleNumber < `{DEFAULT_RULES}`])"
ACLS_PER_VPC = 200


@register
class IsolateSubnet(ActionType):
    """Move a subnet to a network ACL without rules, which lets nothing in or out.

    Does not stop: traffic inside the subnet; instance metadata, the VPC's DNS and DHCP, which no network
    ACL filters, so that data can still leave by DNS; credentials already taken from its hosts.
    """

    id = "vpc.isolate-subnet"
    title = "Isolate subnet"
    target = "subnet"
    category = Category.SOURCE
    tier = 2
    order = 46
    pairs_with = ("dns-firewall.block-domain", "ec2.isolate-instance", "ec2.snapshot-volumes")
    reads = READS
    writes = ("ec2:CreateNetworkAcl", "ec2:DeleteNetworkAcl", "ec2:ReplaceNetworkAclAssociation")
    fallback = (
        "aws ec2 create-network-acl --vpc-id VPC",
        "aws ec2 describe-network-acls --filters Name=association.subnet-id,Values=SUBNET",
        "aws ec2 replace-network-acl-association --association-id ASSOCIATION --network-acl-id ACL",
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps = ctx.aws("ec2"), Steps(ctx)
        subnet = subnet_of(ctx, ec2)
        present = ctx.read(ec2.read("DescribeNetworkAcls", Filters=filters(**{"vpc-id": subnet.vpc})))
        if len(present["NetworkAcls"]) >= ACLS_PER_VPC:
            raise Refused(f"{subnet.vpc} has {len(present['NetworkAcls'])} network ACLs; AWS allows 200")
        closed = self._closed(ctx, ec2, steps, subnet.vpc)
        steps.set(
            "isolate",
            changes=f"ec2:subnet/{subnet.id}/acl",
            call=ec2.call(
                "ReplaceNetworkAclAssociation", AssociationId=subnet.association, NetworkAclId=closed
            ),
            seen=Check(read=acl_of(ec2, subnet.id), select="NetworkAcls[0].NetworkAclId", equals=closed),
            value=f"NetworkAcls[0].Associations[?SubnetId=={q(subnet.id)}].NetworkAclAssociationId | [0]",
            undo=ec2.call(
                "ReplaceNetworkAclAssociation", AssociationId=ref("isolate"), NetworkAclId=subnet.acl
            ),
        )
        shut = Check(read=ec2.read("DescribeNetworkAcls", NetworkAclIds=[closed]), select=RULES, equals=0)
        return steps.plan(
            holds=(shut,),
            facts={"acl": subnet.acl},
            changes=(f"{subnet.id}: network ACL {subnet.acl} replaced by one without rules",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield from hosts_of(ctx, ctx.aws("ec2"), ctx.target.id, then="reaches only its own subnet")

    def _closed(self, ctx: Context, ec2: Service, steps: Steps, vpc: str) -> Ref:
        me = ref("closed")
        ours = ec2.read("DescribeNetworkAcls", NetworkAclIds=[me])
        return steps.create(
            "closed",
            changes=f"ec2:vpc/{vpc}/acl/{ctx.mark}",
            find=ec2.read(
                "DescribeNetworkAcls", Filters=filters(**{"tag:quell:action": ctx.id, "vpc-id": vpc})
            ),
            select="NetworkAcls[0].NetworkAclId",
            answer="NetworkAcl.NetworkAclId",
            call=ec2.call(
                "CreateNetworkAcl",
                VpcId=vpc,
                TagSpecifications=[{"ResourceType": "network-acl", "Tags": ctx.tags}],
            ),
            content=Check(read=ours, select=RULES, equals=0),
            undo=ec2.call("DeleteNetworkAcl", NetworkAclId=me),
            unless=Check(
                read=ours,
                select="NetworkAcls[0].Associations[0].SubnetId",
                equals=True,
                compare=Compare.PRESENT,
            ),
        )
