"""The log that histories are compared with: the events that each owner must receive, in order.

The expected form of an event is built from the stored bytes, without the code under test.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from heapq import merge

import msgspec

from tapewire.log import EVERYBODY, EventSubject, RecordedEvent

MAX_CLOSED_ORDERS = 200
"""The number of closed orders in a snapshot; it has those that closed last."""
ORDER_STREAM_DOMAINS = frozenset({"orders", "trades"})
"""The domains that the stream of a user's orders shows."""
TRADING_STREAM_DOMAINS = ORDER_STREAM_DOMAINS | {"positions"}
"""The domains that the trading stream of a user shows."""
AGENTS_DOMAIN = "agents"
"""The domains of public events that these streams show."""

_TRADE_NAMES = {"trade.executed.v1": "trade:new", "trade.corrected.v1": "trade:corrected"}
_OPEN_STATUSES = ("new", "partially_filled", "pending_cancel", "pending_replace")


class ExpectedEvent(msgspec.Struct, frozen=True):
    """An event of the log in the form that its owner must receive; `name` is empty if streams do
    not show it."""

    sequence: int
    owner: str
    name: str
    data: bytes
    domain: str = ""
    order_id: str = ""
    is_open: bool = False


_ABSENT = msgspec.Raw()


class _StoredEvent(msgspec.Struct, rename="camel"):
    """The stored fields of any order or trade event; numbers keep their digits."""

    order: msgspec.Raw = _ABSENT
    position: msgspec.Raw = _ABSENT
    trade_id: msgspec.Raw = _ABSENT
    qty: msgspec.Raw = _ABSENT
    price: msgspec.Raw = _ABSENT
    fee: msgspec.Raw = _ABSENT
    execution_id: msgspec.Raw = _ABSENT
    venue_time: msgspec.Raw = _ABSENT
    exceptions: msgspec.Raw = _ABSENT


class _Order(msgspec.Struct, rename="camel"):
    order_id: str
    status: str


_event_decoder = msgspec.json.Decoder(_StoredEvent)
_order_decoder = msgspec.json.Decoder(_Order)


def expected_event(recorded: RecordedEvent) -> ExpectedEvent:
    """The form in which the owner of a recorded event must receive it."""
    subject = EventSubject.parse(recorded.subject)
    nothing = ExpectedEvent(recorded.sequence, subject.owner, "", b"")
    if subject.owner == EVERYBODY and subject.domain == AGENTS_DOMAIN:
        return msgspec.structs.replace(nothing, name="agent:status", data=recorded.data)
    if subject.owner == EVERYBODY or subject.domain not in TRADING_STREAM_DOMAINS:
        return nothing
    nothing = msgspec.structs.replace(nothing, domain=subject.domain)
    if subject.domain == "positions":
        held = bytes(_event_decoder.decode(recorded.data).position)
        return msgspec.structs.replace(nothing, name="position:update", data=held)
    if recorded.tag in _TRADE_NAMES:
        return msgspec.structs.replace(nothing, name=_TRADE_NAMES[recorded.tag], data=recorded.data)
    stored = _event_decoder.decode(recorded.data)
    name, data = "order:update", bytes(stored.order)
    order = _order_decoder.decode(data)
    if recorded.tag == "order.filled.v1":
        name, data = "order:fill", data[:-1] + _fill_fields(stored) + b"}"
    return msgspec.structs.replace(
        nothing,
        name=name,
        data=data,
        order_id=order.order_id,
        is_open=order.status in _OPEN_STATUSES,
    )


def _fill_fields(stored: _StoredEvent) -> bytes:
    """What a fill adds to the order. What the event lacks, the client does not receive."""
    fields = {
        b"fillQty": stored.qty,
        b"fillPrice": stored.price,
        b"tradeId": stored.trade_id,
        b"fillFee": stored.fee,
        b"executionId": stored.execution_id,
        b"venueTime": stored.venue_time,
        b"exceptions": stored.exceptions,
    }
    return b"".join(b',"%b":%b' % (name, bytes(raw)) for name, raw in fields.items() if bytes(raw))


