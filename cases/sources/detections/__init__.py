"""The detections for CloudTrail: Sigma rules of ours beside this module, and of the operator elsewhere.

Beside what Sigma defines, a rule may have a section `quell`::

    quell:
      severity: {production: 75, sandbox: 45, default: 60}   # by what the account is used for
      per: hour              # one alert for each principal and hour, not one for each event
      outcomes: [done]       # of done, denied, failed: of which calls it speaks
      denied: as-grave       # what was denied is as grave as what was done, not less

Ours speak of calls that were done or denied unless they say otherwise, an operator's of every call. The
type of an alert is `CloudTrail:` and the name of its rule's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from cases.sources import operators
from cases.sources.cloudtrail_facts import FACTS, outcome_of
from cases.sources.sigma import MOST_BYTES, Book, Event, Rule, RuleRefused, compiled

OWN = Path(__file__).parent
OUTCOMES = frozenset({"done", "denied", "failed"})
HAPPENED = frozenset({"done", "denied"})
SECTION = frozenset({"severity", "per", "outcomes", "denied"})
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE)
DEFAULT = "default"
MOST_FILES = 2_000


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A rule with what its section `quell` says; `name` is that of its file."""

    name: str
    rule: Rule
    severities: Mapping[str, int]
    is_hourly: bool
    outcomes: frozenset[str]
    is_as_grave_denied: bool = False

    def severity_in(self, environment: str) -> int:
        """How grave it is in an account that is used for this; an account not known is like most."""
        usual = self.severities.get(DEFAULT, self.rule.severity)
        return self.severities.get(environment, usual)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file that is no rule which can be used, and why."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The detections that are in use, and the files that are not."""

    detections: Mapping[str, Detection]
    book: Book
    refused: tuple[Refused, ...]

    def matching(self, event: Event) -> Iterator[Detection]:
        """The detections that an event calls for, ours first."""
        for rule in self.book.matching(event):
            found = self.detections[rule.id]
            if outcome_of(event) in found.outcomes:
                yield found


def shelf() -> Shelf:
    """All detections, read when they are first needed. A rule that cannot be used costs no other."""
    return shelf_with(operators.sigma_rules())


@lru_cache(maxsize=4)
def shelf_with(directory: str) -> Shelf:
    """Our detections and those of an operator's directory; ours alone where it is empty."""
    more = [Path(directory)] if directory else []
    found: dict[str, Detection] = {}
    refused: list[Refused] = []
    for path, usual in (*_files([OWN], HAPPENED, refused), *_files(more, OUTCOMES, refused)):
        try:
            detection = _detection(path, usual)
            if detection.rule.id in found:
                raise RuleRefused(f"{path.name}: its id is that of {found[detection.rule.id].name}")
        except RuleRefused as failure:
            refused.append(Refused(file=str(path), reason=str(failure)))
            continue
        found[detection.rule.id] = detection
    book = Book(detection.rule for detection in found.values())
    return Shelf(detections=found, book=book, refused=tuple(refused))


def _files(
    directories: Iterable[Path], usual: frozenset[str], refused: list[Refused]
) -> Iterator[tuple[Path, frozenset[str]]]:
    for directory in directories:
        try:
            files = sorted(path for path in directory.iterdir() if path.suffix in (".yml", ".yaml"))
        except OSError as failure:
            refused.append(Refused(file=str(directory), reason=f"cannot be read: {failure.strerror}"))
            continue
        if len(files) > MOST_FILES:
            refused.append(Refused(file=str(directory), reason=f"holds more than {MOST_FILES} rules"))
        yield from ((path, usual) for path in files[:MOST_FILES])


def _detection(path: Path, usual: frozenset[str]) -> Detection:
    if not NAME.fullmatch(path.stem):
        raise RuleRefused(f"{path.name[:100]!r} is no name for a rule: letters, digits, `.`, `_`, `-`")
    spelled = _spelled(path)
    rule = compiled(spelled, file=path.name, facts=FACTS)
    source = yaml.safe_load(spelled).get("logsource", {})
    if source.get("product", "aws") != "aws" or source.get("service", "cloudtrail") != "cloudtrail":
        raise RuleRefused(f"{path.name}: it is not for CloudTrail (logsource)")
    if unknown := set(rule.more) - SECTION:
        raise RuleRefused(f"{path.name}: its section `quell` has {', '.join(sorted(map(str, unknown)))}")
    return Detection(
        name=path.stem,
        rule=rule,
        severities=_severities(path.name, rule.more.get("severity", {})),
        is_hourly=_is_hourly(path.name, rule.more.get("per", "event")),
        outcomes=_outcomes(path.name, rule.more.get("outcomes"), usual),
        is_as_grave_denied=_is_as_grave(path.name, rule.more.get("denied", "less")),
    )


def _spelled(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1).decode("utf-8")
    except OSError as failure:
        raise RuleRefused(f"{path.name}: cannot be read: {failure.strerror}") from failure
    except UnicodeDecodeError as failure:
        raise RuleRefused(f"{path.name}: not UTF-8") from failure


def _severities(file: str, said: Any) -> Mapping[str, int]:
    numbers = said if isinstance(said, dict) else {DEFAULT: said}
    for number in numbers.values():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 100:
            raise RuleRefused(f"{file}: a severity is a whole number from 0 to 100")
    return {str(environment): number for environment, number in numbers.items()}


def _is_hourly(file: str, said: Any) -> bool:
    if said not in ("event", "hour"):
        raise RuleRefused(f"{file}: `per` is event or hour")
    return bool(said == "hour")


def _is_as_grave(file: str, said: Any) -> bool:
    if said not in ("less", "as-grave"):
        raise RuleRefused(f"{file}: `denied` is less or as-grave")
    return bool(said == "as-grave")


def _outcomes(file: str, said: Any, usual: frozenset[str]) -> frozenset[str]:
    if said is None:
        return usual
    if not isinstance(said, list) or not said or not all(one in sorted(OUTCOMES) for one in said):
        raise RuleRefused(f"{file}: `outcomes` lists some of {', '.join(sorted(OUTCOMES))}")
    return frozenset(said)
