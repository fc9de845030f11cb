"""At-most-once messages between processes. They are not stored.

They suit states that are published again soon, such as presence. What must not be lost belongs in
the log.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg

from tapewire.events import CODEC
from tapewire.log import LogError, Subscription
from tapewire.log.jetstream import NatsConnection

logger = structlog.get_logger("tapewire.broadcast")


class Broadcast:
    """Publishes and receives structs on the subjects ``say.{topic}``."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def publish(self, topic: str, message: msgspec.Struct, *, flush: bool = False) -> bool:
        """Send `message` to all subscribers, those of this process included; whether it was sent.

        With `flush`, return once the server has the message, so subscribers receive it before
        anything that is published later.
        """
        try:
            await self._connection.publish(f"say.{topic}", CODEC.encode(message))
            if flush:
                await self._connection.flush()
        except LogError as error:
            logger.info("broadcast.publish_failed", topic=topic, error=str(error))
            return False
        return True

    async def subscribe(
        self,
        topic: str,
        message_type: Any,
        on_message: Callable[[Any], None],
        on_gap: Callable[[str], None] = lambda _: None,
    ) -> Subscription:
        """Call `on_message` for every message of `topic`, decoded as `message_type` (a struct or a
        union). Messages that do not fit are skipped. Raises Unavailable."""

        async def receive(message: Msg) -> None:
            try:
                decoded = CODEC.decode(message.data, message_type)
            except msgspec.DecodeError as error:
                logger.warning("broadcast.message_rejected", topic=topic, error=str(error))
                return
            on_message(decoded)

        return await self._connection.subscribe(f"say.{topic}", receive, on_gap)
