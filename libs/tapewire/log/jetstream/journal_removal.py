"""Removes events from the journal on purpose, and finds who still needs them.

`record_removal` (journal_admin) comes before any removal, because the guards take every other
removal for a loss. Start at `remove_events` and `durable_positions`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.ports import AppendRejected, OutcomeUnknown, Unavailable

MAX_CONCURRENT_REMOVALS = 256
"""Removals that the server is asked for at the same time. It answers them in order with the
requests of services, which therefore wait for as long as these take: some 15 ms."""
REMOVAL_TIMEOUT_SECONDS = 30.0
_MISSING_CODES = {10043, 10057, 10037}
"""The server's errors for a message that is not there (any more)."""


class DurablePosition(msgspec.Struct, frozen=True):
    """How far a durable subscription has got: it has acknowledged all events of `filters` up to
    `acknowledged`."""

    name: str
    filters: tuple[str, ...]
    acknowledged: int


class _RemovalReplies:
    """Counts the answers to `expected` removals. A `ReplySink`."""

    def __init__(self, subject: str, expected: int) -> None:
        self.subject = subject
        self.completion: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.removed_count = 0
        self._expected = expected
        self._answered = 0

    def receive(self, message: Msg) -> None:
        answer = msgspec.json.decode(message.data) if message.data else {}
        error = answer.get("error")
        if error is not None and error.get("err_code") not in _MISSING_CODES:
            self.fail(AppendRejected(f"{self.subject}: {error.get('description')}"))
        self.removed_count += bool(answer.get("success"))
        self._answered += 1
        if self._answered == self._expected and not self.completion.done():
            self.completion.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.completion.done():
            self.completion.set_exception(error)


async def remove_events(connection: NatsConnection, sequences: Sequence[int]) -> int:
    """Remove the events at `sequences`; how many were there. One that is missing is no error, so an
    interrupted removal may be repeated.

    Raises:
        AppendRejected: the server refuses to remove one.
        Unavailable, OutcomeUnknown: some may be left.
    """
    subject, removed = f"$JS.API.STREAM.MSG.DELETE.{EVENTS}", 0
    for start in range(0, len(sequences), MAX_CONCURRENT_REMOVALS):
        part = sequences[start : start + MAX_CONCURRENT_REMOVALS]
        sink = _RemovalReplies(subject, len(part))
        with connection.replies.receiving(sink) as reply:
            for sequence in part:
                request = msgspec.json.encode({"seq": sequence, "no_erase": True})
                await connection.publish(subject, request, reply=reply)
            try:
                async with asyncio.timeout(REMOVAL_TIMEOUT_SECONDS):
                    await sink.completion
            except TimeoutError:
                raise OutcomeUnknown(f"{subject} was not answered") from None
        removed += sink.removed_count
    return removed


async def purge_before(connection: NatsConnection, first: int) -> int:
    """Remove all events before `first` at once; how many were there.

    Raises:
        Unavailable, OutcomeUnknown, AppendRejected: the server does not answer, or refuses.
    """
    answer = await _request_api(connection, f"STREAM.PURGE.{EVENTS}", {"seq": first})
    return int(answer.get("purged", 0))


async def durable_positions(connection: NatsConnection) -> list[DurablePosition]:
    """The positions of all durable subscriptions to the journal. Raises LogError."""
    found: list[DurablePosition] = []
    total = 1
    while len(found) < total:
        request = {"offset": len(found)}
        answer = await _request_api(connection, f"CONSUMER.LIST.{EVENTS}", request)
        consumers, total = answer.get("consumers") or [], int(answer.get("total", 0))
        if not consumers:
            break
        found += map(_to_position, consumers)
    return [position for position in found if position.name]


def _to_position(info: dict[str, Any]) -> DurablePosition:
    config = info["config"]
    filters = config.get("filter_subjects") or [config.get("filter_subject") or "ev.>"]
    return DurablePosition(
        config.get("durable_name", ""), tuple(filters), int(info["ack_floor"]["stream_seq"])
    )


async def _request_api(
    connection: NatsConnection, verb: str, request: dict[str, Any]
) -> dict[str, Any]:
    message = await connection.request(
        f"$JS.API.{verb}", msgspec.json.encode(request), timeout_seconds=REMOVAL_TIMEOUT_SECONDS
    )
    answer: dict[str, Any] = msgspec.json.decode(message.data)
    error = answer.get("error")
    if error is None:
        return answer
    if error.get("code") == 503:
        raise Unavailable(f"{verb}: {error.get('description')}")
    raise AppendRejected(f"{verb}: {error.get('description')}")
