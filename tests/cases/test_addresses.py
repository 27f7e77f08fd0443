"""What an address is and where, from the operator's files: classes, lists, places, broken files, change."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import addresses
from cases.addresses import Kind, Networks, describe, problems
from cases.ground import Standing
from tests.cases import mmdb

pytestmark = pytest.mark.fast

RANGES = {
    "prefixes": [
        {"ip_prefix": "52.94.0.0/16", "region": "GLOBAL", "service": "AMAZON"},
        {"ip_prefix": "52.94.76.0/22", "region": "us-west-2", "service": "AMAZON"},
        {"ip_prefix": "52.94.76.0/22", "region": "us-west-2", "service": "EC2"},
    ],
    "ipv6_prefixes": [{"ipv6_prefix": "2600:1f00::/24", "region": "us-east-1", "service": "S3"}],
}


Use = Callable[..., None]


@pytest.fixture
def use(settings: Any) -> Use:
    """Point the settings to files."""

    def point(*, places: list[Path] | None = None, aws: Path | None = None, known: Any = ()) -> None:
        settings.QUELL_MMDB = [str(path) for path in places or []]
        settings.QUELL_AWS_RANGES = str(aws or "")
        settings.QUELL_KNOWN_ADDRESSES = [str(path) for path in known]

    return point


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.1.2.3", Kind.PRIVATE),
        ("172.31.255.255", Kind.PRIVATE),
        ("172.32.0.0", Kind.PUBLIC),
        ("fd00::1", Kind.PRIVATE),
        ("127.8.8.8", Kind.LOOPBACK),
        ("::1", Kind.LOOPBACK),
        ("169.254.169.254", Kind.LINK_LOCAL),
        ("fe80::1%eth0", Kind.LINK_LOCAL),
        ("100.64.0.1", Kind.CARRIER_NAT),
        ("100.128.0.1", Kind.PUBLIC),
        ("198.51.100.7", Kind.RESERVED),
        ("0.0.0.1", Kind.RESERVED),
        ("255.255.255.255", Kind.RESERVED),
        ("2001:db8::1", Kind.RESERVED),
        ("8.8.8.8", Kind.PUBLIC),
        ("::ffff:10.0.0.1", Kind.PRIVATE),
        (" 8.8.8.8 ", Kind.PUBLIC),
        ("", Kind.NONE),
        ("AWS Internal", Kind.NONE),
        ("signin.amazonaws.com", Kind.NONE),
        ("08.8.8.8", Kind.NONE),
        ("\u0661.\u0662.\u0663.\u0664", Kind.NONE),
        ("\0" * 5000, Kind.NONE),
    ],
)
def test_each_address_has_its_class(address: str, kind: Kind, use: Use) -> None:
    use()

    assert describe(address).kind is kind
    assert problems() == []


def test_aws_names_the_service_and_region_of_the_smallest_range(tmp_path: Path, use: Use) -> None:
    path = tmp_path / "ip-ranges.json"
    path.write_text(json.dumps(RANGES))
    use(aws=path)

    assert (describe("52.94.77.1").kind, describe("52.94.77.1").name) == (Kind.AWS, "EC2 us-west-2")
    assert describe("52.94.1.1").name == "AMAZON GLOBAL"
    assert describe("2600:1f00::5").name == "S3 us-east-1"
    assert describe("53.0.0.1").kind is Kind.PUBLIC


def test_a_list_says_its_name_and_verdict_before_anything_else(tmp_path: Path, use: Use) -> None:
    known = tmp_path / "known.csv"
    known.write_text(
        "network,name,verdict\n# ours\n\n203.0.113.0/24,office,benign\n203.0.113.66,c2,BAD\n"
        "198.18.0.0/15,probes,scanner\n2001:db8::/48,,bad\n"
    )
    use(known=[known])

    assert (describe("203.0.113.66").kind, describe("203.0.113.66").name) == (Kind.BAD, "c2")
    assert (describe("203.0.113.65").kind, describe("203.0.113.65").name) == (Kind.BENIGN, "office")
    assert describe("198.19.1.1").kind is Kind.SCANNER
    assert describe("2001:db8::1").name == "known"
    assert Standing().indicator_of("203.0.113.66") == "c2"
    assert Standing().indicator_of("198.19.1.1") == Standing().indicator_of("203.0.113.65") == ""
    assert problems() == []


def test_the_place_is_joined_from_several_files_and_kinds_of_record(tmp_path: Path, use: Use) -> None:
    city = mmdb.write(
        tmp_path / "city.mmdb", {"198.51.100.0/24": mmdb.GERMANY, "10.0.0.0/8": {"country": "FR"}}
    )
    asn = mmdb.write(
        tmp_path / "asn.mmdb",
        {
            "198.51.100.0/24": {
                "autonomous_system_number": 64500,
                "autonomous_system_organization": "Example",
            },
            "203.0.113.0/24": {"asn": "AS64501", "as_name": "Other", "country_code": "fr"},
        },
    )
    use(places=[city, asn])

    found = describe("198.51.100.7")
    assert (found.country, found.country_name, found.city) == ("DE", "Germany", "Berlin")
    assert (found.organization, found.asn) == ("Example", 64500)
    assert (describe("203.0.113.1").country, describe("203.0.113.1").asn) == ("FR", 64501)
    assert describe("10.1.1.1").country == "FR"
    place = Standing().place_of("198.51.100.7")
    assert place is not None
    assert (place.address, place.country, place.city, place.asn) == ("198.51.100.7", "DE", "Berlin", 64500)
    assert Standing().place_of("8.8.8.8") is None


def test_a_changed_file_is_read_again(tmp_path: Path, use: Use) -> None:
    city = mmdb.write(tmp_path / "city.mmdb", {"198.51.100.0/24": mmdb.GERMANY})
    known = tmp_path / "known.csv"
    known.write_text("198.51.100.7,c2,bad\n")
    use(places=[city], known=[known])
    assert (describe("198.51.100.7").country, describe("198.51.100.7").kind) == ("DE", Kind.BAD)

    mmdb.write(city, {"198.51.100.0/24": {"country": {"iso_code": "FR"}}})
    known.write_text("198.51.100.8,c2,bad\n")

    assert (describe("198.51.100.7").country, describe("198.51.100.7").kind) == ("FR", Kind.RESERVED)
    assert describe("198.51.100.8").kind is Kind.BAD


@pytest.mark.parametrize(
    "content", [None, b"", b"\x00\xff" * 4000, b"{}", b"[" * 100_000, b'{"prefixes": 3}']
)
def test_a_broken_file_is_said_once_and_harms_nothing(
    content: bytes | None, tmp_path: Path, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad"
    good.write_text("203.0.113.66,c2,bad\n")
    if content is not None:
        bad.write_bytes(content)
    use(places=[bad], aws=bad, known=[good])

    with caplog.at_level(logging.WARNING, logger="cases.addresses"):
        found = [describe(f"203.0.113.{n}").kind for n in (66, 67, 66)]

    assert found == [Kind.BAD, Kind.RESERVED, Kind.BAD]
    assert len(problems()) == 2
    assert all(str(bad) in problem for problem in problems())
    assert len(caplog.records) == 2


def test_bad_lines_of_a_list_are_named_and_the_others_count(tmp_path: Path, use: Use) -> None:
    known = tmp_path / "known.csv"
    known.write_text("nonsense,x,bad\n203.0.113.66,c2,bad\n1.2.3.4,x,good\n" + "1.2.3.4\n" * 20)
    use(known=[known])

    assert describe("203.0.113.66").kind is Kind.BAD
    assert describe("1.2.3.4").kind is Kind.PUBLIC
    assert len(problems()) == addresses.MOST_COMPLAINTS + 1
    assert "line 1 is not" in problems()[0]
    assert problems()[-1].endswith("and 17 lines more")


@pytest.mark.parametrize("line", [b"\0,x,bad", b'"' + b"x" * 200_000 + b'",x,bad', b"\xff\xfe,x,bad"])
def test_a_list_that_is_no_csv_is_a_problem_and_no_exception(line: bytes, tmp_path: Path, use: Use) -> None:
    known = tmp_path / "known.csv"
    known.write_bytes(line)
    use(known=[known])

    assert describe("1.2.3.4").kind is Kind.PUBLIC
    assert len(problems()) == 1


def test_a_file_that_is_mended_is_no_problem_any_more(tmp_path: Path, use: Use) -> None:
    known = tmp_path / "known.csv"
    use(known=[known])
    assert len(problems()) == 1

    known.write_text("1.2.3.4,c2,bad\n")

    assert problems() == []
    assert describe("1.2.3.4").kind is Kind.BAD


NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: ip_network(pair, strict=False)
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(networks=st.lists(NETWORKS, max_size=20), number=st.integers(0, 2**32 - 1))
def test_the_longest_network_counts_as_if_all_were_walked(networks: list[Any], number: int) -> None:
    table: Networks[str] = Networks()
    for network in networks:
        table.add(network, str(network))
    address = ip_network(number)[0]

    walked = max((n for n in networks if address in n), key=lambda n: n.prefixlen, default=None)

    assert table.find(address) == (None if walked is None else str(walked))


def test_ten_thousand_networks_cost_about_as_much_as_a_hundred() -> None:
    def seconds(count: int) -> float:
        table: Networks[str] = Networks()
        for n in range(count):
            table.add(ip_network((n * 397 << 8, 24 + n % 9), strict=False), str(n))
        asked = [ip_network(n * 65_521)[0] for n in range(2_000)]
        began = time.perf_counter()
        for address in asked:
            table.find(address)
        return time.perf_counter() - began

    few = min(seconds(100) for _ in range(3))
    many = min(seconds(10_000) for _ in range(3))

    assert many < few * 5
