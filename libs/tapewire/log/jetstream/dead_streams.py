"""Removes a stream in memory when no server can serve it any more.

A restarted server has lost its copy of a stream in memory and gets it from the leader. If the
leader is restarted too before that is done, no complete copy is left: the servers wait for each
other for ever, and there are no quotes. What is in memory comes again by itself, so the stream is
removed and created anew. Start at `MemoryStreamMonitor`.
"""

import asyncio

import structlog

from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.stream_changes import delete_stream
from tapewire.log.jetstream.streams import EVENTS, MARKET, QUOTES
from tapewire.log.ports import LogError, Unavailable

DEAD_AFTER_SECONDS = 30.0
"""Several times what an election takes."""
MEMORY_STREAMS = (MARKET, QUOTES)

logger = structlog.get_logger("tapewire.streams")


class MemoryStreamMonitor:
    """Watches the streams in memory; `remove_dead` is called every few seconds."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self._dead_since: dict[str, float] = {}

    async def remove_dead(self) -> bool:
        """Remove the streams that no server has served for `DEAD_AFTER_SECONDS`, while EVENTS is
        served; whether one was removed, and must be created again."""
        return any([await self._remove_if_dead(name) for name in MEMORY_STREAMS])

    async def _remove_if_dead(self, name: str) -> bool:
        now = asyncio.get_running_loop().time()
        try:
            if await self._is_served(name) or not await self._is_served(EVENTS):
                self._dead_since.pop(name, None)
                return False
            seconds = now - self._dead_since.setdefault(name, now)
            if seconds < DEAD_AFTER_SECONDS:
                return False
            await delete_stream(self._connection, name)
        except LogError as error:
            logger.warning("streams.memory_check_failed", name=name, error=str(error))
            return False
        logger.warning("streams.dead_stream_removed", name=name, seconds=seconds)
        del self._dead_since[name]
        return True

    async def _is_served(self, stream: str) -> bool:
        """Whether a server has a copy that it reads. Raises LogError if that cannot be known."""
        try:
            await self._connection.request(f"$JS.API.DIRECT.GET.{stream}", b'{"seq":1}')
        except Unavailable:
            if not self._connection.is_connected:
                raise
            return False
        return True
