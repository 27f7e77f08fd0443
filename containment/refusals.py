"""What an AWS error code means for a step (CONTRACT §4). Pure."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase

from lib.aws import AwsError, is_throttling


class Refusal(StrEnum):
    """The classes of refusal."""

    THROTTLED = "throttled"
    BUSY = "busy"
    STALE = "stale token"
    DENIED = "denied"
    ABSENT = "absent"
    OTHER = "other"


_BUSY = (
    "ScalingActivityInProgress*",
    "Conflict*",
    "ConcurrentModification*",
    "ResourceConflict*",
    "DependencyViolation",
    "IncorrectInstanceState",
    "IncorrectState",
    "OperationAborted",
    "PolicyChangesInProgress*",
)
_STALE = ("WAFOptimisticLock*", "InvalidToken*", "PreconditionFailed")
_DENIED = (
    "AccessDenied*",
    "UnauthorizedOperation",
    "ExpiredToken*",
    "RequestExpired",
    "InvalidClientTokenId",
    "AuthFailure",
    "UnrecognizedClient*",
)
_ABSENT = ("*NotFound*", "NoSuch*", "InvalidPrincipal*")


def classify(error: AwsError) -> Refusal:
    """The class of a refusal, by its code alone."""
    if is_throttling(error.code):
        return Refusal.THROTTLED
    for patterns, refusal in (
        (_BUSY, Refusal.BUSY),
        (_STALE, Refusal.STALE),
        (_DENIED, Refusal.DENIED),
        (_ABSENT, Refusal.ABSENT),
    ):
        if any(fnmatchcase(error.code, pattern) for pattern in patterns):
            return refusal
    return Refusal.OTHER


def told(error: AwsError) -> str:
    """The refusal in a sentence; says when an organization's policy denied."""
    by = " by a service control policy" if "service control policy" in error.message.lower() else ""
    return f"{error.code}{by}: {error.message}"[:500]
