"""The admin's test event: to every connection, on every edge process."""

from datetime import datetime

import msgspec

from tapewire.log import Subscription
from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.delivery.hub import Hub

TOPIC = "edge.test"


class AdminTestEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an admin says to everybody who is connected."""

    message: str
    sent_by: str
    correlation_id: str
    timestamp: datetime


async def subscribe_test_events(broadcast: Broadcast, hub: Hub) -> Subscription:
    """Pass test events on to the connections of `hub`. Raises Unavailable."""

    def say(word: AdminTestEvent) -> None:
        hub.broadcast("test", word, word.timestamp)

    return await broadcast.subscribe(TOPIC, AdminTestEvent, say)
