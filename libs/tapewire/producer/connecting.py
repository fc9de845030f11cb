"""`connect`: a tape over a connection of its own, for as long as a block takes."""

import contextlib
from collections.abc import AsyncIterator

from tapewire.log.jetstream import JetStreamLog, JetStreamValues
from tapewire.log.jetstream import connect as open_wire
from tapewire.log.jetstream.streams import MARKET
from tapewire.producer.errors import BadCall
from tapewire.producer.publishing import MOST_SECONDS
from tapewire.producer.tape import NAME, PATIENCE_SECONDS, Tape
from tapewire.runtime import Requests, logs


@contextlib.asynccontextmanager
async def connect(
    url: str, name: str, *, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Tape]:
    """A tape for the block: connected to the NATS servers of `url` (comma-separated) as `name` (1
    to 64 of A-Z, a-z, 0-9, _ and -), which is the source of what it tells and begins the names of
    its reactions. Calls are tried for `patience` seconds. A lost connection comes back by itself.

    Raises:
        BadCall: an argument that cannot be meant.
        Unavailable: no server answers within `patience`.
    """
    if not isinstance(url, str) or not url:
        raise BadCall("url", url, "must name NATS servers, such as nats://127.0.0.1:4222")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadCall("name", name, "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
    if not 0 < patience <= MOST_SECONDS:
        raise BadCall("patience", patience, f"must be above 0 and at most {MOST_SECONDS:g} seconds")
    logs.set_up_as_guest()
    wire = await open_wire(url, f"tapewire producer {name}", wait_seconds=patience)
    tape = Tape(
        name,
        log=JetStreamLog(wire),
        market=JetStreamValues(wire, stream=MARKET, prefix="px", live="live.px"),
        own_values=JetStreamValues(wire, stream=MARKET, prefix="val", live="live.val"),
        requests=Requests(wire),
        patience=patience,
    )
    try:
        yield tape
    finally:
        await tape.close()
        await wire.close()
