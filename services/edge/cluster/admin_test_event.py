"""The admin's test event, which every connection of every edge process receives."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.cluster.channel import Channel

TOPIC = "edge.test"


class AdminTestEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload of the event `test`."""

    message: str
    sent_by: str
    correlation_id: str
    timestamp: datetime


class AdminTestEventBroadcast:
    """Sends test events to all processes, and receives those of all processes."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._channel: Channel[AdminTestEvent] = Channel(broadcast, TOPIC, AdminTestEvent)

    async def publish(self, event: AdminTestEvent) -> bool:
        """Send `event` to all processes; False when NATS is away."""
        return await self._channel.publish(event)

    async def run(self, deliver: Callable[[AdminTestEvent], None]) -> None:
        """Call `deliver` with each test event, until cancelled."""
        async with self._channel.subscribe(deliver):
            await asyncio.Event().wait()
