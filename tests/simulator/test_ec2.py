"""EC2 as AWS answers: groups of interfaces, groups in use, snapshots by tag, dry runs."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.simulator.conftest import Stage, code

pytestmark = pytest.mark.fast


def groups_everywhere(ec2: Any, instance: dict[str, Any]) -> dict[str, list[list[str]]]:
    """The groups of each interface as each of three calls shows them."""
    shown = ec2.describe_instances(InstanceIds=[instance["id"]])["Reservations"][0]["Instances"][0]
    interfaces = ec2.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance["id"]]}]
    )["NetworkInterfaces"]
    by_index = sorted(interfaces, key=lambda item: item["Attachment"]["DeviceIndex"])
    nested = sorted(shown["NetworkInterfaces"], key=lambda item: item["Attachment"]["DeviceIndex"])
    attribute = ec2.describe_instance_attribute(InstanceId=instance["id"], Attribute="groupSet")["Groups"]
    return {
        "interfaces": [[group["GroupId"] for group in item["Groups"]] for item in by_index],
        "nested": [[group["GroupId"] for group in item["Groups"]] for item in nested],
        "instance": [[group["GroupId"] for group in shown["SecurityGroups"]]],
        "attribute": [[group["GroupId"] for group in attribute]],
    }


def quarantine_group(ec2: Any, vpc: str) -> str:
    return str(ec2.create_security_group(GroupName="quarantine", Description="none", VpcId=vpc)["GroupId"])


def test_all_views_of_an_interfaces_groups_agree(aws: Stage) -> None:
    ec2, machine = aws.root("ec2"), aws.instance("tracking-api")
    declared = [interface["groups"] for interface in machine["interfaces"]]
    assert groups_everywhere(ec2, machine)["interfaces"] == declared
    assert len({tuple(groups) for groups in declared}) == 2

    group = quarantine_group(ec2, machine["vpc"])
    ec2.modify_network_interface_attribute(NetworkInterfaceId=machine["interfaces"][0]["id"], Groups=[group])
    seen = groups_everywhere(ec2, machine)
    assert seen["interfaces"] == seen["nested"] == [[group], *declared[1:]]
    assert seen["instance"] == seen["attribute"] == [[group]]


def test_the_groups_of_one_interface_change_through_the_instance(aws: Stage) -> None:
    ec2, machine = aws.root("ec2"), aws.instance("label-printer")
    group = quarantine_group(ec2, machine["vpc"])
    ec2.modify_instance_attribute(InstanceId=machine["id"], Groups=[group])
    assert set(map(str, groups_everywhere(ec2, machine).values())) == {f"[['{group}']]"}


def test_several_interfaces_need_the_interface_call(aws: Stage) -> None:
    ec2, machine = aws.root("ec2"), aws.instance("tracking-api")
    with pytest.raises(ClientError) as refused:
        ec2.modify_instance_attribute(InstanceId=machine["id"], Groups=machine["interfaces"][1]["groups"])
    assert code(refused) == "InvalidInstanceID"
    assert "multiple interfaces" in str(refused.value)


@pytest.mark.parametrize(
    ("group", "expected"), [("missing", "InvalidGroup.NotFound"), ("foreign", "InvalidParameterValue")]
)
def test_an_interface_takes_only_groups_of_its_vpc(aws: Stage, group: str, expected: str) -> None:
    ec2, machine = aws.root("ec2"), aws.instance("tracking-api")
    default = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    wanted = "sg-0123456789abcdef0" if group == "missing" else quarantine_group(ec2, default)
    with pytest.raises(ClientError) as refused:
        ec2.modify_network_interface_attribute(
            NetworkInterfaceId=machine["interfaces"][0]["id"], Groups=[wanted]
        )
    assert code(refused) == expected


def test_a_group_in_use_cannot_be_deleted(aws: Stage) -> None:
    ec2, machine = aws.root("ec2"), aws.instance("tracking-api")
    with pytest.raises(ClientError) as refused:
        ec2.delete_security_group(GroupId=machine["interfaces"][0]["groups"][0])
    assert code(refused) == "DependencyViolation"

    named, naming = quarantine_group(ec2, machine["vpc"]), machine["interfaces"][1]["groups"][0]
    rule = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": named}]}]
    ec2.authorize_security_group_ingress(GroupId=naming, IpPermissions=rule)
    with pytest.raises(ClientError) as refused:
        ec2.delete_security_group(GroupId=named)
    assert code(refused) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=naming, IpPermissions=rule)
    ec2.delete_security_group(GroupId=named)


def test_snapshots_of_an_instance_are_found_by_their_tag(aws: Stage) -> None:
    ec2, machine = aws.root("ec2"), aws.instance("tracking-api")
    made = ec2.create_snapshots(
        InstanceSpecification={"InstanceId": machine["id"]},
        CopyTagsFromSource="volume",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "quell:action", "Value": "01ABC"}]}],
    )["Snapshots"]
    assert {item["State"] for item in made} == {"completed"}
    found = ec2.describe_snapshots(Filters=[{"Name": "tag:quell:action", "Values": ["01ABC"]}])["Snapshots"]
    assert {item["VolumeId"] for item in found} == {volume["id"] for volume in machine["volumes"]}
    assert all({"Key": "Name", "Value": "tracking-api"} in item["Tags"] for item in found)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("create_network_acl", {"VpcId": "vpc"}),
        ("modify_instance_metadata_options", {"InstanceId": "id", "HttpEndpoint": "disabled"}),
        ("stop_instances", {"InstanceIds": ["id"]}),
        ("describe_instances", {}),
    ],
)
def test_a_dry_run_never_executes(aws: Stage, method: str, arguments: dict[str, Any]) -> None:
    ec2, machine = aws.root("ec2"), aws.instance("tracking-api")

    def fill(value: Any) -> Any:
        return [fill(item) for item in value] if isinstance(value, list) else machine.get(value, value)

    before = ec2.describe_network_acls()["NetworkAcls"], ec2.describe_instances()["Reservations"]
    with pytest.raises(ClientError) as answered:
        getattr(ec2, method)(DryRun=True, **{key: fill(value) for key, value in arguments.items()})
    assert code(answered) == "DryRunOperation"
    assert answered.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert (ec2.describe_network_acls()["NetworkAcls"], ec2.describe_instances()["Reservations"]) == before
    dry = [call for call in aws.simulator.calls() if call["dryRun"]]
    assert [call["errorCode"] for call in dry] == ["DryRunOperation"]
    assert dry[0]["requestParameters"]["dryRun"] is True


def test_what_is_not_simulated_says_so_as_an_aws_error(aws: Stage) -> None:
    with pytest.raises(ClientError) as refused:
        aws.root("ec2").get_ebs_default_kms_key_id()
    assert code(refused) == "NotImplementedBySimulator"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(ClientError) as refused:
        aws.root("iam").simulate_principal_policy(
            PolicySourceArn=aws.user("ci-deploy")["arn"], ActionNames=["s3:GetObject"]
        )
    assert code(refused) == "NotImplementedBySimulator"
    with pytest.raises(ClientError) as refused:
        aws.root("guardduty").start_malware_scan(ResourceArn="arn:aws:ec2:eu-west-1:1:instance/i-1")
    assert code(refused) == "NotImplementedBySimulator"


def test_a_filter_that_is_not_simulated_is_refused_and_not_ignored(aws: Stage) -> None:
    with pytest.raises(ClientError) as refused:
        aws.root("ec2").describe_instances(
            Filters=[{"Name": "network-interface.group-id", "Values": ["sg-1"]}]
        )
    assert code(refused) == "NotImplementedBySimulator"


def test_a_volume_is_detached_by_its_id_alone(aws: Stage) -> None:
    ec2, volume = aws.root("ec2"), aws.instance("tracking-api")["volumes"][1]["id"]
    ec2.detach_volume(VolumeId=volume)
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"
    with pytest.raises(ClientError) as refused:
        ec2.detach_volume(VolumeId=volume)
    assert code(refused) == "IncorrectState"
