"""Violations to plant into a recorded trial. Each is one that a faulty system could have left.

`PLANTED_VIOLATIONS` maps each name to the change and to the text that the checks must report. A
changed recording has one client, the one that received most.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tapewire.events import (
    CODEC,
    Event,
    OrderAccepted,
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tests.harness.history import HistoryEntry, ReceivedEvent, StreamOpened
from tests.harness.order_invariants import recorded_orders
from tests.harness.order_trial.checks import OrderTrialRecording
from tests.harness.planned_orders import ExpectedEnd

PlantViolation = Callable[[OrderTrialRecording], OrderTrialRecording]


def with_one_watcher(recording: OrderTrialRecording) -> OrderTrialRecording:
    """The recording with only the client that received most."""
    most = max(recording.watched, key=lambda one: len(one.history))
    return msgspec.structs.replace(recording, watched=[most])


def _change_history(change: Callable[[list[HistoryEntry]], None]) -> PlantViolation:
    """Plant a change of what a client received."""

    def plant(recording: OrderTrialRecording) -> OrderTrialRecording:
        (one,) = with_one_watcher(recording).watched
        history = [*one.history]
        change(history)
        changed = msgspec.structs.replace(one, history=history)
        return msgspec.structs.replace(recording, watched=[changed])

    return plant


def _middle_event_index(history: Sequence[HistoryEntry]) -> int:
    """The index of an event between two others."""
    indexes = [
        at for at in range(1, len(history) - 1) if all(map(_is_event, history[at - 1 : at + 2]))
    ]
    return indexes[len(indexes) // 2]


def _is_event(entry: HistoryEntry) -> bool:
    return isinstance(entry, ReceivedEvent) and entry.name in ("order:fill", "trade:new")


def _drop_event(history: list[HistoryEntry]) -> None:
    del history[_middle_event_index(history)]


def _drop_last_event_before_reconnect(history: list[HistoryEntry]) -> None:
    """The event was lost with the connection, and the client's last id says that it was
    received."""
    at = _middle_event_index(history)
    lost = history[at]
    assert isinstance(lost, ReceivedEvent)
    history[at : at + 1] = [StreamOpened(lost.id, "Last-Event-ID"), _connected_frame(history)]


def _duplicate_event(history: list[HistoryEntry]) -> None:
    at = _middle_event_index(history)
    history.insert(at, history[at])


def _swap_events(history: list[HistoryEntry]) -> None:
    at = _middle_event_index(history)
    history[at : at + 2] = reversed(history[at : at + 2])


def _truncate(history: list[HistoryEntry]) -> None:
    del history[_middle_event_index(history) :]


def _insert_reset(history: list[HistoryEntry]) -> None:
    at = _middle_event_index(history)
    before = history[at - 1]
    assert isinstance(before, ReceivedEvent)
    payload = {"reason": "trimmed", "requestedId": before.id, "firstAvailableId": before.id}
    history.insert(at, ReceivedEvent("stream:reset", CODEC.encode(payload)))


def _alter_content(history: list[HistoryEntry]) -> None:
    at = _middle_event_index(history)
    frame = history[at]
    assert isinstance(frame, ReceivedEvent)
    history[at] = ReceivedEvent(frame.name, frame.data.replace(b'"qty":', b'"qty":9'), frame.id)


def _insert_empty_snapshot(history: list[HistoryEntry]) -> None:
    at = _middle_event_index(history)
    frame = history[at]
    assert isinstance(frame, ReceivedEvent)
    payload = b'{"snapshot":true,"orders":[],"timestamp":"2013-10-07T13:30:00Z"}'
    history[at:at] = [
        StreamOpened(None),
        _connected_frame(history),
        ReceivedEvent("order:update", payload, frame.id),
    ]


def _omit_snapshot(history: list[HistoryEntry]) -> None:
    history[(at := _middle_event_index(history)) : at] = [
        StreamOpened(None),
        _connected_frame(history),
    ]


def _connected_frame(history: Sequence[HistoryEntry]) -> HistoryEntry:
    return next(e for e in history if isinstance(e, ReceivedEvent) and e.name == "connected")


def _change_log(
    change: Callable[[OrderTrialRecording], Iterator[tuple[int, Event]]],
) -> PlantViolation:
    """Plant changed or additional events in the log; `change` yields sequences and events."""

    def plant(recording: OrderTrialRecording) -> OrderTrialRecording:
        events = [*recording.events]
        for sequence, event in change(recording):
            like = next(r for r in events if type(r.event) is type(event))
            if isinstance(event, TradeExecuted):
                domain, order = "trades", event.order_id
            else:
                assert isinstance(event, OrderEvent)
                domain, order = "orders", event.order.order_id
            owner = recorded_orders(events)[order].user
            events[sequence - 1 : sequence] = [
                RecordedEvent(
                    sequence=sequence,
                    subject=f"ev.{owner}.{domain}.{order}",
                    tag=like.tag,
                    data=CODEC.encode(event),
                    metadata=like.metadata,
                    time=like.time,
                )
            ]
        return msgspec.structs.replace(with_one_watcher(recording), events=events)

    return plant


def _first_event_of(
    recording: OrderTrialRecording, event_type: type[Event], expected_end: ExpectedEnd
) -> tuple[int, Event]:
    wanted = [one.order_id for one in recording.placed if one.planned.expected_end is expected_end]
    found = recorded_orders(recording.events)
    return next(
        (at, event)
        for id_ in wanted
        for at, event in [*found[id_].events.items(), *found[id_].trades.items()]
        if type(event) is event_type
    )


def _duplicate_placement(recording: OrderTrialRecording) -> Iterator[tuple[int, Event]]:
    at, accepted = _first_event_of(recording, OrderAccepted, ExpectedEnd.MARKET_FILL)
    assert isinstance(accepted, OrderAccepted)
    yield at, OrderPlaced(order=accepted.order, command_id=accepted.command_id)


def _add_fill_after_cancel(recording: OrderTrialRecording) -> Iterator[tuple[int, Event]]:
    _, filled = _first_event_of(recording, OrderFilled, ExpectedEnd.MARKET_FILL)
    _, placed = _first_event_of(recording, OrderPlaced, ExpectedEnd.CANCELED_LIMIT)
    assert isinstance(filled, OrderFilled)
    assert isinstance(placed, OrderPlaced)
    event = msgspec.structs.replace(filled, order=placed.order)
    yield len(recording.events) + 1, event


def _duplicate_fill(recording: OrderTrialRecording) -> Iterator[tuple[int, Event]]:
    _, filled = _first_event_of(recording, OrderFilled, ExpectedEnd.MARKET_FILL)
    yield len(recording.events) + 1, filled


def _reduce_trade_quantity(recording: OrderTrialRecording) -> Iterator[tuple[int, Event]]:
    at, trade = _first_event_of(recording, TradeExecuted, ExpectedEnd.MARKET_FILL)
    assert isinstance(trade, TradeExecuted)
    yield at, msgspec.structs.replace(trade, qty=trade.qty - 1)


def _add_answer_without_event(recording: OrderTrialRecording) -> OrderTrialRecording:
    forgotten = msgspec.structs.replace(recording.placed[0], order_id="forgotten")
    return msgspec.structs.replace(
        with_one_watcher(recording), placed=[*recording.placed, forgotten]
    )


def _remove_answer(recording: OrderTrialRecording) -> OrderTrialRecording:
    return msgspec.structs.replace(with_one_watcher(recording), placed=recording.placed[1:])


def _make_list_stale(recording: OrderTrialRecording) -> OrderTrialRecording:
    longest = max(recording.lists, key=lambda listed: len(listed.data))
    body = msgspec.json.decode(longest.data)
    body["asOf"] = body["asOf"].partition("-")[0] + "-0"
    older = msgspec.structs.replace(longest, data=CODEC.encode(body))
    return msgspec.structs.replace(with_one_watcher(recording), lists=[older])


def _add_error_line(recording: OrderTrialRecording) -> OrderTrialRecording:
    return msgspec.structs.replace(
        with_one_watcher(recording), errors=['{"event": "stream.failed"}']
    )


PLANTED_VIOLATIONS: dict[str, tuple[PlantViolation, str]] = {
    "an event is lost": (_change_history(_drop_event), ": gap at "),
    "an event is lost with its connection": (
        _change_history(_drop_last_event_before_reconnect),
        ": lost [",
    ),
    "an event comes twice": (_change_history(_duplicate_event), ": duplicate at "),
    "two events change places": (_change_history(_swap_events), ": reordered at "),
    "a client receives nothing more": (_change_history(_truncate), ": behind at the end at "),
    "a reset that the log does not justify": (
        _change_history(_insert_reset),
        ": unfounded reset at ",
    ),
    "any reset": (_change_history(_insert_reset), ": 1 resets, "),
    "an event has other content": (_change_history(_alter_content), ": wrong content at "),
    "a snapshot lacks orders": (_change_history(_insert_empty_snapshot), ": wrong snapshot at "),
    "no snapshot comes": (_change_history(_omit_snapshot), ": no snapshot at "),
    "an order is placed twice": (_change_log(_duplicate_placement), "it happened already, at "),
    "a fill after a cancel": (_change_log(_add_fill_after_cancel), "the order is not open"),
    "a fill is stored twice": (_change_log(_duplicate_fill), "the order is not open"),
    "a fill and its trade differ": (_change_log(_reduce_trade_quantity), "qty of the trade"),
    "a market order is traded in part": (
        _change_log(_reduce_trade_quantity),
        ": market, ends filled with ",
    ),
    "an accepted order is not stored": (
        _add_answer_without_event,
        ": accepted, and not in the log: ",
    ),
    "an order that no client placed": (_remove_answer, ": no client received this id"),
    "an order list of an earlier time": (_make_list_stale, " other orders"),
    "a service logs an error": (_add_error_line, "stream.failed"),
}
