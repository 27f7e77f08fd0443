"""Who calls, and whether AWS would let them.

Enforced, as AWS does: unknown, inactive and expired credentials; explicit denies in a user's or
role's own policies (inline and attached, also through groups), so that a session issued before an
`aws:TokenIssueTime` cutoff is refused; role trust policies with external id, source identity and
session tags; session durations; session policies, but for their resources. Not enforced: allows of
identity policies, resources of session policies, permissions boundaries, service control policies,
resource policies, and signatures. What those would refuse is allowed here; ask
`simulator.enforcing` instead.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import iam_backends

from simulator import policy
from simulator.patches import clock, sessions
from simulator.wire import Call, Refusal

# S3 and Lambda permissions whose names are not the operation's.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
ACTIONS: Mapping[str, str] = {
    "s3:CopyObject": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3control:DeletePublicAccessBlock": "s3:PutAccountPublicAccessBlock",
    "s3control:GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    "s3control:PutPublicAccessBlock": "s3:PutAccountPublicAccessBlock",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:PutBucketReplication": "s3:PutReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "lambda:Invoke": "lambda:InvokeFunction",
}
NO_SESSION_POLICY = "because no session policy allows the action"
UNDENIABLE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
CHAINED_LIMIT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Identity:
    """The principal a credential speaks for."""

    kind: str  # Root, IAMUser or AssumedRole, as CloudTrail's userIdentity.type
    account: str
    arn: str
    principal_id: str
    access_key: str
    name: str = ""  # user or role name
    role_arn: str = ""
    issued_at: datetime | None = None
    source_identity: str = ""
    session_policy: str = ""

    def as_cloudtrail(self) -> dict[str, Any]:
        """CloudTrail's `userIdentity`."""
        shown: dict[str, Any] = {
            "type": self.kind,
            "principalId": self.principal_id,
            "arn": self.arn,
            "accountId": self.account,
            "accessKeyId": self.access_key,
        }
        if self.kind == "IAMUser":
            shown["userName"] = self.name
        if self.kind == "AssumedRole":
            shown["sessionContext"] = self._session_context()
        return shown

    def _session_context(self) -> dict[str, Any]:
        context: dict[str, Any] = {
            "sessionIssuer": {
                "type": "Role",
                "principalId": self.principal_id.split(":")[0],
                "arn": self.role_arn,
                "accountId": self.account,
                "userName": self.name,
            },
            "attributes": {"creationDate": stamp(self.issued_at or clock.now()), "mfaAuthenticated": "false"},
        }
        if self.source_identity:
            context["sourceIdentity"] = self.source_identity
        return context


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential that was found, with whatever keeps it from being used."""

    identity: Identity
    token: str = ""
    inactive: bool = False
    expires_at: datetime | None = None


def stamp(moment: datetime) -> str:
    """A time as CloudTrail and IAM write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_credential(access_key: str, root_keys: Mapping[str, str]) -> Credential | None:
    """The credential behind an access key id; `root_keys` maps the launcher's own to accounts."""
    if access_key in root_keys:
        account = root_keys[access_key]
        return Credential(Identity("Root", account, f"arn:aws:iam::{account}:root", account, access_key))
    session = sessions.find(access_key)
    return _session_credential(session) if session is not None else _user_credential(access_key)


def _user_credential(access_key: str) -> Credential | None:
    for account, partitions in iam_backends.items():
        for user in partitions["aws"].users.values():
            for key in user.access_keys:
                if key.access_key_id == access_key:
                    identity = Identity("IAMUser", account, user.arn, user.id, access_key, name=user.name)
                    return Credential(identity, inactive=key.status != "Active")
    return None


def _session_credential(session: Any) -> Credential:
    role = find_role(session.role_arn)
    identity = Identity(
        "AssumedRole",
        session.account_id,
        session.arn,
        f"{role.id if role else 'AROAUNKNOWN'}:{session.session_name}",
        session.access_key_id,
        name=session.role_arn.rsplit("/", 1)[-1],
        role_arn=session.role_arn,
        issued_at=session.issued_at,
        source_identity=session.source_identity,
        session_policy=getattr(session, "session_policy", ""),
    )
    return Credential(
        identity, token=session.session_token, expires_at=session.expiration.replace(tzinfo=UTC)
    )


