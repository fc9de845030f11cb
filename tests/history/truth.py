"""The truth that histories are judged by: what each owner must see of the log, and in which order.

What an event must look like is made from the bytes that were stored, without the code under test.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from heapq import merge

import msgspec

from tapewire.log import EVERYBODY, Recorded, Subject

CLOSED_SHOWN = 200
"""Closed orders in a snapshot, those that closed last."""
DOMAINS = frozenset({"orders", "trades"})
"""What the stream of a user's orders shows."""
TRADING = DOMAINS | {"positions"}
"""What the stream of everything that a user trades shows."""
AGENTS = "agents"
"""What they show of everybody's."""

_OPEN = ("new", "partially_filled")


class Shown(msgspec.Struct, frozen=True):
    """An event of the log as its owner must see it; no `name` when streams do not show it."""

    sequence: int
    owner: str
    name: str
    data: bytes
    domain: str = ""
    order: str = ""
    open: bool = False


_NOTHING = msgspec.Raw()


class _Stored(msgspec.Struct, rename="camel"):
    """Whatever an order or trade event is stored with, number for number."""

    order: msgspec.Raw = _NOTHING
    position: msgspec.Raw = _NOTHING
    trade_id: msgspec.Raw = _NOTHING
    qty: msgspec.Raw = _NOTHING
    price: msgspec.Raw = _NOTHING


class _Order(msgspec.Struct, rename="camel"):
    order_id: str
    status: str


_stored = msgspec.json.Decoder(_Stored)
_order = msgspec.json.Decoder(_Order)


def shown(recorded: Recorded) -> Shown:
    """What the owner of a recorded event must see of it."""
    subject = Subject.parse(recorded.subject)
    nothing = Shown(recorded.sequence, subject.owner, "", b"")
    if subject.owner == EVERYBODY and subject.domain == AGENTS:
        return msgspec.structs.replace(nothing, name="agent:status", data=recorded.data)
    if subject.owner == EVERYBODY or subject.domain not in TRADING:
        return nothing
    nothing = msgspec.structs.replace(nothing, domain=subject.domain)
    if subject.domain == "positions":
        held = bytes(_stored.decode(recorded.data).position)
        return msgspec.structs.replace(nothing, name="position:update", data=held)
    if recorded.tag == "trade.executed.v1":
        return msgspec.structs.replace(nothing, name="trade:new", data=recorded.data)
    stored = _stored.decode(recorded.data)
    name, data = "order:update", bytes(stored.order)
    order = _order.decode(data)
    if recorded.tag == "order.filled.v1":
        fill = (bytes(stored.qty), bytes(stored.price), bytes(stored.trade_id))
        name, data = "order:fill", data[:-1] + b',"fillQty":%b,"fillPrice":%b,"tradeId":%b}' % fill
    return msgspec.structs.replace(
        nothing, name=name, data=data, order=order.order_id, open=order.status in _OPEN
    )


class Epoch:
    """One incarnation of the log: all its events from sequence 1; `first` is the first one that it
    still held at the end."""

    def __init__(self, name: str, events: Sequence[Recorded], *, first: int = 1) -> None:
        self.name = name
        self.first = first
        self.events = [shown(recorded) for recorded in events]
        self.last = len(self.events)
        for place, event in enumerate(self.events, 1):
            assert event.sequence == place, f"the log has {event.sequence} where {place} belongs"
        self._of: dict[tuple[str, str], list[int]] = {}
        self._counted: dict[str, list[int]] = {}
        for event in self.events:
            if event.owner != EVERYBODY or event.name:
                self._counted.setdefault(event.owner, []).append(event.sequence)
            if event.name:
                self._of.setdefault((event.owner, event.domain), []).append(event.sequence)

    def at(self, sequence: int) -> Shown | None:
        """The event of that sequence."""
        return self.events[sequence - 1] if 1 <= sequence <= self.last else None

    def between(
        self, owner: str, after: int, before: int, domains: Iterable[str] = DOMAINS
    ) -> list[int]:
        """The sequences in (after, before) that the owner must see on a stream of `domains`."""
        places = [*((owner, domain) for domain in domains), (EVERYBODY, "")]
        return [*merge(*(_within(self._of.get(of, []), after, before) for of in places))]

    def later(self, owner: str, after: int) -> int:
        """How many events that concern `owner`, shown or not, come after a sequence."""
        return sum(
            len(_within(self._counted.get(of, []), after, self.last + 1))
            for of in (owner, EVERYBODY)
        )

    def fold(self, owner: str, upto: int) -> list[bytes]:
        """The orders of `owner` as of `upto`: all open ones and the closed ones that closed last,
        the one that changed last at the end."""
        newest: dict[str, Shown] = {}
        for sequence in self.between(owner, 0, upto + 1):
            event = self.events[sequence - 1]
            if event.order:
                newest.pop(event.order, None)
                newest[event.order] = event
        closed = [event.order for event in newest.values() if not event.open]
        for forgotten in closed[: max(len(closed) - CLOSED_SHOWN, 0)]:
            del newest[forgotten]
        return [_as_order(event) for event in newest.values()]


def _within(sequences: list[int], after: int, before: int) -> list[int]:
    return sequences[bisect_right(sequences, after) : bisect_left(sequences, before)]


def _as_order(event: Shown) -> bytes:
    return (
        event.data.partition(b',"fillQty":')[0] + b"}"
        if event.name == "order:fill"
        else (event.data)
    )


class Log:
    """Every incarnation, oldest first."""

    def __init__(self, epochs: Iterable[Epoch]) -> None:
        self.epochs = {epoch.name: epoch for epoch in epochs}
        self.newest = [*self.epochs.values()][-1]

    @property
    def events(self) -> int:
        return sum(epoch.last for epoch in self.epochs.values())
