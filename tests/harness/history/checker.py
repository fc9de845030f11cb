"""Checks one client's history against the log. Start reading at `check_history`."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.log import EVERYBODY
from tests.harness.history.entries import (
    Anomaly,
    AnomalyKind,
    HistoryEntry,
    ReceivedEvent,
    StreamOpened,
)
from tests.harness.history.expected_log import (
    ORDER_STREAM_DOMAINS,
    ExpectedEvent,
    ExpectedLog,
    LogIncarnation,
)

UNSEQUENCED_NAMES = frozenset(
    {
        "connected",
        "stream:reset",
        "stream:draining",
        "auth:expired",
        "position:update",
        "account:update",
        "price:stale",
    }
)
MAX_REQUESTED_ID_LENGTH = 64
"""The number of characters of an invalid id that a reset repeats."""

_ID_PATTERN = re.compile(r"([a-z][a-z0-9]{0,23})-(\d{1,19})")


class _EventId(msgspec.Struct, frozen=True):
    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"


class _Snapshot(msgspec.Struct):
    snapshot: bool = False
    orders: list[msgspec.Raw] = []


class _Reset(msgspec.Struct, rename="camel"):
    reason: str
    requested_id: str
    first_available_id: str


class _ConnectedPayload(msgspec.Struct, rename="camel"):
    user_id: str | None


_snapshot_decoder = msgspec.json.Decoder(_Snapshot)
_reset_decoder = msgspec.json.Decoder(_Reset)
_connected_decoder = msgspec.json.Decoder(_ConnectedPayload)
_json_decoder = msgspec.json.Decoder(float_hook=Decimal)


def check_history(
    log: ExpectedLog,
    owner: str,
    history: Sequence[HistoryEntry],
    *,
    complete: bool = True,
    replay_limit: int | None = None,
    domains: frozenset[str] = ORDER_STREAM_DOMAINS,
) -> list[Anomaly]:
    """All deviations in one client's `history`.

    `domains` are the domains of the owner's events that the stream shows. `complete` means that
    every event had time to arrive. `replay_limit` is the largest number of events of an owner in a
    replay. A reset with the reason `limit` is a violation unless more follow; None allows none.
    """
    client = _HistoryChecker(log, owner, replay_limit, domains)
    for at, entry in enumerate(history):
        client.check_entry(at, entry)
    if complete:
        client.check_complete(len(history))
    return client.anomalies


class _HistoryChecker:
    """The state of one client: after its last event id, or waiting for a snapshot."""

    def __init__(
        self, log: ExpectedLog, owner: str, replay_limit: int | None, domains: frozenset[str]
    ) -> None:
        self._domains = domains
        self._log = log
        self._owner = owner
        self._replay_limit = replay_limit
        self._entry_index = 0
        self._requested_id: str | None = None
        self._last_event_id: _EventId | None = None
        self._start_sequence = 0
        self._delivered_sequences: set[int] = set()
        self._awaits_snapshot = True
        self._may_receive_snapshot = False
        self._awaits_connected = False
        self._has_received_id = False
        self.anomalies: list[Anomaly] = []

    def check_entry(self, index: int, entry: HistoryEntry) -> None:
        self._entry_index = index
        if isinstance(entry, StreamOpened):
            self._open_stream(entry)
        elif entry.id is not None:
            self._check_sequenced(entry, entry.id)
        else:
            self._check_unsequenced(entry)

    def check_complete(self, index: int) -> None:
        self._entry_index = index
        newest = self._log.newest_epoch
        if self._last_event_id is None or self._awaits_snapshot:
            self._report(
                AnomalyKind.INCOMPLETE,
                f"no snapshot was received; the last requested id is {self._requested_id}",
            )
        elif self._last_event_id.epoch != newest.name:
            self._report(
                AnomalyKind.INCOMPLETE,
                f"at {self._last_event_id}, and the log is {newest.name} now",
            )
        elif missing := newest.visible_between(
            self._owner, self._last_event_id.sequence, newest.last + 1, self._domains
        ):
            self._report(
                AnomalyKind.INCOMPLETE,
                f"at {self._last_event_id}, without {_format_sequences(missing)}",
            )

    def _report(self, kind: AnomalyKind, what: str) -> None:
        self.anomalies.append(Anomaly(kind, self._entry_index, what))

    def _open_stream(self, connect: StreamOpened) -> None:
        self._requested_id = connect.requested_id
        self._last_event_id = (
            None if connect.requested_id is None else self._parse_id(connect.requested_id)
        )
        self._delivered_sequences.clear()
        self._start_sequence = 0 if self._last_event_id is None else self._last_event_id.sequence
        self._awaits_snapshot = self._may_receive_snapshot = connect.requested_id is None
        self._awaits_connected = True
        self._has_received_id = False

    def _parse_id(self, text: str) -> _EventId | None:
        """The sequence and the epoch of an id; a bare sequence belongs to the newest epoch."""
        if found := _ID_PATTERN.fullmatch(text):
            return _EventId(found[1], int(found[2]))
        return _EventId(self._log.newest_epoch.name, int(text)) if text.isdecimal() else None

    def _check_unsequenced(self, frame: ReceivedEvent) -> None:
        if self._awaits_connected != (frame.name == "connected"):
            self._report(
                AnomalyKind.WRONG_OPENING,
                f"{frame.name} instead of `connected`, or a second `connected`",
            )
        self._awaits_connected = False
        if frame.name == "connected":
            user = _connected_decoder.decode(frame.data).user_id
            if user != self._owner:
                self._report(
                    AnomalyKind.FOREIGN_EVENT, f"connected as {user!r}, not {self._owner!r}"
                )
        elif frame.name == "stream:reset":
            self._check_reset(_reset_decoder.decode(frame.data))
        elif frame.name not in UNSEQUENCED_NAMES:
            self._report(AnomalyKind.BAD_ID, f"{frame.name} without an id: {_shorten(frame.data)}")

    def _check_reset(self, reset: _Reset) -> None:
        if not self._is_known_id(reset.requested_id):
            at = self._last_event_id if self._has_received_id else self._requested_id
            self._report(
                AnomalyKind.UNFOUNDED_RESET, f"of {reset.requested_id!r}, but the client is at {at}"
            )
        elif not self._is_justified(reset):
            why = f"{reset.reason!r} of {reset.requested_id}: {self._describe_log()}"
            self._report(AnomalyKind.UNFOUNDED_RESET, why)
        self._awaits_snapshot = self._may_receive_snapshot = True

    def _is_known_id(self, text: str) -> bool:
        """Whether the id in a reset is the one that this connection requested. Once the client has
        received an id, it may be the client's position, or a later one with no visible event
        between them."""
        if (
            not self._has_received_id
            and text == (self._requested_id or "")[:MAX_REQUESTED_ID_LENGTH]
        ):
            return True
        named, last = self._parse_id(text), self._last_event_id
        if named is None or last is None or named.epoch != last.epoch:
            return False
        epoch = self._log.epochs.get(last.epoch)
        if epoch is None:
            return False
        between = epoch.visible_between(
            self._owner, last.sequence, named.sequence + 1, self._domains
        )
        return named.sequence >= last.sequence and not between

    def _is_justified(self, reset: _Reset) -> bool:
        last = self._last_event_id
        if last is None:
            return reset.reason == "malformed" and self._requested_id is not None
        epoch = self._log.epochs.get(last.epoch)
        if reset.reason == "epoch" or epoch is None:
            return reset.reason == "epoch" and last.epoch != self._log.newest_epoch.name
        if reset.reason == "ahead":
            return last.sequence > epoch.last
        if reset.reason == "trimmed":
            return last.sequence + 1 < epoch.first
        if reset.reason == "limit" and self._replay_limit is not None:
            return epoch.count_after(self._owner, last.sequence) > self._replay_limit
        return False

    def _describe_log(self) -> str:
        return ", ".join(
            f"{epoch.name} has {epoch.first} to {epoch.last}" for epoch in self._log.epochs.values()
        )

    def _check_sequenced(self, frame: ReceivedEvent, raw_id: str) -> None:
        found = _ID_PATTERN.fullmatch(raw_id)
        epoch = self._log.epochs.get(found[1]) if found else None
        if found is None or epoch is None:
            self._report(AnomalyKind.BAD_ID, f"{frame.name} with the id {raw_id!r}")
            return
        if self._awaits_connected:
            self._report(AnomalyKind.WRONG_OPENING, f"{frame.name} before `connected`")
            self._awaits_connected = False
        to = _EventId(found[1], int(found[2]))
        if frame.name == "order:update" and frame.data.startswith(b'{"snapshot":true,'):
            self._check_snapshot(frame, epoch, to)
        elif self._awaits_snapshot:
            self._report(AnomalyKind.NO_SNAPSHOT, f"{frame.name} {to} before any snapshot")
        elif self._last_event_id is None or to.epoch != self._last_event_id.epoch:
            self._report(
                AnomalyKind.SILENT_RESET,
                f"{frame.name} {to} after {self._last_event_id or self._requested_id}",
            )
        else:
            self._check_advance(frame, epoch, self._last_event_id.sequence, to)
        self._last_event_id = to
        self._has_received_id = True
        self._awaits_snapshot = self._may_receive_snapshot = False

    def _check_snapshot(
        self, frame: ReceivedEvent, epoch: LogIncarnation, event_id: _EventId
    ) -> None:
        before = self._last_event_id
        if not self._may_receive_snapshot:
            self._report(
                AnomalyKind.SILENT_RESET,
                f"a snapshot {event_id} after {before or self._requested_id}",
            )
        elif (
            before is not None
            and before.epoch == event_id.epoch
            and (event_id.sequence < before.sequence <= epoch.last)
        ):
            self._report(AnomalyKind.ID_WENT_BACK, f"a snapshot {event_id} after {before}")
        if event_id.sequence > epoch.last:
            self._report(
                AnomalyKind.FOREIGN_EVENT,
                f"a snapshot {event_id}, but the log ends at {epoch.last}",
            )
        received = [bytes(order) for order in _snapshot_decoder.decode(frame.data).orders]
        wanted = epoch.snapshot_orders(self._owner, event_id.sequence)
        if received != wanted and [*map(_parse_json, received)] != [*map(_parse_json, wanted)]:
            self._report(
                AnomalyKind.WRONG_SNAPSHOT, f"{event_id}: {_describe_difference(received, wanted)}"
            )
        self._delivered_sequences.clear()
        self._start_sequence = event_id.sequence

    def _check_advance(
        self, frame: ReceivedEvent, epoch: LogIncarnation, after: int, event_id: _EventId
    ) -> None:
        sequence = event_id.sequence
        if frame.name == "checkpoint":
            if sequence <= after:
                self._report(AnomalyKind.ID_WENT_BACK, f"checkpoint {event_id} after {after}")
            sequence += 1
        else:
            self._check_content(frame, epoch.event_at(sequence), event_id)
        if missing := epoch.visible_between(self._owner, after, sequence, self._domains):
            self._report(
                AnomalyKind.GAP, f"{event_id} after {after}, without {_format_sequences(missing)}"
            )
        if frame.name != "checkpoint":
            if sequence <= after:
                known = sequence in self._delivered_sequences or sequence <= self._start_sequence
                kind = AnomalyKind.DUPLICATE if known else AnomalyKind.REORDERED
                self._report(kind, f"{frame.name} {event_id} after {after}")
            self._delivered_sequences.add(sequence)

    def _check_content(
        self, frame: ReceivedEvent, event: ExpectedEvent | None, event_id: _EventId
    ) -> None:
        if event is None:
            self._report(
                AnomalyKind.FOREIGN_EVENT, f"{frame.name} {event_id}: the log has no such event"
            )
        elif event.owner not in (self._owner, EVERYBODY):
            self._report(
                AnomalyKind.FOREIGN_EVENT, f"{frame.name} {event_id} is of {event.owner!r}"
            )
        elif frame.name != event.name:
            self._report(
                AnomalyKind.WRONG_CONTENT,
                f"{event_id} is {event.name or 'not shown'}, not {frame.name}",
            )
        elif event.domain not in self._domains and event.owner != EVERYBODY:
            self._report(
                AnomalyKind.WRONG_CONTENT,
                f"{event_id} is of {event.domain}, which this stream does not show",
            )
        elif event.name == "position:update":
            self._check_position_content(frame, event, event_id)
        elif frame.data != event.data and _parse_json(frame.data) != _parse_json(event.data):
            received, wanted = _shorten(frame.data), _shorten(event.data)
            self._report(
                AnomalyKind.WRONG_CONTENT, f"{event_id} has {received}, the log has {wanted}"
            )

    def _check_position_content(
        self, frame: ReceivedEvent, event: ExpectedEvent, event_id: _EventId
    ) -> None:
        """Compare the fields that do not depend on a price; the others depend on the quote at the
        time of delivery."""
        [received] = _parse_json(frame.data)["positions"]
        held = _parse_json(event.data)
        wanted = (held["symbol"], held["quantity"], held["entryPrice"], held["realizedPnl"])
        if (
            received["symbol"],
            received["quantity"],
            received["entryPrice"],
            received["realizedPnL"],
        ) != wanted:
            self._report(
                AnomalyKind.WRONG_CONTENT, f"{event_id} has {received}, the log has {wanted}"
            )


def _parse_json(data: bytes) -> Any:
    return _json_decoder.decode(data)


def _format_sequences(sequences: Sequence[int]) -> str:
    more = f" and {len(sequences) - 5} more" if len(sequences) > 5 else ""
    return ", ".join(map(str, sequences[:5])) + more


def _shorten(data: bytes) -> str:
    text = data.decode(errors="replace")
    return text if len(text) <= 120 else f"{text[:117]}..."


def _describe_difference(received: list[bytes], expected: list[bytes]) -> str:
    extra = [_shorten(order) for order in received if order not in expected]
    lost = [_shorten(order) for order in expected if order not in received]
    counts = f"{len(received)} orders, not {len(expected)}"
    return (
        f"{counts}; too many: {extra[:1]}; missing: {lost[:1]}"
        if extra or lost
        else (f"{counts}, in another order")
    )