def find_role(arn: str) -> Any | None:
    """moto's role of that ARN, or None."""
    account = arn.split(":")[4] if arn.count(":") >= 5 else ""
    if account not in iam_backends:
        return None
    return next((role for role in iam_backends[account]["aws"].roles.values() if role.arn == arn), None)


def authenticate(call: Call, root_keys: Mapping[str, str]) -> Identity:
    """The caller's identity.

    Raises Refusal with the code AWS uses for that service when the credential is missing, unknown,
    inactive, used without its session token, or expired.
    """
    if not call.access_key:
        raise _no_credentials(call)
    credential = find_credential(call.access_key, root_keys)
    if credential is None:
        raise _bad_key(call, f"access key {call.access_key} does not exist")
    if credential.inactive:
        raise _bad_key(call, f"access key {call.access_key} of {credential.identity.arn} is Inactive")
    if credential.token and not hmac.compare_digest(credential.token, call.session_token):
        raise _bad_key(call, "the session token is missing or not the one issued with this key")
    if credential.expires_at is not None and credential.expires_at <= clock.now():
        raise _expired(call, f"the session expired at {stamp(credential.expires_at)}")
    return credential.identity


def _no_credentials(call: Call) -> Refusal:
    if call.service == "s3":
        return Refusal(403, "AccessDenied", "Access Denied", "no credentials")
    return Refusal(403, "MissingAuthenticationToken", "Missing Authentication Token", "no credentials")


def _bad_key(call: Call, reason: str) -> Refusal:
    invalid = "The security token included in the request is invalid."
    if call.service == "s3":
        message = "The AWS Access Key Id you provided does not exist in our records."
        return Refusal(403, "InvalidAccessKeyId", message, reason)
    if call.protocol == "ec2":
        message = "AWS was not able to validate the provided access credentials"
        return Refusal(401, "AuthFailure", message, reason)
    if call.protocol in ("query", "rest-xml"):
        return Refusal(403, "InvalidClientTokenId", invalid, reason)
    return Refusal(
        403 if call.protocol == "rest-json" else 400, "UnrecognizedClientException", invalid, reason
    )


def _expired(call: Call, reason: str) -> Refusal:
    message = "The security token included in the request is expired"
    if call.service == "s3":
        return Refusal(400, "ExpiredToken", "The provided token has expired.", reason)
    if call.protocol == "ec2":
        return Refusal(400, "RequestExpired", "Request has expired.", reason)
    if call.protocol in ("query", "rest-xml"):
        return Refusal(403, "ExpiredToken", message, reason)
    return Refusal(403 if call.protocol == "rest-json" else 400, "ExpiredTokenException", message, reason)


def denied(
    call: Call, identity: Identity, reason: str, resource: str = "", why: str = "with an explicit deny"
) -> Refusal:
    """Access denied, under the code of the call's service."""
    action = action_of(call)
    on = f" on resource: {resource}" if resource else ""
    message = f"User: {identity.arn} is not authorized to perform: {action}{on} {why}"
    if call.protocol == "ec2":
        return Refusal(
            403,
            "UnauthorizedOperation",
            f"You are not authorized to perform this operation. {message}",
            reason,
        )
    if call.protocol in ("query", "rest-xml"):
        return Refusal(403, "AccessDenied", message if call.service != "s3" else "Access Denied", reason)
    return Refusal(403 if call.protocol == "rest-json" else 400, "AccessDeniedException", message, reason)


def action_of(call: Call) -> str:
    """The IAM action of a call."""
    return ACTIONS.get(call.name, call.name)


def authorise(call: Call, identity: Identity) -> None:
    """Raise Refusal where AWS would deny this identity this call; see the module's limits."""
    if identity.kind != "Root" and call.name not in UNDENIABLE:
        context = call_context(call, identity)
        for name, document in own_policies(identity):
            if policy.decide(document, action=action_of(call), context=context) == "Deny":
                raise denied(call, identity, f"policy {name} of {identity.role_arn or identity.arn}")
        if identity.session_policy and not _is_in_session_policy(call, identity, context):
            raise denied(call, identity, f"session policy of {identity.arn}", why=NO_SESSION_POLICY)
    if call.name == "sts:AssumeRole":
        authorise_assume_role(call, identity)


def _is_in_session_policy(call: Call, identity: Identity, context: Mapping[str, str]) -> bool:
    """Whether the session's policy allows the call, whatever it is about: resources are not evaluated."""
    statements = policy.statements(policy.read_document(identity.session_policy))
    about_anything = [{**statement, "Resource": "*"} for statement in statements]
    said = policy.decide({"Statement": about_anything}, action=action_of(call), context=context)
    return said == "Allow"


