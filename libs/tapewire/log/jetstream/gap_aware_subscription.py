"""`GapAwareSubscription`: a subscription whose owner learns of lost messages."""

import asyncio
import contextlib
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription as NatsSubscription


class GapAwareSubscription:
    """A subscription that reports gaps. End it with `close`."""

    def __init__(
        self,
        client: Client,
        registry: "set[GapAwareSubscription]",
        on_gap: Callable[[str], None],
    ) -> None:
        self._client = client
        self._registry = registry
        self.on_gap = on_gap
        self.nats_subscription: NatsSubscription | None = None

    async def close(self) -> None:
        """Unsubscribe. No callback is called after this returns. Closing twice is harmless."""
        self._registry.discard(self)
        subscription, self.nats_subscription = self.nats_subscription, None
        if subscription is not None and not self._client.is_closed:
            await subscription.unsubscribe()

    async def drain(self, timeout_seconds: float) -> None:
        """Unsubscribe after the callback has handled everything that the server has sent."""
        self._registry.discard(self)
        subscription, self.nats_subscription = self.nats_subscription, None
        if subscription is None or not self._client.is_connected:
            return
        with contextlib.suppress(TimeoutError, nats.errors.Error, OSError):
            async with asyncio.timeout(timeout_seconds):
                await subscription.drain()  # type: ignore[no-untyped-call]
