"""Words between processes that nobody keeps: whoever listens hears them, at most once.

For what is soon said again anyway, such as who is connected where. What must not be lost belongs
into the log.
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
    """Says and hears structs on the subjects ``say.{topic}``."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def publish(self, topic: str, message: msgspec.Struct, *, flush: bool = False) -> bool:
        """Tell everybody who listens, this process too; whether it could leave. With `arrives`
        return when the server has it, and so gives it to a listener before anything later."""
        try:
            await self._connection.publish(f"say.{topic}", CODEC.encode(message))
            if flush:
                await self._connection.flush()
        except LogError as error:
            logger.info("nobody was told", topic=topic, error=str(error))
            return False
        return True

    async def subscribe(
        self,
        topic: str,
        message_type: Any,
        on_message: Callable[[Any], None],
        on_gap: Callable[[str], None] = lambda _: None,
    ) -> Subscription:
        """Call `on_word` for what is said, decoded `into` a struct or a union of them; what is
        neither is passed over. Raises Unavailable."""

        async def take(message: Msg) -> None:
            try:
                word = CODEC.decode(message.data, message_type)
            except msgspec.DecodeError as error:
                logger.warning("passes over a word", topic=topic, error=str(error))
                return
            on_message(word)

        return await self._connection.subscribe(f"say.{topic}", take, on_gap)
