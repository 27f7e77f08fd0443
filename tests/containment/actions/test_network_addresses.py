from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containment.actions.addresses import blockable, meets, network_of, outside
from containment.types import Refused

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.9", "203.0.113.9/32"),
        (" 203.0.113.0/24 ", "203.0.113.0/24"),
        ("2001:DB8:0:0::1", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.168.4.7", "192.168.4.7/32"),
    ],
)
def test_an_address_becomes_its_canonical_network(text: str, canonical: str) -> None:
    assert blockable(text) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.0.0.0/0", "too wide"),
        ("::/0", "too wide"),
        ("202.0.0.0/7", "too wide"),
        ("2001:db8::/31", "too wide"),
        ("0.1.2.3", "mean no host"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("169.254.169.254", "metadata"),
        ("169.0.0.0/8", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("fe80::1", "link-local"),
        ("224.0.0.251", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("::ffff:203.0.113.9", "give the IPv4 address"),
        ("203.0.113.9/24", "203.0.113.9 or 203.0.113.0/24"),
        ("203.0.113", "neither"),
        ("example.com", "neither"),
        ("", "neither"),
        ("203.0.113.9/33", "neither"),
    ],
)
def test_what_must_never_be_blocked_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        blockable(text)


def test_a_network_that_meets_the_vpc_is_refused_and_its_neighbour_is_not() -> None:
    own = ["10.4.0.0/16", "2001:db8:4::/56"]

    for inside in ("10.4.1.2", "10.0.0.0/8", "10.4.128.0/17", "2001:db8:4::7"):
        with pytest.raises(Refused, match="its own VPC"):
            outside(inside, own, whose="its own VPC")
    assert outside("10.5.0.0/16", own, whose="its own VPC") == "10.5.0.0/16"
    assert outside("2001:db8:5::7", own, whose="its own VPC") == "2001:db8:5::7/128"


@given(st.ip_addresses(), st.integers(0, 128))
def test_whatever_passes_is_canonical_narrow_and_far_from_metadata(address: object, length: int) -> None:
    text = f"{address}/{length}"
    try:
        passed = blockable(text)
    except Refused:
        return
    network = network_of(passed)
    assert blockable(passed) == passed
    assert network.prefixlen >= (8 if network.version == 4 else 32)
    for vital in ("169.254.169.254", "169.254.169.253", "127.0.0.1", "fd00:ec2::254", "::1"):
        assert not meets(network, network_of(vital))
