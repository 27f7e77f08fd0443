"""The real product against a simulated AWS that enforces IAM: is the attacker blocked, and nobody else?

`blocked` is a small estate in the enforcing simulator's one account: a hub user, the roles it assumes
with their trust and external id, and the account's row. Planning, approval and execution are the
product's own, in sessions that the simulator narrows by their session policies.

The clock of the product is moved to the real time at each start, because the simulator issues its
sessions by the real one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from cases.models import Action, Incident
from cases.words import ActionStatus
from lib import aws, clock
from lib.clock import ManualClock, SystemClock
from simulator.enforcing import ACCOUNT, ROOT_KEY, EnforcingSimulator, NotInstalledError
from simulator.server import Simulator
from tests import make
from tests.containment.world import Wire, World
from tests.simulator.conftest import client, session_key

REGION = "us-east-1"
EXTERNAL_ID = "enforcing-1f0c"
BREAK_GLASS = (
    f"arn:aws:iam::{ACCOUNT}:user/break-glass",
    # For a session, ministack puts the session's ARN into aws:PrincipalArn; in AWS it is the role's, which
    # the account's row names. Without these lines our own roles would be locked out here, and only here.
    f"arn:aws:sts::{ACCOUNT}:assumed-role/quell-contain/*",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/quell-evidence/*",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/quell-read/*",
)
READS = ["*:Get*", "*:List*", "*:Describe*", "iam:Simulate*"]
REFUSALS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "DisabledException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "KMSInvalidStateException",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)

Key = Mapping[str, str]

_REAL = SystemClock()


def document(*statements: Mapping[str, Any]) -> str:
    """A policy as JSON text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str] = "*") -> str:
    """A policy that allows an action on everything."""
    return document({"Effect": "Allow", "Action": action, "Resource": "*"})


def trust(*principals: str, external_id: str = "") -> str:
    """A trust policy that lets these principals in."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": list(principals)},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
    }
    if external_id:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return document(statement)


@dataclass
class Blocked:
    """The account, who acts in it, and the product that contains them."""

    url: str
    world: World

    def admin(self, service: str) -> Any:
        """A client with the account's root key, for third parties' changes and the test's own looks."""
        return client(self.url, service, dict(ROOT_KEY), REGION)

    def as_(self, key: Key, service: str) -> Any:
        """A client with some credential: the attacker's, or an innocent's."""
        return client(self.url, service, dict(key), REGION)

    def user(self, name: str, *, policy: str = "") -> Key:
        """A user with one access key, who may do everything or what `policy` says; the key."""
        iam = self.admin("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy or allow())
        return self.another_key(name)

    def another_key(self, name: str) -> Key:
        """A further access key of a user."""
        made = self.admin("iam").create_access_key(UserName=name)["AccessKey"]
        return {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}

    def role(self, name: str, *, trusts: tuple[str, ...], policy: str = "", external_id: str = "") -> str:
        """A role that may do everything or what `policy` says; its ARN."""
        iam = self.admin("iam")
        made = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=trust(*trusts, external_id=external_id)
        )
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy or allow())
        return str(made["Role"]["Arn"])

    def session(self, by: Key, role: str, name: str, *, source_identity: str = "") -> Key:
        """A session of a role, as somebody assumes it now; raises `ClientError` when refused."""
        more = {"SourceIdentity": source_identity} if source_identity else {}
        asked = self.as_(by, "sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName=name, **more
        )
        return session_key(asked)

    def own_session(self, by: Key) -> Key:
        """A session that a user's key fetches for the user, by GetSessionToken."""
        return session_key(self.as_(by, "sts").get_session_token())

    def let_in(self, role: str, *principals: str) -> None:
        """Let further principals assume a role."""
        iam = self.admin("iam")
        document = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        document["Statement"] += json.loads(trust(*principals))["Statement"]
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))

    def apply(
        self, type_id: str, target: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> Action:
        """Propose, approve and carry out; fails the test unless it is verified. The account is filled in."""
        self._to_real_time()
        aimed = {"account": ACCOUNT, "region": REGION, **target}
        action = self.world.apply(type_id, aimed, params)
        assert action.status == ActionStatus.VERIFIED, f"{action.status}: {action.note}"
        return action

    def revert(self, action: Action) -> Action:
        """Undo; fails the test unless it is verified."""
        self._to_real_time()
        back = self.world.revert(action)
        assert back.status == ActionStatus.VERIFIED, f"{back.status}: {back.note}"
        return back

    def _to_real_time(self) -> None:
        aws.forget_sessions()
        self.world.clock.move_to(_REAL.now())


def may(call: Callable[[], object]) -> bool:
    """Whether AWS lets a call through. Any refusal that is not about permission fails the test."""
    try:
        call()
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] in REFUSALS:
            return False
        raise
    return True


def sleep_past(moment: datetime) -> None:
    """Wait until the real time is a whole second past a moment: sessions are dated in whole seconds."""
    time.sleep(max(0.0, (moment - _REAL.now()).total_seconds()) + 1.1)


@pytest.fixture(scope="module")
def enforcing() -> Iterator[EnforcingSimulator]:
    """The enforcing simulator; `blocked` points the product's own AWS clients to it."""
    try:
        running = EnforcingSimulator().start()
    except NotInstalledError as error:
        pytest.skip(f"the enforcing simulator is not installed: {error}")
    yield running
    running.stop()


@pytest.fixture
def blocked(db: None, enforcing: EnforcingSimulator) -> Iterator[Blocked]:
    """An estate in the enforcing simulator, made anew."""
    enforcing.reset()
    with clock.using(ManualClock(_REAL.now())) as manual:
        assert isinstance(manual, ManualClock)
        incident: Incident = make.incident()
        world = World(
            simulator=cast(Simulator, enforcing),
            clock=manual,
            wire=Wire(clock=manual),
            incident=incident,
            asks=make.person("responder", login="asks"),
            approves=make.person("lead", login="approves"),
            also_approves=make.person("lead", login="also-approves"),
        )
        made = Blocked(url=enforcing.url, world=world)
        hub = _responders(made)
        wanted = _environment(enforcing.url, hub)
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        aws._clients.clear()
        aws.forget_sessions()
        yield made
        # Other tests of the same module ask the other simulated AWS.
        _restore(before)
        aws.forget_sessions()


def _responders(made: Blocked) -> Key:
    """The hub's user and Quell's roles, and the account's row; the hub's key."""
    hub = made.user("quell-hub", policy=allow(["sts:AssumeRole", "sts:SetSourceIdentity"]))
    trusts = (f"arn:aws:iam::{ACCOUNT}:user/quell-hub",)
    made.role("quell-read", trusts=trusts, policy=allow(READS), external_id=EXTERNAL_ID)
    made.role("quell-evidence", trusts=trusts, policy=allow(READS), external_id=EXTERNAL_ID)
    made.role("quell-contain", trusts=trusts, external_id=EXTERNAL_ID)
    make.account(
        ACCOUNT, name="enforced", regions=[REGION], external_id=EXTERNAL_ID, break_glass=list(BREAK_GLASS)
    )
    return hub


def _environment(url: str, key: Key) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    aws._clients.clear()
