"""Checks a recorded trial: what clients received and were answered, against the log. Pure.

The history checker judges what each client received, and `_check_ids_and_events` checks it once
more in the simplest form. `order_invariants` verifies the log and checks the orders. Every list of
orders is compared with the fold of the log at the sequence that it names. Start reading at
`find_violations`.
"""

import itertools
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from tapewire.log import RecordedEvent
from tests.harness.history import (
    ExpectedLog,
    HistoryEntry,
    LogIncarnation,
    ReceivedEvent,
    check_history,
    split_at_fresh_connections,
)
from tests.harness.history.expected_log import ORDER_STREAM_DOMAINS, TRADING_STREAM_DOMAINS
from tests.harness.order_invariants import find_order_violations
from tests.harness.order_trial.plan import WatcherBehavior
from tests.harness.trader import OrderListAnswer, PlacementAnswer

LISTED_ORDERS = 1000
"""The newest orders, which are the first page of a user's list."""


class ReceivedHistory(msgspec.Struct, frozen=True):
    """What a client received."""

    watcher_number: int
    behavior: WatcherBehavior
    history: list[HistoryEntry]

    def count_frames(self, name: str) -> int:
        """The number of frames with that name."""
        return sum(
            isinstance(entry, ReceivedEvent) and entry.name == name for entry in self.history
        )


class OrderTrialRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A completed trial. `events` holds the whole log from sequence 1; `errors` are lines that
    services logged as errors, and lines that are not log lines."""

    epoch: str
    events: list[RecordedEvent]
    watched: list[ReceivedHistory]
    placed: list[PlacementAnswer]
    lists: list[OrderListAnswer]
    errors: list[str]


class _OrderListBody(msgspec.Struct, rename="camel"):
    orders: list[msgspec.Raw]
    as_of: str


_order_list_decoder = msgspec.json.Decoder(_OrderListBody)
_json_decoder = msgspec.json.Decoder(float_hook=Decimal)


def find_violations(recording: OrderTrialRecording) -> list[str]:
    """All violations in the recording."""
    log = ExpectedLog([LogIncarnation(recording.epoch, recording.events)])
    wrong = find_order_violations(recording.events, recording.placed)
    for one in recording.watched:
        who = f"client {one.watcher_number} of {one.behavior.user} ({one.behavior.path})"
        anomalies = check_history(
            log, one.behavior.user, one.history, domains=streamed_domains(one.behavior)
        )
        found = [*map(str, anomalies), *_check_ids_and_events(log, one)]
        wrong += [f"{who}: {what}" for what in found]
    for listed in recording.lists:
        wrong += _check_order_list(log, listed)
    return wrong + [f"logged: {line}" for line in recording.errors]


def _check_ids_and_events(log: ExpectedLog, received: ReceivedHistory) -> Iterator[str]:
    """Ids strictly increase, and the events are exactly those of the log from the start of the
    stream on."""
    if resets := received.count_frames("stream:reset"):
        yield f"{resets} resets, although no event was removed"
    connections = [*split_at_fresh_connections(received.history)]
    for connection_index, frames in enumerate(connections):
        ids = [int((frame.id or "").rpartition("-")[2]) for frame in frames]
        if any(later <= earlier for earlier, later in itertools.pairwise(ids)):
            yield f"ids do not increase: {ids}"
        end = log.newest_epoch.last if connection_index == len(connections) - 1 else ids[-1]
        wanted = log.newest_epoch.visible_between(
            received.behavior.user, ids[0], end + 1, streamed_domains(received.behavior)
        )
        got = [
            at for at, frame in zip(ids[1:], frames[1:], strict=True) if frame.name != "checkpoint"
        ]
        if got != wanted:
            lost, extra = sorted({*wanted} - {*got}), sorted({*got} - {*wanted})
            yield f"from {ids[0]} to {end}: lost {lost}, unexpected {extra}"


def streamed_domains(behavior: WatcherBehavior) -> frozenset[str]:
    """The domains that the client's stream shows."""
    return (
        TRADING_STREAM_DOMAINS if behavior.path == "/api/stream/trading" else ORDER_STREAM_DOMAINS
    )


def _check_order_list(log: ExpectedLog, answer: OrderListAnswer) -> Iterator[str]:
    answered = _order_list_decoder.decode(answer.data)
    epoch, _, sequence = answered.as_of.rpartition("-")
    if epoch != log.newest_epoch.name or int(sequence) > log.newest_epoch.last:
        yield f"a list of {answer.user} as of {answered.as_of}; the log is {log.newest_epoch.name}"
        return
    orders = [_json_decoder.decode(order) for order in answered.orders]
    wanted = [
        _json_decoder.decode(order)
        for order in log.newest_epoch.listed_orders(answer.user, int(sequence))[:LISTED_ORDERS]
    ]
    if orders != wanted:
        yield f"a list of {answer.user} as of {answered.as_of} has {len(orders)} other orders"
