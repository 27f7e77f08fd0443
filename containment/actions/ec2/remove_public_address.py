"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisassociateAddress.html

An elastic address stays ours when it is taken off, and goes back where it was. A public address that
AWS assigned by itself is gone for ever, and another takes its place.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import instance_of
from containment.describing import ActionType, Context, Service, Steps, filters
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

WHERE = "Addresses[?NetworkInterfaceId].join(' ', [NetworkInterfaceId, PrivateIpAddress]) | [0]"
IS_AUTOMATIC = "NetworkInterfaces[0].Association.IpOwnerId == 'amazon'"


@dataclass(frozen=True, kw_only=True)
class Params:
    give_up_automatic: bool = param(
        "also remove public IPv4 addresses that AWS assigned by itself; these never come back",
        default=False,
    )


@register
class RemovePublicAddress(ActionType):
    """Take the public IPv4 addresses off an instance, so that the internet no longer reaches it.

    Does not stop: connections outward through a NAT gateway, a load balancer or a proxy; connections
    inward through a load balancer, Global Accelerator or a VPN; IPv6 addresses; whoever may give it an
    address again.
    """

    id = "ec2.remove-public-address"
    title = "Remove public address"
    target = "instance"
    category = Category.SOURCE
    tier = 2
    order = 44
    params = Params
    pairs_with = ("ec2.isolate-instance", "elb.deregister-instance")
    reads = ("ec2:DescribeInstances", "ec2:DescribeAddresses", "ec2:DescribeNetworkInterfaces")
    writes = ("ec2:DisassociateAddress", "ec2:AssociateAddress", "ec2:ModifyNetworkInterfaceAttribute")
    fallback = (
        "aws ec2 disassociate-address --association-id ASSOCIATION (never release-address)",
        (
            "aws ec2 modify-network-interface-attribute --network-interface-id ENI"
            " --no-associate-public-ip-address"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, changes, warnings = ctx.aws("ec2"), Steps(ctx), list[str](), list[str]()
        host = instance_of(ctx, ec2)
        for one in self._elastic(ctx, ec2):
            self._take_off(ec2, steps, one)
            changes.append(f"Elastic address {one['PublicIp']} is taken off {one['NetworkInterfaceId']}")
        for eni, address in self._automatic(host):
            if not ctx.params.give_up_automatic:
                warnings.append(f"{address} stays: AWS assigned it by itself and would not give it back")
                continue
            self._give_up(ec2, steps, eni)
            changes.append(f"{address} is taken off {eni} for good")
            warnings.append(f"{address} never comes back; undo gives {eni} another address")
        if not steps.steps:
            raise Refused(self._nothing(ctx, warnings))
        warnings += [f"IPv6 address {address} stays" for address in self._version_six(host)]
        return steps.plan(changes=tuple(changes), warnings=tuple(warnings))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        ec2 = ctx.aws("ec2")
        for one in self._elastic(ctx, ec2):
            yield Affected(
                what=f"names and allow-lists with {one['PublicIp']}",
                then="lead nowhere until the address is put back",
            )
        if ctx.params.give_up_automatic:
            for _, address in self._automatic(instance_of(ctx, ec2)):
                yield Affected(what=f"names and allow-lists with {address}", then="lead nowhere any more")

    def _elastic(self, ctx: Context, ec2: Service) -> list[dict[str, Any]]:
        read = ec2.read("DescribeAddresses", Filters=filters(**{"instance-id": ctx.target.id}))
        found = [one for one in ctx.read(read)["Addresses"] if one.get("AssociationId")]
        return sorted(found, key=itemgetter("AllocationId"))

    def _take_off(self, ec2: Service, steps: Steps, one: dict[str, Any]) -> None:
        allocation, eni = one["AllocationId"], one["NetworkInterfaceId"]
        steps.set(
            f"take-off-{allocation}",
            changes=f"ec2:address/{allocation}/association",
            lane=allocation,
            call=ec2.call("DisassociateAddress", AssociationId=one["AssociationId"]),
            seen=Check(
                read=ec2.read("DescribeAddresses", AllocationIds=[allocation]), select=WHERE, equals=None
            ),
            undo=ec2.call(
                "AssociateAddress",
                AllocationId=allocation,
                NetworkInterfaceId=eni,
                PrivateIpAddress=one["PrivateIpAddress"],
                AllowReassociation=False,
            ),
        )

    def _automatic(self, host: dict[str, Any]) -> list[tuple[str, str]]:
        """Interface and address of each public address that AWS assigned by itself."""
        found = [
            (one["NetworkInterfaceId"], one["Association"]["PublicIp"])
            for one in host.get("NetworkInterfaces") or []
            if (one.get("Association") or {}).get("IpOwnerId") == "amazon"
        ]
        return sorted(found)

    def _give_up(self, ec2: Service, steps: Steps, eni: str) -> None:
        def call(*, public: bool) -> Any:
            return ec2.call(
                "ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, AssociatePublicIpAddress=public
            )

        steps.set(
            f"give-up-{eni}",
            changes=f"ec2:eni/{eni}/automatic-address",
            lane=eni,
            call=call(public=False),
            seen=Check(
                read=ec2.read("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni]),
                select=IS_AUTOMATIC,
                equals=False,
            ),
            undo=call(public=True),
        )

    def _nothing(self, ctx: Context, warnings: list[str]) -> str:
        if warnings:
            return f"{'; '.join(warnings)}. Set give_up_automatic to remove it all the same."
        return f"{ctx.target.id} has no public IPv4 address"

    def _version_six(self, host: dict[str, Any]) -> list[str]:
        interfaces = host.get("NetworkInterfaces") or []
        return sorted(v6["Ipv6Address"] for one in interfaces for v6 in one.get("Ipv6Addresses") or [])
