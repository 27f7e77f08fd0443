"""What narrows a triage rule beyond its own columns: read strictly, matched in linear time.

Stored as JSON in `TriageRule.conditions`. Every condition given must fit; within one, any of its values.
Patterns may hold `*` for any text and are otherwise whole and without regard to case; nothing in them is
a regular expression, so nothing that arrives can make matching slow.

What an attacker could write into an alert decides nothing that only the estate can know: `environments`
and `ou_paths` are those of the account as the estate has it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeAlias

from cases.models import Alert
from cases.words import PRINCIPALS
from estate.models import Account, Environment
from lib.errors import Invalid

MOST_VALUES = 100
LONGEST = 300
POSTURE = "posture"
"""The tag that sources give to what is a weakness, not an attack."""

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

ACCOUNT = re.compile(r"[0-9]{12}")
REGION = re.compile(r"[a-z0-9-]{1,30}")
TECHNIQUE = re.compile(r"T[0-9]{4}(?:\.[0-9]{3})?")


def matches(pattern: str, text: str) -> bool:
    """Whether a text is as the pattern says, `*` standing for any part of it."""
    first, *rest = pattern.casefold().split("*")
    text = text.casefold()
    if not rest:
        return text == first
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(rest[-1]) and text.endswith(rest[-1])


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions of one rule. An empty one fits everything.

    `resources` and `principals` are patterns of ids or ARNs, `observables` patterns or networks (CIDR),
    `labels` patterns of AWS tags' values by key. A technique fits its sub-techniques. With
    `includes_critical` a suppression also takes what is critical, and attack sequences.
    """

    accounts: tuple[str, ...] = ()
    ou_paths: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    observables: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    techniques: tuple[str, ...] = ()
    title: str = ""
    is_sample: bool | None = None
    is_posture: bool | None = None
    includes_critical: bool = False

    @classmethod
    def of(cls, given: object) -> Conditions:
        """From JSON. `Invalid`, with a pointer, for a condition that is unknown or a value that is none."""
        if not isinstance(given, Mapping):
            raise Invalid("Conditions are an object.", pointer="/conditions")
        known = {one.name for one in fields(cls)}
        for name in given:
            if name not in known:
                raise Invalid(
                    f"There is no condition {str(name)[:40]!r}; there are: {', '.join(sorted(known))}.",
                    pointer=f"/conditions/{str(name)[:40]}",
                )
        return cls(**{name: READERS[name](value, f"/conditions/{name}") for name, value in given.items()})

    def written(self) -> dict[str, Any]:
        """As JSON, only what was said."""
        found: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value in ((), "", None, False) and not (value is False and one.name != "includes_critical"):
                continue
            if one.name == "labels":
                found[one.name] = dict(value)
            else:
                found[one.name] = list(value) if isinstance(value, tuple) else value
        return found

    def fit(self, alert: Alert, *, account: Account | None) -> bool:
        """Whether an alert is as all of them say; `account` is its account where the estate knows it."""
        return (
            self._fit_ground(alert, account)
            and self._fit_things(alert)
            and (not self.title or matches(self.title, alert.title))
            and self.is_sample in (None, alert.is_sample)
            and self.is_posture in (None, POSTURE in alert.tags)
        )

    def _fit_ground(self, alert: Alert, account: Account | None) -> bool:
        if self.accounts and alert.account not in self.accounts:
            return False
        if self.regions and alert.region not in self.regions:
            return False
        if self.environments and (account is None or account.environment not in self.environments):
            return False
        if not self.ou_paths:
            return True
        path = account.ou.path if account is not None and account.ou is not None else ""
        return any(path == one or path.startswith(f"{one}/") for one in self.ou_paths)

    def _fit_things(self, alert: Alert) -> bool:
        if self.resources and not _any(self.resources, _names(alert, principals=None)):
            return False
        if self.principals and not _any(self.principals, _names(alert, principals=True)):
            return False
        if self.observables and not self._fit_observables(alert):
            return False
        if self.tags and not _any(self.tags, (str(tag) for tag in alert.tags)):
            return False
        if self.labels and not self._fit_labels(alert):
            return False
        wanted = self.techniques
        return not wanted or any(
            str(told) == one or str(told).startswith(f"{one}.") for told in alert.techniques for one in wanted
        )

    def _fit_observables(self, alert: Alert) -> bool:
        values = [str(one.get("value", "")) for one in alert.observables if isinstance(one, dict)]
        if _any(self.observables, values):
            return True
        return bool(self._networks) and any(
            address in network
            for address in map(_address, values)
            if address is not None
            for network in self._networks
            if network.version == address.version
        )

    def _fit_labels(self, alert: Alert) -> bool:
        told = {str(key).casefold(): str(value) for key, value in alert.labels.items()}
        return all(
            key.casefold() in told and matches(pattern, told[key.casefold()]) for key, pattern in self.labels
        )

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(found for one in self.observables if (found := _network(one)) is not None)