def call_context(call: Call, identity: Identity) -> dict[str, str]:
    """The condition keys of a call that the simulator knows."""
    context = {
        "aws:CurrentTime": stamp(clock.now()),
        "aws:PrincipalAccount": identity.account,
        "aws:PrincipalArn": identity.role_arn or identity.arn,
        "aws:PrincipalType": "Account"
        if identity.kind == "Root"
        else "User"
        if identity.kind == "IAMUser"
        else "AssumedRole",
        "aws:RequestedRegion": call.region,
        "aws:SecureTransport": "true",
        "aws:SourceIp": call.source_address,
        "aws:userid": identity.principal_id,
        "aws:ViaAWSService": "false",
    }
    if identity.kind == "IAMUser":
        context["aws:username"] = identity.name
    if identity.issued_at is not None:
        # Not in whole seconds: a session issued a moment after the cutoff must not count as older.
        context["aws:TokenIssueTime"] = identity.issued_at.astimezone(UTC).isoformat()
    if identity.source_identity:
        context["aws:SourceIdentity"] = identity.source_identity
    return context


def own_policies(identity: Identity) -> Iterator[tuple[str, policy.Document]]:
    """Name and document of each policy of the user (with groups) or role behind an identity."""
    backend = iam_backends[identity.account]["aws"]
    if identity.kind == "AssumedRole":
        role = find_role(identity.role_arn)
        if role is not None:
            yield from _policies_of(role)
        return
    user = backend.users.get(identity.name)
    if user is None:
        return
    yield from _policies_of(user)
    for group in backend.groups.values():
        if user in group.users:
            yield from _policies_of(group)


def _policies_of(owner: Any) -> Iterator[tuple[str, policy.Document]]:
    for name, document in owner.policies.items():
        yield name, policy.read_document(document)
    for arn, attached in owner.managed_policies.items():
        current = next(
            version for version in attached.versions if version.version_id == attached.default_version_id
        )
        yield arn, policy.read_document(current.document)


def authorise_assume_role(call: Call, identity: Identity) -> None:
    """Raise Refusal unless the role exists, its trust policy lets the caller in, and the duration fits.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    arn = call.form.get("RoleArn", "")
    role = find_role(arn)
    if role is None:
        raise _not_trusted(identity, "sts:AssumeRole", arn, f"role {arn} does not exist")
    if identity.kind == "Root":
        raise Refusal(403, "AccessDenied", "Roles may not be assumed by root accounts.", "root credentials")
    trust = policy.read_document(role.assume_role_policy_document)
    caller = policy.Caller(identity.account, frozenset({identity.arn, identity.role_arn}) - {""})
    context = {**call_context(call, identity), **_request_context(call)}
    for action in _wanted_actions(call):
        if policy.decide(trust, action=action, context=context, caller=caller) != "Allow":
            raise _not_trusted(identity, action, arn, f"trust policy of {arn}")
    _check_duration(call, identity, role)


def _not_trusted(identity: Identity, action: str, arn: str, reason: str) -> Refusal:
    message = f"User: {identity.arn} is not authorized to perform: {action} on resource: {arn}"
    return Refusal(403, "AccessDenied", message, reason)


def _wanted_actions(call: Call) -> list[str]:
    actions = ["sts:AssumeRole"]
    if call.form.get("SourceIdentity"):
        actions.append("sts:SetSourceIdentity")
    if any(name.startswith("Tags.member.") for name in call.form):
        actions.append("sts:TagSession")
    return actions


def _request_context(call: Call) -> dict[str, str]:
    keys = {
        "sts:ExternalId": "ExternalId",
        "sts:RoleSessionName": "RoleSessionName",
        "sts:SourceIdentity": "SourceIdentity",
    }
    return {key: call.form[name] for key, name in keys.items() if call.form.get(name)}


def _check_duration(call: Call, identity: Identity, role: Any) -> None:
    wanted = int(call.form.get("DurationSeconds") or 3600)
    if identity.kind == "AssumedRole" and wanted > CHAINED_LIMIT_SECONDS:
        message = "DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        raise Refusal(400, "ValidationError", message, "role chaining")
    if not 900 <= wanted <= int(role.max_session_duration or 3600):
        message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise Refusal(400, "ValidationError", message, f"MaxSessionDuration of {role.arn}")
