"""Replacing an instance profile gives the association another id, and the instance another profile.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceIamInstanceProfileAssociation.html
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociationBackend
from moto.ec2.responses.iam_instance_profiles import IamInstanceProfiles
from moto.ec2.utils import random_iam_instance_profile_association_id

CHANGES = (
    "associate_iam_instance_profile",
    "disassociate_iam_instance_profile",
    "replace_iam_instance_profile_association",
)


def _answer_dry_runs(response: Any, name: str) -> None:
    original = getattr(response, name)

    def answer(self: Any) -> Any:
        self.error_on_dryrun()
        return original(self)

    setattr(response, name, answer)


def apply() -> None:
    """Give the replaced association what AWS gives it, and let a dry run change nothing."""
    backend: Any = IamInstanceProfileAssociationBackend
    replace = backend.replace_iam_instance_profile_association

    def replace_iam_instance_profile_association(self: Any, *given: Any, **more: Any) -> Any:
        association = replace(self, *given, **more)
        association.association_id = random_iam_instance_profile_association_id()
        self.modify_instance_attribute(
            association.instance.id,
            "iam_instance_profile",
            {"Arn": association.iam_instance_profile.arn, "Id": association.association_id},
        )
        return association

    backend.replace_iam_instance_profile_association = replace_iam_instance_profile_association
    for name in CHANGES:
        _answer_dry_runs(IamInstanceProfiles, name)
