"""The estate: a small fictional freight company on AWS, declared here and built into moto.

Northgate Freight has an organization with a management account, three organizational units and five
member accounts in two regions. `build` makes it, always with the same ids, and returns its
description as plain JSON, which `GET /_sim/estate` shows.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.organizations import utils as organizations_utils

from simulator.direct import Direct
from simulator.patches import randomness

MAIN_REGION, SECOND_REGION = "eu-west-1", "us-east-1"
HUB_USER = "quell-hub"
RESPONDER_ROLES = ("read", "evidence", "contain", "organization")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface of an instance: subnet, address, group names."""

    subnet: str
    address: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """One EC2 instance."""

    name: str
    region: str
    interfaces: tuple[Interface, ...]
    disks: tuple[int, ...] = (16,)
    kind: str = "m6i.large"
    profile: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """One VPC: subnets by name with their third octet, groups by name with the ports open to 10.0.0.0/8."""

    name: str
    region: str
    octet: int
    subnets: Mapping[str, int]
    groups: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Person:
    """One IAM user, with as many access keys as statuses are given."""

    name: str
    keys: tuple[str, ...] = ("Active",)
    console: bool = False
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Company:
    """One account and what is in it."""

    id: str
    name: str
    ou: str
    environment: str
    criticality: str
    owner: str
    regions: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()
    machines: tuple[Machine, ...] = ()
    people: tuple[Person, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)  # name → service that assumes it
    buckets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name → object keys
    functions: Mapping[str, str] = field(default_factory=dict)  # name → role
    keys: tuple[str, ...] = ()  # KMS aliases


UNITS = ("Security", "Production", "Sandbox")

