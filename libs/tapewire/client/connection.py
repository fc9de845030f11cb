"""`connect`: a client with a NATS connection of its own, for the duration of a block."""

import contextlib
import os
from collections.abc import AsyncIterator

from tapewire.client.client import DEFAULT_RETRY_SECONDS, Client
from tapewire.client.clock_limit import MAX_CLOCK_AHEAD, ClockLimit
from tapewire.client.errors import InvalidArgument
from tapewire.client.publishing import MAX_RETRY_SECONDS
from tapewire.client.validation import validate_client_name
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream import connect as connect_nats
from tapewire.log.jetstream.credentials import (
    BadCredentials,
    NatsCredentials,
    split_servers,
    without_credentials,
)
from tapewire.log.jetstream.streams import MARKET
from tapewire.runtime import RequestClient, Settings, logging_setup
from tapewire.runtime.settings import BadSetting


@contextlib.asynccontextmanager
async def connect(
    url: str,
    name: str,
    *,
    retry_seconds: float = DEFAULT_RETRY_SECONDS,
    credentials: NatsCredentials | None = None,
) -> AsyncIterator[Client]:
    """Connect a client for the duration of the block. It reconnects by itself.

    Args:
        url: NATS servers, comma-separated.
        name: 1 to 64 of A-Z, a-z, 0-9, _ and -. It is the source of the client's events and part
            of the names of its durable subscriptions.
        retry_seconds: How long every call is retried, up to 60 seconds.
        credentials: Files to sign in with (`tapewire.NatsCredentials`), read again when they are
            replaced; by default what the URL has.

    A time that is further ahead of the clock than `TAPEWIRE_MAX_CLOCK_AHEAD` allows is rejected.

    Raises:
        InvalidArgument: An argument or that setting is malformed, or a file of the credentials
            cannot be used.
        Unavailable: No server answers within `retry_seconds`.
    """
    if not isinstance(url, str) or not url:
        raise InvalidArgument("url", url, "must name NATS servers, such as nats://127.0.0.1:4222")
    validate_client_name("name", name)
    if not 0 < retry_seconds <= MAX_RETRY_SECONDS:
        raise InvalidArgument(
            "retry_seconds",
            retry_seconds,
            f"must be above 0 and at most {MAX_RETRY_SECONDS:g} seconds",
        )
    max_clock_ahead = _read_max_clock_ahead()
    _check_credentials(url, credentials)
    logging_setup.configure_embedded_logging()
    connection = await connect_nats(
        url, f"tapewire producer {name}", wait_seconds=retry_seconds, credentials=credentials
    )
    client = Client(
        name,
        log=JetStreamEventLog(connection),
        quotes=_market_values(connection, "px"),
        declared_values=_market_values(connection, "val"),
        requests=RequestClient(connection),
        retry_seconds=retry_seconds,
        clock_limit=ClockLimit(max_clock_ahead),
    )
    try:
        yield client
    finally:
        await client.close()
        await connection.close()


def _read_max_clock_ahead() -> float:
    """Read the one setting that concerns clients. Raises InvalidArgument."""
    text = os.environ.get(MAX_CLOCK_AHEAD)
    try:
        return Settings.from_env({} if text is None else {MAX_CLOCK_AHEAD: text}).max_clock_ahead
    except BadSetting as error:
        raise InvalidArgument(MAX_CLOCK_AHEAD, text, str(error)) from None


def _check_credentials(url: str, credentials: NatsCredentials | None) -> None:
    """Raises InvalidArgument, without any secret."""
    try:
        split_servers(url)
    except BadCredentials as error:
        raise InvalidArgument("url", without_credentials(url), str(error)) from None
    try:
        (credentials or NatsCredentials()).check()
    except BadCredentials as error:
        raise InvalidArgument("credentials", credentials, str(error)) from None


def _market_values(connection: NatsConnection, prefix: str) -> JetStreamLatestValueStore:
    return JetStreamLatestValueStore(
        connection, stream=MARKET, prefix=prefix, live_prefix=f"live.{prefix}"
    )
