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
from tapewire.log import Recorded

WALL_CLOCK = frozenset({"timestamp", "createdAt", "created_at", "at", "commandId", "command_id"})
"""Fields whose values are the run's own. Times of the market are not among what is left out where
they are named otherwise, and stand in the ids of decisions."""
SHOWN = 12

State = dict[str, Any]


def state(events: Iterable[Recorded]) -> State:
    """The canonical state."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for recorded in events:
        owner = recorded.place.owner
        for key, value in _told(owner, recorded):
            found[key].append(value)
    return {key: _ordered(key, values) for key, values in sorted(found.items())}


def _told(owner: str, recorded: Recorded) -> Iterator[tuple[str, Any]]:
    tag, event = recorded.tag, recorded.event
    match event:
        case OrderEvent():
            yield f"order {owner} {event.order.client_order_id}", (tag, _plain(event))
        case TradeExecuted():
            yield f"trade {owner} {event.trade_id}", _plain(event)
        case PositionEvent():
            yield (
                f"position {owner} {event.position.symbol}",
                (tag, event.trade_id, _plain(event.position)),
            )
        case StrategyEvent():
            yield f"strategy {owner} {event.strategy.strategy_id}", (tag, _plain(event))
        case DecisionMade():
            yield f"decision {owner} {event.decision_id}", _plain(event)
        case AlertRaised():
            yield f"alerts {owner} {event.rule_id}", (_plain(event), _market(recorded, event))
        case RuleEvent():
            yield f"rule {owner} {event.rule.rule_id}", (tag, _plain(event.rule))
        case NotificationCreated():
            notification = _plain(event.notification)
            del notification["id"]  # named after its cause, which is a place in the log
            yield f"notifications {owner}", notification
        case AgentStatusChanged():
            return  # of the processes: who was killed was started again
        case _:
            yield f"other {owner} {tag}", _plain(event)


def _market(recorded: Recorded, alert: AlertRaised) -> str | None:
    """The time that a quote gave; None for one of the wall clock. The market is of a day that has
    not come, so its times are later than that of being stored."""
    return alert.timestamp.isoformat() if alert.timestamp > recorded.time else None


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    """As builtins, decimals as the texts of their values."""
    return _without(msgspec.to_builtins(value))  # type: ignore[no-any-return]


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(one) for name, one in value.items() if name not in WALL_CLOCK}
    if isinstance(value, list | tuple):
        return [_without(one) for one in value]
    return value


def _ordered(key: str, values: list[Any]) -> list[Any]:
    """Notifications have no order among those of one instant; everything else of a key has."""
    return sorted(values, key=repr) if key.startswith("notifications ") else values


def differences(one: State, other: State) -> list[str]:
    """In words, the first few; [] when they are the same."""
    found = []
    for key in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(key), other.get(key)
        if mine != theirs:
            found.append(f"{key}: {_first(mine or [], theirs or [])}")
    return found[:SHOWN] + ([f"... {len(found)} in all"] if len(found) > SHOWN else [])


def _first(mine: list[Any], theirs: list[Any]) -> str:
    for number in range(max(len(mine), len(theirs))):
        left = mine[number] if number < len(mine) else "nothing"
        right = theirs[number] if number < len(theirs) else "nothing"
        if left != right:
            return f"number {number} of {len(mine)} and {len(theirs)}:\n  {left}\n  {right}"
    return "no difference"
