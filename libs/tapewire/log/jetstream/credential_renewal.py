"""Connects again when a file of the credentials was replaced, without failing a request.

The files are looked at every few seconds. New credentials are first tried on a connection of their
own: one that the server does not accept yet changes nothing. Then requests under way are answered,
later ones wait, and the connection is replaced. Start at `CredentialRenewal.run`.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import nats.errors
import structlog

from tapewire.log.jetstream.compat import CompatClient
from tapewire.log.jetstream.credentials import FileWatch, NatsCredentials, split_servers

POLL_SECONDS = 2.0
"""How often the files are looked at."""
MAX_DELAY_SECONDS = 5.0
"""Processes that share credentials connect again one after another, within this time."""
DRAIN_SECONDS = 5.0
"""How long a renewal waits for pending requests, and for the server to accept new credentials."""
HOLD_SECONDS = 10.0
"""How long a request waits for a renewal that is in progress."""

logger = structlog.get_logger("tapewire.nats")


class CredentialRenewal:
    """Renews one connection. `start` begins to watch the files, `stop` ends it.

    `answer_pending` returns when no request is under way.
    """

    def __init__(
        self,
        client: CompatClient,
        credentials: NatsCredentials,
        answer_pending: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._answer_pending = answer_pending
        self._reconnected = asyncio.Event()
        self._url = ""
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._task: asyncio.Task[None] | None = None
        self._files = FileWatch(credentials.files())

    def start(self, url: str) -> None:
        """Watch the files, if there are any."""
        self._url = url
        if self._credentials.files():
            self._task = asyncio.create_task(self.run(), name="nats credentials")

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def on_reconnected(self) -> None:
        """The client has connected again, with the files as they are."""
        self._files.accept()
        self._reconnected.set()

    async def wait(self) -> None:
        """Wait while the connection is renewed, at most `HOLD_SECONDS`."""
        if self._is_idle.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                await self._is_idle.wait()

    async def run(self) -> None:
        """Renew the connection whenever a file was replaced, until cancelled."""
        was_refused = False
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._client.is_connected or not self._files.has_changed():
                continue
            error = await self._try_credentials()
            if error is not None:
                # The server does not know them yet, or somebody is writing the files.
                if not was_refused:
                    logger.warning("nats.credentials_refused", error=repr(error))
                was_refused = True
                continue
            was_refused = False
            self._files.accept()
            await asyncio.sleep(random.uniform(0, MAX_DELAY_SECONDS))  # noqa: S311
            await self.renew()

    async def renew(self) -> None:
        """Connect again, with the files as they are now.

        Requests under way are answered first, later ones wait for the new connection. Subscribers
        learn of a gap, as after any reconnect.
        """
        self._is_idle.clear()
        self._reconnected.clear()
        try:
            with contextlib.suppress(TimeoutError, nats.errors.Error, OSError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._answer_pending()
                    await self._client.pause_deliveries()
            logger.info("nats.credentials_renewed")
            await self._client.force_reconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOLD_SECONDS):
                    await self._reconnected.wait()
        finally:
            self._is_idle.set()

    async def _try_credentials(self) -> Exception | None:
        """Connect with the files as they are now, beside the existing connection. Returns why that
        fails; None if it does not."""

        async def ignore(_: Exception) -> None:
            pass

        probe = CompatClient(self._credentials)
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await probe.connect(
                    servers=split_servers(self._url),
                    name="tapewire credentials check",
                    allow_reconnect=False,
                    connect_timeout=2,
                    error_cb=ignore,
                    **probe.auth_options(),
                )
                await probe.close()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            return error
        return None
