"""IAM users, roles and policies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

USER, PERSON, OWNER_OF_TWO = "ci-deploy", "anna.lindqvist", "marc.oyelaran"
ROLE = "tracking-api"
DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
QUARANTINE = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
POLICY = f"arn:aws:iam::{SHIPPING}:policy/shipping-deploy"
SSH_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC ci-deploy"


def at(kind: str, name: str, **params: Any) -> Callable[[World], tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """An aim at a principal or policy of the shipping account."""
    target = {"type": kind, "account": SHIPPING, "region": REGION, "id": name}
    return lambda _: (target, params)


def user(name: str) -> Callable[[World], Any]:
    """A look at all that identity containment changes of a user."""
    return lambda world: _user(world, name)


def _user(world: World, name: str) -> Any:
    iam = world.admin("iam")
    attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    inline = iam.list_user_policies(UserName=name)["PolicyNames"]
    return _unmarked(
        {
            "attached": sorted(one["PolicyArn"] for one in attached),
            "inline": {
                one: iam.get_user_policy(UserName=name, PolicyName=one)["PolicyDocument"] for one in inline
            },
            "boundary": iam.get_user(UserName=name)["User"].get("PermissionsBoundary"),
            "console": _has_password(world, name),
            "keys": sorted(
                [one["AccessKeyId"], one["Status"]]
                for one in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
            ),
            "other credentials": sorted([kind, one["Status"]] for kind, one in _credentials(world, name)),
        }
    )


def _has_password(world: World, name: str) -> bool:
    iam = world.admin("iam")
    try:
        iam.get_login_profile(UserName=name)
    except iam.exceptions.NoSuchEntityException:
        return False
    return True


def _credentials(world: World, name: str) -> list[tuple[str, dict[str, Any]]]:
    iam = world.admin("iam")
    return [
        *(("ssh", one) for one in iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"]),
        *(
            ("service", one)
            for one in iam.list_service_specific_credentials(UserName=name)["ServiceSpecificCredentials"]
        ),
        *(("certificate", one) for one in iam.list_signing_certificates(UserName=name)["Certificates"]),
    ]


def role(name: str) -> Callable[[World], Any]:
    """A look at all that identity containment changes of a role."""
    return lambda world: _role(world, name)


def _role(world: World, name: str) -> Any:
    iam = world.admin("iam")
    about = iam.get_role(RoleName=name)["Role"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return _unmarked(
        {
            "attached": sorted(one["PolicyArn"] for one in attached),
            "inline": {
                one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
                for one in iam.list_role_policies(RoleName=name)["PolicyNames"]
            },
            "boundary": about.get("PermissionsBoundary"),
            "trust": about["AssumeRolePolicyDocument"],
        }
    )


def _unmarked(state: Any) -> Any:
    """A state without what differs from run to run: our action's id, and the moment of a cut-off."""
    text = json.dumps(state, sort_keys=True)
    text = re.sub(r"quell-[0-9a-z]{26}", "quell-OURS", text)
    text = re.sub(r"Quell[0-9A-Z]{26}", "QuellOURS", text)
    return json.loads(re.sub(r'("aws:TokenIssueTime": )"[^"]+"', r'\1"then"', text))


def _statement(effect: str, action: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]}
    )


def _attach_user(name: str, arn: str) -> Callable[[World], None]:
    return lambda world: world.admin("iam").attach_user_policy(UserName=name, PolicyArn=arn)


def _detach_user(name: str, arn: str) -> Callable[[World], None]:
    return lambda world: world.admin("iam").detach_user_policy(UserName=name, PolicyArn=arn)


def _attach_role(name: str, arn: str) -> Callable[[World], None]:
    return lambda world: world.admin("iam").attach_role_policy(RoleName=name, PolicyArn=arn)


def _detach_role(name: str, arn: str) -> Callable[[World], None]:
    return lambda world: world.admin("iam").detach_role_policy(RoleName=name, PolicyArn=arn)


def _their_user_policy(world: World) -> None:
    world.admin("iam").put_user_policy(
        UserName=USER,
        PolicyName="somebody-elses",
        PolicyDocument=_statement("Allow", "s3:ListAllMyBuckets"),
    )


