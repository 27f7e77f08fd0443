"""Sigma rules: what each kind of comparison means, what is refused at load, and that nothing takes long."""

from __future__ import annotations

import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.decoding import JSON
from cases.sources import sigma
from cases.sources.sigma import Book, Rule, RuleRefused
from tests import needs

pytestmark = pytest.mark.fast

HEAD = """\
title: A rule
id: 5b0f0a4e-1d3a-4a57-9d5a-4f3a0f0e8a11
logsource:
    product: aws
    service: cloudtrail
"""
EVENT: dict[str, JSON] = {
    "eventName": "PutThing",
    "eventSource": "iam.amazonaws.com",
    "sourceIPAddress": "203.0.113.9",
    "readOnly": False,
    "empty": "",
    "nothing": None,
    "userIdentity": {"type": "IAMUser", "userName": "Ada", "arn": "arn:aws:iam::111122223333:user/Ada"},
    "requestParameters": {
        "userName": "ada",
        "port": 22,
        "size": "2048",
        "items": [{"group": "all"}, {"userId": "444455556666"}],
        "names": ["one", "two"],
        "policy": {"Effect": "Allow", "Action": "s3:GetObject"},
    },
}


def rule(detection: str, **more: Any) -> Rule:
    """A rule with that detection, indented or not."""
    body = "\n".join(f"    {line}" for line in detection.strip().splitlines())
    return sigma.compiled(f"{HEAD}{more.get('head', '')}detection:\n{body}\n", file="test.yml", facts=FACTS)


FACTS: dict[str, sigma.Fact] = {"quell.name": lambda event: event.get("eventName")}


def holds(field: str, value: str, event: dict[str, JSON] = EVENT) -> bool:
    return rule(f"selection:\n    {field}: {value}\ncondition: selection").matches(event)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("eventName", "putthing", True),
        ("eventName", "'Put*'", True),
        ("eventName", "'*thing'", True),
        ("eventName", "'*tt*'", True),
        ("eventName", "'P?tTh*g'", True),
        ("eventName", "'P?Th*g'", False),
        ("eventName", "'*'", True),
        ("eventName", r"'Put\*'", False),
        ("eventName", "Put", False),
        ("eventName", "[Nothing, PutThing]", True),
        ("eventName|cased", "putthing", False),
        ("eventName|contains", "tth", True),
        ("eventName|startswith", "puT", True),
        ("eventName|endswith", "ThinG", True),
        ("eventName|contains|all", "[put, thing]", True),
        ("eventName|contains|all", "[put, other]", False),
        ("eventName|re", "'^Put[A-Z]'", True),
        ("eventName|re", "'^put'", False),
        ("eventName|re|i", "'^put'", True),
        ("sourceIPAddress|cidr", "203.0.113.0/24", True),
        ("sourceIPAddress|cidr", "203.0.114.0/24", False),
        ("sourceIPAddress|cidr", "2001:db8::/32", False),
        ("eventName|cidr", "203.0.113.0/24", False),
        ("requestParameters.port|gte", "22", True),
        ("requestParameters.port|lt", "22", False),
        ("requestParameters.size|gt", "2000", True),
        ("requestParameters.port", "22", True),
        ("requestParameters.port", "'22'", True),
        ("eventName|gt", "1", False),
        ("readOnly", "false", True),
        ("readOnly", "'false'", True),
        ("nothing", "null", True),
        ("absent.field", "null", True),
        ("eventName", "null", False),
        ("empty", "''", True),
        ("eventName", "''", False),
        ("nothing|exists", "true", True),
        ("absent|exists", "true", False),
        ("absent|exists", "false", True),
        ("userIdentity.type", "IAMUser", True),
        ("userIdentity.type.deeper", "IAMUser", False),
        ("requestParameters.items.group", "all", True),
        ("requestParameters.items.userId|startswith", "'4444'", True),
        ("requestParameters.names", "two", True),
        ("requestParameters.policy|contains", "'\"Allow\"'", True),
        ("requestParameters|contains|all", "['\"all\"', GetObject]", True),
        ("requestParameters.userName|fieldref", "userIdentity.userName", True),
        ("requestParameters.userName|fieldref", "eventName", False),
        ("quell.name", "PutThing", True),
    ],
)
def test_each_comparison_means_what_sigma_says(field: str, value: str, expected: bool) -> None:
    assert holds(field, value) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("fits", True),
        ("not fits", False),
        ("fits and not misses", True),
        ("misses or (fits and also_fits)", True),
        ("1 of *fits", True),
        ("all of *fits", True),
        ("all of them", False),
        ("1 of them", True),
        ("not 1 of misses*", True),
        ("word", True),
    ],
)
def test_conditions_are_combined(condition: str, expected: bool) -> None:
    found = rule(
        "fits:\n    eventName: PutThing\nalso_fits:\n    - eventName: Other\n    - readOnly: false\n"
        f"misses:\n    eventName: Other\nword:\n    - getobject\n    - nowhere\ncondition: {condition}"
    )

    assert found.matches(EVENT) is expected


