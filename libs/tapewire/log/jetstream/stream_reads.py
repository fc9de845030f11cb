"""Reads of stored messages: batched direct gets, and questions to the stream's leader.

nats-py has no method for a batched direct get. A page is one request with many replies, closed by a
status message. Each reply names the sequence of the one before (`Nats-Last-Sequence`); checking
this chain turns a lost reply into an error instead of a hole in the page. Start at `read_page`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.batch_part import read_batch_part
from tapewire.log.bounds import Bounds
from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.repeated_reads import read_from_leader, read_many
from tapewire.log.ports import PAGE_BYTES, EventMetadata, RecordedEvent, Unavailable

MAX_SUBJECTS_PER_REQUEST = 256
"""Subjects of one request. The server accepts at most 1,024, and a request of at most a
megabyte."""
EPOCH_METADATA = "tapewire-epoch"
"""The key of the stream's metadata that names the epoch, unless it derives from the creation."""
EARLIER_EPOCHS_METADATA = "tapewire-earlier-epochs"
"""The key of the stream's metadata with the earlier epochs: ``EPOCH:LAST,EPOCH:LAST,…``."""
COMPLETE_FROM_METADATA = "tapewire-complete-from"
"""The key of the stream's metadata with the sequence from which on an archived journal is
complete. Of what came before, it holds only single events."""
_NOT_FOUND_CODE = 10037
_BASE36_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class StoredMessages(msgspec.Struct, frozen=True):
    """Messages of a page, and how many more the stream held."""

    messages: list[Msg]
    remaining: int


async def read_page(
    connection: NatsConnection, stream: str, filter_: str, *, after: int, limit: int, max_bytes: int
) -> StoredMessages:
    """Read the first messages after `after` that match `filter_`. Raises Unavailable."""
    request = {"next_by_subj": filter_, "seq": after + 1, "batch": limit, "max_bytes": max_bytes}
    return await _request_page(connection, stream, request, filter_)


async def last_messages(
    connection: NatsConnection, stream: str, subjects: Sequence[str]
) -> list[Msg]:
    """Read the last message of each of `subjects` that has one, in order. Raises Unavailable."""
    found: dict[str, Msg] = {}
    for start in range(0, len(subjects), MAX_SUBJECTS_PER_REQUEST):
        left, missing = 1, list(subjects[start : start + MAX_SUBJECTS_PER_REQUEST])
        while left and missing:
            request = {"multi_last": missing, "max_bytes": PAGE_BYTES}
            answer = await _request_page(connection, stream, request, f"{len(missing)} subjects")
            found |= {_header(message, "Nats-Subject"): message for message in answer.messages}
            left = answer.remaining
            missing = [subject for subject in missing if subject not in found]
    return sorted(found.values(), key=lambda message: int(_header(message, "Nats-Sequence")))


def _header(message: Msg, name: str) -> str:
    return (message.headers or {})[name]


async def _request_page(
    connection: NatsConnection, stream: str, request: dict[str, Any], description: str
) -> StoredMessages:
    replies = await read_many(
        connection,
        f"$JS.API.DIRECT.GET.{stream}",
        msgspec.json.encode(request),
        lambda m: bool(status_code(m)),
    )
    *messages, end = replies
    if status_code(end) == "404":
        return StoredMessages([], 0)
    if status_code(end) != "204":
        raise Unavailable(f"reading {description} of {stream}: {end.headers}")
    _check_chain(replies, description)
    return StoredMessages(messages, int((end.headers or {}).get("Nats-Num-Pending", "0")))


def _check_chain(replies: list[Msg], description: str) -> None:
    """Check that each reply names the one before it, the closing status too. Raises Unavailable."""
    before = "0"
    for reply in replies:
        headers = reply.headers or {}
        if headers.get("Nats-Last-Sequence", before) != before:
            raise Unavailable(
                f"a page of {description} lost a message after {before}: read it again"
            )
        before = headers.get("Nats-Sequence", before)


async def last_sequence(connection: NatsConnection, stream: str, filter_: str) -> int:
    """The leader's last sequence for `filter_`, 0 for none."""
    answer = await _request_api(
        connection, f"$JS.API.STREAM.MSG.GET.{stream}", {"last_by_subj": filter_}
    )
    return int(answer["message"]["seq"]) if "message" in answer else 0


