"""Lengths of time and indicators, as people read and write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import durations
from lib.defang import defang, refang

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (284, "4 min 44 s"),
        (3600, "1 h"),
        (6 * 3600 + 13 * 60 + 59, "6 h 13 min"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
        (timedelta(days=40), "40 d"),
        (-90, "−1 min 30 s"),
    ],
)
def test_a_length_has_two_units_at_most(length: timedelta | float, words: str) -> None:
    assert durations.in_words(length) == words


@pytest.mark.parametrize(
    ("length", "words"), [(-5, "0 s"), (59.9, "59 s"), (3599, "59 min"), (86399, "23 h"), (90000, "1 d")]
)
def test_an_age_has_one_unit_and_is_rounded_down(length: float, words: str) -> None:
    assert durations.coarse(length) == words


@pytest.mark.parametrize(
    ("plain", "safe"),
    [
        ("203.0.113.77", "203[.]0[.]113[.]77"),
        ("https://evil.example/a?b=c", "hxxps://evil[.]example/a?b=c"),
        ("HTTP://evil.example", "HxxP://evil[.]example"),
        ("2001:db8::1", "2001[:]db8[:]:1"),
        ("root@evil.example", "root[@]evil[.]example"),
    ],
)
def test_an_indicator_cannot_be_followed(plain: str, safe: str) -> None:
    assert defang(plain) == safe


@pytest.mark.parametrize(
    "written",
    ["203[.]0[.]113[.]77", "203(.)0[dot]113[.]77", "203 [.] 0[.]113{.}77", "203.0.113.77"],
)
def test_what_people_paste_is_understood(written: str) -> None:
    assert refang(written) == "203.0.113.77"


@given(st.lists(st.integers(0, 255), min_size=4, max_size=4))
def test_addresses_come_back_as_they_were(parts: list[int]) -> None:
    address = ".".join(map(str, parts))

    assert refang(defang(address)) == address
    assert "." not in defang(address).replace("[.]", "")


@given(st.text(max_size=200))
def test_nothing_that_is_defanged_keeps_a_scheme_that_a_browser_follows(text: str) -> None:
    assert "http://" not in defang(text).lower()
    assert "https://" not in defang(text).lower()
