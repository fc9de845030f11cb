"""The address that a request comes from, and the networks whose proxies are trusted."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_PROXY_HOPS = 32
"""Proxies that a request can have passed."""
MAX_ADDRESS_CHARACTERS = 64
IPV6_SUBNET_BITS = 64
"""An IPv6 customer has a network of this many bits, which counts as one address."""

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]


def parse_networks(texts: Sequence[str]) -> Networks:
    """The networks in `texts`, each as ``10.0.0.0/8`` or a single address.

    Raises:
        ValueError: one of them is neither; the message names it.
    """
    return tuple(ip_network(text) for text in texts)


def parse_address(text: str | None) -> Address | None:
    """The IP address in `text`, which may have a port; None when there is none."""
    if text is None or len(text) > MAX_ADDRESS_CHARACTERS:
        return None
    text = text.strip()
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or not (port == "" or _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, colon, port = text.partition(":")
        if not _is_port(colon + port):
            return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdecimal() and len(text) <= 6


def is_in_networks(address: Address | None, networks: Networks) -> bool:
    """Whether `address` is in one of the networks."""
    return address is not None and any(
        address.version == network.version and address in network for network in networks
    )


def client_address(peer: str | None, forwarded_for: str, proxies: Networks) -> Address | None:
    """The client that a request comes from.

    That is `peer`, or, when `peer` is one of `proxies`, the last address of ``X-Forwarded-For``
    that is not. Addresses further left may be the client's own invention and are ignored, as is a
    header that cannot be parsed.
    """
    address = parse_address(peer)
    if not is_in_networks(address, proxies) or not forwarded_for.strip():
        return address
    hop = address
    for text in reversed(forwarded_for.rsplit(",", MAX_PROXY_HOPS)[-MAX_PROXY_HOPS:]):
        hop = parse_address(text)
        if hop is None:
            return address
        if not is_in_networks(hop, proxies):
            return hop
    return hop


def caller_key(headers: Mapping[str, Sequence[str]], peer: str | None, proxies: Networks) -> str:
    """The key under which the caller of a request is counted, by its address. The names of
    `headers` are in lower case."""
    forwarded = ",".join(headers.get("x-forwarded-for", ()))
    return rate_limit_key(client_address(peer, forwarded, proxies))


def rate_limit_key(address: Address | None) -> str:
    """The key under which attempts of `address` are counted: the /64 network for IPv6."""
    if isinstance(address, IPv6Address):
        subnet = int(address) >> IPV6_SUBNET_BITS << IPV6_SUBNET_BITS
        return f"{IPv6Address(subnet)}/{IPV6_SUBNET_BITS}"
    return str(address) if address is not None else "unknown"
