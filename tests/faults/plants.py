"""Violations to plant into a recorded trial: each is what a system with some bug would have left.

`PLANTS` names each with what the verdict must then say. The recording that a plant makes has one
client, the one that received most.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tapewire.events import CODEC, Event, OrderAccepted, OrderFilled, OrderPlaced, TradeExecuted
from tapewire.log import Recorded
from tests.faults.laws import stories
from tests.faults.plan import Fate
from tests.faults.verdict import Recording
from tests.history import Connect, Entry, Frame

Plant = Callable[[Recording], Recording]


def alone(recording: Recording) -> Recording:
    """The same with one client."""
    most = max(recording.watched, key=lambda one: len(one.history))
    return msgspec.structs.replace(recording, watched=[most])


def _seen(change: Callable[[list[Entry]], None]) -> Plant:
    """Change what a client received."""

    def plant(recording: Recording) -> Recording:
        (one,) = alone(recording).watched
        history = [*one.history]
        change(history)
        changed = msgspec.structs.replace(one, history=history)
        return msgspec.structs.replace(recording, watched=[changed])

    return plant


def _inner(history: Sequence[Entry]) -> int:
    """The place of an event between two others."""
    places = [
        at for at in range(1, len(history) - 1) if all(map(_is_event, history[at - 1 : at + 2]))
    ]
    return places[len(places) // 2]


def _is_event(entry: Entry) -> bool:
    return isinstance(entry, Frame) and entry.name in ("order:fill", "trade:new")


def _lose(history: list[Entry]) -> None:
    del history[_inner(history)]


def _lose_last_before_return(history: list[Entry]) -> None:
    """Lost with the connection, and the client believes that it has it."""
    at = _inner(history)
    lost = history[at]
    assert isinstance(lost, Frame)
    history[at : at + 1] = [Connect(lost.id, "Last-Event-ID"), _connected(history)]


def _repeat(history: list[Entry]) -> None:
    at = _inner(history)
    history.insert(at, history[at])


def _swap(history: list[Entry]) -> None:
    at = _inner(history)
    history[at : at + 2] = reversed(history[at : at + 2])


def _end_early(history: list[Entry]) -> None:
    del history[_inner(history) :]


def _reset(history: list[Entry]) -> None:
    at = _inner(history)
    before = history[at - 1]
    assert isinstance(before, Frame)
    told = {"reason": "trimmed", "requestedId": before.id, "firstAvailableId": before.id}
    history.insert(at, Frame("stream:reset", CODEC.encode(told)))


def _alter(history: list[Entry]) -> None:
    at = _inner(history)
    frame = history[at]
    assert isinstance(frame, Frame)
    history[at] = Frame(frame.name, frame.data.replace(b'"qty":', b'"qty":9'), frame.id)


def _empty_snapshot(history: list[Entry]) -> None:
    at = _inner(history)
    frame = history[at]
    assert isinstance(frame, Frame)
    told = b'{"snapshot":true,"orders":[],"timestamp":"2013-10-07T13:30:00Z"}'
    history[at:at] = [Connect(None), _connected(history), Frame("order:update", told, frame.id)]


def _no_snapshot(history: list[Entry]) -> None:
    history[(at := _inner(history)) : at] = [Connect(None), _connected(history)]


def _connected(history: Sequence[Entry]) -> Entry:
    return next(e for e in history if isinstance(e, Frame) and e.name == "connected")


def _stored(change: Callable[[Recording], Iterator[tuple[int, Event]]]) -> Plant:
    """Change events of the log, or add to it; `change` gives sequences and what is there."""

    def plant(recording: Recording) -> Recording:
        events = [*recording.events]
        for sequence, event in change(recording):
            like = next(r for r in events if type(r.event) is type(event))
            order = event.order_id if isinstance(event, TradeExecuted) else event.order.order_id  # type: ignore[attr-defined]
            domain = "trades" if isinstance(event, TradeExecuted) else "orders"
            owner = stories(events)[order].user
            events[sequence - 1 : sequence] = [
                Recorded(
                    sequence=sequence,
                    subject=f"ev.{owner}.{domain}.{order}",
                    tag=like.tag,
                    data=CODEC.encode(event),
                    meta=like.meta,
                    time=like.time,
                )
            ]
        return msgspec.structs.replace(alone(recording), events=events)

    return plant


def _first(recording: Recording, kind: type[Event], fate: Fate) -> tuple[int, Event]:
    wanted = [one.order_id for one in recording.placed if one.asked.fate is fate]
    found = stories(recording.events)
    return next(
        (at, told)
        for id_ in wanted
        for at, told in [*found[id_].events.items(), *found[id_].trades.items()]
        if type(told) is kind
    )


def _place_twice(recording: Recording) -> Iterator[tuple[int, Event]]:
    at, told = _first(recording, OrderAccepted, Fate.MARKET)
    assert isinstance(told, OrderAccepted)
    yield at, OrderPlaced(order=told.order, command_id=told.command_id)


def _fill_after_cancel(recording: Recording) -> Iterator[tuple[int, Event]]:
    _, filled = _first(recording, OrderFilled, Fate.MARKET)
    _, placed = _first(recording, OrderPlaced, Fate.LEFT)
    assert isinstance(filled, OrderFilled)
    assert isinstance(placed, OrderPlaced)
    event = msgspec.structs.replace(filled, order=placed.order)
    yield len(recording.events) + 1, event


def _fill_twice(recording: Recording) -> Iterator[tuple[int, Event]]:
    _, filled = _first(recording, OrderFilled, Fate.MARKET)
    yield len(recording.events) + 1, filled


def _trade_less(recording: Recording) -> Iterator[tuple[int, Event]]:
    at, trade = _first(recording, TradeExecuted, Fate.MARKET)
    assert isinstance(trade, TradeExecuted)
    yield at, msgspec.structs.replace(trade, qty=trade.qty - 1)


def _accept_and_forget(recording: Recording) -> Recording:
    forgotten = msgspec.structs.replace(recording.placed[0], order_id="forgotten")
    return msgspec.structs.replace(alone(recording), placed=[*recording.placed, forgotten])


def _place_unasked(recording: Recording) -> Recording:
    return msgspec.structs.replace(alone(recording), placed=recording.placed[1:])


def _list_of_old(recording: Recording) -> Recording:
    longest = max(recording.lists, key=lambda listed: len(listed.data))
    body = msgspec.json.decode(longest.data)
    body["asOf"] = body["asOf"].partition("-")[0] + "-0"
    older = msgspec.structs.replace(longest, data=CODEC.encode(body))
    return msgspec.structs.replace(alone(recording), lists=[older])


def _fail(recording: Recording) -> Recording:
    return msgspec.structs.replace(alone(recording), errors=['{"event": "a stream failed"}'])


PLANTS: dict[str, tuple[Plant, str]] = {
    "an event is lost": (_seen(_lose), ": gap at "),
    "an event is lost with its connection": (_seen(_lose_last_before_return), ": lost ["),
    "an event comes twice": (_seen(_repeat), ": duplicate at "),
    "two events change places": (_seen(_swap), ": reordered at "),
    "a client hears nothing more": (_seen(_end_early), ": behind at the end at "),
    "a reset that the log does not bear out": (_seen(_reset), ": unfounded reset at "),
    "any reset": (_seen(_reset), ": 1 resets, and "),
    "an event says something else": (_seen(_alter), ": wrong content at "),
    "a snapshot lacks orders": (_seen(_empty_snapshot), ": wrong snapshot at "),
    "no snapshot comes": (_seen(_no_snapshot), ": no snapshot at "),
    "an order is placed twice": (_stored(_place_twice), ": not placed once and first: "),
    "a fill after a cancel": (_stored(_fill_after_cancel), " after OrderCanceled"),
    "a fill is stored twice": (_stored(_fill_twice), " after OrderFilled"),
    "a fill and its trade differ": (_stored(_trade_less), " and trades "),
    "a market order is traded in part": (_stored(_trade_less), ": market, ends filled with "),
    "an accepted order is forgotten": (_accept_and_forget, ": accepted, and not in the log: "),
    "an order that nobody asked for": (_place_unasked, ": nobody was answered so"),
    "a list of another time": (_list_of_old, " is not the fold: "),
    "a service logs an error": (_fail, "a stream failed"),
}