def _their_role_policy(world: World) -> None:
    world.admin("iam").put_role_policy(
        RoleName=ROLE,
        PolicyName="somebody-elses",
        PolicyDocument=_statement("Allow", "s3:ListAllMyBuckets"),
    )


def _rewrite_our_user_policy(world: World) -> None:
    iam = world.admin("iam")
    for name in iam.list_user_policies(UserName=USER)["PolicyNames"]:
        if name.startswith("quell-"):
            iam.put_user_policy(UserName=USER, PolicyName=name, PolicyDocument=_statement("Allow", "*"))


def _rewrite_our_role_policy(world: World) -> None:
    iam = world.admin("iam")
    for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
        if name.startswith("quell-"):
            iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=_statement("Allow", "*"))


def _longer_sessions(world: World) -> None:
    world.admin("iam").update_role(RoleName=ROLE, MaxSessionDuration=7200)


def _trust(world: World) -> dict[str, Any]:
    document: dict[str, Any] = world.admin("iam").get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]
    return document


def _store_trust(world: World, document: Mapping[str, Any]) -> None:
    world.admin("iam").update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(document))


def _open_our_lock(world: World) -> None:
    document = _trust(world)
    for statement in document["Statement"]:
        if statement.get("Sid", "").startswith("Quell"):
            statement["Condition"] = {"StringEquals": {"aws:PrincipalAccount": "0"}}
    _store_trust(world, document)


