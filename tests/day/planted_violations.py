"""Violations that are planted into the events of a day. A check must find each of them.

A plant returns the events with one of them missing, repeated or changed. Start at
`PLANTED_VIOLATIONS`.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import (
    CODEC,
    Event,
    OrderCanceled,
    OrderFilled,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from tapewire.log import RecordedEvent
from tapewire_services.orders.domain.proposals import DAY_IS_OVER
from tests.day.order_terms import find_wrong_reductions, find_wrong_terms
from tests.day.protection import expected_triggers, find_wrong_exits, recorded_triggers
from tests.day.reference_model import (
    DayRecord,
    find_wrong_executions,
    find_wrong_notifications,
    find_wrong_orders,
    find_wrong_positions,
    find_wrong_strategies,
)

PlantViolation = Callable[[Sequence[RecordedEvent]], list[RecordedEvent]]
CheckDay = Callable[[DayRecord], object]
CENT = Decimal("0.01")


def find_trigger_differences(day: DayRecord) -> bool:
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
    return with_changed(lambda one: one.tag.startswith(tag), change)


def with_changed(
    matches: Callable[[RecordedEvent], bool], change: Callable[[Any], Event]
) -> PlantViolation:
    """Change the last event that matches."""

    def plant(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        last = next(one for one in reversed(events) if matches(one))
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


def _with_order(**fields: Any) -> Callable[[Any], Event]:
    def change(event: Any) -> Event:
        order = msgspec.structs.replace(event.order, **fields)
        changed: Event = msgspec.structs.replace(event, order=order)
        return changed

    return change


def _with_limit_below_the_price(event: Any) -> Event:
    """A limit that the execution is worse than."""
    worse = event.price + (-CENT if event.order.side is Side.BUY else CENT)
    return _with_order(limit_price=worse)(event)


def _with_other_fee(event: Any) -> Event:
    changed: Event = msgspec.structs.replace(event, fee=event.fee + CENT)
    return changed


def _is_manual_fill(
    of_type: tuple[OrderType, ...] = tuple(OrderType),
) -> Callable[[RecordedEvent], bool]:
    """Match the complete fill of a manual order."""

    def matches(recorded: RecordedEvent) -> bool:
        event = recorded.event
        return (
            isinstance(event, OrderFilled)
            and event.order.strategy_id is None
            and event.order.status is OrderStatus.FILLED
            and event.order.type in of_type
        )

    return matches


def _is_manual_cancel(*, is_immediate: bool) -> Callable[[RecordedEvent], bool]:
    """Match the cancellation of a manual order that may rest, or of one that may not."""

    def matches(recorded: RecordedEvent) -> bool:
        event = recorded.event
        return (
            isinstance(event, OrderCanceled)
            and event.order.strategy_id is None
            and event.order.time_in_force.is_immediate is is_immediate
        )

    return matches


def with_reduce_only_opening(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """Let the first fill of all, which opens a position, be one of a reduce-only order."""
    first = next(one for one in events if isinstance(one.event, OrderFilled))
    return with_changed(lambda one: one is first, _with_order(reduce_only=True))(events)


PLANTED_VIOLATIONS: dict[str, tuple[PlantViolation, CheckDay]] = {
    "a stop-loss that did not fire": (
        without_last("strategy.stop_loss_triggered.v1"),
        find_trigger_differences,
    ),
    "a stop-loss that fired twice": (
        with_last_repeated("strategy.stop_loss_triggered.v1"),
        find_wrong_exits,
    ),
    "a stop-loss that fired once more": (
        with_last_repeated("strategy.stop_loss_triggered.v1"),
        find_trigger_differences,
    ),
    "a stop-loss executed twice": (
        with_last_repeated("strategy.stop_loss_executed.v1"),
        find_wrong_exits,
    ),
    "a stop-loss never executed": (
        without_last("strategy.stop_loss_executed.v1"),
        find_wrong_exits,
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
    "a take-profit that did not fire": (
        without_last("strategy.take_profit_triggered.v1"),
        find_trigger_differences,
    ),
    "a take-profit never executed": (
        without_last("strategy.take_profit_executed.v1"),
        find_wrong_exits,
    ),
    "a stop that was not triggered": (without_last("order.triggered.v1"), find_wrong_terms),
    "a stop that was triggered twice": (with_last_repeated("order.triggered.v1"), find_wrong_terms),
    "a stop that was executed before its trigger": (
        with_changed(
            _is_manual_fill(of_type=(OrderType.STOP, OrderType.STOP_LIMIT)),
            _with_order(triggered_at=None),
        ),
        find_wrong_terms,
    ),
    "a replacement that changed nothing": (without_last("order.replaced.v1"), find_wrong_terms),
    "an execution at a price worse than the limit": (
        with_changed(_is_manual_fill(of_type=(OrderType.LIMIT,)), _with_limit_below_the_price),
        find_wrong_terms,
    ),
    "an order that rests although it is to be executed at once": (
        with_changed(
            _is_manual_cancel(is_immediate=True),
            _with_order(status=OrderStatus.NEW),
        ),
        find_wrong_terms,
    ),
    "an order that expired although it is good till canceled": (
        with_changed(
            _is_manual_cancel(is_immediate=False),
            _with_order(reason=DAY_IS_OVER, time_in_force=TimeInForce.GTC),
        ),
        find_wrong_terms,
    ),
    "a reduce-only order that opened a position": (
        with_reduce_only_opening,
        find_wrong_reductions,
    ),
    "a fee that is a cent off": (
        with_changed(_is_manual_fill(), _with_other_fee),
        find_wrong_orders,
    ),
    "a missing notification": (without_last("notification.created.v1"), find_wrong_notifications),
    "a repeated notification": (
        with_last_repeated("notification.created.v1"),
        find_wrong_notifications,
    ),
}
