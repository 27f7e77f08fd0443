"""What evidence is read from, beside what other modules name already.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsconfig.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
"""

from __future__ import annotations

from lib.operations.needs import Need

_GROUP = (
    "arn:{partition}:iam::{account}:group/{GroupName}",
    "arn:{partition}:iam::{account}:group/*/{GroupName}",
)
_FUNCTION = ("arn:{partition}:lambda:{region}:{account}:function:{FunctionName}",)
_COMMAND = (
    # A document of AWS's own has no account in its ARN; the instances are a list in the call.
    "arn:{partition}:ssm:{region}:*:document/{DocumentName}",
    "arn:{partition}:ec2:{region}:{account}:instance/*",
)


def _alike(service: str, names: str, resources: tuple[str, ...] = ("*",)) -> dict[str, Need]:
    """Operations whose one IAM action has the operation's own name."""
    return {
        f"{service}:{name}": Need(actions=(f"{service}:{name}",), resources=resources)
        for name in names.split()
    }


OPERATIONS: dict[str, Need] = {
    **_alike("iam", "GetGroupPolicy ListAttachedGroupPolicies ListGroupPolicies", _GROUP),
    **_alike("config", "GetResourceConfigHistory"),
    **_alike("ec2", "GetConsoleOutput GetConsoleScreenshot"),
    **_alike("lambda", "GetFunction ListVersionsByFunction", _FUNCTION),
    **_alike("ssm", "DescribeDocument DescribeInstanceInformation GetCommandInvocation ListCommands"),
    **_alike("ssm", "SendCommand", _COMMAND),
    "s3:ListObjectsV2": Need(actions=("s3:ListBucket",), resources=("arn:{partition}:s3:::{Bucket}",)),
}
