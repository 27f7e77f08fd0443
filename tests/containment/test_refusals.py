"""What a refusal means: to be sent again, or a plain no (CONTRACT §4)."""

from __future__ import annotations

import pytest

from cases.models import Action
from containment.refusals import Refusal, classify
from lib.aws import AwsError
from tests.containment.subjects import SUBJECTS
from tests.containment.world import World

BUSY = (
    "ConcurrentModification",
    "ConcurrentModificationException",
    "ConflictException",
    "DependencyViolation",
    "IncorrectInstanceState",
    "IncorrectState",
    "InvalidDBClusterSnapshotStateFault",
    "InvalidDBClusterStateFault",
    "InvalidDBInstanceState",
    "InvalidDBInstanceStateFault",
    "InvalidDBSnapshotState",
    "OperationAborted",
    "PolicyChangesInProgressException",
    "ResourceConflictException",
    "ResourceInUse",
    "ResourceInUseException",
    "ScalingActivityInProgress",
)
CLASSES = {
    **dict.fromkeys(BUSY, Refusal.BUSY),
    **dict.fromkeys(
        ("RequestLimitExceeded", "SlowDown", "ThrottlingException", "Throttling", "TooManyRequestsException"),
        Refusal.THROTTLED,
    ),
    **dict.fromkeys(
        ("WAFOptimisticLockException", "InvalidTokenException", "PreconditionFailed"), Refusal.STALE
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "ExpiredToken"), Refusal.DENIED
    ),
    **dict.fromkeys(
        ("DBInstanceNotFound", "NoSuchEntity", "InvalidGroup.NotFound", "InvalidPrincipal"), Refusal.ABSENT
    ),
    # Of what is there already, and of states that nothing leaves by itself, the look decides.
    **dict.fromkeys(
        (
            "DBSnapshotAlreadyExists",
            "InvalidDBSecurityGroup",
            "InvalidPermission.Duplicate",
            "InvalidState",
            "InvalidVPCNetworkStateFault",
            "ResourceAlreadyExistsException",
            "ValidationException",
        ),
        Refusal.OTHER,
    ),
}


@pytest.mark.fast
@pytest.mark.parametrize("code", sorted(CLASSES))
def test_a_code_is_of_its_class(code: str) -> None:
    assert classify(AwsError(code, "no")) is CLASSES[code]


@pytest.mark.fast
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("arn:aws:kms:eu-west-1:111122223333:key/k is Creating.", Refusal.BUSY),
        ("the key is updating", Refusal.BUSY),
        ("arn:aws:kms:eu-west-1:111122223333:key/k is pending deletion.", Refusal.OTHER),
        ("arn:aws:kms:eu-west-1:111122223333:key/k is disabled.", Refusal.OTHER),
        ("arn:aws:kms:eu-west-1:111122223333:key/k is pending import.", Refusal.OTHER),
    ],
)
def test_a_key_is_busy_only_in_a_state_that_it_leaves_by_itself(message: str, expected: Refusal) -> None:
    assert classify(AwsError("KMSInvalidStateException", message)) is expected


def _refused(world: World, type_id: str, *numbers: int, code: str, message: str) -> Action:
    """The type's usual action, carried out while AWS refuses the calls of these numbers."""
    subject = SUBJECTS[type_id]
    if subject.arrange:
        subject.arrange(world)
    world.wire.faults |= {number: AwsError(code, message, status=400) for number in numbers}
    return world.apply(type_id, *subject.aim(world))


@pytest.mark.parametrize(
    ("type_id", "number", "code"),
    [
        ("rds.isolate-instance", 3, "InvalidDBInstanceState"),
        ("rds.snapshot-instance", 1, "InvalidDBInstanceState"),
        ("rds.unshare-snapshot", 1, "InvalidDBSnapshotState"),
        ("lambda.disable-triggers", 1, "ResourceInUseException"),
        ("lambda.throttle-function", 1, "ResourceConflictException"),
        ("dynamodb.restrict-table", 1, "ResourceInUseException"),
    ],
)
def test_what_is_busy_is_asked_again_and_its_attempt_is_not_used_up(
    world: World, type_id: str, number: int, code: str
) -> None:
    action = _refused(world, type_id, number, code=code, message="not now")

    assert action.status == "verified", action.note
    (again,) = [row for row in world.steps(action) if row.tries]
    assert [one["outcome"] for one in again.attempts] == [f"refused {code}", "done"]
    assert (again.attempt, again.tries) == (1, 1)


def test_what_stays_busy_is_given_up_after_the_time_that_its_step_allows(world: World) -> None:
    began = world.clock.now()

    action = _refused(
        world, "rds.unshare-snapshot", *range(1, 60), code="InvalidDBSnapshotState", message="creating"
    )

    assert action.status == "failed"
    assert "busy for 120 s: InvalidDBSnapshotState: creating" in action.note
    assert 120 <= (world.clock.now() - began).total_seconds() < 240
    assert world.wire.landed == []


def test_a_key_that_cannot_be_changed_is_not_asked_again(world: World) -> None:
    told = "the key is pending deletion"

    action = _refused(world, "kms.disable-key", 1, code="KMSInvalidStateException", message=told)

    assert action.status == "failed"
    assert "pending deletion" in action.note
    assert world.wire.sent == ["kms:DisableKey"]
