"""Named plans: what a team does about a kind of incident, as a list of actions in order.

A named plan is a starting point and not a script: it expands to single actions, each with a plan, an
approval and an undo of its own, of which a person takes one, several or all.
https://docs.aws.amazon.com/security-ir/latest/userguide/containment.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cases.models import Incident
from containment.fitting import (
    Aims,
    at_itself,
    key_of_user,
    principal,
    session,
    technique,
)
from containment.suggesting import Suggestion, asked_for, deny_policies_of, suggestion_for
from containment.tainted import Naming, Thing, namings


@dataclass(frozen=True, kw_only=True)
class Part:
    """One action type of a named plan: for which kinds of thing, about what, and why."""

    type: str
    kinds: tuple[str, ...]
    aims: Aims
    why: str


@dataclass(frozen=True, kw_only=True)
class NamedPlan:
    """`fits` are the kinds of thing one of which the incident must name; `words` parts of alert types.

    An alert whose type holds one of the `words` puts the plan first; it is offered without one all the same.
    """

    id: str
    title: str
    about: str
    fits: tuple[str, ...]
    words: tuple[str, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """A named plan for one incident: what is left to ask for, and how much was asked for already."""

    plan: NamedPlan
    actions: tuple[Suggestion, ...]
    asked: int
    is_likely: bool

    @property
    def tier(self) -> int:
        """The highest tier among what is left, 0 for nothing."""
        return max((one.tier for one in self.actions), default=0)

    def only(self, actions: tuple[Suggestion, ...]) -> Expanded:
        """The same with these actions alone."""
        return replace(self, actions=actions)


_WHO = ("user", "role")
_CAPTURE = Part(
    type="iam.capture-principal",
    kinds=("access_key", "user", "role"),
    aims=principal,
    why="What it may do and did, before anything is changed",
)
_KEY_OFF = Part(
    type="iam.deactivate-access-key",
    kinds=("access_key",),
    aims=key_of_user,
    why="Nobody signs a new request with it",
)
_USER_SESSIONS = Part(
    type="iam.revoke-user-sessions",
    kinds=("user",),
    aims=at_itself,
    why="Temporary credentials made from the user's keys outlive them",
)
_ROLE_SESSIONS = Part(
    type="iam.revoke-role-sessions",
    kinds=("role",),
    aims=at_itself,
    why="Sessions that are out already are denied everything",
)
_SNAPSHOTS = Part(
    type="ec2.snapshot-volumes",
    kinds=("instance",),
    aims=at_itself,
    why="The disks as they are now, before anything is changed",
)
_CAPTURE_HOST = Part(
    type="ec2.capture-instance", kinds=("instance",), aims=at_itself, why="What AWS says of it now"
)
_SERVICE_CREDENTIALS = Part(
    type="iam.deactivate-service-credentials",
    kinds=("user",),
    aims=at_itself,
    why="Passwords for single services work without any key",
)
_RESTRICT_BUCKET = Part(
    type="s3.restrict-bucket",
    kinds=("bucket",),
    aims=at_itself,
    why="Nobody but the responders touches it",
)
_NO_CONSOLE = Part(
    type="iam.remove-console-access",
    kinds=("user",),
    aims=at_itself,
    why="The password works without any key",
)

PLANS: tuple[NamedPlan, ...] = (
    NamedPlan(
        id="compromised-access-key",
        title="Compromised access key",
        about="A long-lived key of a user is in someone else's hands.",
        fits=("access_key",),
        words=(
            "IAMUser",
            "CredentialExposed",
            "CredentialAccess",
            "Exfiltration:IAMUser",
            "RISK_CREDENTIALS",
        ),
        parts=(
            _CAPTURE,
            _KEY_OFF,
            _USER_SESSIONS,
            Part(
                type="iam.quarantine-user",
                kinds=("user",),
                aims=at_itself,
                why="AWS's own policy against abuse, should the attacker make another key",
            ),
        ),
    ),
    NamedPlan(
        id="compromised-role-session",
        title="Compromised role session",
        about="Temporary credentials of a role are used by someone else.",
        fits=("role", "role_session"),
        words=("InstanceCredentialExfiltration", "AssumedRole"),
        parts=(
            _CAPTURE,
            Part(
                type="iam.deny-role-session",
                kinds=("role_session",),
                aims=session,
                why="This session alone is denied; the role's other users go on",
            ),
            _ROLE_SESSIONS,
            Part(
                type="iam.lock-role-trust",
                kinds=("role",),
                aims=at_itself,
                why="Nobody gets a new session of the role",
            ),
        ),
    ),
    NamedPlan(
        id="compromised-instance",
        title="Compromised instance",
        about="Somebody runs programs of their own on an instance.",
        fits=("instance",),
        words=("EC2", "Runtime", "Backdoor", "Trojan", "Execution"),
        parts=(
            _CAPTURE_HOST,
            Part(
                type="ec2.protect-instance",
                kinds=("instance",),
                aims=at_itself,
                why="Nobody terminates it, and its disks stay",
            ),
            _SNAPSHOTS,
            _ROLE_SESSIONS,
            Part(
                type="ec2.lock-metadata-service",
                kinds=("instance",),
                aims=at_itself,
                why="Programs on it get no new credentials by the old protocol",
            ),
            Part(
                type="ec2.isolate-instance",
                kinds=("instance",),
                aims=at_itself,
                why="Every connection is cut, those that stand included",
            ),
        ),
    ),
    NamedPlan(
        id="exposed-bucket",
        title="Exposed bucket",
        about="A bucket can be read, or was read, by those who must not.",
        fits=("bucket",),
        words=("S3", "Macie", "BucketAnonymous", "BlockPublicAccessDisabled"),
        parts=(
            Part(
                type="s3.block-public-access",
                kinds=("bucket",),
                aims=at_itself,
                why="Nobody outside reads it by policy or ACL",
            ),
            _RESTRICT_BUCKET,
        ),
    ),
    NamedPlan(
        id="ransomware",
        title="Ransomware in progress",
        about="Data is being deleted or encrypted: stop that first, keep evidence meanwhile.",
        fits=("bucket", "kms_key", "user", "role", "access_key"),
        words=("Impact:S3", "ransom", "Deletion", "Destruction", "CompromisedData"),
        parts=(
            Part(
                type="iam.deny-technique",
                kinds=_WHO,
                aims=technique("ransomware"),
                why="It can delete and encrypt nothing more; all else goes on",
            ),
            _KEY_OFF,
            _USER_SESSIONS,
            _ROLE_SESSIONS,
            Part(
                type="s3.enable-versioning",
                kinds=("bucket",),
                aims=at_itself,
                why="What is overwritten from now on can come back",
            ),
            _RESTRICT_BUCKET,
            Part(
                type="kms.cancel-deletion",
                kinds=("kms_key",),
                aims=at_itself,
                why="A key that is gone takes its data with it",
            ),
        ),
    ),
    NamedPlan(
        id="crypto-mining",
        title="Crypto-mining",
        about="Somebody computes on the account's bill.",
        fits=("instance", "access_key", "user", "role", "function"),
        words=("CryptoCurrency", "BitcoinTool", "mining"),
        parts=(
            _CAPTURE,
            Part(
                type="iam.deny-technique",
                kinds=_WHO,
                aims=technique("crypto-mining"),
                why="It starts no further machines; all else goes on",
            ),
            _KEY_OFF,
            _CAPTURE_HOST,
            _SNAPSHOTS,
            Part(
                type="ec2.stop-instance",
                kinds=("instance",),
                aims=at_itself,
                why="The mining ends; memory is lost",
            ),
            Part(
                type="lambda.throttle-function",
                kinds=("function",),
                aims=at_itself,
                why="It runs no more",
            ),
        ),
    ),
    NamedPlan(
        id="malicious-insider",
        title="Malicious insider",
        about="A person with rights of their own does harm: all their ways in at once.",
        fits=("user",),
        words=("insider", "AnomalousBehavior", "ConsoleLogin"),
        parts=(
            _CAPTURE,
            Part(
                type="iam.deny-user",
                kinds=("user",),
                aims=at_itself,
                why="Everything is denied, new keys too",
            ),
            _KEY_OFF,
            _USER_SESSIONS,
            _NO_CONSOLE,
            _SERVICE_CREDENTIALS,
        ),
    ),
    NamedPlan(
        id="leaked-snapshot",
        title="Leaked snapshot or image",
        about="A snapshot or image is shared with those who must not have it.",
        fits=("snapshot", "image", "db_snapshot"),
        words=("Snapshot", "Exfiltration:EBS", "PublicSnapshot", "shared"),
        parts=(
            Part(
                type="ec2.unshare-snapshot",
                kinds=("snapshot",),
                aims=at_itself,
                why="Nobody else copies it from now on",
            ),
            Part(
                type="ec2.unshare-image",
                kinds=("image",),
                aims=at_itself,
                why="Nobody else starts it from now on",
            ),
            Part(
                type="rds.unshare-snapshot",
                kinds=("db_snapshot",),
                aims=at_itself,
                why="Nobody else restores it from now on",
            ),
            Part(
                type="iam.deny-technique",
                kinds=_WHO,
                aims=technique("exfil-sharing"),
                why="It shares nothing more; all else goes on",
            ),
        ),
    ),
)


def named_plans(incident: Incident) -> list[Expanded]:
    """The named plans that fit what the incident names, likely ones first. Three queries."""
    named, asked = namings(incident), asked_for(incident)
    denying = deny_policies_of(named)
    found = [expanded for plan in PLANS if (expanded := _expand(plan, named, asked, denying))]
    return sorted(found, key=lambda one: not one.is_likely)


def _expand(
    plan: NamedPlan, named: list[Naming], asked: set[str], denying: Mapping[str, str]
) -> Expanded | None:
    if not any(naming.of(*plan.fits) for naming in named):
        return None
    every: dict[str, Suggestion] = {}
    for part in plan.parts:
        for one in _of_part(part, named, denying):
            every.setdefault(one.key, one)
    if not every:
        return None
    left = tuple(one for key, one in every.items() if key not in asked)
    types = " ".join(naming.alert_type for naming in named).lower()
    return Expanded(
        plan=plan,
        actions=left,
        asked=len(every) - len(left),
        is_likely=any(word.lower() in types for word in plan.words),
    )


def _of_part(part: Part, named: list[Naming], denying: Mapping[str, str]) -> Iterator[Suggestion]:
    for naming in named:
        for thing in _sorted(naming, part.kinds):
            for aim in part.aims(thing, naming):
                yield suggestion_for(
                    type_id=part.type, thing=thing, aim=aim, reason=part.why, denying=denying
                )


def _sorted(naming: Naming, kinds: tuple[str, ...]) -> list[Thing]:
    return sorted(
        (thing for thing in naming.things if thing.kind in kinds), key=lambda one: (one.kind, one.id)
    )
