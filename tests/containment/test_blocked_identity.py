"""Where IAM is enforced, each identity action blocks the attacker for real, and nobody else.

As the attacker: allowed before, denied after, allowed again after undo; an innocent principal, session
or technique goes on throughout.
"""

from __future__ import annotations

import pytest

from tests.containment.enforcing_world import Blocked, blocked, enforcing, may

pytestmark = pytest.mark.slow

__all__ = ["blocked", "enforcing"]


def test_a_deactivated_key_is_refused_and_the_users_other_key_is_not(blocked: Blocked) -> None:
    key = blocked.user("ci-deploy")
    attacker = blocked.as_(key, "s3")
    innocent = blocked.as_(blocked.another_key("ci-deploy"), "s3")
    assert may(attacker.list_buckets)

    action = blocked.apply(
        "iam.deactivate-access-key",
        {"type": "access_key", "id": key["access_key_id"]},
        {"user": "ci-deploy"},
    )
    assert not may(attacker.list_buckets)
    assert may(innocent.list_buckets)

    blocked.revert(action)
    assert may(attacker.list_buckets)
