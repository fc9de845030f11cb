"""What is known of the journal outside of it, and the comparison with what is there.

The bucket `journal` holds the incarnation record, a high-water mark and, once a loss was noticed,
a report of it. `find_losses` compares them with the stream EVENTS: a journal that is gone, new,
shorter or trimmed, or that holds another event under a known sequence, has lost events. Start at
`read_journal` and `find_losses`.
"""

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from tapewire.events import CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.latest_values import JetStreamLatestValueStore
from tapewire.log.jetstream.repeated_reads import read_from_leader
from tapewire.log.jetstream.streams import EVENTS, JOURNAL
from tapewire.log.ports import Unavailable

INCARNATION_KEY = "incarnation"
MARK_KEY = "mark"
LOSS_KEY = "loss"
_BUCKET_PREFIX = "$KV.journal"
_NOT_FOUND_CODES = {10037, 10059}
"""No message, no stream."""

T = TypeVar("T")


class IncarnationRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The journal as it was made or accepted.

    `epoch` is one of the epochs that the journal continues. `created` is the creation time of
    EVENTS. Events before `first` were removed on purpose, except `retained` ones, and so were
    `removed` events after it; those before `erased_first` only because their users were erased.
    `replaced` holds the epochs whose loss an operator accepted when this incarnation began.
    """

    epoch: str
    created: str
    first: int = 1
    removed: int = 0
    retained: int = 0
    erased_first: int = 1
    replaced: tuple[str, ...] = ()


class HighWaterMark(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event near the end of the journal `epoch`: the journal reached it."""

    epoch: str
    sequence: int
    event_id: str
    recorded_at: datetime


class LossReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A loss that a process noticed which had seen the lost events."""

    reason: str
    reported_by: str
    reported_at: datetime


class JournalExtent(msgspec.Struct, frozen=True, kw_only=True):
    """The stream EVENTS as its leader describes it. `gap_count` counts the events that are missing
    between the first and the last one; `max_bytes` is -1 without a limit."""

    bounds: Bounds
    created: str
    event_count: int
    gap_count: int
    byte_count: int
    max_bytes: int


class JournalAndRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The stream, None if there is none, and what is recorded outside of it."""

    extent: JournalExtent | None
    record: IncarnationRecord | None
    mark: HighWaterMark | None
    loss: LossReport | None


def journal_store(connection: NatsConnection) -> JetStreamLatestValueStore:
    """The bucket `journal`."""
    return JetStreamLatestValueStore(connection, stream=JOURNAL, prefix=_BUCKET_PREFIX)


async def read_journal(connection: NatsConnection) -> JournalAndRecords:
    """Read the extent of EVENTS and the records. Raises Unavailable or OutcomeUnknown."""
    keys = (INCARNATION_KEY, MARK_KEY, LOSS_KEY)
    found = await stream_reads.last_messages(
        connection, JOURNAL, [f"{_BUCKET_PREFIX}.{key}" for key in keys]
    )
    values = {
        (message.headers or {})["Nats-Subject"].rpartition(".")[2]: message.data
        for message in found
    }
    return JournalAndRecords(
        extent=await read_extent(connection),
        record=_decode(values, INCARNATION_KEY, IncarnationRecord),
        mark=_decode(values, MARK_KEY, HighWaterMark),
        loss=_decode(values, LOSS_KEY, LossReport),
    )


def _decode(values: Mapping[str, bytes], key: str, type_: type[T]) -> T | None:
    return CODEC.decode(values[key], type_) if values.get(key) else None


async def read_extent(connection: NatsConnection) -> JournalExtent | None:
    """The extent of EVENTS; None if there is no such stream."""
    info = await _request_api(connection, f"$JS.API.STREAM.INFO.{EVENTS}", {})
    if info is None:
        return None
    state = info["state"]
    return JournalExtent(
        bounds=stream_reads.bounds_from_info(info),
        created=info["created"],
        event_count=state["messages"],
        gap_count=state.get("num_deleted", 0),
        byte_count=state["bytes"],
        max_bytes=info["config"].get("max_bytes", -1),
    )


async def read_event_id(connection: NatsConnection, sequence: int) -> str | None:
    """The id of the event at `sequence`, as the leader holds it; None if it has no such event."""
    headers = await read_event_headers(connection, sequence)
    return None if headers is None else headers.get("Nats-Msg-Id", "")


