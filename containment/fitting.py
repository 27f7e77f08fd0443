"""Which action types fit which kind of thing: one table, evidence first.

A row says what the action is about, with which parameters and why. `is_first` marks what a responder
does about such a thing as a rule; the others fit as well and are offered behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containment.tainted import Naming, Thing


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What an action is about, and its parameters."""

    kind: str
    id: str
    params: Mapping[str, Any]


Aims = Callable[[Thing, Naming], Iterator[Aim]]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One action type for one kind of thing; no aim, where what it needs is not named."""

    type: str
    aims: Aims
    why: str
    is_first: bool = False


def at_itself(thing: Thing, naming: Naming) -> Iterator[Aim]:
    """About the thing, without parameters."""
    del naming
    yield Aim(kind=thing.kind, id=thing.id, params={})


def principal(thing: Thing, naming: Naming) -> Iterator[Aim]:
    """About the principal behind a credential, or the credential itself; a user once, by its key."""
    if thing.kind == "user" and naming.of("access_key"):
        return
    yield Aim(kind="principal", id=f"{thing.kind}/{thing.id}", params={})


def key_of_user(thing: Thing, naming: Naming) -> Iterator[Aim]:
    """About a key of the user that the alert names beside it."""
    users = naming.of("user")
    if users:
        yield Aim(kind="access_key", id=thing.id, params={"user": users[0]})


def technique(name: str) -> Aims:
    """About a user or role, denying one named set of techniques."""

    def aims(thing: Thing, naming: Naming) -> Iterator[Aim]:
        del naming
        yield Aim(kind="principal", id=f"{thing.kind}/{thing.id}", params={"techniques": [name]})

    return aims


def session(thing: Thing, naming: Naming) -> Iterator[Aim]:
    """About one session (`AROA…:name`) of the role that the alert names beside it."""
    roles = naming.of("role")
    if roles and ":" in thing.id:
        yield Aim(kind="role", id=roles[0], params={"session_name": thing.id.split(":", 1)[1]})


def addresses(thing: Thing, naming: Naming) -> Iterator[Aim]:
    """About the thing, with the outside addresses that the alert names."""
    if naming.addresses:
        yield Aim(kind=thing.kind, id=thing.id, params={"addresses": list(naming.addresses)})


FITS: Mapping[str, tuple[Fit, ...]] = {
    "access_key": (
        Fit(
            type="iam.capture-principal",
            aims=principal,
            why="Who holds this key and what it did, before anything is changed",
            is_first=True,
        ),
        Fit(
            type="iam.deactivate-access-key",
            aims=key_of_user,
            why="{alert} names this key of {users}",
            is_first=True,
        ),
    ),
    "user": (
        Fit(
            type="iam.capture-principal",
            aims=principal,
            why="What this user has and did, before anything is changed",
            is_first=True,
        ),
        Fit(
            type="iam.revoke-user-sessions",
            aims=at_itself,
            why="Temporary credentials from this user's keys outlive the keys",
            is_first=True,
        ),
        Fit(type="iam.quarantine-user", aims=at_itself, why="AWS's own policy against abuse of leaked keys"),
        Fit(type="iam.remove-console-access", aims=at_itself, why="The password works without any key"),
        Fit(
            type="iam.deactivate-service-credentials",
            aims=at_itself,
            why="Passwords for Git, Cassandra and Bedrock work without any key",
        ),
        Fit(type="iam.deny-user", aims=at_itself, why="{alert} names this user"),
    ),
    "role": (
        Fit(
            type="iam.capture-principal",
            aims=principal,
            why="What this role may do and did, before anything is changed",
            is_first=True,
        ),
        Fit(
            type="iam.revoke-role-sessions",
            aims=at_itself,
            why="{alert} names a session of this role",
            is_first=True,
        ),
        Fit(
            type="iam.lock-role-trust",
            aims=at_itself,
            why="Whoever may assume the role gets a new session at any time",
        ),
        Fit(type="iam.deny-role", aims=at_itself, why="{alert} names this role"),
    ),
    "role_session": (
        Fit(
            type="iam.deny-role-session",
            aims=session,
            why="Only this one session; the role's other users go on",
            is_first=True,
        ),
    ),
    "instance": (
        Fit(
            type="ec2.capture-instance",
            aims=at_itself,
            why="What AWS says of the instance now, before anything is changed",
            is_first=True,
        ),
        Fit(
            type="ec2.protect-instance",
            aims=at_itself,
            why="Nobody terminates it, and its disks stay, while it is examined",
            is_first=True,
        ),
        Fit(
            type="ec2.snapshot-volumes",
            aims=at_itself,
            why="The disks as they are now, before anything is changed",
            is_first=True,
        ),
        Fit(type="ec2.isolate-instance", aims=at_itself, why="{alert} names this instance", is_first=True),
        Fit(
            type="ec2.lock-metadata-service",
            aims=at_itself,
            why="Programs on it get the role's credentials from the metadata service",
        ),
        Fit(type="ec2.remove-public-address", aims=at_itself, why="It can be reached from the internet"),
        Fit(type="elb.deregister-instance", aims=at_itself, why="A load balancer may still send it requests"),
        Fit(type="autoscaling.detach-instance", aims=at_itself, why="A group may replace or terminate it"),
        Fit(type="ec2.stop-instance", aims=at_itself, why="Ends whatever runs, and what memory holds"),
    ),
    "bucket": (
        Fit(type="s3.restrict-bucket", aims=at_itself, why="{alert} names this bucket", is_first=True),
        Fit(type="s3.block-public-access", aims=at_itself, why="Nobody outside reads it by policy or ACL"),
        Fit(type="s3.deny-address", aims=addresses, why="{alert} names these addresses"),
        Fit(type="s3.enable-versioning", aims=at_itself, why="What is overwritten from now on can come back"),
    ),
    "kms_key": (
        Fit(type="kms.cancel-deletion", aims=at_itself, why="A key that is gone takes its data with it"),
        Fit(type="kms.disable-key", aims=at_itself, why="{alert} names this key"),
    ),
    "secret": (
        Fit(type="secretsmanager.restrict-secret", aims=at_itself, why="{alert} names it", is_first=True),
        Fit(type="secretsmanager.rotate-secret", aims=at_itself, why="What was read is known"),
    ),
    "db_instance": (
        Fit(
            type="rds.snapshot-instance",
            aims=at_itself,
            why="The data as it is now, before anything is changed",
            is_first=True,
        ),
        Fit(type="rds.isolate-instance", aims=at_itself, why="{alert} names this database", is_first=True),
    ),
    "db_snapshot": (
        Fit(type="rds.unshare-snapshot", aims=at_itself, why="{alert} names this snapshot", is_first=True),
    ),
    "snapshot": (
        Fit(type="ec2.unshare-snapshot", aims=at_itself, why="{alert} names this snapshot", is_first=True),
    ),
    "image": (Fit(type="ec2.unshare-image", aims=at_itself, why="{alert} names this image", is_first=True),),
    "function": (
        Fit(
            type="lambda.capture-function",
            aims=at_itself,
            why="Code and configuration as they are now",
            is_first=True,
        ),
        Fit(
            type="lambda.throttle-function",
            aims=at_itself,
            why="{alert} names this function",
            is_first=True,
        ),
        Fit(type="lambda.disable-triggers", aims=at_itself, why="What waits is kept and not retried"),
    ),
    "table": (
        Fit(type="dynamodb.restrict-table", aims=at_itself, why="{alert} names this table", is_first=True),
    ),
    "queue": (Fit(type="sqs.restrict-queue", aims=at_itself, why="{alert} names this queue", is_first=True),),
    "topic": (Fit(type="sns.restrict-topic", aims=at_itself, why="{alert} names this topic", is_first=True),),
    "trail": (
        Fit(
            type="cloudtrail.start-logging",
            aims=at_itself,
            why="Without it nobody sees what happens next",
            is_first=True,
        ),
    ),
}
