"""Keeps this process's `Presence` in agreement with those of the other edge processes.

Each opened and closed connection is published, and a heartbeat every `HEARTBEAT_INTERVAL_SECONDS`.
After a gap the process asks all others for their connections and publishes its own. Start reading
at `PresenceSync.run`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable

from tapewire.log import LogError
from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.channel import Channel
from tapewire_services.edge.cluster.presence import Presence
from tapewire_services.edge.cluster.presence_messages import (
    InstanceStopped,
    PresenceEntry,
    PresenceMessage,
    SnapshotRequest,
)

TOPIC = "edge.roster"
HEARTBEAT_INTERVAL_SECONDS = 3.0


class PresenceSync:
    """Publishes the connections of this process to the other processes, and applies theirs."""

    def __init__(self, broadcast: Broadcast, presence: Presence, instance: str) -> None:
        self._presence = presence
        self._channel: Channel[PresenceMessage] = Channel(broadcast, TOPIC, PresenceMessage)
        self._instance = instance
        self._outgoing: asyncio.Queue[PresenceMessage] = asyncio.Queue()
        self._over_limit: asyncio.Queue[str] = asyncio.Queue()
        self._clock = asyncio.get_running_loop().time

    def connection_opened(self, client_id: str, user_id: str | None, opened_at: float) -> None:
        """Record and publish a connection of this process; `opened_at` in seconds since 1970."""
        entry = PresenceEntry(client_id, user_id, opened_at)
        self._enqueue([self._presence.add_connection(entry)])

    def connection_closed(self, client_id: str) -> None:
        """Record and publish that a connection of this process is closed."""
        message = self._presence.remove_connection(client_id)
        if message is not None:
            self._enqueue([message])

    async def run(self, close_over_limit: Callable[[str], None]) -> None:
        """Exchange messages with the other processes until cancelled.

        `close_over_limit` receives the client id of each connection of this process that must be
        closed because its user has too many.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._close_over_limit(close_over_limit))
            group.create_task(self._exchange())

    async def announce_draining(self) -> None:
        """Publish that this process is about to close its streams. Unless the log is away, the
        others have the message before any of these clients can connect to them."""
        await self._channel.publish(self._presence.start_draining(), flush=True)

    async def announce_stopped(self) -> None:
        """Publish that this process's connections are closed."""
        with contextlib.suppress(LogError):
            await self._channel.publish(InstanceStopped(self._instance))

    async def _exchange(self) -> None:
        async with self._channel.subscribe(self._receive, self._on_gap):
            self._on_gap("new")
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish_outgoing())
                group.create_task(self._send_heartbeats())

    def _receive(self, message: PresenceMessage) -> None:
        self._enqueue(self._presence.receive(message, self._clock()))

    def _on_gap(self, _reason: str) -> None:
        self._enqueue([SnapshotRequest(None), *self._presence.snapshot_messages()])

    def _enqueue(self, messages: Iterable[PresenceMessage]) -> None:
        for message in messages:
            self._outgoing.put_nowait(message)
        for client_id in self._presence.pop_over_limit():
            self._over_limit.put_nowait(client_id)

    async def _publish_outgoing(self) -> None:
        while True:
            await self._channel.publish(await self._outgoing.get())

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
            self._presence.expire_silent_instances(self._clock())
            self._enqueue([self._presence.heartbeat()])

    async def _close_over_limit(self, close: Callable[[str], None]) -> None:
        while True:
            close(await self._over_limit.get())