SHIPPING = Company(
    id="444455556666",
    name="prod-shipping",
    ou="Production",
    environment="production",
    criticality="high",
    owner="Shipping Platform",
    regions=(MAIN_REGION, SECOND_REGION),
    tags={"team": "shipping-platform", "cost-centre": "4120", "data-class": "confidential"},
    networks=(
        Network(
            "shipping",
            MAIN_REGION,
            20,
            {"app-a": 1, "app-b": 2, "management": 3, "data": 4},
            {
                "tracking-app": (443, 8443),
                "tracking-admin": (22,),
                "shipping-data": (5432,),
                "labels": (443, 631),
            },
        ),
    ),
    machines=(
        Machine(
            "tracking-api",
            MAIN_REGION,
            (
                Interface("app-a", "10.20.1.24", ("tracking-app",)),
                Interface("management", "10.20.3.24", ("tracking-admin",)),
                Interface("data", "10.20.4.24", ("tracking-app",)),
            ),
            disks=(30, 200),
            kind="m6i.xlarge",
            profile="tracking-api",
            tags={"service": "tracking", "criticality": "critical"},
        ),
        Machine(
            "carrier-sync",
            MAIN_REGION,
            (
                Interface("app-b", "10.20.2.31", ("tracking-app",)),
                Interface("management", "10.20.3.31", ("tracking-admin",)),
            ),
            profile="tracking-api",
        ),
        Machine(
            "label-printer", MAIN_REGION, (Interface("app-b", "10.20.2.40", ("labels",)),), kind="t3.medium"
        ),
    ),
    people=(
        Person("ci-deploy", policy="deploy"),
        Person("anna.lindqvist", keys=(), console=True),
        Person("marc.oyelaran", keys=("Active", "Inactive"), console=True),
    ),
    roles={"tracking-api": "ec2.amazonaws.com", "data-export": "lambda.amazonaws.com"},
    buckets={
        "nf-prod-artifacts": (
            "releases/tracking-api-2026.11.18.tar.gz",
            "releases/carrier-sync-2026.11.02.tar.gz",
        ),
        "nf-prod-labels": ("2026/11/23/labels.json",),
    },
    functions={"export-manifests": "data-export", "label-render": "data-export"},
    keys=("shipping-data",),
)
DATA_LAKE = Company(
    id="777788889999",
    name="prod-data-lake",
    ou="Production",
    environment="production",
    criticality="high",
    owner="Data Engineering",
    regions=(MAIN_REGION, SECOND_REGION),
    tags={"team": "data-engineering", "cost-centre": "4300", "data-class": "restricted"},
    networks=(
        Network(
            "lake", MAIN_REGION, 30, {"load-a": 1, "load-b": 2}, {"lake-load": (443,), "lake-admin": (22,)}
        ),
        Network("lake-query", SECOND_REGION, 31, {"query-a": 1, "query-b": 2}, {"query": (8080, 443)}),
    ),
    machines=(
        Machine(
            "manifest-loader",
            MAIN_REGION,
            (Interface("load-a", "10.30.1.12", ("lake-load", "lake-admin")),),
            disks=(50, 500),
            profile="lake-loader",
        ),
        Machine(
            "lake-query",
            SECOND_REGION,
            (Interface("query-a", "10.31.1.12", ("query",)), Interface("query-b", "10.31.2.12", ("query",))),
        ),
    ),
    people=(Person("etl-runner", keys=("Active", "Inactive")), Person("ines.moreau", keys=(), console=True)),
    roles={"lake-loader": "ec2.amazonaws.com", "s3-replication": "s3.amazonaws.com"},
    buckets={
        "nf-prod-manifests": ("2026/11/manifests-21.parquet", "2026/11/manifests-22.parquet", "schema.json"),
        "nf-prod-curated": ("customers/part-000.parquet",),
    },
    functions={"index-manifests": "lake-loader"},
    keys=("lake",),
)
PAYMENTS = Company(
    id="888899990000",
    name="prod-payments",
    ou="Production",
    environment="production",
    criticality="critical",
    owner="Payments",
    regions=(MAIN_REGION,),
    tags={"team": "payments", "cost-centre": "4200", "data-class": "pci"},
    networks=(Network("payments", MAIN_REGION, 40, {"app-a": 1, "app-b": 2}, {"payments-app": (443,)}),),
    machines=(
        Machine("payments-gateway", MAIN_REGION, (Interface("app-a", "10.40.1.10", ("payments-app",)),)),
    ),
    people=(Person("settlement-batch"),),
    roles={"payments-gateway": "ec2.amazonaws.com"},
    buckets={"nf-prod-settlements": ("2026-11-23/settlement.csv",)},
    keys=("payments",),
)
SANDBOX = Company(
    id="999900001111",
    name="sandbox",
    ou="Sandbox",
    environment="sandbox",
    criticality="low",
    owner="Developer Experience",
    regions=(SECOND_REGION,),
    tags={"team": "developer-experience", "cost-centre": "4900"},
    networks=(Network("lab", SECOND_REGION, 50, {"lab-a": 1, "lab-b": 2}, {"lab": (22, 8888)}),),
    machines=(
        Machine(
            "scratch-gpu", SECOND_REGION, (Interface("lab-a", "10.50.1.77", ("lab",)),), kind="g5.xlarge"
        ),
    ),
    people=(Person("lab-notebook"), Person("jo.ferreira", keys=("Active",), console=True)),
    roles={"lab-runner": "ec2.amazonaws.com"},
    buckets={"nf-sandbox-scratch": ("notes.txt",)},
    functions={"try-out": "lab-runner"},
)
FORENSIC = Company(
    id="222233334444",
    name="forensic",
    ou="Security",
    environment="security",
    criticality="high",
    owner="Security Operations",
    regions=(MAIN_REGION, SECOND_REGION),
    tags={"team": "security-operations", "cost-centre": "4010"},
    networks=(Network("forensic", MAIN_REGION, 60, {"lab-a": 1, "lab-b": 2}, {"workstation": (443,)}),),
    people=(Person(HUB_USER, policy="hub"),),
    buckets={"nf-forensic-evidence": ()},
    keys=("evidence",),
)
MANAGEMENT = Company(
    id="111122223333",
    name="management",
    ou="",
    environment="management",
    criticality="critical",
    owner="Cloud Platform",
    regions=(SECOND_REGION,),
    tags={"team": "cloud-platform", "cost-centre": "4000"},
    people=(Person("org-admin", keys=(), console=True),),
)
COMPANIES = (MANAGEMENT, FORENSIC, SHIPPING, DATA_LAKE, PAYMENTS, SANDBOX)