def _trust_one_more(world: World) -> None:
    document = _trust(world)
    document["Statement"].append(
        {
            "Sid": "Theirs",
            "Effect": "Allow",
            "Principal": {"Service": "ssm.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )
    _store_trust(world, document)


def _bound_user(arn: str) -> Callable[[World], None]:
    return lambda world: world.admin("iam").put_user_permissions_boundary(
        UserName=USER, PermissionsBoundary=arn
    )


def _inactive_key(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    keys = world.admin("iam").list_access_keys(UserName=OWNER_OF_TWO)["AccessKeyMetadata"]
    key = next(one["AccessKeyId"] for one in keys if one["Status"] == "Inactive")
    target = {"type": "access_key", "account": SHIPPING, "region": REGION, "id": key}
    return target, {"user": OWNER_OF_TWO}


def _delete_password(world: World) -> None:
    world.admin("iam").delete_login_profile(UserName=PERSON)


def _two_versions(world: World) -> None:
    iam = world.admin("iam")
    iam.create_policy(PolicyName="shipping-deploy", PolicyDocument=_statement("Allow", "s3:GetObject"))
    iam.attach_user_policy(UserName=USER, PolicyArn=POLICY)
    _new_version("*")(world)


def _new_version(action: str) -> Callable[[World], None]:
    return lambda world: world.admin("iam").create_policy_version(
        PolicyArn=POLICY, PolicyDocument=_statement("Allow", action), SetAsDefault=True
    )


def _restored(world: World) -> None:
    world.admin("iam").set_default_policy_version(PolicyArn=POLICY, VersionId="v1")


def _default_version(world: World) -> Any:
    iam = world.admin("iam")
    return {
        "default": iam.get_policy(PolicyArn=POLICY)["Policy"]["DefaultVersionId"],
        "versions": sorted(
            one["VersionId"] for one in iam.list_policy_versions(PolicyArn=POLICY)["Versions"]
        ),
        "attached": _user(world, USER)["attached"],
    }


def _certificate() -> str:
    """A certificate of its own hand, as IAM takes for signing."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci-deploy")])
    since = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


CERTIFICATE = _certificate()


def _three_credentials(world: World) -> None:
    iam = world.admin("iam")
    iam.upload_ssh_public_key(UserName=USER, SSHPublicKeyBody=SSH_KEY)
    iam.create_service_specific_credential(UserName=USER, ServiceName="codecommit.amazonaws.com")
    iam.upload_signing_certificate(UserName=USER, CertificateBody=CERTIFICATE)


def _turn_credentials(status: str) -> Callable[[World], None]:
    def turn(world: World) -> None:
        iam = world.admin("iam")
        for kind, one in _credentials(world, USER):
            if kind == "ssh":
                iam.update_ssh_public_key(UserName=USER, SSHPublicKeyId=one["SSHPublicKeyId"], Status=status)
            elif kind == "service":
                iam.update_service_specific_credential(
                    UserName=USER,
                    ServiceSpecificCredentialId=one["ServiceSpecificCredentialId"],
                    Status=status,
                )
            else:
                iam.update_signing_certificate(
                    UserName=USER, CertificateId=one["CertificateId"], Status=status
                )

    return turn


SUBJECTS: dict[str, Subject] = {
    "iam.deny-user": Subject(
        aim=at("user", USER),
        look=user(USER),
        disturb=_detach_user(USER, DENY_ALL),
        drift=_attach_user(USER, DENY_ALL),
        already=_attach_user(USER, DENY_ALL),
        unrelated=_attach_user(USER, READ_ONLY),
        two_valued=True,
    ),
    "iam.quarantine-user": Subject(
        aim=at("user", USER),
        look=user(USER),
        disturb=_detach_user(USER, QUARANTINE),
        drift=_attach_user(USER, QUARANTINE),
        already=_attach_user(USER, QUARANTINE),
        unrelated=_attach_user(USER, READ_ONLY),
        two_valued=True,
    ),
    "iam.revoke-user-sessions": Subject(
        aim=at("user", USER),
        look=user(USER),
        disturb=_rewrite_our_user_policy,
        unrelated=_their_user_policy,
        meets_itself=False,
    ),
    "iam.remove-console-access": Subject(
        aim=at("user", PERSON), look=user(PERSON), already=_delete_password, has_undo=False
    ),
    "iam.deactivate-service-credentials": Subject(
        aim=at("user", USER),
        look=user(USER),
        arrange=_three_credentials,
        disturb=_turn_credentials("Active"),
        drift=_turn_credentials("Inactive"),
        already=_turn_credentials("Inactive"),
        unrelated=_their_user_policy,
        two_valued=True,
        where="stub",
        why="moto has no service-specific credentials; simulator.additions.iam_service_credentials answers, "
        "validated by boto3 against botocore's model. SSH keys and certificates are moto's own",
    ),
    "iam.delete-access-key": Subject(aim=_inactive_key, look=user(OWNER_OF_TWO), has_undo=False),
    "iam.restore-policy-version": Subject(
        aim=at("policy", POLICY, version="v1"),
        look=_default_version,
        arrange=_two_versions,
        disturb=_new_version("ec2:*"),
        drift=_new_version("ec2:*"),
        already=_restored,
        unrelated=_attach_user(USER, READ_ONLY),
    ),
    "iam.set-boundary": Subject(
        aim=at("principal", f"user/{USER}"),
        look=user(USER),
        disturb=_bound_user(READ_ONLY),
        drift=_bound_user(READ_ONLY),
        already=_bound_user(DENY_ALL),
        unrelated=_their_user_policy,
        where="stub",
        why="moto has no boundaries of users; simulator.additions.iam_boundaries answers, validated by boto3 "
        "against botocore's model. Those of roles are moto's own",
    ),
    "iam.deny-role": Subject(
        aim=at("role", ROLE),
        look=role(ROLE),
        disturb=_detach_role(ROLE, DENY_ALL),
        drift=_attach_role(ROLE, DENY_ALL),
        already=_attach_role(ROLE, DENY_ALL),
        unrelated=_attach_role(ROLE, READ_ONLY),
        two_valued=True,
    ),
    "iam.deny-role-session": Subject(
        aim=at("role", ROLE, session_name="i-0a1b2c3d4e5f60718", source_identity="mallory"),
        look=role(ROLE),
        disturb=_rewrite_our_role_policy,
        drift=_longer_sessions,
        unrelated=_their_role_policy,
        meets_itself=False,
    ),
    "iam.lock-role-trust": Subject(
        aim=at("role", ROLE),
        look=role(ROLE),
        disturb=_open_our_lock,
        unrelated=_trust_one_more,
        meets_itself=False,
    ),
    "iam.deny-technique": Subject(
        aim=at("principal", f"role/{ROLE}", techniques=["ransomware", "persistence"], actions=["s3:Get*"]),
        look=role(ROLE),
        disturb=_rewrite_our_role_policy,
        unrelated=_their_role_policy,
        meets_itself=False,
    ),
}
