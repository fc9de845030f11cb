"""A journal that an earlier version wrote still folds, verifies and takes commands.

tests/data/journal-before-order-types.jsonl.xz has the whole journal of a simulated day: orders,
trades, positions, strategies with stop-losses, rules and notifications, one event a line, with its
stored bytes. It was recorded before orders had stops, a time in force, replacements and fees.
"""

import lzma
from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path

import msgspec

from tapewire import views
from tapewire.events import (
    OrderEvent,
    OrderStatus,
    Position,
    PositionEvent,
    Side,
    TimeInForce,
    TradeExecuted,
)
from tapewire.log import CommandHandler, EventMetadata, RecordedEvent
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore
from tapewire_services.orders.domain.commands import (
    CancelOrderCommand,
    Command,
    ReplaceOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import ClosedState, State
from tests.harness.verification import (
    find_differences,
    find_recorded_differences,
    server_with_events,
)

JOURNAL = Path(__file__).parents[2] / "data" / "journal-before-order-types.jsonl.xz"
EVENT_COUNT = 1613


class StoredEvent(msgspec.Struct, frozen=True):
    """A line of the file. `data` is the stored JSON of the event."""

    sequence: int
    subject: str
    tag: str
    data: str
    metadata: EventMetadata
    time: datetime


@cache
def read_journal() -> tuple[RecordedEvent, ...]:
    lines = lzma.decompress(JOURNAL.read_bytes()).splitlines()
    stored = [msgspec.json.decode(line, type=StoredEvent) for line in lines]
    return tuple(
        RecordedEvent(
            sequence=one.sequence,
            subject=one.subject,
            tag=one.tag,
            data=one.data.encode(),
            metadata=one.metadata,
            time=one.time,
        )
        for one in stored
    )


def test_every_event_decodes_and_the_journal_verifies() -> None:
    events = read_journal()
    assert [recorded.sequence for recorded in events] == [*range(1, EVENT_COUNT + 1)]
    assert all(recorded.event is not None for recorded in events)
    assert find_recorded_differences(events) == []


def test_positions_reconcile_with_their_trades_to_the_last_digit() -> None:
    """Cash and quantity of each position, as views fold it, are those of the trades alone."""
    quantities: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    cash: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    folded: defaultdict[str, views.PositionsView] = defaultdict(views.PositionsView)
    for recorded in read_journal():
        event, owner = recorded.event, recorded.event_subject.owner
        if isinstance(event, TradeExecuted):
            signed = Fraction(event.qty if event.side is Side.BUY else -event.qty)
            quantities[owner, event.symbol] += signed
            cash[owner, event.symbol] -= signed * Fraction(event.price)
        if isinstance(event, PositionEvent):
            folded[owner].apply(event)
    assert len(quantities) > 20
    for (owner, symbol), quantity in quantities.items():
        position = folded[owner].position(symbol)
        assert isinstance(position, Position)
        assert Fraction(position.quantity) == quantity
        realized, cost = Fraction(position.realized_pnl), Fraction(position.cost_basis)
        assert realized - cost == cash[owner, symbol]


def open_orders() -> dict[str, RecordedEvent]:
    found: dict[str, RecordedEvent] = {}
    for recorded in read_journal():
        event = recorded.event
        if isinstance(event, OrderEvent):
            if event.order.status.is_open:
                found[event.order.order_id] = recorded
            else:
                found.pop(event.order.order_id, None)
    return found


def test_orders_from_before_have_the_defaults_of_what_they_lack() -> None:
    assert len(open_orders()) > 3
    for recorded in open_orders().values():
        event = recorded.event
        assert isinstance(event, OrderEvent)
        order = event.order
        assert (order.stop_price, order.replacement, order.triggered_at) == (None, None, None)
        assert (order.time_in_force, order.reduce_only) == (TimeInForce.GTC, False)
        assert order.fee_total == 0


async def test_open_orders_from_before_take_the_commands_of_today() -> None:
    server, now = server_with_events(read_journal()), datetime.now(UTC)
    handler: CommandHandler[State, Command] = CommandHandler(MemoryEventLog(server), ORDER_DECIDER)
    for recorded in open_orders().values():
        event = recorded.event
        assert isinstance(event, OrderEvent)
        user, before = recorded.event_subject.owner, event.order
        commands: list[Command] = [
            ReplaceOrderCommand(id="replace", at=now, user=user, qty=before.qty + 1),
            CancelOrderCommand(id="cancel", at=now, user=user, reason="enough"),
        ]
        for command in commands:
            after = await handler.handle(
                recorded.event_subject, command, correlation="test", traceparent=None
            )
        assert isinstance(after.state, ClosedState)
        order = after.state.order
        assert (order.qty, order.status) == (before.qty + 1, OrderStatus.CANCELED)
    differences, _ = await find_differences(
        MemoryEventLog(server), MemoryLatestValueStore(server, prefix="view")
    )
    assert differences == []