def _derived(name: str, length: int) -> str:
    """A string that looks random and is the same for the same seed."""
    digest = hashlib.sha256(f"{randomness.SEED}/{name}".encode()).digest()
    return base64.b32encode(digest).decode().rstrip("=")[:length]


def external_id(account: str) -> str:
    """The account's external id: the organization's random part and the account."""
    return f"{_derived('external id', 16).lower()}-{account}"


def root_key(account: str) -> Json:
    """The access key of an account's root, which only the launcher hands out."""
    return {
        "access_key_id": "AKIA" + _derived(f"root key {account}", 16),
        "secret_access_key": hashlib.sha256(f"{randomness.SEED}/root secret {account}".encode()).hexdigest()[
            :40
        ],
    }


def root_keys(estate: Mapping[str, Any]) -> dict[str, str]:
    """Root access key ids of a built estate, each with its account."""
    return {account["root_key"]["access_key_id"]: account["id"] for account in estate["accounts"]}


def build() -> Json:
    """Make the estate in an empty moto; returns its description."""
    with randomness.stream("estate"):
        return _build()


def _build() -> Json:
    estate: Json = {
        "company": "Northgate Freight",
        "seed": randomness.SEED,
        "regions": [MAIN_REGION, SECOND_REGION],
    }
    estate.update(_build_organization())
    for listing in ("accounts", "users", "instances", "networks", "roles", "buckets", "functions", "keys"):
        estate[listing] = []
    hub_arn = f"arn:aws:iam::{FORENSIC.id}:user/{HUB_USER}"
    for company in COMPANIES:
        _Builder(company, estate, hub_arn).build()
    hub = next(user for user in estate["users"] if user["arn"] == hub_arn)
    estate["hub"] = {"account": FORENSIC.id, "arn": hub_arn, "user": HUB_USER, **hub["access_keys"][0]}
    result: Json = json.loads(json.dumps(estate))
    return result


@contextmanager
def _declared_account_ids(ids: list[str]) -> Iterator[None]:
    """Let CreateAccount hand out these ids: AWS's are random, an estate's are known."""
    original = organizations_utils.make_random_account_id
    remaining = iter(ids)
    organizations_utils.make_random_account_id = lambda: next(remaining)
    try:
        yield
    finally:
        organizations_utils.make_random_account_id = original


def _build_organization() -> Json:
    aws = Direct(MANAGEMENT.id, SECOND_REGION)
    organization = aws("organizations", "CreateOrganization", FeatureSet="ALL")["Organization"]
    root = aws("organizations", "ListRoots")["Roots"][0]
    units = {
        name: aws("organizations", "CreateOrganizationalUnit", ParentId=root["Id"], Name=name)[
            "OrganizationalUnit"
        ]
        for name in UNITS
    }
    members = [company for company in COMPANIES if company is not MANAGEMENT]
    with _declared_account_ids([company.id for company in members]):
        for company in members:
            aws("organizations", "CreateAccount", AccountName=company.name, Email=_email(company))
    for company in members:
        aws(
            "organizations",
            "MoveAccount",
            AccountId=company.id,
            SourceParentId=root["Id"],
            DestinationParentId=units[company.ou]["Id"],
        )
    for company in COMPANIES:
        aws("organizations", "TagResource", ResourceId=company.id, Tags=_tags(company.tags))
    aws("organizations", "EnablePolicyType", RootId=root["Id"], PolicyType="SERVICE_CONTROL_POLICY")
    return {
        "organization": {
            "id": organization["Id"],
            "arn": organization["Arn"],
            "management_account": MANAGEMENT.id,
            "root": {"id": root["Id"], "name": "Root"},
        },
        "organizational_units": [
            {"id": unit["Id"], "arn": unit["Arn"], "name": name, "path": f"Root/{name}", "parent": root["Id"]}
            for name, unit in units.items()
        ],
    }


def _email(company: Company) -> str:
    return f"aws+{company.name}@northgatefreight.example"


