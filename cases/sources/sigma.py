"""Sigma rules, evaluated here: pySigma parses a rule, this module makes one function of it.

https://sigmahq.io/sigma-specification/. Texts are compared without regard to case, `*` and `?` are
wildcards, a field is a path of keys (`userIdentity.type`) and one that ends in or passes through a list
holds when any member does. An object, or a list of them, that a text is looked for in is its JSON.
Fields named `quell.…` are facts that the caller works out from the whole event. Regular expressions
see the first `MOST_SEARCHED` characters of a text.

Rules are data of ours and of the operator, never of a sender; what they judge is hostile. So nothing
here may take long on any event, and a rule that might is refused when it is loaded.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import yaml
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SpecialChars,
)

from cases.decoding import JSON
from cases.words import Band

Event: TypeAlias = dict[str, JSON]
Test: TypeAlias = Callable[[Event], bool]
Fact: TypeAlias = Callable[[Event], JSON]

FACT = "quell."
MOST_BYTES = 64 * 1024
MOST_PARTS = 2_000
"""Comparisons in one rule."""
MOST_DEPTH = 40
MOST_SEARCHED = 500
MOST_REPEATS = 2
"""Unbounded repeats in one regular expression: a third would cost the length of the text once more."""
MOST_OF_OBJECT = 200_000
MOST_MEMBERS = 500
"""Members of one list that are looked at."""
TECHNIQUE = re.compile(r"t\d{4}(?:\.\d{3})?")
REPEAT = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\d*\})")
REPEATS_A_REPEAT = re.compile(r"[*+}]\)?\)[*+{]|\([^()]*\|[^()]*\)[*+{]")


class RuleRefused(ValueError):
    """A rule that cannot be used: which file, and why."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that is ready: `matches` an event or not.

    `names` are the event names, in small letters, that it can match at all; None for any. `more` is its
    `quell:` section.
    """

    id: str
    title: str
    description: str
    severity: int
    techniques: tuple[str, ...]
    names: frozenset[str] | None
    matches: Test
    more: Mapping[str, Any]


class Book:
    """Rules by the names of the events that they are about."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._any = tuple(rule for rule in self.rules if rule.names is None)
        self._of: dict[str, tuple[Rule, ...]] = {
            name: tuple(rule for rule in self.rules if rule.names is None or name in rule.names)
            for rule in self.rules
            for name in rule.names or ()
        }

    def matching(self, event: Event) -> Iterator[Rule]:
        """The rules that match the event, in the order in which they were given."""
        name = event.get("eventName")
        named = self._of.get(name.lower(), self._any) if isinstance(name, str) else self._any
        return (rule for rule in named if rule.matches(event))


