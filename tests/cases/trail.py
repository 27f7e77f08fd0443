"""Events of CloudTrail, made up, and for each rule of ours one that it is for and one that it is not for."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.cases.ground import PRODUCTION, SANDBOX

Event = dict[str, Any]

FOREIGN = "999988887777"
INSIDE, OUTSIDE, UNKNOWN, BAD = "192.0.2.10", "198.51.100.7", "198.51.100.200", "198.51.100.66"
NETWORK = "203.0.113.77"

ADA: Event = {
    "type": "IAMUser",
    "principalId": "AIDAQUELLTESTADA00001",
    "arn": f"arn:aws:iam::{PRODUCTION}:user/ada",
    "accountId": PRODUCTION,
    "userName": "ada",
    "accessKeyId": "AKIAQUELLTESTKEY0001",
}
ROOT: Event = {
    "type": "Root",
    "principalId": PRODUCTION,
    "arn": f"arn:aws:iam::{PRODUCTION}:root",
    "accountId": PRODUCTION,
    "accessKeyId": "ASIAQUELLTESTROOT001",
}
DEPLOY: Event = {
    "type": "AssumedRole",
    "principalId": "AROAQUELLTESTDEPLOY01:ci",
    "arn": f"arn:aws:sts::{PRODUCTION}:assumed-role/deploy/ci",
    "accountId": PRODUCTION,
    "accessKeyId": "ASIAQUELLTESTKEY0002",
    "sessionContext": {
        "sessionIssuer": {
            "type": "Role",
            "principalId": "AROAQUELLTESTDEPLOY01",
            "arn": f"arn:aws:iam::{PRODUCTION}:role/deploy",
            "accountId": PRODUCTION,
            "userName": "deploy",
        },
        "attributes": {"mfaAuthenticated": "false", "creationDate": "2026-11-20T08:00:00Z"},
    },
}


def responder(session: str, *, role: str = "quell-contain", source: str = "quell-01KXAMPLE") -> Event:
    """A session of one of Quell's own roles."""
    issuer = {**DEPLOY["sessionContext"]["sessionIssuer"], "userName": role}
    issuer["arn"] = f"arn:aws:iam::{PRODUCTION}:role/{role}"
    context = {**DEPLOY["sessionContext"], "sessionIssuer": issuer, "sourceIdentity": source}
    arn = f"arn:aws:sts::{PRODUCTION}:assumed-role/{role}/{session}"
    return {**DEPLOY, "arn": arn, "sessionContext": context}


