"""Wrongs planted into what a day left, each of which one of the judgements must find.

A plant gives events with one of them missing, twice or different. Start at `PLANTS`.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import CODEC, Event
from tapewire.log import Recorded
from tests.day.reference import (
    Day,
    wrong_executions,
    wrong_notices,
    wrong_orders,
    wrong_positions,
    wrong_strategies,
)
from tests.day.stops import fired, should_fire, wrong_executed

Plant = Callable[[Sequence[Recorded]], list[Recorded]]
Judge = Callable[[Day], object]
CENT = Decimal("0.01")


def stops_differ(day: Day) -> bool:
    return fired(day) != should_fire(day)


def missing(tag: str) -> Plant:
    """Without the last event of that tag."""
    return lambda events: [one for one in events if one is not _last(events, tag)]


def twice(tag: str) -> Plant:
    """With the last event of that tag told once more."""

    def plant(events: Sequence[Recorded]) -> list[Recorded]:
        place = events.index(_last(events, tag))
        return [*events[: place + 1], *events[place:]]

    return plant


def different(tag: str, change: Callable[[Any], Event]) -> Plant:
    """With the last event of that tag changed."""

    def plant(events: Sequence[Recorded]) -> list[Recorded]:
        last = _last(events, tag)
        other = Recorded(
            sequence=last.sequence,
            subject=last.subject,
            tag=last.tag,
            data=CODEC.encode(change(last.event)),
            meta=last.meta,
            time=last.time,
        )
        return [other if one is last else one for one in events]

    return plant


def _last(events: Sequence[Recorded], tag: str) -> Recorded:
    """`tag` may be the beginning of one."""
    return next(one for one in reversed(events) if one.tag.startswith(tag))


def _dearer(event: Any) -> Event:
    changed: Event = msgspec.structs.replace(event, price=event.price + CENT)
    return changed


def _richer(event: Any) -> Event:
    position = event.position
    richer = msgspec.structs.replace(position, realized_pnl=position.realized_pnl + CENT)
    changed: Event = msgspec.structs.replace(event, position=richer)
    return changed


def _holds(event: Any) -> Event:
    strategy = event.strategy
    strategy = msgspec.structs.replace(strategy, position=strategy.position + 1)
    changed: Event = msgspec.structs.replace(event, strategy=strategy)
    return changed


def _more(event: Any) -> Event:
    changed: Event = msgspec.structs.replace(event, qty=event.qty + 1_000_000)
    return changed


PLANTS: dict[str, tuple[Plant, Judge]] = {
    "a stop-loss that did not fire": (missing("strategy.stop_loss_triggered.v1"), stops_differ),
    "a stop-loss that fired twice": (twice("strategy.stop_loss_triggered.v1"), wrong_executed),
    "a stop-loss that fired once more": (twice("strategy.stop_loss_triggered.v1"), stops_differ),
    "a stop-loss executed twice": (twice("strategy.stop_loss_executed.v1"), wrong_executed),
    "a stop-loss never executed": (missing("strategy.stop_loss_executed.v1"), wrong_executed),
    "a trade that nobody counts": (missing("trade.executed.v1"), wrong_positions),
    "a trade without its fill": (missing("order.filled.v1"), wrong_orders),
    "a fill told twice": (twice("order.filled.v1"), wrong_orders),
    "a position a cent off": (different("position.changed.v1", _richer), wrong_positions),
    "a trade beside the touch": (different("trade.executed.v1", _dearer), wrong_executions),
    "a trade of more than was offered": (different("trade.executed.v1", _more), wrong_executions),
    "a strategy that holds too much": (different("strategy.", _holds), wrong_strategies),
    "a user who was not told": (missing("notification.created.v1"), wrong_notices),
    "a user who was told twice": (twice("notification.created.v1"), wrong_notices),
}