def test_a_list_of_conditions_holds_when_one_does() -> None:
    found = rule("a:\n    eventName: Other\nb:\n    readOnly: false\ncondition:\n    - a\n    - b")

    assert found.matches(EVENT)
    assert not found.matches({"eventName": "Third", "readOnly": True})


def test_what_a_rule_says_of_itself_is_read() -> None:
    found = rule(
        "selection:\n    eventName: [PutThing, Other]\ncondition: selection",
        head="level: high\ntags: [attack.t1098.001, attack.persistence, cve.2020-1]\nquell: {type: A:B/C}\n",
    )

    assert (found.severity, found.techniques, found.more) == (80, ("T1098.001",), {"type": "A:B/C"})
    assert found.names == frozenset({"putthing", "other"})


def test_a_book_asks_only_rules_that_can_match_and_gives_the_same() -> None:
    rules = [
        rule("selection:\n    eventName: PutThing\ncondition: selection"),
        rule("selection:\n    eventName|startswith: Put\ncondition: selection"),
        rule("a:\n    readOnly: false\nb:\n    eventName: PutThing\ncondition: a and not b"),
        rule("a:\n    eventName: X\nb:\n    readOnly: false\ncondition: a or b"),
    ]
    book = Book(rules)

    assert [one.names for one in rules] == [frozenset({"putthing"}), None, None, None]
    events: list[sigma.Event] = [EVENT, {"eventName": "putthing"}, {"eventName": 7, "readOnly": False}, {}]
    for event in events:
        assert list(book.matching(event)) == [one for one in rules if one.matches(event)]


