"""How many may come: streams on a process, attempts from an address, and whose address that is.

Pure: the time arrives as a number of seconds. What is kept is bounded whoever comes: `Attempts`
remembers when each address came within the last minute, and when that would be too much, forgets
those first that were not here for the longest time. What other processes counted is added to it:
see `comings`.
"""

import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import accumulate, takewhile

import msgspec

WINDOW_SECONDS = 60.0
SLOT_SECONDS = 0.25
"""Attempts of an address within one slot share a mark, which is as old as the slot's end."""
MAX_SLOTS = 1 << 16
"""Marks of all addresses together: about 25 MB when each is another address's."""
MAX_PROXY_HOPS = 32
"""Proxies that a request can have come through."""
MAX_ADDRESS_CHARACTERS = 64
IPV6_SUBNET_BITS = 64
"""A customer with IPv6 has a network of this many bits for himself: it counts as one address."""

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]


class ConnectionLimitReached(Exception):
    """The process holds as many streams as it may."""


class ConnectionLimiter:
    """The streams that a process has room for; whoever is being admitted has a place already, so
    that a crowd that is admitted at once does not become more than that."""

    def __init__(self, max_connections: int, current_count: Callable[[], int]) -> None:
        self._max_connections = max_connections
        self._current_count = current_count
        self._reserved_count = 0

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Hold a place until the block ends; by then the stream counts itself. Raises Full."""
        if self._current_count() + self._reserved_count >= self._max_connections:
            raise ConnectionLimitReached
        self._reserved_count += 1
        try:
            yield
        finally:
            self._reserved_count -= 1


class RetryAfter(msgspec.Struct, frozen=True):
    """Too many attempts: after `seconds` there is room for one. `first` says that this address was
    not refused before in this minute."""

    seconds: int
    is_first: bool


class _AddressAttempts:
    """The attempts of one address: slots with their counts, the oldest first. Two plain lists, for
    there are tens of thousands of these, most with one mark: a deque alone has 600 bytes."""

    __slots__ = ("counts", "slots", "total", "was_rejected")

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.counts: list[int] = []
        self.total = 0
        self.was_rejected = False


class RateLimiter:
    """At most `rate` attempts from one address within any minute."""

    def __init__(self, max_per_minute: int, max_slots: int = MAX_SLOTS) -> None:
        self._max_per_minute = max_per_minute
        self._max_slots = max_slots
        self._by_address: OrderedDict[str, _AddressAttempts] = OrderedDict()
        self._slot_count = 0

    def __len__(self) -> int:
        """Marks that are remembered."""
        return self._slot_count

    def try_acquire(self, address: str, now: float) -> RetryAfter | None:
        """Count an attempt of `address`, None; or how long to wait, and nothing is counted."""
        tries = self._attempts_of(address, now)
        if tries.total >= self._max_per_minute:
            first, tries.was_rejected = not tries.was_rejected, True
            return RetryAfter(max(math.ceil(self._next_allowed_at(tries) - now), 1), first)
        tries.was_rejected = False
        self._add_to_slot(address, 1, now)
        return None

    def record(self, address: str, count: int, now: float) -> None:
        """Count attempts of `address` that were let through elsewhere."""
        self._attempts_of(address, now)
        self._add_to_slot(address, count, now)

    def _next_allowed_at(self, attempts: _AddressAttempts) -> float:
        """When so many attempts are old enough that there is room for one."""
        left = accumulate(attempts.counts, operator.sub, initial=attempts.total)
        next(left)
        return next(
            _slot_expires_at(slot)
            for slot, total in zip(attempts.slots, left, strict=True)
            if total < self._max_per_minute
        )

    def _attempts_of(self, address: str, now: float) -> _AddressAttempts:
        self._evict_expired(now)
        tries = self._by_address.get(address)
        if tries is None:
            tries = self._by_address[address] = _AddressAttempts()
        self._prune_expired(tries, now)
        return tries

    def _add_to_slot(self, address: str, count: int, now: float) -> None:
        tries, slot = self._by_address[address], int(now // SLOT_SECONDS)
        if tries.slots and tries.slots[-1] == slot:
            tries.counts[-1] += count
        else:
            tries.slots.append(slot)
            tries.counts.append(count)
            self._slot_count += 1
        tries.total += count
        self._by_address.move_to_end(address)
        while self._slot_count > self._max_slots:
            self._evict_oldest()

    def _prune_expired(self, attempts: _AddressAttempts, now: float) -> None:
        old = sum(1 for _ in takewhile(lambda slot: _slot_expires_at(slot) <= now, attempts.slots))
        if old:
            attempts.total -= sum(attempts.counts[:old])
            self._slot_count -= old
            del attempts.slots[:old], attempts.counts[:old]

    def _evict_expired(self, now: float) -> None:
        while self._by_address:
            tries = next(iter(self._by_address.values()))
            if tries.slots and _slot_expires_at(tries.slots[-1]) > now:
                return
            self._evict_oldest()

    def _evict_oldest(self) -> None:
        _, tries = self._by_address.popitem(last=False)
        self._slot_count -= len(tries.slots)


def _slot_expires_at(slot: int) -> float:
    """When the attempts of `slot` are all older than the window."""
    return (slot + 1) * SLOT_SECONDS + WINDOW_SECONDS


def parse_networks(texts: Sequence[str]) -> Networks:
    """Networks as ``10.0.0.0/8``, or single addresses. Raises ValueError, which says what of it is
    none."""
    return tuple(ip_network(text) for text in texts)


def parse_address(text: str | None) -> Address | None:
    """The address that `text` is, with or without a port; None when it is none."""
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
    """Who a request comes from: the peer, or when that is a proxy of ours, the last address of
    ``X-Forwarded-For`` that is not. What a client wrote into that header itself stands further
    left and is not looked at; a header that cannot be read is ignored.
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


def rate_limit_key(address: Address | None) -> str:
    """The name under which attempts of `address` are counted."""
    if isinstance(address, IPv6Address):
        subnet = int(address) >> IPV6_SUBNET_BITS << IPV6_SUBNET_BITS
        return f"{IPv6Address(subnet)}/{IPV6_SUBNET_BITS}"
    return str(address) if address is not None else "unknown"