def _tags(tags: Mapping[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _service_trust(service: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
    )


def responder_trust(hub_arn: str, account: str) -> Json:
    """The trust policy of a responder role: the hub alone, with this account's external id."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": hub_arn},
                "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
                "Condition": {"StringEquals": {"sts:ExternalId": external_id(account)}},
            }
        ],
    }


# What each level of trust may do, in outline; Quell's own templates are the ones to deploy.
RESPONDER_PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    "read": (
        "ec2:Describe*",
        "iam:Get*",
        "iam:List*",
        "s3:GetBucket*",
        "s3:ListAllMyBuckets",
        "lambda:Get*",
        "lambda:List*",
        "kms:Describe*",
        "kms:List*",
        "cloudtrail:LookupEvents",
        "guardduty:GetFindings",
        "guardduty:ListDetectors",
        "guardduty:ListFindings",
        "securityhub:GetFindings",
    ),
    "evidence": ("ec2:Describe*", "ec2:CreateSnapshot*", "ec2:CreateTags", "ec2:ModifySnapshotAttribute"),
    "contain": (
        "ec2:*",
        "iam:Get*",
        "iam:List*",
        "iam:UpdateAccessKey",
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy",
        "iam:PutUserPolicy",
        "iam:DeleteUserPolicy",
    ),
    "organization": (
        "organizations:Describe*",
        "organizations:List*",
        "organizations:AttachPolicy",
        "organizations:DetachPolicy",
        "organizations:CreatePolicy",
    ),
}
USER_PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    "deploy": (
        "s3:*",
        "ec2:Describe*",
        "ec2:RunInstances",
        "iam:List*",
        "iam:Get*",
        "lambda:UpdateFunctionCode",
    ),
    "hub": (
        "sts:AssumeRole",
        "sts:SetSourceIdentity",
        "sts:TagSession",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
        "s3:GetObject",
    ),
}


def _allow(actions: tuple[str, ...]) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
        }
    )


class _Builder:
    """Builds one account and adds it to the description."""

    def __init__(self, company: Company, estate: Json, hub_arn: str) -> None:
        self.company = company
        self.estate = estate
        self.hub_arn = hub_arn
        self.aws = {region: Direct(company.id, region) for region in company.regions}
        self.home = self.aws[company.regions[0]]
        self.subnets: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.images: dict[str, str] = {}

    def build(self) -> None:
        roles = self._responder_roles()
        self._account(roles)
        self._people()
        self._roles()
        for network in self.company.networks:
            self._network(network)
        for machine in self.company.machines:
            self._machine(machine)
        self._storage()
        self._functions()

    def _account(self, roles: dict[str, str]) -> None:
        company = self.company
        self.estate["accounts"].append(
            {
                "id": company.id,
                "name": company.name,
                "email": _email(company),
                "ou_path": f"Root/{company.ou}" if company.ou else "Root",
                "environment": company.environment,
                "criticality": company.criticality,
                "owner": company.owner,
                "security_contact": "security@northgatefreight.example",
                "external_id": external_id(company.id),
                "regions": list(company.regions),
                "roles": roles,
                "tags": dict(company.tags),
                "root_key": root_key(company.id),
            }
        )

    def _responder_roles(self) -> dict[str, str]:
        arns = {}
        for level in RESPONDER_ROLES:
            role = self.home(
                "iam",
                "CreateRole",
                RoleName=f"quell-{level}",
                MaxSessionDuration=3600,
                AssumeRolePolicyDocument=json.dumps(responder_trust(self.hub_arn, self.company.id)),
                Description=f"Quell responder, level {level}",
                Tags=_tags({"quell:responder": level}),
            )["Role"]
            self.home(
                "iam",
                "PutRolePolicy",
                RoleName=role["RoleName"],
                PolicyName=f"quell-{level}",
                PolicyDocument=_allow(RESPONDER_PERMISSIONS[level]),
            )
            arns[level] = role["Arn"]
            self._note_role(role, "responder")
        return arns

    def _note_role(self, role: Json, purpose: str) -> None:
        self.estate["roles"].append(
            {
                "account": self.company.id,
                "name": role["RoleName"],
                "arn": role["Arn"],
                "id": role["RoleId"],
                "purpose": purpose,
            }
        )

    def _people(self) -> None:
        for person in self.company.people:
            user = self.home("iam", "CreateUser", UserName=person.name)["User"]
            if person.policy:
                self.home(
                    "iam",
                    "PutUserPolicy",
                    UserName=person.name,
                    PolicyName=person.policy,
                    PolicyDocument=_allow(USER_PERMISSIONS[person.policy]),
                )
            if person.console:
                self.home(
                    "iam", "CreateLoginProfile", UserName=person.name, Password="not-a-real-password-1A!"
                )
            keys = [self._access_key(person.name, status) for status in person.keys]
            self.estate["users"].append(
                {
                    "account": self.company.id,
                    "name": person.name,
                    "arn": user["Arn"],
                    "id": user["UserId"],
                    "console": person.console,
                    "access_keys": keys,
                }
            )

    def _access_key(self, user: str, status: str) -> Json:
        key = self.home("iam", "CreateAccessKey", UserName=user)["AccessKey"]
        if status != "Active":
            self.home("iam", "UpdateAccessKey", UserName=user, AccessKeyId=key["AccessKeyId"], Status=status)
        return {
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
            "status": status,
        }

    def _roles(self) -> None:
        for name, service in self.company.roles.items():
            role = self.home(
                "iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=_service_trust(service)
            )["Role"]
            self.home(
                "iam",
                "PutRolePolicy",
                RoleName=name,
                PolicyName="work",
                PolicyDocument=_allow(("s3:GetObject", "s3:ListBucket", "s3:PutObject", "kms:Decrypt")),
            )
            self._note_role(role, "workload")
            if service == "ec2.amazonaws.com":
                self.home("iam", "CreateInstanceProfile", InstanceProfileName=name)
                self.home("iam", "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=name)

    def _network(self, network: Network) -> None:
        aws = self.aws[network.region]
        vpc = aws(
            "ec2",
            "CreateVpc",
            CidrBlock=f"10.{network.octet}.0.0/16",
            TagSpecifications=_named("vpc", network.name),
        )["Vpc"]["VpcId"]
        zones = [f"{network.region}{letter}" for letter in "ab"]
        for index, (name, octet) in enumerate(network.subnets.items()):
            subnet = aws(
                "ec2",
                "CreateSubnet",
                VpcId=vpc,
                CidrBlock=f"10.{network.octet}.{octet}.0/24",
                AvailabilityZone=zones[index % 2],
                TagSpecifications=_named("subnet", name),
            )["Subnet"]
            self.subnets[f"{network.region}/{name}"] = subnet["SubnetId"]
        for name, ports in network.groups.items():
            group = aws(
                "ec2",
                "CreateSecurityGroup",
                GroupName=name,
                Description=f"{network.name} {name}",
                VpcId=vpc,
                TagSpecifications=_named("security-group", name),
            )["GroupId"]
            aws(
                "ec2",
                "AuthorizeSecurityGroupIngress",
                GroupId=group,
                IpPermissions=[
                    {
                        "IpProtocol": "tcp",
                        "FromPort": port,
                        "ToPort": port,
                        "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
                    }
                    for port in ports
                ],
            )
            self.groups[f"{network.region}/{name}"] = group
        self.estate["networks"].append(
            {
                "account": self.company.id,
                "region": network.region,
                "name": network.name,
                "vpc": vpc,
                "subnets": {name: self.subnets[f"{network.region}/{name}"] for name in network.subnets},
                "security_groups": {name: self.groups[f"{network.region}/{name}"] for name in network.groups},
            }
        )

    def _image(self, region: str) -> str:
        if region not in self.images:
            image = self.aws[region](
                "ec2",
                "RegisterImage",
                Name="nf-base-2026.11",
                Architecture="x86_64",
                RootDeviceName="/dev/xvda",
                VirtualizationType="hvm",
            )
            self.images[region] = image["ImageId"]
        return self.images[region]

    def _machine(self, machine: Machine) -> None:
        aws, region = self.aws[machine.region], machine.region
        disks = [
            {
                "DeviceName": "/dev/xvda" if index == 0 else f"/dev/sd{'fghi'[index - 1]}",
                "Ebs": {"VolumeSize": size, "VolumeType": "gp3", "DeleteOnTermination": index == 0},
            }
            for index, size in enumerate(machine.disks)
        ]
        interfaces = [
            {
                "DeviceIndex": index,
                "SubnetId": self.subnets[f"{region}/{interface.subnet}"],
                "PrivateIpAddress": interface.address,
                "DeleteOnTermination": True,
                "Groups": [self.groups[f"{region}/{name}"] for name in interface.groups],
            }
            for index, interface in enumerate(machine.interfaces)
        ]
        tags = {"owner": self.company.owner, "environment": self.company.environment, **machine.tags}
        profile = {"IamInstanceProfile": {"Name": machine.profile}} if machine.profile else {}
        launched = aws(
            "ec2",
            "RunInstances",
            ImageId=self._image(region),
            InstanceType=machine.kind,
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=interfaces,
            BlockDeviceMappings=disks,
            TagSpecifications=[*_named("instance", machine.name, tags), *_named("volume", machine.name)],
            **profile,
        )
        shown = aws("ec2", "DescribeInstances", InstanceIds=[launched["Instances"][0]["InstanceId"]])
        self.estate["instances"].append(self._describe(machine, shown["Reservations"][0]["Instances"][0]))

    def _describe(self, machine: Machine, instance: Json) -> Json:
        ordered = sorted(
            instance["NetworkInterfaces"], key=lambda interface: interface["Attachment"]["DeviceIndex"]
        )
        return {
            "account": self.company.id,
            "region": machine.region,
            "id": instance["InstanceId"],
            "arn": f"arn:aws:ec2:{machine.region}:{self.company.id}:instance/{instance['InstanceId']}",
            "name": machine.name,
            "type": instance["InstanceType"],
            "image": instance["ImageId"],
            "vpc": instance["VpcId"],
            "profile": machine.profile or None,
            "interfaces": [
                {
                    "id": interface["NetworkInterfaceId"],
                    "device_index": interface["Attachment"]["DeviceIndex"],
                    "subnet": interface["SubnetId"],
                    "private_address": interface["PrivateIpAddress"],
                    "groups": [group["GroupId"] for group in interface["Groups"]],
                }
                for interface in ordered
            ],
            "volumes": [
                {"id": disk["Ebs"]["VolumeId"], "device": disk["DeviceName"]}
                for disk in instance["BlockDeviceMappings"]
            ],
            "tags": {tag["Key"]: tag["Value"] for tag in instance["Tags"]},
        }

    def _storage(self) -> None:
        region = self.home.region
        for name, keys in self.company.buckets.items():
            place = (
                {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            )
            locked = {"ObjectLockEnabledForBucket": True} if not keys else {}
            self.home("s3", "CreateBucket", Bucket=name, **place, **locked)
            for key in keys:
                self.home("s3", "PutObject", Bucket=name, Key=key, Body=f"{name}/{key}\n".encode())
            self.estate["buckets"].append(
                {
                    "account": self.company.id,
                    "region": region,
                    "name": name,
                    "arn": f"arn:aws:s3:::{name}",
                    "objects": list(keys),
                }
            )
        for alias in self.company.keys:
            key = self.home("kms", "CreateKey", Description=f"{self.company.name} {alias}")["KeyMetadata"]
            self.home("kms", "CreateAlias", AliasName=f"alias/{alias}", TargetKeyId=key["KeyId"])
            self.estate["keys"].append(
                {
                    "account": self.company.id,
                    "region": region,
                    "id": key["KeyId"],
                    "arn": key["Arn"],
                    "alias": f"alias/{alias}",
                }
            )

    def _functions(self) -> None:
        for name, role in self.company.functions.items():
            function = self.home(
                "lambda",
                "CreateFunction",
                FunctionName=name,
                Runtime="python3.12",
                Handler="main.handle",
                Role=f"arn:aws:iam::{self.company.id}:role/{role}",
                Code={"ZipFile": _package(name)},
            )
            self.estate["functions"].append(
                {
                    "account": self.company.id,
                    "region": self.home.region,
                    "name": name,
                    "arn": function["FunctionArn"],
                    "role": function["Role"],
                }
            )


def _named(kind: str, name: str, tags: Mapping[str, str] | None = None) -> list[Json]:
    return [{"ResourceType": kind, "Tags": _tags({"Name": name, **(tags or {})})}]


def _package(name: str) -> bytes:
    """A function's code as a zip with a fixed date, so that its hash is the same every time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            zipfile.ZipInfo("main.py", (2026, 1, 1, 0, 0, 0)),
            f"def handle(event, context):\n    return {name!r}\n",
        )
    return out.getvalue()
