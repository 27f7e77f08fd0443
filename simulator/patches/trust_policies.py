"""A trust policy may also allow setting a source identity, tags and a context.

AWS takes sts:SetSourceIdentity, sts:TagSession and sts:SetContext beside the three AssumeRole actions,
and patterns over them; moto takes the three when a trust policy is updated.
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
"""

# ruff: noqa: SLF001  # reaching into moto is what a patch does
from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator

TRUST_ACTIONS = (
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setcontext",
    "sts:setsourceidentity",
    "sts:tagsession",
)


def _validate(action: str) -> None:
    if not any(fnmatchcase(known, action.lower()) for known in TRUST_ACTIONS):
        raise ValueError(f"{action} has no place in a trust policy")


def apply() -> None:
    """Replace moto's list; it turns the ValueError into MalformedPolicyDocument."""
    target: Any = IAMTrustPolicyDocumentValidator
    target._validate_trust_policy_action = staticmethod(_validate)