class LogIncarnation:
    """One incarnation of the log, with all its events from sequence 1. `first` is the first event
    that it still held at the end."""

    def __init__(self, name: str, events: Sequence[RecordedEvent], *, first: int = 1) -> None:
        self.name = name
        self.first = first
        self.events = [expected_event(recorded) for recorded in events]
        self.last = len(self.events)
        for sequence, event in enumerate(self.events, 1):
            assert event.sequence == sequence, f"the log has {event.sequence} instead of {sequence}"
        self._visible_sequences: dict[tuple[str, str], list[int]] = {}
        self._relevant_sequences: dict[str, list[int]] = {}
        for event in self.events:
            if event.owner != EVERYBODY or event.name:
                self._relevant_sequences.setdefault(event.owner, []).append(event.sequence)
            if event.name:
                self._visible_sequences.setdefault((event.owner, event.domain), []).append(
                    event.sequence
                )

    def event_at(self, sequence: int) -> ExpectedEvent | None:
        """The event with that sequence."""
        return self.events[sequence - 1] if 1 <= sequence <= self.last else None

    def visible_between(
        self, owner: str, after: int, before: int, domains: Iterable[str] = ORDER_STREAM_DOMAINS
    ) -> list[int]:
        """The sequences in (after, before) that a stream of `domains` must show its owner."""
        sources = [*((owner, domain) for domain in domains), (EVERYBODY, "")]
        return [
            *merge(*(_within(self._visible_sequences.get(of, []), after, before) for of in sources))
        ]

    def count_after(self, owner: str, after: int) -> int:
        """The number of events after a sequence that concern `owner`, whether or not streams show
        them."""
        return sum(
            len(_within(self._relevant_sequences.get(of, []), after, self.last + 1))
            for of in (owner, EVERYBODY)
        )

    def snapshot_orders(self, owner: str, as_of: int) -> list[bytes]:
        """The orders of `owner` after sequence `as_of`: all open orders and those that closed last;
        the order that changed last is at the end."""
        newest: dict[str, ExpectedEvent] = {}
        for sequence in self.visible_between(owner, 0, as_of + 1):
            event = self.events[sequence - 1]
            if event.order_id:
                newest.pop(event.order_id, None)
                newest[event.order_id] = event
        closed = [event.order_id for event in newest.values() if not event.is_open]
        for forgotten in closed[: max(len(closed) - MAX_CLOSED_ORDERS, 0)]:
            del newest[forgotten]
        return [_as_order(event) for event in newest.values()]

    def listed_orders(self, owner: str, as_of: int) -> list[bytes]:
        """All orders of `owner` after sequence `as_of`; the order that was placed last is first."""
        newest: dict[str, ExpectedEvent] = {}
        for sequence in self.visible_between(owner, 0, as_of + 1):
            event = self.events[sequence - 1]
            if event.order_id:
                newest[event.order_id] = event
        return [_as_order(event) for event in reversed(newest.values())]


def _within(sequences: list[int], after: int, before: int) -> list[int]:
    return sequences[bisect_right(sequences, after) : bisect_left(sequences, before)]


def _as_order(event: ExpectedEvent) -> bytes:
    return (
        event.data.partition(b',"fillQty":')[0] + b"}"
        if event.name == "order:fill"
        else (event.data)
    )


class ExpectedLog:
    """All incarnations of the log, oldest first."""

    def __init__(self, epochs: Iterable[LogIncarnation]) -> None:
        self.epochs = {epoch.name: epoch for epoch in epochs}
        self.newest_epoch = [*self.epochs.values()][-1]

    @property
    def event_count(self) -> int:
        return sum(epoch.last for epoch in self.epochs.values())
