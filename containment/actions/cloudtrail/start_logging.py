"""https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_StartLogging.html

A trail is started in its home region and by the account that owns it. There is no undo: stopping a
trail is what attackers do, and Quell's roles are denied it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Service, Steps
from containment.types import Affected, Category, Check, Plan, Refused


@register
class StartLogging(ActionType):
    """Start a CloudTrail trail that was stopped, in its home region.

    Does not stop: anything; it makes new calls visible again. What happened while the trail was
    stopped is not in its files (90 days of management events are in the event history all the same);
    event selectors that were narrowed, and a bucket or key that was taken away, stay as they are.
    """

    id = "cloudtrail.start-logging"
    title = "Start trail logging"
    target = "trail"
    category = Category.RECOVERY
    tier = 1
    order = 90
    pairs_with = ("iam.deny-technique", "organizations.deny-technique")
    reads = ("cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus")
    writes = ("cloudtrail:StartLogging",)
    fallback = ("aws cloudtrail start-logging --name TRAIL --region HOME_REGION",)

    def plan(self, ctx: Context) -> Plan:
        trail = _trail(ctx)
        name, home = trail["Name"], trail.get("HomeRegion") or ctx.target.region
        cloudtrail = ctx.aws("cloudtrail", region=home)
        steps = Steps(ctx)
        steps.set(
            "start",
            changes=f"cloudtrail:trail/{home}/{name}/logging",
            call=cloudtrail.call("StartLogging", Name=name),
            seen=Check(read=cloudtrail.read("GetTrailStatus", Name=name), select="IsLogging", equals=True),
        )
        return steps.plan(
            facts={"home_region": home, "bucket": trail.get("S3BucketName", "")},
            notes={"trail": trail},
            changes=(f"Trail {name} in {home} logs again, to bucket {trail.get('S3BucketName', '')}",),
            warnings=tuple(_warnings(trail)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        trail = _trail(ctx)
        yield Affected(what=f"bucket {trail.get('S3BucketName', '')}", then="receives log files again")
        if trail.get("CloudWatchLogsLogGroupArn"):
            yield Affected(what=trail["CloudWatchLogsLogGroupArn"], then="receives events again")


def _trail(ctx: Context) -> dict[str, Any]:
    """The trail, by its name or ARN. Raises `Refused`."""
    cloudtrail: Service = ctx.aws("cloudtrail")
    listed = ctx.read(cloudtrail.read("DescribeTrails", includeShadowTrails=True))["trailList"]
    wanted = ctx.target.id
    found = sorted(
        (one for one in listed if wanted in (one["Name"], one["TrailARN"])),
        key=lambda one: str(one["TrailARN"]),
    )
    if not found:
        raise Refused(f"account {ctx.target.account} has no trail {wanted} in {ctx.target.region}")
    if len(found) > 1:
        arns = ", ".join(one["TrailARN"] for one in found)
        raise Refused(f"there are {len(found)} trails of the name {wanted}; name one by its ARN: {arns}")
    owner = found[0]["TrailARN"].split(":")[4]
    if owner != ctx.target.account:
        raise Refused(f"trail {wanted} belongs to account {owner}; start it there")
    trail: dict[str, Any] = found[0]
    return trail


def _warnings(trail: dict[str, Any]) -> Iterator[str]:
    name = trail["Name"]
    if not trail.get("IsMultiRegionTrail"):
        yield f"{name} is for one region only; calls in other regions are not in it"
    if not trail.get("LogFileValidationEnabled"):
        yield f"{name} has no log file validation; nobody can show that its files were not changed"
