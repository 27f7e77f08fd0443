"""What an AWS error code means for a step (CONTRACT §4). Pure."""

from __future__ import annotations

import re
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
    "InvalidDB*State*",
    "OperationAborted",
    "PolicyChangesInProgress*",
    "ResourceInUse*",
)
_CHANGING_KEY = re.compile(r"\b(creating|updating)\b", re.IGNORECASE)
"""States that a KMS key leaves by itself; in every other one AWS refuses for good.
https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"""
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
    """The class of a refusal, by its code; for keys of KMS by the state that it names as well."""
    if is_throttling(error.code):
        return Refusal.THROTTLED
    if fnmatchcase(error.code, "KMSInvalidState*"):
        return Refusal.BUSY if _CHANGING_KEY.search(error.message) else Refusal.OTHER
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
