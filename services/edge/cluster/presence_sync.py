"""Carries the words of rosters between edge processes, and tells each other of tests.

Run it by `run`. What is lost on the way the rosters notice by themselves: a call for everybody's
list follows each gap that NATS tells of, and `Here` is said every few seconds.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable

import structlog

from tapewire.log import LogError
from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.presence import (
    InstanceStopped,
    Presence,
    PresenceEntry,
    PresenceMessage,
    SnapshotRequest,
)

TOPIC = "edge.roster"
HEARTBEAT_INTERVAL_SECONDS = 3.0
RETRY_SECONDS = 1.0

logger = structlog.get_logger("edge.rollcall")


class PresenceSync:
    """A process's roster among the others'."""

    def __init__(
        self,
        broadcast: Broadcast,
        presence: Presence,
        instance: str,
    ) -> None:
        self.presence = presence
        self._broadcast = broadcast
        self._instance = instance
        self._outgoing: asyncio.Queue[PresenceMessage] = asyncio.Queue()
        self._clock = asyncio.get_running_loop().time

    def connection_opened(self, client_id: str, user_id: str | None, opened_at: float) -> None:
        """This process has a new connection."""
        self._outgoing.put_nowait(
            self.presence.add_connection(PresenceEntry(client_id, user_id, opened_at))
        )

    def connection_closed(self, client_id: str) -> None:
        """A connection of this process is gone."""
        word = self.presence.remove_connection(client_id)
        if word is not None:
            self._outgoing.put_nowait(word)

    async def run(self) -> None:
        """Say and hear until cancelled."""
        while True:
            try:
                subscription = await self._broadcast.subscribe(
                    TOPIC, PresenceMessage, self._receive, self._on_gap
                )
                break
            except LogError as error:
                logger.warning("cannot listen yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
        self._on_gap("new")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish_outgoing())
                group.create_task(self._send_heartbeats())
        finally:
            await subscription.close()

    async def announce_draining(self) -> None:
        """Tell the others that this process begins to send its clients away. They have it before
        any of these clients can come to them, where the log can be reached at all."""
        await self._broadcast.publish(TOPIC, self.presence.start_draining(), flush=True)

    async def announce_stopped(self) -> None:
        """Tell the others that this process's connections are gone."""
        with contextlib.suppress(LogError):
            await self._broadcast.publish(TOPIC, InstanceStopped(self._instance))

    def _receive(self, message: PresenceMessage) -> None:
        self._enqueue(self.presence.receive(message, self._clock()))

    def _on_gap(self, _reason: str) -> None:
        self._enqueue([SnapshotRequest(None), *self.presence.snapshot_messages()])

    def _enqueue(self, messages: Iterable[PresenceMessage]) -> None:
        for word in messages:
            self._outgoing.put_nowait(word)

    async def _publish_outgoing(self) -> None:
        while True:
            await self._broadcast.publish(TOPIC, await self._outgoing.get())

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
            self.presence.expire_silent_instances(self._clock())
            self._enqueue([self.presence.heartbeat()])
