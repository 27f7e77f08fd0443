"""Who a snapshot or an image is shared with, and the end of it. No action type of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from containment.describing import Context, Steps
from containment.looking import q
from containment.types import Call, Check, Plan, Read, Refused

SHARED_WITH_ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How one thing is shared.

    `kind` is what `Step.changes` calls it; `listed` the list of permissions in the answer of `read`, each
    with one of `members`. `call` makes the call from `add` or `remove`, the member and who it names.
    """

    kind: str
    read: Read
    listed: str
    members: tuple[str, ...]
    call: Callable[[str, str, str], Call]

    def grantees(self, ctx: Context) -> dict[str, str]:
        """Whom it is shared with, sorted, and by which member. Raises `Refused` where it is not there."""
        answer = ctx.read(self.read)
        if answer is None:
            raise Refused(f"there is no {self.kind} {ctx.target.id} in {ctx.target.region}")
        found = [
            (name, one) for one in answer.get(self.listed) or [] for name in self.members if one.get(name)
        ]
        return dict(sorted((str(one[name]), name) for name, one in found))


def end(ctx: Context, sharing: Sharing, asked: tuple[str, ...]) -> Plan:
    """The plan that ends sharing: one step, and one lane, for each who loses it. Raises `Refused`."""
    steps, name, shared = Steps(ctx), ctx.target.id, sharing.grantees(ctx)
    ending = _chosen(ctx, shared, asked)
    if not ending:
        raise Refused(f"{name} is shared with nobody whose permission could be taken back")
    for who in ending:
        member = shared[who]
        steps.set(
            f"unshare-{who}",
            changes=f"ec2:{sharing.kind}/{name}/shared-with/{who}",
            lane=who,
            call=sharing.call("remove", member, who),
            seen=Check(
                read=sharing.read,
                select=f"{sharing.listed}[?{member}=={q(who)}].{member} | [0]",
                equals=None,
            ),
            undo=sharing.call("add", member, who),
        )
    staying = tuple(f"{name} stays shared with {_said(one)}" for one in shared if one not in ending)
    return steps.plan(
        facts={"shared_with": list(shared)},
        changes=tuple(f"{name} is no longer shared with {_said(who)}" for who in ending),
        warnings=("Copies made while it was shared stay with whoever made them", *staying),
    )


def losers(ctx: Context, sharing: Sharing, asked: tuple[str, ...]) -> list[str]:
    """Who loses it, in words. Raises `Refused`."""
    return [_said(who) for who in _chosen(ctx, sharing.grantees(ctx), asked)]


def _chosen(ctx: Context, shared: dict[str, str], asked: tuple[str, ...]) -> list[str]:
    """With whom sharing ends, sorted: who is asked for, else everyone but the forensic account.

    The forensic account's share is evidence on its way; it ends only when it is named.
    """
    forensic = ctx.places.get("forensic")
    keep = {forensic.account} if forensic else set()
    wanted = set(asked) if asked else set(shared) - keep
    return sorted(set(shared) & wanted)


def _said(who: str) -> str:
    """A grantee in words."""
    if who == SHARED_WITH_ALL:
        return "everyone"
    return f"account {who}" if who.isdigit() else who
