"""Which calls share a session of a role (CONTRACT §8, docs/adr/0026).

A session allows the calls that it was opened for, and no others: AWS refuses the rest, whatever the role
allows. Calls that are known beforehand to follow one another at the same place are put into one session, as
far as its policy stays short enough and AWS takes it; at worst each call has one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containment.looking import UNRESOLVED, resolved_or_not
from containment.types import Call, Step
from lib import aws, iam
from lib.aws import AwsError
from lib.canonical import JSON

SHORT_ENOUGH = 2000
"""Characters of a shared policy: somewhat fewer than STS accepts."""

PACKED_TOO_LARGE = "PackedPolicyTooLarge"
"""STS packs policy and tags together, and says only afterwards whether they fit.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """An opened session: the role without a policy, what the policy says, and the policy."""

    base: aws.Role
    says: tuple[iam.Statement, ...]
    policy: str


@dataclass(kw_only=True)
class Sessions:
    """The sessions that a turn has opened. Not kept over a wait, and never written down."""

    opened: list[_Shared] = field(default_factory=list)

    def role(self, call: Call, base: aws.Role, beside: Iterable[Call] = ()) -> aws.Role:
        """The role with the policy to make a call under, shared with those `beside` where it must be opened.

        Raises like a call, and `ValueError` where the call alone does not fit into a policy.
        """
        wanted = _needs(call, base)
        for shared in self.opened:
            if shared.base == base and iam.allow(shared.says, wanted):
                return replace(base, policy=shared.policy)
        return self._open(_that_fit(wanted, self._others(base, beside)), base)

    def _others(self, base: aws.Role, beside: Iterable[Call]) -> Iterator[list[iam.Statement]]:
        """What other calls need that no open session allows yet."""
        mine = [shared for shared in self.opened if shared.base == base]
        for call in beside:
            need = _needs(call, base)
            if not any(iam.allow(shared.says, need) for shared in mine):
                yield need

    def _open(self, parts: list[list[iam.Statement]], base: aws.Role) -> aws.Role:
        """Open a session for these, or for the first half of them where AWS says it is too much."""
        while True:
            says = [one for part in parts for one in part]
            role = replace(base, policy=iam.document(says))
            try:
                aws.assume(role)
            except AwsError as refusal:
                if refusal.code != PACKED_TOO_LARGE or len(parts) == 1:
                    raise
                parts = parts[: len(parts) // 2]
                continue
            self.opened.append(_Shared(base=base, says=tuple(says), policy=role.policy))
            return role


def is_settled(step: Step, call: Call, *, results: Mapping[str, JSON]) -> bool:
    """Whether it is known already what a step's call will act on, as far as its policy can tell.

    What an edit fills in only with the document in hand is not.
    """
    tells = iam.tells_resource(call.name)
    if step.edit and tells & {path.partition(".")[0] for path in (*step.edit.token, *step.edit.copy)}:
        return False
    named = {name: call.params.get(name) for name in tells}
    return resolved_or_not(named, results=results) is not UNRESOLVED


def as_far_as_known(call: Call, *, results: Mapping[str, JSON]) -> Call:
    """A planned call, each parameter filled in that can be; the rest is left as planned."""
    filled: dict[str, Any] = {}
    for name, value in call.params.items():
        known = resolved_or_not(value, results=results)
        filled[name] = value if known is UNRESOLVED else known
    return replace(call, params=filled)


def _needs(call: Call, base: aws.Role) -> list[iam.Statement]:
    return iam.statements(
        call.name,
        call.params,
        partition=base.arn.split(":")[1],
        account=base.account,
        region=call.at.region,
    )


def _that_fit(first: list[iam.Statement], others: Iterable[list[iam.Statement]]) -> list[list[iam.Statement]]:
    """The first, and as many of the others after it as one policy holds."""
    parts = [first]
    for part in others:
        try:
            text = iam.document(one for some in [*parts, part] for one in some)
        except ValueError:
            break
        if len(text) > SHORT_ENOUGH:
            break
        parts.append(part)
    return parts