def _any(patterns: Iterable[str], texts: Iterable[str]) -> bool:
    texts = [text for text in texts if text]
    return any(matches(pattern, text) for pattern in patterns for text in texts)


def _names(alert: Alert, *, principals: bool | None) -> Iterable[str]:
    """Ids and ARNs of the alert's resources; only of principals where asked for."""
    for one in alert.resources:
        if isinstance(one, dict) and (principals is None or one.get("type") in PRINCIPALS):
            yield str(one.get("id") or "")
            yield str(one.get("arn") or "")


def _network(text: str) -> Network | None:
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


# --- reading -------------------------------------------------------------------------------------------


def _text(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or "\0" in value:
        raise Invalid(f"A text of 1 to {LONGEST} characters.", pointer=pointer)
    return value.strip()


def _texts(value: object, pointer: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_VALUES:
        raise Invalid(f"A list of 1 to {MOST_VALUES} texts.", pointer=pointer)
    return tuple(dict.fromkeys(_text(one, f"{pointer}/{n}") for n, one in enumerate(value)))


def _of_form(form: re.Pattern[str], says: str) -> Callable[[object, str], tuple[str, ...]]:
    def read(value: object, pointer: str) -> tuple[str, ...]:
        found = _texts(value, pointer)
        for number, one in enumerate(found):
            if not form.fullmatch(one):
                raise Invalid(says, pointer=f"{pointer}/{number}")
        return found

    return read


def _observables(value: object, pointer: str) -> tuple[str, ...]:
    found = _texts(value, pointer)
    for number, one in enumerate(found):
        head, _, length = one.partition("/")
        if length.isdigit() and _address(head) is not None and _network(one) is None:
            raise Invalid("No network is written like that.", pointer=f"{pointer}/{number}")
    return found


def _paths(value: object, pointer: str) -> tuple[str, ...]:
    return tuple(one.rstrip("/") for one in _texts(value, pointer))


def _labels(value: object, pointer: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MOST_VALUES:
        raise Invalid("An object of tag keys and patterns of their values.", pointer=pointer)
    return tuple(
        (_text(key, pointer), _text(pattern, f"{pointer}/{str(key)[:40]}")) for key, pattern in value.items()
    )


def _flag(value: object, pointer: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid("true or false.", pointer=pointer)
    return value


_ENVIRONMENTS = re.compile("|".join(re.escape(one) for one in Environment.values))

READERS: dict[str, Callable[[object, str], Any]] = {
    "accounts": _of_form(ACCOUNT, "An AWS account id has twelve digits."),
    "ou_paths": _paths,
    "environments": _of_form(_ENVIRONMENTS, f"One of {', '.join(Environment.values)}."),
    "regions": _of_form(REGION, "A region such as eu-west-1."),
    "resources": _texts,
    "principals": _texts,
    "observables": _observables,
    "tags": _texts,
    "labels": _labels,
    "techniques": _of_form(TECHNIQUE, "A technique such as T1078 or T1078.004."),
    "title": _text,
    "is_sample": _flag,
    "is_posture": _flag,
    "includes_critical": _flag,
}
