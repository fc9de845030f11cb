"""`ResponseCheck`: whether the server of a connection responds, when that is in doubt.

A server that is suspended keeps its connections open. Waiting until the periodic pings fail takes
longer than a request may take, so a request that is not answered asks for this check. With a single
server there is nothing to reconnect to, and a silent one is most likely busy.
"""

import asyncio

import structlog
from nats.aio.client import Client
from nats.errors import Error

RESPONSE_TIMEOUT_SECONDS = 0.4
RESPONSE_PINGS = 2
"""Pings of `RESPONSE_TIMEOUT_SECONDS` each that a server may miss. A client that was busy itself
misses only the first."""

logger = structlog.get_logger("tapewire.nats")


class ResponseCheck:
    """Pings the server on request, and reconnects to another one if it is silent."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Check in the background, unless a check is running or there is no other server."""
        if len(self._client.servers) < 2:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="response check")

    def stop(self) -> None:
        """Cancel a check that is running."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        for _ in range(RESPONSE_PINGS):
            try:
                await self._client.flush(timeout=RESPONSE_TIMEOUT_SECONDS)  # type: ignore[arg-type]
            except (Error, OSError):
                continue
            return
        if self._client.is_connected:
            logger.warning("nats.server_silent")
            await self._client.force_reconnect()
