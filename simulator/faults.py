"""Faults to order: throttling, errors, lost and late calls.

A rule is `{"match": "ec2:StopInstances", "times": 2, "status": 400, "code": "Throttling",
"when": "before", "delay": 0}`. `match` is a shell pattern over `service:Operation`; `status` 0
drops the connection without an answer; `when` `after` applies the call first; `late` drops the
connection now and applies the call that many seconds later. `account` limits a rule to calls of
one account's credentials.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule and how often it still fires."""

    match: str
    times: int = 1
    status: int = 400
    code: str = "Throttling"
    message: str = "Rate exceeded"
    when: str = "before"
    delay: float = 0.0
    late: float | None = None
    account: str = ""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Fault:
        """A rule from JSON. Raises ValueError naming what is wrong."""
        unknown = set(document) - set(cls.__dataclass_fields__)
        if unknown or not isinstance(document.get("match"), str):
            raise ValueError(
                f"a fault needs a match and knows no {', '.join(sorted(unknown)) or 'other fields'}"
            )
        fault = cls(**document)
        if fault.when not in ("before", "after"):
            raise ValueError("when is before or after")
        if fault.status != 0 and not 400 <= fault.status <= 599:
            raise ValueError("status is 0 (no answer) or an HTTP error")
        return fault

    @property
    def drops(self) -> bool:
        """Whether the caller gets no answer."""
        return self.status == 0 or self.late is not None

    def shown(self) -> dict[str, Any]:
        """The rule as JSON."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


class Faults:
    """The rules in force; the first that matches fires."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []

    def replace(self, documents: list[Mapping[str, Any]]) -> None:
        """Set the rules anew; an empty list clears them. Raises ValueError for a rule that cannot be read."""
        rules = [Fault.read(document) for document in documents]
        with self._lock:
            self._rules = rules

    def left(self) -> list[dict[str, Any]]:
        """Rules that have not been used up."""
        with self._lock:
            return [rule.shown() for rule in self._rules]

    def take(self, name: str, account: str) -> Fault | None:
        """Use up one firing of the first rule that matches a call, if any."""
        with self._lock:
            for index, rule in enumerate(self._rules):
                if fnmatchcase(name, rule.match) and rule.account in ("", account):
                    if rule.times <= 1:
                        del self._rules[index]
                    else:
                        self._rules[index] = replace(rule, times=rule.times - 1)
                    return rule
        return None
