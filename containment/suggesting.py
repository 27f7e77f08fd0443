"""Which actions fit an incident: from what its alerts name, evidence first, each with its reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cases.models import Action, Alert, Incident
from cases.words import ActionStatus
from containment.actions import UnknownType, action_type
from containment.describing import ActionType
from containment.fitting import FITS, Aim, Fit
from containment.tainted import Naming, Thing, naming, namings
from estate.queries import deny_policies
from lib import canonical

DENY_POLICY = "policy_arn"
"""The parameter for a managed policy that denies everything; empty means AWS's own."""

ENDED = (
    ActionStatus.REFUSED,
    ActionStatus.REJECTED,
    ActionStatus.EXPIRED,
    ActionStatus.WITHDRAWN,
    ActionStatus.FAILED,
    ActionStatus.REVERTED,
)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One action that fits, ready to be asked for; `is_first` when it is what one does as a rule."""

    type: str
    title: str
    category: str
    tier: int
    target: dict[str, str]
    params: dict[str, Any]
    reason: str
    does_not_stop: str
    order: int
    is_first: bool = True

    @property
    def key(self) -> str:
        """Names the suggestion within its incident: type, target and parameters, as one text."""
        return key_of(self.type, self.target, self.params)

    @property
    def pick(self) -> str:
        """The key in sixteen letters, for a form."""
        return canonical.sha256(self.key)[:16]


def suggestions(incident: Incident) -> list[Suggestion]:
    """Actions that fit the incident's resources and were not asked for yet, in order. Three queries."""
    asked, named_by_alerts = asked_for(incident), namings(incident)
    denying = deny_policies_of(named_by_alerts)
    found: dict[str, Suggestion] = {}
    for named in named_by_alerts:
        for one in _of_naming(named, denying):
            if one.key not in asked:
                found.setdefault(one.key, one)
    return in_order(found.values())


def of_alert(alert: Alert, *, denying: Mapping[str, str]) -> list[Suggestion]:
    """Actions that fit what one alert names, in order, whether asked for or not. No query."""
    found: dict[str, Suggestion] = {}
    for one in _of_naming(naming(alert), denying):
        found.setdefault(one.key, one)
    return in_order(found.values())


def in_order(found: Iterable[Suggestion]) -> list[Suggestion]:
    """Evidence first, then what one does as a rule, then the rest."""
    return sorted(
        found,
        key=lambda one: (one.category != "evidence", not one.is_first, one.order, one.target["id"], one.type),
    )


def asked_for(incident: Incident) -> set[str]:
    """The keys of what was asked for already and has not ended. One query."""
    actions = Action.objects.filter(incident=incident, reverts__isnull=True).exclude(status__in=ENDED)
    actions = actions.only("type", "target", "params")
    return {key_of(action.type, action.target, action.params) for action in actions}


def deny_policies_of(named: Iterable[Naming]) -> dict[str, str]:
    """The deny policy of each account that alerts name, where one was rolled out. One query."""
    return deny_policies({thing.account for one in named for thing in one.things})


def key_of(type_id: str, target: dict[str, Any], params: dict[str, Any]) -> str:
    """A type on a target with parameters, those left at their defaults aside.

    Which of the policies that deny everything is attached makes no other action of it.
    """
    defaults = _defaults(type_id)
    told = {
        name: value
        for name, value in params.items()
        if defaults.get(name, _NONE) != value and name != DENY_POLICY
    }
    return canonical.dumps([type_id, target["account"], target["type"], target["id"], told])


def suggestion_for(
    *,
    type_id: str,
    thing: Thing,
    aim: Aim,
    reason: str,
    denying: Mapping[str, str],
    is_first: bool = True,
) -> Suggestion:
    """The suggestion of a type for an aim at a thing.

    A type that attaches a policy which denies everything gets that of the thing's account (`denying`, by
    account): there AWS's own may not be among those that Quell may attach.
    """
    declared: type[ActionType] = action_type(type_id)
    policy = denying.get(thing.account, "") if _defaults(type_id).get(DENY_POLICY) == "" else ""
    arn = thing.arn if (aim.kind, aim.id) == (thing.kind, thing.id) else ""
    return Suggestion(
        type=declared.id,
        title=declared.title,
        category=declared.category.value,
        tier=declared.tier,
        target={"type": aim.kind, "account": thing.account, "region": thing.region, "id": aim.id, "arn": arn},
        params={**aim.params, **({DENY_POLICY: policy} if policy else {})},
        reason=reason,
        does_not_stop=declared.does_not_stop(),
        order=declared.order,
        is_first=is_first,
    )


_NONE = object()


def _defaults(type_id: str) -> dict[str, Any]:
    try:
        fields = dataclasses.fields(action_type(type_id).params)
    except UnknownType:
        return {}
    return {
        one.name: list(one.default) if isinstance(one.default, tuple) else one.default
        for one in fields
        if one.default is not dataclasses.MISSING
    }


def _of_naming(named: Naming, denying: Mapping[str, str]) -> Iterator[Suggestion]:
    for thing in named.things:
        for fit in FITS.get(thing.kind, ()):
            for aim in fit.aims(thing, named):
                yield suggestion_for(
                    type_id=fit.type,
                    thing=thing,
                    aim=aim,
                    reason=_reason(fit, named),
                    denying=denying,
                    is_first=fit.is_first,
                )


def _reason(fit: Fit, named: Naming) -> str:
    """The row's words, with what the alert says; `format` is not used on what a sender wrote."""
    users = " or ".join(named.of("user")[:3])
    return fit.why.replace("{alert}", named.alert_type or "An alert").replace("{users}", users)
