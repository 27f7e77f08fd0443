"""A role session remembers when it was issued, to whom, under which source identity and policy.

AWS carries `aws:TokenIssueTime` and `aws:SourceIdentity` in every session's context, and lets a session do
no more than the policy given with it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
moto drops all three; `simulator.access` decides with them.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import STSBackend, sts_backends

from simulator.patches import clock

# SourceIdentity and Policy of the AssumeRole call that is being served; moto's session does not keep them.
requested_source_identity: ContextVar[str] = ContextVar("requested_source_identity", default="")
requested_policy: ContextVar[str] = ContextVar("requested_policy", default="")

_by_key: dict[str, Any] = {}


def find(access_key_id: str) -> Any | None:
    """The live or expired role session of an ASIA key, or None."""
    return _by_key.get(access_key_id)


def reindex() -> None:
    """Look at moto's state anew, after it was replaced."""
    _by_key.clear()
    for backend in _backends():
        _by_key.update({session.access_key_id: session for session in backend.assumed_roles})


def forget_expired(before: datetime) -> int:
    """Drop sessions that ended before a moment; says how many. AWS forgets them too."""
    dropped = 0
    for backend in _backends():
        keep = [
            session for session in backend.assumed_roles if session.expiration >= before.replace(tzinfo=None)
        ]
        for session in set(backend.assumed_roles) - set(keep):
            iam_backends[session.account_id][session.partition].access_keys.pop(session.access_key_id, None)
        dropped += len(backend.assumed_roles) - len(keep)
        backend.assumed_roles = keep
    reindex()
    return dropped


def _backends() -> list[Any]:
    return [backend for _, _, backend in sts_backends.iter_backends()]


def apply() -> None:
    """Note the facts where moto creates the session."""
    original = STSBackend.assume_role

    def assume_role(self: Any, **arguments: Any) -> Any:
        session: Any = original(self, **arguments)
        session.issued_at = clock.now()
        session.source_identity = requested_source_identity.get()
        session.session_policy = requested_policy.get()
        _by_key[session.access_key_id] = session
        return session

    def get_assumed_role(self: Any, access_key_id: str) -> Any | None:
        session = find(access_key_id)
        return session if session is not None and session.account_id == self.account_id else None

    target: Any = STSBackend
    target.assume_role = assume_role
    target.get_assumed_role_from_access_key = get_assumed_role
