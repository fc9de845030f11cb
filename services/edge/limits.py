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
MOST_MARKS = 1 << 16
"""Marks of all addresses together: about 25 MB when each is another address's."""
MOST_HOPS = 32
"""Proxies that a request can have come through."""
MOST_ADDRESS_CHARACTERS = 64
SUBNET_BITS = 64
"""A customer with IPv6 has a network of this many bits for himself: it counts as one address."""

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]


class Full(Exception):
    """The process holds as many streams as it may."""


class Room:
    """The streams that a process has room for; whoever is being admitted has a place already, so
    that a crowd that is admitted at once does not become more than that."""

    def __init__(self, most: int, present: Callable[[], int]) -> None:
        self._most = most
        self._present = present
        self._arriving = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place until the block ends; by then the stream counts itself. Raises Full."""
        if self._present() + self._arriving >= self._most:
            raise Full
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1


class Wait(msgspec.Struct, frozen=True):
    """Too many attempts: after `seconds` there is room for one. `first` says that this address was
    not refused before in this minute."""

    seconds: int
    first: bool


class _Tries:
    """The attempts of one address: slots with their counts, the oldest first. Two plain lists, for
    there are tens of thousands of these, most with one mark: a deque alone has 600 bytes."""

    __slots__ = ("counts", "refused", "slots", "total")

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.counts: list[int] = []
        self.total = 0
        self.refused = False


class Attempts:
    """At most `rate` attempts from one address within any minute."""

    def __init__(self, rate: int, most_marks: int = MOST_MARKS) -> None:
        self._rate = rate
        self._most_marks = most_marks
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._marks = 0

    def __len__(self) -> int:
        """Marks that are remembered."""
        return self._marks

    def take(self, address: str, now: float) -> Wait | None:
        """Count an attempt of `address`, None; or how long to wait, and nothing is counted."""
        tries = self._of(address, now)
        if tries.total >= self._rate:
            first, tries.refused = not tries.refused, True
            return Wait(max(math.ceil(self._room_at(tries) - now), 1), first)
        tries.refused = False
        self._mark(address, 1, now)
        return None

    def add(self, address: str, count: int, now: float) -> None:
        """Count attempts of `address` that were let through elsewhere."""
        self._of(address, now)
        self._mark(address, count, now)

    def _room_at(self, tries: _Tries) -> float:
        """When so many attempts are old enough that there is room for one."""
        left = accumulate(tries.counts, operator.sub, initial=tries.total)
        next(left)
        return next(
            _leaves(slot)
            for slot, total in zip(tries.slots, left, strict=True)
            if total < self._rate
        )

    def _of(self, address: str, now: float) -> _Tries:
        self._forget_old(now)
        tries = self._tries.get(address)
        if tries is None:
            tries = self._tries[address] = _Tries()
        self._prune(tries, now)
        return tries

    def _mark(self, address: str, count: int, now: float) -> None:
        tries, slot = self._tries[address], int(now // SLOT_SECONDS)
        if tries.slots and tries.slots[-1] == slot:
            tries.counts[-1] += count
        else:
            tries.slots.append(slot)
            tries.counts.append(count)
            self._marks += 1
        tries.total += count
        self._tries.move_to_end(address)
        while self._marks > self._most_marks:
            self._forget()

    def _prune(self, tries: _Tries, now: float) -> None:
        old = sum(1 for _ in takewhile(lambda slot: _leaves(slot) <= now, tries.slots))
        if old:
            tries.total -= sum(tries.counts[:old])
            self._marks -= old
            del tries.slots[:old], tries.counts[:old]

    def _forget_old(self, now: float) -> None:
        while self._tries:
            tries = next(iter(self._tries.values()))
            if tries.slots and _leaves(tries.slots[-1]) > now:
                return
            self._forget()

    def _forget(self) -> None:
        _, tries = self._tries.popitem(last=False)
        self._marks -= len(tries.slots)


def _leaves(slot: int) -> float:
    """When the attempts of `slot` are all older than the window."""
    return (slot + 1) * SLOT_SECONDS + WINDOW_SECONDS


def networks(texts: Sequence[str]) -> Networks:
    """Networks as ``10.0.0.0/8``, or single addresses. Raises ValueError, which says what of it is
    none."""
    return tuple(ip_network(text) for text in texts)


def address_in(text: str | None) -> Address | None:
    """The address that `text` is, with or without a port; None when it is none."""
    if text is None or len(text) > MOST_ADDRESS_CHARACTERS:
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


def listed(address: Address | None, among: Networks) -> bool:
    """Whether `address` is in one of the networks."""
    return address is not None and any(
        address.version == network.version and address in network for network in among
    )


def client_address(peer: str | None, forwarded: str, proxies: Networks) -> Address | None:
    """Who a request comes from: the peer, or when that is a proxy of ours, the last address of
    ``X-Forwarded-For`` that is not. What a client wrote into that header itself stands further
    left and is not looked at; a header that cannot be read is ignored.
    """
    address = address_in(peer)
    if not listed(address, proxies) or not forwarded.strip():
        return address
    hop = address
    for text in reversed(forwarded.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
        hop = address_in(text)
        if hop is None:
            return address
        if not listed(hop, proxies):
            return hop
    return hop


def counted_as(address: Address | None) -> str:
    """The name under which attempts of `address` are counted."""
    if isinstance(address, IPv6Address):
        subnet = int(address) >> SUBNET_BITS << SUBNET_BITS
        return f"{IPv6Address(subnet)}/{SUBNET_BITS}"
    return str(address) if address is not None else "unknown"