def compiled(spelled: str, *, file: str, facts: Mapping[str, Fact] | None = None) -> Rule:
    """The rule that a YAML text spells. Raises `RuleRefused` naming the file."""
    try:
        parsed = _parsed(spelled)
        compiler = _Compiler(facts or {})
        tests = [compiler.test(condition.parsed) for condition in parsed.detection.parsed_condition]
        names = _names_of_any([condition.parsed for condition in parsed.detection.parsed_condition])
        more = _section(parsed)
    except RuleRefused as refused:
        raise RuleRefused(f"{file}: {refused}") from refused
    except (SigmaError, yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as failure:
        # pySigma raises what Python raises where a part of a rule is of another kind than it should be.
        raise RuleRefused(f"{file}: not a Sigma rule: {str(failure)[:300]}") from failure
    return Rule(
        id=str(parsed.id),
        title=str(parsed.title)[:200],
        description=str(parsed.description or "").strip()[:4000],
        severity=Band(parsed.level.name.lower()).severity if parsed.level else Band.MEDIUM.severity,
        techniques=tuple(
            tag.name.upper()
            for tag in parsed.tags
            if tag.namespace == "attack" and TECHNIQUE.fullmatch(tag.name.lower())
        ),
        names=names,
        matches=tests[0] if len(tests) == 1 else partial(_any_of, tuple(tests)),
        more=more,
    )


def _parsed(spelled: str) -> SigmaRule:
    if len(spelled.encode("utf-8", "replace")) > MOST_BYTES:
        raise RuleRefused(f"larger than {MOST_BYTES} bytes")
    depth = 0
    for token in yaml.scan(spelled, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise RuleRefused("YAML aliases are not taken")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MOST_DEPTH:
            raise RuleRefused(f"nested deeper than {MOST_DEPTH}")
    if len(list(yaml.parse(spelled, Loader=yaml.SafeLoader))) > 3 * MOST_PARTS:
        raise RuleRefused("too many values")
    found = yaml.safe_load(spelled)
    if not isinstance(found, dict) or "detection" not in found:
        raise RuleRefused("not a Sigma rule: it has no detection")
    parsed = SigmaRule.from_dict(found)
    if not parsed.title or parsed.id is None:
        raise RuleRefused("a rule has a title and an id (a UUID)")
    return parsed


_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def _section(parsed: SigmaRule) -> Mapping[str, Any]:
    found = (parsed.custom_attributes or {}).get("quell", {})
    if not isinstance(found, dict):
        raise RuleRefused("its section `quell` is not a mapping")
    return found


# --- conditions ----------------------------------------------------------------------------------------


class _Compiler:
    """Makes functions of the nodes of a condition."""

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        self._facts = facts
        self._left = MOST_PARTS

    def test(self, node: Any) -> Test:
        """Whether an event satisfies the node."""
        self._left -= 1
        if self._left < 0:
            raise RuleRefused(f"more than {MOST_PARTS} comparisons")
        if isinstance(node, ConditionAND):
            return partial(_all_of, tuple(self.test(one) for one in node.args))
        if isinstance(node, ConditionOR):
            return partial(_any_of, tuple(self.test(one) for one in node.args))
        if isinstance(node, ConditionNOT):
            return partial(_none_of, self.test(node.args[0]))
        if isinstance(node, ConditionFieldEqualsValueExpression):
            return self._field(node.field, node.value)
        if isinstance(node, ConditionValueExpression):
            return partial(_anywhere, _holder(node.value))
        raise RuleRefused(f"a condition of the kind {type(node).__name__} is not supported")

    def _field(self, field: str, value: Any) -> Test:
        values = self._values(field)
        if isinstance(value, SigmaExpansion):
            return partial(_any_of, tuple(self._field(field, one) for one in value.values))
        if isinstance(value, SigmaNull):
            return partial(_is_null, values)
        if isinstance(value, SigmaExists):
            return partial(_exists if value.exists else _lacks, values)
        if isinstance(value, SigmaFieldReference):
            return partial(_refers, values, self._values(value.field), value.starts_with, value.ends_with)
        return partial(_some, values, _comparer(value))

    def _values(self, field: str) -> Callable[[Event], Iterator[JSON]]:
        """How to get the values of a field: none where it is missing, several where a list is on the way."""
        if field.startswith(FACT):
            if field not in self._facts:
                raise RuleRefused(f"there is no fact {field}")
            return partial(_fact, self._facts[field])
        return partial(_walk, tuple(field.split(".")))


def _all_of(tests: tuple[Test, ...], event: Event) -> bool:
    return all(test(event) for test in tests)


def _any_of(tests: tuple[Test, ...], event: Event) -> bool:
    return any(test(event) for test in tests)


def _none_of(test: Test, event: Event) -> bool:
    return not test(event)


def _names_of_any(nodes: list[Any]) -> frozenset[str] | None:
    found = [_names(node) for node in nodes]
    return None if None in found else frozenset().union(*(names for names in found if names is not None))


def _names(node: Any) -> frozenset[str] | None:
    """The event names, in small letters, outside which a node cannot hold; None where any may do."""
    if isinstance(node, ConditionFieldEqualsValueExpression):
        value = node.value
        is_plain = type(value) is SigmaString and not value.contains_special()
        return frozenset({str(value).lower()}) if node.field == "eventName" and is_plain else None
    if isinstance(node, ConditionOR):
        return _names_of_any(list(node.args))
    if isinstance(node, ConditionAND):
        found = [names for names in map(_names, node.args) if names is not None]
        return min(found, key=len) if found else None
    return None


# --- fields --------------------------------------------------------------------------------------------


def _walk(path: tuple[str, ...], value: JSON) -> Iterator[JSON]:
    for place, name in enumerate(path):
        if isinstance(value, list):
            for member in value[:MOST_MEMBERS]:
                yield from _walk(path[place:], member)
            return
        if not isinstance(value, dict) or name not in value:
            return
        value = value[name]
    yield from _members(value)


def _fact(fact: Fact, event: Event) -> Iterator[JSON]:
    yield from _members(fact(event))


def _members(value: JSON) -> Iterator[JSON]:
    """A list of plain values as its members; anything else as it is."""
    if isinstance(value, list) and not any(isinstance(member, dict | list) for member in value):
        yield from value[:MOST_MEMBERS]
    else:
        yield value


def _spelled(value: JSON) -> str:
    """The text that a value is compared as."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))[:MOST_OF_OBJECT]
    return "" if value is None else str(value)


Values: TypeAlias = Callable[[Event], Iterator[JSON]]
Comparer: TypeAlias = Callable[[JSON], bool]


def _some(values: Values, compare: Comparer, event: Event) -> bool:
    return any(value is not None and compare(value) for value in values(event))


def _is_null(values: Values, event: Event) -> bool:
    return all(value is None for value in values(event))


def _exists(values: Values, event: Event) -> bool:
    return next(values(event), _MISSING) is not _MISSING


def _lacks(values: Values, event: Event) -> bool:
    return not _exists(values, event)


_MISSING: Any = object()


def _refers(values: Values, others: Values, is_start: bool, is_end: bool, event: Event) -> bool:
    theirs = [_spelled(value).lower() for value in others(event) if value is not None]
    for value in values(event):
        ours = _spelled(value).lower()
        for other in theirs:
            if ours == other or (is_start and ours.startswith(other)) or (is_end and ours.endswith(other)):
                return True
    return False


def _anywhere(compare: Comparer, event: Event) -> bool:
    return compare(json.dumps(event, ensure_ascii=False)[:MOST_OF_OBJECT])


# --- values --------------------------------------------------------------------------------------------


def _comparer(value: Any) -> Comparer:
    if isinstance(value, SigmaString):
        return _text(list(value.s), is_cased=isinstance(value, SigmaCasedString))
    if isinstance(value, SigmaBool):
        return partial(_equals, "true" if value.boolean else "false")
    if isinstance(value, SigmaNumber) and type(value) is SigmaNumber:
        return partial(_is_number, value.number)
    if isinstance(value, SigmaRegularExpression):
        return partial(_found, _expression(value))
    if isinstance(value, SigmaCIDRExpression):
        return partial(_is_within, value.network)
    if isinstance(value, SigmaCompareExpression) and type(value.number) is SigmaNumber:
        return partial(_ORDER[value.op], value.number.number)
    raise RuleRefused(f"a value of the kind {type(value).__name__} is not supported")


def _holder(value: Any) -> Comparer:
    """Of a value without a field: whether a text holds it."""
    if isinstance(value, SigmaString):
        star = SpecialChars.WILDCARD_MULTI
        return _text([star, *value.s, star], is_cased=isinstance(value, SigmaCasedString))
    if isinstance(value, SigmaNumber) and type(value) is SigmaNumber:
        return _text([SpecialChars.WILDCARD_MULTI, str(value), SpecialChars.WILDCARD_MULTI], is_cased=False)
    return _comparer(value)


def _text(parts: list[Any], *, is_cased: bool) -> Comparer:
    """A text with wildcards: the commonest kinds by themselves, the rest piece by piece."""
    spelled = [part if is_cased or not isinstance(part, str) else part.lower() for part in parts]
    star = SpecialChars.WILDCARD_MULTI
    plain = "".join(part for part in spelled if isinstance(part, str))
    if any(not isinstance(part, str | SpecialChars) for part in spelled):
        raise RuleRefused("placeholders (%name%) are not supported")
    shape = [part is star if not isinstance(part, str) else None for part in spelled]
    wanted: Callable[[str], bool]
    if shape in ([], [None]):
        wanted = plain.__eq__
    elif shape == [True, None, True]:
        wanted = partial(_contains, plain)
    elif shape == [None, True]:
        wanted = partial(_starts, plain)
    elif shape == [True, None]:
        wanted = partial(_ends, plain)
    else:
        wanted = partial(_fits, _pieces(spelled))
    return partial(_is_text, wanted, is_cased)


def _is_text(wanted: Callable[[str], bool], is_cased: bool, value: JSON) -> bool:
    spelled = value if isinstance(value, str) else _spelled(value)
    return wanted(spelled if is_cased else spelled.lower())


def _contains(part: str, text: str) -> bool:
    return part in text


def _starts(part: str, text: str) -> bool:
    return text.startswith(part)


def _ends(part: str, text: str) -> bool:
    return text.endswith(part)


def _pieces(parts: list[Any]) -> tuple[re.Pattern[str] | None, ...]:
    """What stands between the stars; `?` is any one character. None before a first and after a last star."""
    pieces: list[str] = [""]
    for part in parts:
        if part is SpecialChars.WILDCARD_MULTI:
            pieces.append("")
        else:
            pieces[-1] += re.escape(part) if isinstance(part, str) else "."
    return tuple(re.compile(piece, re.DOTALL) if piece else None for piece in pieces)


def _fits(pieces: tuple[re.Pattern[str] | None, ...], text: str) -> bool:
    """Whether the pieces stand in the text in their order: each as early as it can, so never tried twice."""
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return first is None if not text else bool(first and first.fullmatch(text))
    at = 0
    if first is not None:
        begun = first.match(text)
        if begun is None:
            return False
        at = begun.end()
    for piece in pieces[1:-1]:
        found = piece.search(text, at) if piece is not None else None
        if piece is not None:
            if found is None:
                return False
            at = found.end()
    if last is None:
        return True
    # Without unbounded repeats a piece has one length, which is that of its shortest match.
    start = len(text) - _length(last)
    return start >= at and last.fullmatch(text, start) is not None


def _length(piece: re.Pattern[str]) -> int:
    return len(re.sub(r"\\(.)", r"\1", piece.pattern, flags=re.DOTALL))


def _equals(wanted: str, value: JSON) -> bool:
    return _spelled(value).lower() == wanted


def _number(value: JSON) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _is_number(wanted: float, value: JSON) -> bool:
    return _number(value) == wanted


def _less(wanted: float, value: JSON) -> bool:
    number = _number(value)
    return number is not None and number < wanted


def _at_most(wanted: float, value: JSON) -> bool:
    number = _number(value)
    return number is not None and number <= wanted


def _more(wanted: float, value: JSON) -> bool:
    number = _number(value)
    return number is not None and number > wanted


def _at_least(wanted: float, value: JSON) -> bool:
    number = _number(value)
    return number is not None and number >= wanted


def _differs(wanted: float, value: JSON) -> bool:
    return _number(value) != wanted


_ORDER: dict[Any, Callable[[float, JSON], bool]] = {
    CompareOperators.LT: _less,
    CompareOperators.LTE: _at_most,
    CompareOperators.GT: _more,
    CompareOperators.GTE: _at_least,
    CompareOperators.NEQ: _differs,
}


def _expression(value: SigmaRegularExpression) -> re.Pattern[str]:
    spelled = str(value.regexp)
    too_many = len(REPEAT.findall(spelled)) > MOST_REPEATS
    if len(spelled) > 500 or too_many or REPEATS_A_REPEAT.search(spelled):
        raise RuleRefused(
            "a regular expression that could take for ever (too many repeats, or one of another)"
        )
    flags = 0
    for flag in value.flags:
        flags |= value.sigma_to_python_flags[flag]
    return re.compile(spelled, flags)


def _found(expression: re.Pattern[str], value: JSON) -> bool:
    return expression.search(_spelled(value)[:MOST_SEARCHED]) is not None


def _is_within(network: Any, value: JSON) -> bool:
    try:
        address = ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return address.version == network.version and address in network
