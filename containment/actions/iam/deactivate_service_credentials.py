"""https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_service-specific-creds.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.iam import principals
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.types import Affected, Category, Check, Plan, Refused


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One kind of credential, in the spelling of its operations."""

    noun: str
    listing: str
    update: str
    members: str
    id: str


KINDS = (
    _Kind(
        noun="SSH key",
        listing="ListSSHPublicKeys",
        update="UpdateSSHPublicKey",
        members="SSHPublicKeys",
        id="SSHPublicKeyId",
    ),
    _Kind(
        noun="service credential",
        listing="ListServiceSpecificCredentials",
        update="UpdateServiceSpecificCredential",
        members="ServiceSpecificCredentials",
        id="ServiceSpecificCredentialId",
    ),
    _Kind(
        noun="signing certificate",
        listing="ListSigningCertificates",
        update="UpdateSigningCertificate",
        members="Certificates",
        id="CertificateId",
    ),
)


@register
class DeactivateServiceCredentials(ActionType):
    """Set the SSH keys, service credentials and signing certificates of an IAM user to Inactive.

    Does not stop: access keys, the console password and sessions fetched with them; new credentials,
    for whoever may call iam:CreateServiceSpecificCredential or iam:UploadSSHPublicKey.
    """

    id = "iam.deactivate-service-credentials"
    title = "Deactivate service credentials"
    target = "user"
    category = Category.TECHNIQUE
    tier = 1
    order = 21
    pairs_with = ("iam.deactivate-access-key", "iam.remove-console-access")
    reads = ("iam:GetUser", *(f"iam:{kind.listing}" for kind in KINDS))
    writes = tuple(f"iam:{kind.update}" for kind in KINDS)
    fallback = (
        "aws iam update-ssh-public-key --user-name USER --ssh-public-key-id ID --status Inactive",
        (
            "aws iam update-service-specific-credential --user-name USER"
            " --service-specific-credential-id ID --status Inactive"
        ),
        "aws iam update-signing-certificate --user-name USER --certificate-id ID --status Inactive",
    )

    def plan(self, ctx: Context) -> Plan:
        user = principals.user(ctx, ctx.target.id)
        steps, changes = Steps(ctx), []
        for kind in KINDS:
            listing = user.read(ctx, kind.listing)
            for one in _of(ctx.read(listing), kind):
                name = one[kind.id]
                given: dict[str, Any] = {kind.id: name}
                steps.set(
                    f"deactivate-{name}",
                    changes=f"iam:user/{user.name}/{kind.noun.replace(' ', '-')}/{name}",
                    call=user.call(ctx, kind.update, **given, Status="Inactive"),
                    seen=Check(
                        read=listing,
                        select=f"{kind.members}[?{kind.id}=={q(name)}].Status | [0]",
                        equals="Inactive",
                    ),
                    undo=user.call(ctx, kind.update, **given, Status="Active"),
                    lane=name,
                )
                service = f" for {one['ServiceName']}" if one.get("ServiceName") else ""
                changes.append(f"The {kind.noun} {name}{service} of user {user.name} becomes Inactive")
        if not changes:
            raise Refused(f"{user.name} has no SSH key, service credential or signing certificate in use")
        return steps.plan(changes=tuple(changes))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        user = principals.user(ctx, ctx.target.id)
        for kind in KINDS:
            for one in _of(ctx.read(user.read(ctx, kind.listing)), kind):
                if one["Status"] == "Active":
                    service = one.get("ServiceName", "AWS")
                    yield Affected(
                        what=f"whatever uses the {kind.noun} {one[kind.id]} at {service}", then="is refused"
                    )


def _of(answer: Any, kind: _Kind) -> list[dict[str, Any]]:
    """The credentials of a kind that can be switched, by id; an expired one can not."""
    found = [one for one in answer[kind.members] if one["Status"] in ("Active", "Inactive")]
    return sorted(found, key=lambda one: str(one[kind.id]))
