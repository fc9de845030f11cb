"""Violations that are planted into the events of a day. A check must find each of them.

A plant returns the events with one of them missing, repeated or changed. Start at
`PLANTED_VIOLATIONS`.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import CODEC, Event
from tapewire.log import RecordedEvent
from tests.day.reference_model import (
    DayRecord,
    find_wrong_executions,
    find_wrong_notifications,
    find_wrong_orders,
    find_wrong_positions,
    find_wrong_strategies,
)
from tests.day.stop_losses import (
    expected_triggers,
    find_wrong_executions_of_stop_losses,
    recorded_triggers,
)

PlantViolation = Callable[[Sequence[RecordedEvent]], list[RecordedEvent]]
CheckDay = Callable[[DayRecord], object]
CENT = Decimal("0.01")


def find_stop_loss_differences(day: DayRecord) -> bool:
    return recorded_triggers(day) != expected_triggers(day)


def without_last(tag: str) -> PlantViolation:
    """Remove the last event of the tag."""
    return lambda events: [one for one in events if one is not _last_index(events, tag)]


def with_last_repeated(tag: str) -> PlantViolation:
    """Repeat the last event of the tag."""

    def plant(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        index = events.index(_last_index(events, tag))
        return [*events[: index + 1], *events[index:]]

    return plant


def with_last_changed(tag: str, change: Callable[[Any], Event]) -> PlantViolation:
    """Change the last event of the tag."""

    def plant(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        last = _last_index(events, tag)
        other = RecordedEvent(
            sequence=last.sequence,
            subject=last.subject,
            tag=last.tag,
            data=CODEC.encode(change(last.event)),
            metadata=last.metadata,
            time=last.time,
        )
        return [other if one is last else one for one in events]

    return plant


def _last_index(events: Sequence[RecordedEvent], tag: str) -> RecordedEvent:
    """Return the last event whose tag starts with `tag`."""
    return next(one for one in reversed(events) if one.tag.startswith(tag))


def _with_higher_price(event: Any) -> Event:
    changed: Event = msgspec.structs.replace(event, price=event.price + CENT)
    return changed


def _with_higher_pnl(event: Any) -> Event:
    position = event.position
    richer = msgspec.structs.replace(position, realized_pnl=position.realized_pnl + CENT)
    changed: Event = msgspec.structs.replace(event, position=richer)
    return changed


def _with_larger_position(event: Any) -> Event:
    strategy = event.strategy
    strategy = msgspec.structs.replace(strategy, position=strategy.position + 1)
    changed: Event = msgspec.structs.replace(event, strategy=strategy)
    return changed


def _with_larger_quantity(event: Any) -> Event:
    changed: Event = msgspec.structs.replace(event, qty=event.qty + 1_000_000)
    return changed


PLANTED_VIOLATIONS: dict[str, tuple[PlantViolation, CheckDay]] = {
    "a stop-loss that did not fire": (
        without_last("strategy.stop_loss_triggered.v1"),
        find_stop_loss_differences,
    ),
    "a stop-loss that fired twice": (
        with_last_repeated("strategy.stop_loss_triggered.v1"),
        find_wrong_executions_of_stop_losses,
    ),
    "a stop-loss that fired once more": (
        with_last_repeated("strategy.stop_loss_triggered.v1"),
        find_stop_loss_differences,
    ),
    "a stop-loss executed twice": (
        with_last_repeated("strategy.stop_loss_executed.v1"),
        find_wrong_executions_of_stop_losses,
    ),
    "a stop-loss never executed": (
        without_last("strategy.stop_loss_executed.v1"),
        find_wrong_executions_of_stop_losses,
    ),
    "a trade that no position includes": (without_last("trade.executed.v1"), find_wrong_positions),
    "a trade without its fill": (without_last("order.filled.v1"), find_wrong_orders),
    "a fill stored twice": (with_last_repeated("order.filled.v1"), find_wrong_orders),
    "a position a cent off": (
        with_last_changed("position.changed.v1", _with_higher_pnl),
        find_wrong_positions,
    ),
    "a trade at a price other than the touch": (
        with_last_changed("trade.executed.v1", _with_higher_price),
        find_wrong_executions,
    ),
    "a trade above the quoted size": (
        with_last_changed("trade.executed.v1", _with_larger_quantity),
        find_wrong_executions,
    ),
    "a strategy with too large a position": (
        with_last_changed("strategy.", _with_larger_position),
        find_wrong_strategies,
    ),
    "a missing notification": (without_last("notification.created.v1"), find_wrong_notifications),
    "a repeated notification": (
        with_last_repeated("notification.created.v1"),
        find_wrong_notifications,
    ),
}
