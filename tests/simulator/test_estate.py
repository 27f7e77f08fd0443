"""The estate is the small company the demo and the tests are about."""

import re

import pytest

from tests.simulator.conftest import Stage, client

pytestmark = pytest.mark.fast


def test_the_organization_is_there(aws: Stage) -> None:
    estate, organizations = aws.estate, aws.root("organizations", "management", "us-east-1")
    listed = {account["Id"]: account["Name"] for account in organizations.list_accounts()["Accounts"]}
    declared = {
        account["id"]: account["name"] for account in estate["accounts"] if account["name"] != "management"
    }
    assert declared.items() <= listed.items()
    assert estate["organization"]["management_account"] in listed
    for unit in estate["organizational_units"]:
        members = organizations.list_accounts_for_parent(ParentId=unit["id"])["Accounts"]
        assert {item["Id"] for item in members} == {
            account["id"] for account in estate["accounts"] if account["ou_path"] == unit["path"]
        }


def test_every_account_says_what_quell_needs(aws: Stage) -> None:
    estate = aws.estate
    assert {account["environment"] for account in estate["accounts"]} == {
        "production",
        "sandbox",
        "security",
        "management",
    }
    for account in estate["accounts"]:
        assert re.fullmatch(r"\d{12}", account["id"])
        assert re.fullmatch(rf"[a-z2-7]{{16}}-{account['id']}", account["external_id"])
        assert set(account["roles"]) == {"read", "evidence", "contain", "organization"}
        for member in ("name", "email", "criticality", "owner", "security_contact", "regions", "tags"):
            assert account[member]
    assert len({account["external_id"].split("-")[0] for account in estate["accounts"]}) == 1


def test_the_hub_reaches_every_role_of_every_account(aws: Stage) -> None:
    for account in aws.estate["accounts"]:
        for level, arn in account["roles"].items():
            key = aws.assume(level, account["name"])
            identity = client(aws.url, "sts", key).get_caller_identity()
            assert identity["Account"] == account["id"]
            assert arn.endswith(f"quell-{level}")


def test_the_machines_are_as_described(aws: Stage) -> None:
    machines = aws.estate["instances"]
    assert len(machines) >= 6
    assert {len(machine["interfaces"]) for machine in machines} == {1, 2, 3}
    for machine in machines:
        assert re.fullmatch(r"i-0[0-9a-f]{16}", machine["id"])
        name = next(
            account["name"] for account in aws.estate["accounts"] if account["id"] == machine["account"]
        )
        ec2 = aws.root("ec2", name, machine["region"])
        shown = ec2.describe_instances(InstanceIds=[machine["id"]])["Reservations"][0]["Instances"][0]
        assert shown["State"]["Name"] == "running"
        assert {item["NetworkInterfaceId"] for item in shown["NetworkInterfaces"]} == {
            item["id"] for item in machine["interfaces"]
        }
        assert {item["Ebs"]["VolumeId"] for item in shown["BlockDeviceMappings"]} == {
            item["id"] for item in machine["volumes"]
        }
        assert shown.get("PublicIpAddress") is None
    api = aws.instance("tracking-api")
    assert [len(item["groups"]) for item in api["interfaces"]] == [1, 1, 1]
    assert len({item["groups"][0] for item in api["interfaces"]}) == 2
    assert len(api["volumes"]) == 2


def test_users_buckets_functions_and_keys_are_as_described(aws: Stage) -> None:
    estate = aws.estate
    assert aws.as_user("sts", "ci-deploy").get_caller_identity()["Arn"] == aws.user("ci-deploy")["arn"]
    names = {account["id"]: account["name"] for account in estate["accounts"]}
    for bucket in estate["buckets"]:
        listed = (
            aws.root("s3", names[bucket["account"]])
            .list_objects_v2(Bucket=bucket["name"])
            .get("Contents", [])
        )
        assert [item["Key"] for item in listed] == sorted(bucket["objects"])
    for function in estate["functions"]:
        shown = aws.root("lambda", names[function["account"]], function["region"]).get_function(
            FunctionName=function["name"]
        )
        assert shown["Configuration"]["FunctionArn"] == function["arn"]
    for key in estate["keys"]:
        shown = aws.root("kms", names[key["account"]], key["region"]).describe_key(KeyId=key["alias"])
        assert shown["KeyMetadata"]["Arn"] == key["arn"]
    for user in estate["users"]:
        assert re.fullmatch(r"AIDA[A-Z2-7]{17}", user["id"])
    roles = {role["name"] for role in estate["roles"] if role["account"] == "444455556666"}
    assert {"tracking-api", "data-export", "quell-read"} <= roles
