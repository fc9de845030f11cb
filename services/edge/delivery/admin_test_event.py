"""The admin's test event, which every connection of every edge process receives."""

from datetime import datetime

import msgspec

from tapewire.log import Subscription
from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.delivery.hub import Hub

TOPIC = "edge.test"


class AdminTestEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload of the test event."""

    message: str
    sent_by: str
    correlation_id: str
    timestamp: datetime


async def subscribe_test_events(broadcast: Broadcast, hub: Hub) -> Subscription:
    """Send test events of all processes to the connections of `hub`. Raises Unavailable."""

    def send(event: AdminTestEvent) -> None:
        hub.broadcast("test", event, event.timestamp)

    return await broadcast.subscribe(TOPIC, AdminTestEvent, send)
