"""Heartbeats fill the pauses of a connection that is heard, and of no other. In virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from tapewire.feeds import HEARTBEAT_SECONDS, Tick, TickBatch, with_heartbeats

pytestmark = pytest.mark.virtual_time

CHANGE = TickBatch([Tick(symbol="IBM", bid=1)])
SILENCE = 1.1


class Connection:
    """Yields a change after each of `pauses`, in seconds, then stays quiet or fails."""

    def __init__(self, *pauses: float, error: Exception | None = None) -> None:
        self.is_closed = False
        self._pauses = pauses
        self._error = error

    async def read(self) -> AsyncGenerator[TickBatch, None]:
        try:
            for pause in self._pauses:
                await asyncio.sleep(pause)
                yield CHANGE
            if self._error is not None:
                raise self._error
            await asyncio.sleep(1000)
        finally:
            self.is_closed = True


async def listen(connection: Connection, seconds: float) -> list[tuple[float, bool]]:
    """When batches came within `seconds`, and whether they had ticks."""
    loop = asyncio.get_running_loop()
    began, received = loop.time(), list[tuple[float, bool]]()
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(seconds),
            contextlib.aclosing(
                with_heartbeats(connection.read(), silence_seconds=SILENCE)
            ) as batches,
        ):
            async for batch in batches:
                received.append((round(loop.time() - began, 2), bool(batch.ticks)))
    return received


async def test_nothing_is_yielded_before_the_connection_was_heard() -> None:
    assert await listen(Connection(), 5) == []


async def test_a_pause_is_filled_until_the_connection_counts_as_silent() -> None:
    batches = await listen(Connection(0.5), 30)
    assert batches == [(0.5, True), *((0.5 + n * HEARTBEAT_SECONDS, False) for n in range(1, 5))]


async def test_a_silent_connection_is_heard_again_with_its_next_batch() -> None:
    batches = await listen(Connection(0, 10), 10.6)
    assert [moment for moment, _ in batches] == [0, 0.25, 0.5, 0.75, 1.0, 10, 10.25, 10.5]


async def test_changes_are_passed_on_as_they_come() -> None:
    batches = await listen(Connection(0, 0, 0.1, 0.3), 0.5)
    assert batches == [(0, True), (0, True), (0.1, True), (0.35, False), (0.4, True)]


async def test_an_error_of_the_connection_ends_the_stream() -> None:
    connection = Connection(0, error=ConnectionResetError("by peer"))
    with pytest.raises(ConnectionResetError, match="by peer"):
        await listen(connection, 5)
    assert connection.is_closed


async def test_the_connection_is_closed_with_the_stream() -> None:
    connection = Connection(0)
    await listen(connection, 2)
    assert connection.is_closed
