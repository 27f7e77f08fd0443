"""What one AWS operation needs of IAM."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Need:
    """The IAM actions of one operation, and templates of the resources it acts on.

    A template's names come from the call's parameters, and from `partition`, `account` and `region`;
    where one of them is not text, the whole template is `*`. A path (`/`) may lie before a user's or
    role's name, which the trailing wildcard form covers. `dependents` lie on other resources
    (`iam:PassRole` on the role that is passed, `ec2:CreateTags`) and are allowed on `*`.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)
    dependents: tuple[str, ...] = ()