@pytest.mark.parametrize(
    ("spelled", "reason"),
    [
        ("", "no detection"),
        ("[]", "no detection"),
        ("a: [", "not a Sigma rule"),
        (HEAD, "no detection"),
        (f"{HEAD}detection: 7", "not a Sigma rule"),
        (f"{HEAD}detection:\n  a: {{b: 1}}\n  condition: c", "not a Sigma rule"),
        (f"{HEAD}detection:\n  a: {{b: 1}}\n  condition: a | count() > 5", "pipe"),
        (f"{HEAD}detection:\n  a: {{b: 1}}\n  condition: 1 of c*", "doesn't match"),
        (f"{HEAD}detection:\n  a: {{b|nope: 1}}\n  condition: a", "nope"),
        (f"{HEAD}detection:\n  a: {{b|re: '('}}\n  condition: a", "invalid"),
        (f"{HEAD}detection:\n  a: {{b|re: '(a+)+$'}}\n  condition: a", "for ever"),
        (f"{HEAD}detection:\n  a: {{b|re: '(a|a)*$'}}\n  condition: a", "for ever"),
        (f"{HEAD}detection:\n  a: {{b|re: 'a.*b.*c.*d'}}\n  condition: a", "for ever"),
        (f"{HEAD}detection:\n  a: {{b|re: '{'a' * 600}'}}\n  condition: a", "for ever"),
        (f"{HEAD}detection:\n  a: {{b|expand: '%x%'}}\n  condition: a", "placeholders"),
        (f"{HEAD}detection:\n  a: {{quell.unheard: 1}}\n  condition: a", "no fact"),
        (f"{HEAD}detection:\n  a: &x {{b: 1}}\n  c: *x\n  condition: a", "aliases"),
        (f"{HEAD}detection:\n  a: {{b: 1}}\n  condition: a\nquell: text", "mapping"),
        (f"{HEAD}level: dreadful\ndetection:\n  a: {{b: 1}}\n  condition: a", "not a Sigma rule"),
        ("title: x\ndetection:\n  a: {b: 1}\n  condition: a\nlogsource: {product: aws}", "title and an id"),
        ("x" * 70_000, "larger"),
        ("[" * 5_000 + "]" * 5_000, "nested"),
        (f"{HEAD}detection:\n  a: {{b: [{'1,' * 9_000}]}}\n  condition: a", "too many"),
        ("!!python/object/apply:os.system ['true']", "not a Sigma rule"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_its_file_and_reason(spelled: str, reason: str) -> None:
    with pytest.raises(RuleRefused, match=reason) as refused:
        sigma.compiled(spelled, file="bad.yml")

    assert str(refused.value).startswith("bad.yml: ")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["eventName", "requestParameters", "requestParameters.items.group", "sourceIPAddress"]
EVERY = [
    rule(f"selection:\n    {field}{how}: {value}\ncondition: selection")
    for field in FIELDS
    for how, value in [
        ("", "'a*b?c'"),
        ("|contains", "a"),
        ("|re", "a"),
        ("|cidr", "10.0.0.0/8"),
        ("|gt", "3"),
    ]
]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=ANY_JSON, field=st.sampled_from(["eventName", "requestParameters", "sourceIPAddress"]))
def test_whatever_an_event_holds_a_rule_says_yes_or_no(value: Any, field: str) -> None:
    for one in EVERY:
        assert one.matches({**EVENT, field: value}) in (True, False)


def naive(pattern: str, text: str) -> bool:
    """Wildcards by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(pattern=st.text("ab*?", min_size=1, max_size=7), text=st.text("ab", max_size=8))
def test_wildcards_fit_as_if_everything_was_tried(pattern: str, text: str) -> None:
    assert holds("eventName", f"'{pattern}'", {"eventName": text}) is naive(pattern, text)


@pytest.mark.parametrize("how", ["eventName: '*a*a*a*a*a*b'", "eventName|re: 'a.*a.*b'"])
def test_hostile_text_takes_no_time(how: str) -> None:
    found = rule(f"selection:\n    {how}\ncondition: selection")
    began = time.perf_counter()

    assert not found.matches({"eventName": "a" * 1_000_000})

    assert time.perf_counter() - began < 2


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shared")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data"


def test_every_published_rule_is_read_and_judges_every_published_event(published: Path) -> None:
    files = sorted((published / "attack" / "sigma_aws").glob("*.yml"))
    rules = {path.stem: sigma.compiled(path.read_text(), file=path.name) for path in files}
    found: dict[str, int] = dict.fromkeys(rules, 0)
    count = 0
    for path in sorted((published / "cloudtrail" / "stratus").glob("*.json")):
        for event in json.loads(path.read_text()):
            count += 1
            for name, one in rules.items():
                found[name] += one.matches(event)

    assert (len(rules), count) == (57, 141)
    # Checked by hand against the rules and the stories of the detonations.
    assert {name: n for name, n in found.items() if n} == {
        "aws_cloudtrail_console_login_success_without_mfa": 1,
        "aws_cloudtrail_security_group_change_ingress_egress": 1,
        "aws_cloudtrail_vpc_flow_logs_deleted": 1,
        "aws_iam_backdoor_users_keys": 2,
        "aws_new_lambda_layer_attached": 1,
        "aws_snapshot_backup_exfiltration": 1,
        "aws_sts_assumerole_misuse": 46,
    }