async def last_stored_at(connection: NatsConnection, stream: str, filter_: str) -> datetime | None:
    """When the leader stored its last message for `filter_`; None if it has none."""
    answer = await _request_api(
        connection, f"$JS.API.STREAM.MSG.GET.{stream}", {"last_by_subj": filter_}
    )
    return datetime.fromisoformat(answer["message"]["time"]) if "message" in answer else None


async def next_sequence(connection: NatsConnection, stream: str, filter_: str, after: int) -> int:
    """The leader's first sequence after `after` for `filter_`, 0 for none."""
    request = {"next_by_subj": filter_, "seq": after + 1}
    answer = await _request_api(connection, f"$JS.API.STREAM.MSG.GET.{stream}", request)
    return int(answer["message"]["seq"]) if "message" in answer else 0


async def last_sequence_before(connection: NatsConnection, stream: str, moment: datetime) -> int:
    """The sequence before the first message that was stored at or after `moment`, among those from
    which on the stream is complete."""
    request = {"next_by_subj": ">", "start_time": moment.isoformat(), "batch": 1}
    replies = await read_many(
        connection,
        f"$JS.API.DIRECT.GET.{stream}",
        msgspec.json.encode(request),
        lambda m: bool(status_code(m)),
    )
    now = await bounds(connection, stream)
    if len(replies) > 1:
        return max(int((replies[0].headers or {})["Nats-Sequence"]), now.first) - 1
    return now.last


async def bounds(connection: NatsConnection, stream: str) -> Bounds:
    """The extent of `stream`, as the leader knows it."""
    answer = await _request_api(connection, f"$JS.API.STREAM.INFO.{stream}", {})
    if "state" not in answer:
        raise Unavailable(f"stream {stream} is not there: provision it")
    return bounds_from_info(answer)


def bounds_from_info(info: dict[str, Any]) -> Bounds:
    """The extent of a stream from the server's description of it.

    The epoch derives from the stream's creation, unless the metadata name another one.
    """
    state, metadata = info["state"], info["config"].get("metadata") or {}
    epoch = metadata.get(EPOCH_METADATA) or epoch_from_created(info["created"])
    earlier = tuple(
        (name, int(end))
        for name, _, end in (
            part.partition(":") for part in metadata.get(EARLIER_EPOCHS_METADATA, "").split(",")
        )
        if end.isdigit()
    )
    first = max(state["first_seq"] or 1, int(metadata.get(COMPLETE_FROM_METADATA, 1)))
    return Bounds(epoch, first, state["last_seq"], earlier)


async def subjects(connection: NatsConnection, stream: str, filter_: str) -> list[str]:
    """The subjects of `stream` that match `filter_`, as the leader knows them: for a filter that
    few subjects match. Raises Unavailable."""
    answer = await _request_api(
        connection, f"$JS.API.STREAM.INFO.{stream}", {"subjects_filter": filter_}
    )
    if "state" not in answer:
        raise Unavailable(f"stream {stream} is not there: provision it")
    return list(answer["state"].get("subjects") or ())


def epoch_from_created(created: str) -> str:
    """A stream's creation time as a short word: ``e`` and the microseconds in base 36."""
    moment = datetime.fromisoformat(created)
    number = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36_DIGITS[digit] + digits
    return f"e{digits}"


async def _request_api(
    connection: NatsConnection, subject: str, request: dict[str, Any]
) -> dict[str, Any]:
    message = await read_from_leader(connection, subject, msgspec.json.encode(request))
    answer: dict[str, Any] = msgspec.json.decode(message.data)
    error = answer.get("error")
    if error and error.get("err_code") != _NOT_FOUND_CODE:
        raise Unavailable(f"{subject}: {error.get('description')}")
    return answer


def to_recorded_event(headers: dict[str, str], data: bytes) -> RecordedEvent:
    """Convert a message of EVENTS, from a page or a republication."""
    return RecordedEvent(
        sequence=int(headers["Nats-Sequence"]),
        subject=headers["Nats-Subject"],
        tag=headers.get("Tw-Type", ""),
        data=data,
        metadata=to_event_metadata(headers),
        time=datetime.fromisoformat(headers["Nats-Time-Stamp"]),
        batch=read_batch_part(headers),
    )


def to_event_metadata(headers: dict[str, str]) -> EventMetadata:
    """Read an event's metadata from the headers of its message."""
    return EventMetadata(
        id=headers.get("Nats-Msg-Id", ""),
        correlation=headers.get("Tw-Correlation", ""),
        causation=headers.get("Tw-Causation"),
        traceparent=headers.get("traceparent"),
    )