async def read_event_headers(connection: NatsConnection, sequence: int) -> dict[str, str] | None:
    """As `read_event_id`, all headers."""
    answer = await _request_api(connection, f"$JS.API.STREAM.MSG.GET.{EVENTS}", {"seq": sequence})
    if answer is None:
        return None
    _, *lines = base64.b64decode(answer["message"].get("hdrs", "")).decode().split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}


async def _request_api(
    connection: NatsConnection, subject: str, request: dict[str, Any]
) -> dict[str, Any] | None:
    """The answer of the JetStream API; None for a stream or message that does not exist."""
    message = await read_from_leader(connection, subject, msgspec.json.encode(request))
    answer: dict[str, Any] = msgspec.json.decode(message.data)
    error = answer.get("error")
    if error is None:
        return answer
    if error.get("err_code") in _NOT_FOUND_CODES:
        return None
    raise Unavailable(f"{subject}: {error.get('description')}")


def all_epochs(bounds: Bounds) -> list[str]:
    """The epochs of the journal, the current one last."""
    return [*(epoch for epoch, _ in bounds.earlier), bounds.epoch]


def find_losses(
    journal: JournalAndRecords, seen: HighWaterMark | None, event_ids: Mapping[int, str | None]
) -> list[str]:
    """How the journal differs from what is recorded and from what this process has seen of it.

    Args:
        seen: the last event that this process has seen.
        event_ids: the ids of the events at the sequences of the mark and of `seen`; None for one
            that the journal does not hold.
    """
    extent, record = journal.extent, journal.record
    reported = [] if journal.loss is None else [journal.loss.reason]
    if extent is None and record is None:
        return [*reported, "there is no stream EVENTS yet: run `tapewire provision`"]
    if extent is None:
        reached = f", which had reached {journal.mark.sequence}" if journal.mark else ""
        return [*reported, f"the journal is gone: there is no stream EVENTS{reached}"]
    if record is None:
        return ["the journal has no incarnation record: run `tapewire provision`"]
    return [
        *dict.fromkeys(
            [
                *reported,
                *_find_another_incarnation(extent, record),
                *_find_setback(extent.bounds, record, journal.mark, "recorded", event_ids),
                *_find_setback(extent.bounds, record, seen, "seen by this process", event_ids),
                *_find_removals(extent, record),
            ]
        )
    ]


def _find_another_incarnation(extent: JournalExtent, record: IncarnationRecord) -> Iterator[str]:
    if extent.created != record.created:
        yield (
            f"the journal is another one: EVENTS was created at {extent.created}, "
            f"recorded is {record.created}"
        )
    elif not extent.bounds.includes(record.epoch, 0):
        yield f"the journal is another one: {extent.bounds.epoch}, recorded is {record.epoch}"


def _find_setback(
    bounds: Bounds,
    record: IncarnationRecord,
    mark: HighWaterMark | None,
    whose: str,
    event_ids: Mapping[int, str | None],
) -> Iterator[str]:
    """Whether the journal no longer holds the event of `mark`. A recorded mark of a journal whose
    loss was accepted means nothing."""
    is_known = mark is not None and mark.epoch in {record.epoch, *all_epochs(bounds)}
    if mark is None or (not is_known and whose == "recorded"):
        return
    if bounds.last < mark.sequence:
        yield (
            f"the journal ends at {bounds.last}, but {mark.sequence} was {whose}: "
            f"{mark.sequence - bounds.last} or more events are missing at its end"
        )
    elif not is_known:
        yield (
            f"the journal was set back: its epoch {mark.epoch} was {whose}, it is now "
            f"{bounds.epoch}"
        )
    elif event_ids.get(mark.sequence) not in (None, mark.event_id):
        yield (
            f"the journal holds another event at {mark.sequence} than was {whose}: "
            "it was set back, and has grown since"
        )


def _find_removals(extent: JournalExtent, record: IncarnationRecord) -> Iterator[str]:
    bounds = extent.bounds
    if bounds.first > record.first:
        yield (
            f"the journal begins at {bounds.first} instead of {record.first}: "
            f"{bounds.first - record.first} events were removed"
        )
    first = max(bounds.first, record.first)
    missing = count_missing(extent, first, record.retained) - record.removed
    if missing > 0:
        yield f"{missing} events are missing between {bounds.first} and {bounds.last}"


def count_missing(extent: JournalExtent, first: int, retained: int) -> int:
    """Events that a journal lacks which is complete from `first` on and holds `retained` earlier
    ones; 0 or less while earlier events are still being removed."""
    return extent.bounds.last - first + 1 + retained - extent.event_count