AWS: Event = {"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}


def call(service: str, name: str, asked: Any = None, **more: Any) -> Event:
    """A call by Ada in production from Germany, unless said otherwise; its id is its own."""
    event = {
        "eventVersion": "1.11",
        "userIdentity": ADA,
        "eventTime": "2026-11-20T09:30:00Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": INSIDE,
        "userAgent": "aws-cli/2.31.0",
        "requestParameters": asked,
        "responseElements": None,
        "requestID": "11111111-2222-4333-8444-555555555555",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": PRODUCTION,
        "eventCategory": "Management",
        **more,
    }
    spelled = json.dumps(event, sort_keys=True)
    return {"eventID": str(uuid.uuid5(uuid.NAMESPACE_URL, spelled)), **event}


def sign_in(address: str = INSIDE, *, answer: str = "Success", mfa: str = "Yes", **more: Any) -> Event:
    """A sign-in to the console."""
    given = {
        "eventType": "AwsConsoleSignIn",
        "sourceIPAddress": address,
        "awsRegion": "us-east-1",
        "responseElements": {"ConsoleLogin": answer},
        "additionalEventData": {"LoginTo": "https://console.aws.amazon.com/", "MFAUsed": mfa},
        "userIdentity": {key: value for key, value in ADA.items() if key != "accessKeyId"},
        **more,
    }
    return call("signin", "ConsoleLogin", None, **given)


def denied(event: Event, code: str = "AccessDenied") -> Event:
    """The same, refused."""
    return {**event, "errorCode": code, "errorMessage": "not authorized", "responseElements": None}


def policy(principal: Any, condition: Any = None, **more: Any) -> str:
    """A policy of one statement, as IAM's parameters hold it."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | _with(condition)]})


def _with(condition: Any) -> dict[str, Any]:
    return {"Condition": condition} if condition else {}


ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
EVERYTHING = json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": ["*"]}})
QUARANTINE = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
PUBLIC = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}]}
PRIVATE = {
    "Statement": [
        {**PUBLIC["Statement"][0], "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-quelltest1"}}},
        {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"},
    ]
}
INSIGHT: Event = {
    "eventType": "AwsCloudTrailInsight",
    "eventCategory": "Insight",
    "userIdentity": None,
    "insightDetails": {
        "state": "Start",
        "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser",
        "insightType": "ApiCallRateInsight",
    },
}


def opened(port: int, address: str = "0.0.0.0/0") -> Event:
    """A security group that lets an address range in on a port."""
    ranges = {"items": [{"cidrIp": address}]}
    permission = {"ipProtocol": "tcp", "fromPort": port, "toPort": port, "ipRanges": ranges, "ipv6Ranges": {}}
    asked = {"groupId": "sg-0aaaaaaaaaaaaaaaa", "ipPermissions": {"items": [permission]}}
    return call("ec2", "AuthorizeSecurityGroupIngress", asked)


def expiring(days: int) -> Event:
    """A bucket whose objects are deleted after that many days."""
    rule = {"ID": "x", "Status": "Enabled", "Expiration": {"Days": days}, "Filter": {"Prefix": ""}}
    asked = {"bucketName": "quell-test-data", "LifecycleConfiguration": {"Rule": rule}}
    return call("s3", "PutBucketLifecycle", asked)


def shared(kind: str, item: dict[str, str]) -> Event:
    """A snapshot or image that somebody else may read."""
    name, call_name, key = {
        "snapshot": ("createVolumePermission", "ModifySnapshotAttribute", "snapshotId"),
        "image": ("launchPermission", "ModifyImageAttribute", "imageId"),
    }[kind]
    thing = {"snapshotId": "snap-0aaaaaaaaaaaaaaaa", "imageId": "ami-0aaaaaaaaaaaaaaaa"}[key]
    return call("ec2", call_name, {key: thing, name: {"add": {"items": [item]}}})


def database(**asked: Any) -> dict[str, Any]:
    return {"dBInstanceIdentifier": "shop", **asked}


BUCKET = {"bucketName": "quell-test-data"}
SELECTORS = {"includeManagementEvents": True, "readWriteType": "All", "excludeManagementEventSources": []}
FUNCTION = {"functionName": "quell-test-function"}
SSE_C = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
BLOCK = {"BlockPublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}

RULES: dict[str, tuple[Event, Event]] = {
    "access-key-for-other-user": (
        call("iam", "CreateAccessKey", {"userName": "bob"}),
        call("iam", "CreateAccessKey", {"userName": "ada"}),
    ),
    "admin-rights-granted": (
        call("iam", "AttachRolePolicy", {"roleName": "deploy", "policyArn": ADMIN}),
        call("iam", "AttachRolePolicy", {"roleName": "deploy", "policyArn": f"{ADMIN}Not"}),
    ),
    "alarms-silenced": (
        call("monitoring", "DisableAlarmActions", {"alarmNames": ["root"]}),
        call("monitoring", "EnableAlarmActions", {"alarmNames": ["root"]}),
    ),
    "backups-destroyed": (
        call("backup", "DeleteRecoveryPoint", {"backupVaultName": "main"}),
        call("backup", "ListBackupVaults"),
    ),
    "bucket-made-public": (
        call("s3", "PutBucketPolicy", {**BUCKET, "bucketPolicy": PUBLIC}),
        call("s3", "PutBucketPolicy", {**BUCKET, "bucketPolicy": PRIVATE}),
    ),
    "bucket-shared-outside": (
        call("s3", "PutBucketPolicy", {**BUCKET, "bucketPolicy": json.loads(policy({"AWS": FOREIGN}))}),
        call("s3", "PutBucketPolicy", {**BUCKET, "bucketPolicy": json.loads(policy({"AWS": SANDBOX}))}),
    ),
    "call-from-bad-address": (
        call("sts", "GetCallerIdentity", sourceIPAddress=BAD),
        call("sts", "GetCallerIdentity", sourceIPAddress=OUTSIDE),
    ),
    "compromised-key-quarantine": (
        call("iam", "AttachUserPolicy", {"userName": "ada", "policyArn": QUARANTINE}, userIdentity=AWS),
        call("iam", "AttachUserPolicy", {"userName": "ada", "policyArn": f"{ADMIN}Not"}, userIdentity=AWS),
    ),
    "config-stopped": (
        call("config", "StopConfigurationRecorder", {"configurationRecorderName": "default"}),
        call("config", "StartConfigurationRecorder", {"configurationRecorderName": "default"}),
    ),
    "console-password-changed": (
        call("iam", "UpdateLoginProfile", {"userName": "bob"}),
        call("iam", "UpdateLoginProfile", {"userName": "ada"}),
    ),
    "console-password-set": (
        call("iam", "CreateLoginProfile", {"userName": "bob"}),
        call("iam", "GetLoginProfile", {"userName": "bob"}),
    ),
    "copy-made-public": (shared("image", {"group": "all"}), shared("image", {"userId": SANDBOX})),
    "copy-shared-outside": (shared("snapshot", {"userId": FOREIGN}), shared("snapshot", {"userId": SANDBOX})),
    "database-destroyed": (
        call("rds", "DeleteDBInstance", database(skipFinalSnapshot=True)),
        call("rds", "DeleteDBInstance", database(skipFinalSnapshot=False)),
    ),
    "database-opened": (
        call("rds", "ModifyDBInstance", database(publiclyAccessible=True)),
        call("rds", "ModifyDBInstance", database(publiclyAccessible=False)),
    ),
    "disk-encryption-disabled": (
        call("ec2", "DisableEbsEncryptionByDefault"),
        call("ec2", "EnableEbsEncryptionByDefault"),
    ),
    "encryption-key-destroyed": (
        call("kms", "ScheduleKeyDeletion", {"keyId": "1234abcd-12ab-34cd-56ef-1234567890ab"}),
        call("kms", "CancelKeyDeletion", {"keyId": "1234abcd-12ab-34cd-56ef-1234567890ab"}),
    ),
    "encryption-key-shared-outside": (
        call("kms", "CreateGrant", {"keyId": "k", "granteePrincipal": f"arn:aws:iam::{FOREIGN}:role/x"}),
        call("kms", "CreateGrant", {"keyId": "k", "granteePrincipal": f"arn:aws:iam::{PRODUCTION}:role/x"}),
    ),
    "event-rule-disabled": (
        call("events", "DisableRule", {"name": "quell-findings"}),
        call("events", "EnableRule", {"name": "quell-findings"}),
    ),
    "federation-token": (
        call("sts", "GetFederationToken", {"name": "x"}),
        call("sts", "GetSessionToken"),
    ),
    "firewall-removed": (
        call("wafv2", "DisassociateWebACL", {"resourceArn": "x"}),
        call("wafv2", "AssociateWebACL", {"resourceArn": "x"}),
    ),
    "flow-logs-deleted": (
        call("ec2", "DeleteFlowLogs", {"DeleteFlowLogsRequest": {"FlowLogId": {"content": "fl-0a"}}}),
        call("ec2", "DescribeFlowLogs"),
    ),
    "function-code-changed-by-user": (
        call("lambda", "UpdateFunctionCode20150331v2", FUNCTION),
        call("lambda", "UpdateFunctionCode20150331v2", FUNCTION, userIdentity=DEPLOY),
    ),
    "function-layer-added": (
        call("lambda", "UpdateFunctionConfiguration20150331v2", {**FUNCTION, "layers": ["layer"]}),
        call("lambda", "UpdateFunctionConfiguration20150331v2", {**FUNCTION, "timeout": 30}),
    ),
    "function-opened": (
        call("lambda", "AddPermission20150331v2", {**FUNCTION, "principal": "*"}),
        call("lambda", "AddPermission20150331v2", {**FUNCTION, "principal": "sns.amazonaws.com"}),
    ),
    "gpu-instances-started": (
        call("ec2", "RunInstances", {"instanceType": "p5.48xlarge"}),
        call("ec2", "RunInstances", {"instanceType": "m7g.large"}),
    ),
    "guardduty-blinded": (
        call("guardduty", "CreateFilter", {"detectorId": "d", "action": "ARCHIVE"}),
        call("guardduty", "CreateFilter", {"detectorId": "d", "action": "NOOP"}),
    ),
    "guardduty-disabled": (
        call("guardduty", "UpdateDetector", {"detectorId": "d", "enable": False}),
        call("guardduty", "UpdateDetector", {"detectorId": "d", "enable": True}),
    ),
    "identity-provider-changed": (
        call("iam", "CreateSAMLProvider", {"name": "x"}, userIdentity=DEPLOY),
        call("iam", "ListSAMLProviders", userIdentity=DEPLOY),
    ),
    "log-group-deleted": (
        call("logs", "PutRetentionPolicy", {"logGroupName": "x", "retentionInDays": 1}),
        call("logs", "PutRetentionPolicy", {"logGroupName": "x", "retentionInDays": 90}),
    ),
    "metadata-weakened": (
        call(
            "ec2",
            "ModifyInstanceMetadataOptions",
            {"ModifyInstanceMetadataOptionsRequest": {"HttpTokens": "optional", "InstanceId": "i-0a"}},
        ),
        call(
            "ec2",
            "ModifyInstanceMetadataOptions",
            {"ModifyInstanceMetadataOptionsRequest": {"HttpTokens": "required", "InstanceId": "i-0a"}},
        ),
    ),
    "mfa-removed": (
        call("iam", "DeactivateMFADevice", {"userName": "bob", "serialNumber": "x"}),
        call("iam", "EnableMFADevice", {"userName": "bob", "serialNumber": "x"}),
    ),
    "model-logging-deleted": (
        call("bedrock", "DeleteModelInvocationLoggingConfiguration"),
        call("bedrock", "GetModelInvocationLoggingConfiguration"),
    ),
    "objects-expire-soon": (expiring(1), expiring(90)),
    "objects-locked-by-own-key": (
        call("s3", "CopyObject", {**BUCKET, "key": "a", **SSE_C}, eventCategory="Data"),
        call("s3", "CopyObject", {**BUCKET, "key": "a"}, eventCategory="Data"),
    ),
    "organization-left": (
        call("organizations", "LeaveOrganization"),
        call("organizations", "DescribeOrganization"),
    ),
    "organization-policy-removed": (
        call("organizations", "DetachPolicy", {"policyId": "p-x", "targetId": "ou-x"}),
        call("organizations", "AttachPolicy", {"policyId": "p-x", "targetId": "ou-x"}),
    ),
    "other-watchers-disabled": (
        call("macie2", "UpdateMacieSession", {"status": "PAUSED"}),
        call("macie2", "UpdateMacieSession", {"status": "ENABLED"}),
    ),
    "parameters-decrypted-by-user": (
        call("ssm", "GetParameters", {"names": ["/a"], "withDecryption": True}),
        call("ssm", "GetParameters", {"names": ["/a"], "withDecryption": False}),
    ),
    "password-data-read": (
        call("ec2", "GetPasswordData", {"instanceId": "i-0aaaaaaaaaaaaaaaa"}),
        call("ec2", "GetConsoleOutput", {"instanceId": "i-0aaaaaaaaaaaaaaaa"}),
    ),
    "password-policy-weakened": (
        call("iam", "DeleteAccountPasswordPolicy"),
        call("iam", "GetAccountPasswordPolicy"),
    ),
    "ports-opened-to-the-world": (opened(22), opened(443)),
    "public-access-allowed": (
        call(
            "s3",
            "PutBucketPublicAccessBlock",
            {**BUCKET, "PublicAccessBlockConfiguration": {**BLOCK, "IgnorePublicAcls": False}},
        ),
        call(
            "s3",
            "PutBucketPublicAccessBlock",
            {**BUCKET, "PublicAccessBlockConfiguration": {**BLOCK, "IgnorePublicAcls": True}},
        ),
    ),
    "quarantine-lifted": (
        call("iam", "DetachUserPolicy", {"userName": "ada", "policyArn": QUARANTINE}),
        call("iam", "DetachUserPolicy", {"userName": "ada", "policyArn": ADMIN}),
    ),
    "region-enabled": (
        call("account", "EnableRegion", {"RegionName": "af-south-1"}),
        call("account", "DisableRegion", {"RegionName": "af-south-1"}),
    ),
    "resolver-logs-deleted": (
        call("route53resolver", "DeleteResolverQueryLogConfig", {"resolverQueryLogConfigId": "rqlc-0a"}),
        call("route53resolver", "ListResolverQueryLogConfigs"),
    ),
    "responder-role-misused": (
        call("iam", "CreateUser", {"userName": "x"}, userIdentity=responder("mallory")),
        call("iam", "UpdateAccessKey", {"userName": "x"}, userIdentity=responder("INC-2026-0001-01KXAMPLE")),
    ),
    "role-trusts-outside": (
        call("iam", "UpdateAssumeRolePolicy", {"roleName": "r", "policyDocument": policy({"AWS": FOREIGN})}),
        call("iam", "UpdateAssumeRolePolicy", {"roleName": "r", "policyDocument": policy({"AWS": SANDBOX})}),
    ),
    "root-access-key-created": (
        call("iam", "CreateAccessKey", None, userIdentity=ROOT),
        call("iam", "CreateAccessKey", None),
    ),
    "root-commands-on-instances": (
        call("ssm", "SendCommand", {"documentName": "AWS-RunShellScript"}, userIdentity=ROOT),
        call("ssm", "SendCommand", {"documentName": "AWS-RunShellScript"}, userIdentity=DEPLOY),
    ),
    "root-session-token": (
        call("sts", "GetSessionToken", userIdentity=ROOT),
        call("sts", "GetSessionToken"),
    ),
    "root-sign-in": (sign_in(userIdentity=ROOT), sign_in()),
    "root-used": (
        call("s3", "ListBuckets", userIdentity=ROOT, readOnly=True),
        call("s3", "ListBuckets", userIdentity={**ROOT, "invokedBy": "AWS Internal"}, readOnly=True),
    ),
    "secrets-read-by-user": (
        call("secretsmanager", "GetSecretValue", {"secretId": "shop"}),
        call("secretsmanager", "GetSecretValue", {"secretId": "shop"}, userIdentity=DEPLOY),
    ),
    "secrets-read-in-bulk": (
        call("secretsmanager", "BatchGetSecretValue", {"filters": [{"key": "all"}]}, userIdentity=DEPLOY),
        call("secretsmanager", "ListSecrets", userIdentity=DEPLOY),
    ),
    "secrets-refused": (
        denied(call("secretsmanager", "GetSecretValue", {"secretId": "shop"}, userIdentity=DEPLOY)),
        call("secretsmanager", "GetSecretValue", {"secretId": "shop"}, userIdentity=DEPLOY),
    ),
    "security-hub-disabled": (
        call("securityhub", "DisableSecurityHub"),
        call("securityhub", "EnableSecurityHub"),
    ),
    "serial-console-enabled": (
        call("ec2", "EnableSerialConsoleAccess"),
        call("ec2", "DisableSerialConsoleAccess"),
    ),
    "sign-in-from-outside": (sign_in(OUTSIDE), sign_in(INSIDE)),
    "sign-in-from-unknown-place": (sign_in(UNKNOWN), sign_in(NETWORK)),
    "sign-in-token": (
        call("signin", "GetSigninToken", userIdentity=DEPLOY, userAgent="python-requests/2.32"),
        call("signin", "GetSigninToken", userIdentity=DEPLOY, userAgent="Jersey/${project.version}"),
    ),
    "sign-in-without-mfa": (
        sign_in(mfa="No"),
        sign_in(
            additionalEventData={"MFAUsed": "No", "SamlProviderArn": "arn:aws:iam::1:saml-provider/x"},
        ),
    ),
    "ssh-key-pushed": (
        call("ec2-instance-connect", "SendSSHPublicKey", {"instanceId": "i-0aaaaaaaaaaaaaaaa"}),
        call("ec2-instance-connect", "OpenTunnel", {"instanceId": "i-0aaaaaaaaaaaaaaaa"}),
    ),
    "trail-changed": (
        call("cloudtrail", "UpdateTrail", {"name": "main", "isMultiRegionTrail": False}),
        call("cloudtrail", "GetTrail", {"name": "main"}),
    ),
    "trail-narrowed": (
        call(
            "cloudtrail",
            "PutEventSelectors",
            {"trailName": "main", "eventSelectors": [{**SELECTORS, "readWriteType": "ReadOnly"}]},
        ),
        call("cloudtrail", "PutEventSelectors", {"trailName": "main", "eventSelectors": [SELECTORS]}),
    ),
    "trail-stopped": (
        call("cloudtrail", "StopLogging", {"name": f"arn:aws:cloudtrail:eu-west-1:{PRODUCTION}:trail/main"}),
        call("cloudtrail", "StartLogging", {"name": "main"}),
    ),
    "trust-anchor-created": (
        call("rolesanywhere", "CreateTrustAnchor", {"name": "x"}),
        call("rolesanywhere", "ListTrustAnchors"),
    ),
    "unusual-activity": (
        call("iam", "", **INSIGHT),
        call("iam", "", **{**INSIGHT, "insightDetails": {**INSIGHT["insightDetails"], "state": "End"}}),
    ),
    "user-created": (
        call("iam", "CreateUser", {"userName": "x"}),
        call("iam", "DeleteUser", {"userName": "x"}),
    ),
    "user-data-changed": (
        call("ec2", "ModifyInstanceAttribute", {"instanceId": "i-0a", "userData": "<sensitive>"}),
        call("ec2", "ModifyInstanceAttribute", {"instanceId": "i-0a", "disableApiStop": True}),
    ),
    "user-data-read": (
        call("ec2", "DescribeInstanceAttribute", {"attribute": "userData", "instanceId": "i-0a"}),
        call("ec2", "DescribeInstanceAttribute", {"attribute": "kernel", "instanceId": "i-0a"}),
    ),
    "versions-not-kept": (
        call("s3", "PutBucketVersioning", {**BUCKET, "VersioningConfiguration": {"Status": "Suspended"}}),
        call("s3", "PutBucketVersioning", {**BUCKET, "VersioningConfiguration": {"Status": "Enabled"}}),
    ),
}
