"""Client addresses: parsing, trusted proxies, and the keys of rate limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire_services.edge.auth.addresses import (
    client_address,
    parse_address,
    parse_networks,
    rate_limit_key,
)

PROXIES = parse_networks(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_addresses_with_and_without_ports_are_parsed(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        None, "", " ", "unknown", "_hidden", "192.0.2", "192.0.2.256", "192.0.2.1:",
        "192.0.2.1:x", "192.0.2.1:123456", "[2001:db8::1", "[2001:db8::1]x", "2001:db8::1::",
        "0x7f.1", "1" * 5000, "[]", "[", "]", ":", "\u0661.2.3.4", "192.0.2.1, 192.0.2.2",
        "for=192.0.2.1", "[1]:1",
    ],
)  # fmt: skip
def test_malformed_addresses_are_none(text: str | None) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not a trusted proxy
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        (
            "10.1.2.3",
            "6.6.6.6, 198.51.100.1",
            "198.51.100.1",
        ),  # the client sent the left entry itself
        ("10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9, 192.0.2.7", "198.51.100.1"),
        ("10.1.2.3", "rubbish, 198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1, rubbish", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1,,10.1.1.1", "10.1.2.3"),
        ("10.1.2.3", "10.5.5.5", "10.5.5.5"),  # a client inside the network
        ("10.1.2.3", " , ", "10.1.2.3"),
        ("::ffff:10.1.2.3", "[2001:db8::1]:4711", "2001:db8::1"),
        ("fd00::1", "198.51.100.1:80", "198.51.100.1"),
        (None, "198.51.100.1", "None"),
        ("10.1.2.3", ",".join(["10.0.0.1"] * 5000), "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_hop_that_is_not_a_trusted_proxy(
    peer: str | None, forwarded: str, client: str
) -> None:
    assert str(client_address(peer, forwarded, PROXIES)) == client


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert str(client_address("127.0.0.1", "198.51.100.1", ())) == "127.0.0.1"


def test_the_addresses_of_an_ipv6_subnet_share_a_rate_limit_key() -> None:
    names = {rate_limit_key(parse_address(f"2001:db8:0:1:{n:x}::{n:x}")) for n in range(1, 50)}
    assert names == {"2001:db8:0:1::/64"}
    assert rate_limit_key(parse_address("2001:db8:0:2::1")) not in names
    assert rate_limit_key(parse_address("192.0.2.1")) != rate_limit_key(parse_address("192.0.2.2"))
    assert rate_limit_key(None) == "unknown"


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_in_the_header_is_handled(peer: str, forwarded: str) -> None:
    rate_limit_key(client_address(peer, forwarded, PROXIES))
    rate_limit_key(client_address("10.0.0.1", forwarded, PROXIES))


def test_the_error_names_the_malformed_network() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/33"):
        parse_networks(["10.0.0.0/33"])
    with pytest.raises(ValueError, match="host bits"):
        parse_networks(["10.0.0.1/8"])
