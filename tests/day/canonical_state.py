"""The final state of a day, without the values that differ between runs: wall clock and sequences.

`canonical_state` folds the log into plain values under keys that every run of the same day uses:
order, strategy and rule ids follow from the users' requests, and decision ids from the quotes. The
state contains every event, so a missing or repeated event changes it. Start at `canonical_state`;
`find_differences` compares two states.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tapewire.events import (
    AgentStatusChanged,
    AlertRaised,
    DecisionMade,
    NotificationCreated,
    Order,
    OrderCanceled,
    OrderEvent,
    OrderReplaced,
    OrderWaiting,
    PositionEvent,
    RuleEvent,
    StrategyEvent,
    StrategyUpdated,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire_services.strategies.domain.waiting import STARTED_MESSAGE
from tapewire_services.strategies.market_sight import ALERT_PREFIX as SIGHT_ALERT_PREFIX
from tests.day.manual_trading import RACE_REASON

WALL_CLOCK_FIELDS = frozenset(
    {"timestamp", "createdAt", "created_at", "at", "commandId", "command_id", "triggeredAt"}
)
"""Fields whose values differ between runs. Market times in other fields and in the ids of decisions
are compared."""
BROKER_FIELDS = frozenset({"waiting", "offer"})
"""Fields that depend on how long a broker waited, and on the offers that it has seen."""
MAX_REPORTED_DIFFERENCES = 12

CanonicalState = dict[str, Any]


def canonical_state(events: Iterable[RecordedEvent]) -> CanonicalState:
    """Return the canonical state after `events`."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    events = [*events]
    raced_orders = _find_raced_orders(events)
    for recorded in events:
        if _is_about_sight(recorded):
            continue
        owner = recorded.event_subject.owner
        for key, value in _state_entries(owner, recorded, raced_orders):
            found[key].append(value)
    return {key: _sort_notifications(key, values) for key, values in sorted(found.items())}


def _find_raced_orders(events: Iterable[RecordedEvent]) -> frozenset[str]:
    """The orders that were canceled while they were replaced. Either request may win."""
    return frozenset(
        recorded.event.order.order_id
        for recorded in events
        if isinstance(recorded.event, OrderCanceled) and recorded.event.order.reason == RACE_REASON
    )


def _state_entries(
    owner: str, recorded: RecordedEvent, raced_orders: Container[str]
) -> Iterator[tuple[str, Any]]:
    tag, event = recorded.tag, recorded.event
    match event:
        case OrderWaiting() | AgentStatusChanged():
            return  # differ between runs: how long an order rested; killed processes are restarted
        case OrderEvent():
            yield from _order_entries(
                owner, tag, event, is_raced=event.order.order_id in raced_orders
            )
        case TradeExecuted():
            yield f"trade {owner} {event.trade_id}", _to_builtins(event)
        case PositionEvent():
            yield (
                f"position {owner} {event.position.symbol}",
                (tag, event.trade_id, _to_builtins(event.position)),
            )
        case StrategyEvent():
            yield from _strategy_entries(owner, tag, event)
        case DecisionMade():
            yield f"decision {owner} {event.decision_id}", _to_builtins(event)
        case AlertRaised():
            yield (
                f"alerts {owner} {event.rule_id}",
                (_to_builtins(event), _market_timestamp(recorded, event)),
            )
        case RuleEvent():
            yield f"rule {owner} {event.rule.rule_id}", (tag, _to_builtins(event.rule))
        case NotificationCreated():
            notification = _to_builtins(event.notification)
            del notification["id"]  # contains a sequence, which differs between runs
            yield f"notifications {owner}", notification
        case _:
            yield f"other {owner} {tag}", _to_builtins(event)


def _order_entries(
    owner: str, tag: str, event: OrderEvent, *, is_raced: bool
) -> Iterator[tuple[str, Any]]:
    """The event; of an order that is canceled while it is replaced, only what both ends have."""
    order = event.order
    key = f"order {owner} {order.client_order_id}"
    if not is_raced:
        yield key, (tag, {**_to_builtins(event), "order": _to_builtins(_without_waiting(order))})
    elif not isinstance(event, OrderReplaced):
        yield key, (tag, order.status.value, str(order.filled_qty))


def _without_waiting(order: Order) -> Order:
    """The order without what it waits for, which depends on how long it did."""
    return order if order.waiting is None else msgspec.structs.replace(order, reason=None)


def _strategy_entries(owner: str, tag: str, event: StrategyEvent) -> Iterator[tuple[str, Any]]:
    """The event without the message that an order waits, which depends on how long it did."""
    strategy = event.strategy
    if strategy.message is not None and " waits: " in strategy.message:
        if isinstance(event, StrategyUpdated):
            return
        strategy = msgspec.structs.replace(strategy, message=STARTED_MESSAGE)
    fields = {**_to_builtins(event), "strategy": _to_builtins(strategy)}
    yield f"strategy {owner} {strategy.strategy_id}", (tag, fields)


def _is_about_sight(recorded: RecordedEvent) -> bool:
    """Whether the event says that a strategy could not see the market: the feed was killed."""
    match recorded.event:
        case AlertRaised(alert_id=id_):
            return id_.startswith(SIGHT_ALERT_PREFIX)
        case NotificationCreated(notification=notification):
            return str(notification.payload.get("alertId")).startswith(SIGHT_ALERT_PREFIX)
    return False


def _market_timestamp(recorded: RecordedEvent, alert: AlertRaised) -> str | None:
    """Return the time of the quote that raised the alert, or None if the time is of the wall clock.
    The market's day is in the future, so its times are later than the time of storage."""
    return alert.timestamp.isoformat() if alert.timestamp > recorded.time else None


def _to_builtins(value: msgspec.Struct) -> dict[str, Any]:
    """Return the value as builtins, with decimals as strings."""
    builtins: dict[str, Any] = _without_wall_clock(msgspec.to_builtins(value))
    return builtins


def _without_wall_clock(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _without_wall_clock(one)
            for name, one in value.items()
            if name not in WALL_CLOCK_FIELDS | BROKER_FIELDS
        }
    if isinstance(value, list | tuple):
        return [_without_wall_clock(one) for one in value]
    return value


def _sort_notifications(key: str, values: list[Any]) -> list[Any]:
    """Sort notifications, whose order within one instant is undefined. Other values keep theirs."""
    return sorted(values, key=repr) if key.startswith("notifications ") else values


def find_differences(one: CanonicalState, other: CanonicalState) -> list[str]:
    """Describe the first differences; [] if the states are equal."""
    found = []
    for key in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(key), other.get(key)
        if mine != theirs:
            found.append(f"{key}: {_first_difference(mine or [], theirs or [])}")
    return found[:MAX_REPORTED_DIFFERENCES] + (
        [f"... {len(found)} in all"] if len(found) > MAX_REPORTED_DIFFERENCES else []
    )


def _first_difference(mine: list[Any], theirs: list[Any]) -> str:
    for number in range(max(len(mine), len(theirs))):
        left = mine[number] if number < len(mine) else "nothing"
        right = theirs[number] if number < len(theirs) else "nothing"
        if left != right:
            return f"number {number} of {len(mine)} and {len(theirs)}:\n  {left}\n  {right}"
    return "no difference"
