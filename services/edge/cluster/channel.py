"""A topic on which edge processes exchange messages.

Delivery is at most once: a disconnected process misses messages. Every user of a channel repeats or
repairs its state, therefore a lost message has no lasting effect.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from tapewire.log.backoff import new_rng, retry
from tapewire.runtime.broadcast import Broadcast

M = TypeVar("M", bound=msgspec.Struct)

logger = structlog.get_logger("edge.cluster")


class Channel(Generic[M]):
    """The messages of one topic; `message_type` is a struct, or a union of tagged structs."""

    def __init__(self, broadcast: Broadcast, topic: str, message_type: Any) -> None:
        self._broadcast = broadcast
        self._topic = topic
        self._message_type = message_type

    async def publish(self, message: M, *, flush: bool = False) -> bool:
        """Send `message` to all processes, including this one; False when NATS is away.

        With `flush`, return once the server has the message and delivers it before anything later.
        """
        return await self._broadcast.publish(self._topic, message, flush=flush)

    @contextlib.asynccontextmanager
    async def subscribe(
        self, on_message: Callable[[M], None], on_gap: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[None]:
        """Call `on_message` with each message while the context is open. Entering it retries until
        NATS accepts the subscription. `on_gap` is called when messages may have been lost."""
        subscription = await retry(
            lambda: self._broadcast.subscribe(self._topic, self._message_type, on_message, on_gap),
            new_rng(),
            logger,
            "cluster.subscribe_failed",
            topic=self._topic,
        )
        try:
            yield
        finally:
            await subscription.close()
