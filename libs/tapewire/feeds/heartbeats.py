"""Heartbeats of a feed whose connection is quiet."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from tapewire.feeds.port import HEARTBEAT_SECONDS
from tapewire.feeds.ticks import TickBatch


async def with_heartbeats(
    batches: AsyncGenerator[TickBatch, None], *, silence_seconds: float
) -> AsyncGenerator[TickBatch, None]:
    """Yield `batches`, and an empty batch every `HEARTBEAT_SECONDS` in the pauses between them.

    Args:
        batches: What a connection yields. A heartbeat of the vendor is an empty batch.
        silence_seconds: A connection that has yielded nothing for so long is not heard any more,
            and nothing is yielded until it is. Choose a little more than the interval at which the
            vendor sends heartbeats: the quotes become stale that much later.

    Raises:
        Exception: what `batches` raises.
    """
    loop = asyncio.get_running_loop()
    heard_at = loop.time() - silence_seconds
    async with contextlib.aclosing(batches):
        pending = asyncio.ensure_future(anext(batches, None))
        try:
            while True:
                is_heard = loop.time() - heard_at < silence_seconds
                await asyncio.wait({pending}, timeout=HEARTBEAT_SECONDS if is_heard else None)
                if not pending.done():
                    if loop.time() - heard_at < silence_seconds:
                        yield TickBatch()
                    continue
                batch = pending.result()
                if batch is None:
                    return
                heard_at = loop.time()
                pending = asyncio.ensure_future(anext(batches, None))
                yield batch
        finally:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
