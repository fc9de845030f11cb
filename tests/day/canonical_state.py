"""What a day leaves, without what may differ from run to run: the wall clock, and sequences.

`state` folds the log into plain values under names that the same day gives again: order, strategy
and rule ids follow from what users asked for, decisions are named after their quote. Every event is
in it somewhere, so nothing may have happened twice, or not at all. Start at `state`; `differences`
says what two of them disagree on.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tapewire.events import (
    AgentStatusChanged,
    AlertRaised,
    DecisionMade,
    NotificationCreated,
    OrderEvent,
    PositionEvent,
    RuleEvent,
    StrategyEvent,
    TradeExecuted,
)
from tapewire.log import RecordedEvent

WALL_CLOCK_FIELDS = frozenset(
    {"timestamp", "createdAt", "created_at", "at", "commandId", "command_id"}
)
"""Fields whose values are the run's own. Times of the market are not among what is left out where
they are named otherwise, and stand in the ids of decisions."""
MAX_REPORTED_DIFFERENCES = 12

CanonicalState = dict[str, Any]


def canonical_state(events: Iterable[RecordedEvent]) -> CanonicalState:
    """The canonical state."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for recorded in events:
        owner = recorded.event_subject.owner
        for key, value in _state_entries(owner, recorded):
            found[key].append(value)
    return {key: _sort_notifications(key, values) for key, values in sorted(found.items())}


def _state_entries(owner: str, recorded: RecordedEvent) -> Iterator[tuple[str, Any]]:
    tag, event = recorded.tag, recorded.event
    match event:
        case OrderEvent():
            yield f"order {owner} {event.order.client_order_id}", (tag, _to_builtins(event))
        case TradeExecuted():
            yield f"trade {owner} {event.trade_id}", _to_builtins(event)
        case PositionEvent():
            yield (
                f"position {owner} {event.position.symbol}",
                (tag, event.trade_id, _to_builtins(event.position)),
            )
        case StrategyEvent():
            yield f"strategy {owner} {event.strategy.strategy_id}", (tag, _to_builtins(event))
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
            del notification["id"]  # named after its cause, which is a place in the log
            yield f"notifications {owner}", notification
        case AgentStatusChanged():
            return  # of the processes: who was killed was started again
        case _:
            yield f"other {owner} {tag}", _to_builtins(event)


def _market_timestamp(recorded: RecordedEvent, alert: AlertRaised) -> str | None:
    """The time that a quote gave; None for one of the wall clock. The market is of a day that has
    not come, so its times are later than that of being stored."""
    return alert.timestamp.isoformat() if alert.timestamp > recorded.time else None


def _to_builtins(value: msgspec.Struct) -> dict[str, Any]:
    """As builtins, decimals as the texts of their values."""
    return _without_wall_clock(msgspec.to_builtins(value))  # type: ignore[no-any-return]


def _without_wall_clock(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _without_wall_clock(one)
            for name, one in value.items()
            if name not in WALL_CLOCK_FIELDS
        }
    if isinstance(value, list | tuple):
        return [_without_wall_clock(one) for one in value]
    return value


def _sort_notifications(key: str, values: list[Any]) -> list[Any]:
    """Notifications have no order among those of one instant; everything else of a key has."""
    return sorted(values, key=repr) if key.startswith("notifications ") else values


def find_differences(one: CanonicalState, other: CanonicalState) -> list[str]:
    """In words, the first few; [] when they are the same."""
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
