"""`connect`: a tape over a connection of its own, for as long as a block takes."""

import contextlib
from collections.abc import AsyncIterator

from tapewire.client.client import CLIENT_NAME_PATTERN, DEFAULT_RETRY_SECONDS, Client
from tapewire.client.errors import InvalidArgument
from tapewire.client.publishing import MAX_RETRY_SECONDS
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore
from tapewire.log.jetstream import connect as open_wire
from tapewire.log.jetstream.streams import MARKET
from tapewire.runtime import RequestClient, logging_setup


@contextlib.asynccontextmanager
async def connect(
    url: str, name: str, *, retry_seconds: float = DEFAULT_RETRY_SECONDS
) -> AsyncIterator[Client]:
    """A tape for the block: connected to the NATS servers of `url` (comma-separated) as `name` (1
    to 64 of A-Z, a-z, 0-9, _ and -), which is the source of what it tells and begins the names of
    its reactions. Calls are tried for `patience` seconds. A lost connection comes back by itself.

    Raises:
        BadCall: an argument that cannot be meant.
        Unavailable: no server answers within `patience`.
    """
    if not isinstance(url, str) or not url:
        raise InvalidArgument("url", url, "must name NATS servers, such as nats://127.0.0.1:4222")
    if not isinstance(name, str) or not CLIENT_NAME_PATTERN.fullmatch(name):
        raise InvalidArgument("name", name, "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
    if not 0 < retry_seconds <= MAX_RETRY_SECONDS:
        raise InvalidArgument(
            "retry_seconds", retry_seconds, f"must be above 0 and at most {MAX_RETRY_SECONDS:g} seconds"
        )
    logging_setup.configure_embedded_logging()
    wire = await open_wire(url, f"tapewire producer {name}", wait_seconds=retry_seconds)
    tape = Client(
        name,
        log=JetStreamEventLog(wire),
        quotes=JetStreamLatestValueStore(wire, stream=MARKET, prefix="px", live_prefix="live.px"),
        declared_values=JetStreamLatestValueStore(
            wire, stream=MARKET, prefix="val", live_prefix="live.val"
        ),
        requests=RequestClient(wire),
        retry_seconds=retry_seconds,
    )
    try:
        yield tape
    finally:
        await tape.close()
        await wire.close()
