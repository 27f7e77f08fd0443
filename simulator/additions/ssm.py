"""Which instances SSM reaches, and commands that take their time; moto's succeed at once, everywhere.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
A document whose name ends in `-fails` fails.
"""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ssm.models import SimpleSystemManagerBackend
from moto.ssm.responses import SimpleSystemManagerResponse

from simulator.patches import clock

PENDING_SECONDS = 2
RUNNING_SECONDS = 10

_send_command = SimpleSystemManagerBackend.send_command
_get_invocation = SimpleSystemManagerBackend.get_command_invocation


def describe_instance_information(self: Any) -> ActionResult:
    """The running instances, narrowed to ids."""
    wanted: set[str] | None = None
    for one in self._get_param("Filters") or []:
        if one["Key"] != "InstanceIds":
            raise JsonRESTError("InvalidFilterKey", "The specified filter key isn't valid.")
        wanted = set(one["Values"]) if wanted is None else wanted & set(one["Values"])
    found = [
        {
            "InstanceId": one.id,
            "PingStatus": "Online",
            "AgentVersion": "3.3.987.0",
            "IsLatestVersion": True,
            "PlatformType": "Linux",
            "PlatformName": "Amazon Linux",
            "PlatformVersion": "2023",
            "ResourceType": "EC2Instance",
            "IPAddress": one.private_ip,
        }
        for one in _running(self.current_account, self.region)
        if wanted is None or one.id in wanted
    ]
    return ActionResult({"InstanceInformationList": found})


def send_command(self: Any, **asked: Any) -> Any:
    """Refuse instances that SSM does not reach and documents that there are not; remember when."""
    reached = {one.id for one in _running(self.account_id, self.region_name)}
    if not set(asked["instance_ids"]) <= reached:
        raise JsonRESTError("InvalidInstanceId", "Instances not in a valid state for account")
    name = str(asked["document_name"])
    if not name.startswith("AWS-") and name not in self._documents:
        raise JsonRESTError("InvalidDocument", f"Document with name {name} does not exist.")
    command = _send_command(self, **asked)
    vars(command)["quell_sent"] = clock.now().timestamp()
    return command


def get_command_invocation(
    self: Any, command_id: str, instance_id: str, plugin_name: str | None
) -> dict[str, Any]:
    """moto's invocation in the state that its age gives it."""
    answer: dict[str, Any] = dict(_get_invocation(self, command_id, instance_id, plugin_name))
    command = self.get_command_by_id(command_id)
    age = clock.now().timestamp() - vars(command).get("quell_sent", 0.0)
    ended = "Failed" if str(command.document_name).endswith("-fails") else "Success"
    status = "Pending" if age < PENDING_SECONDS else "InProgress" if age < RUNNING_SECONDS else ended
    answer |= {"Status": status, "StatusDetails": status, "Comment": command.comment}
    answer["ResponseCode"] = {"Success": 0, "Failed": 1}.get(status, -1)
    return answer


def _running(account: str, region: str) -> list[Any]:
    reservations = ec2_backends[account][region].all_reservations()
    every = [one for reservation in reservations for one in reservation.instances]
    return sorted((one for one in every if one.state == "running"), key=lambda one: str(one.id))


def apply() -> None:
    """Let moto's SSM know its instances, and its commands take their time."""
    response: Any = SimpleSystemManagerResponse
    response.describe_instance_information = describe_instance_information
    backend: Any = SimpleSystemManagerBackend
    backend.send_command = send_command
    backend.get_command_invocation = get_command_invocation
