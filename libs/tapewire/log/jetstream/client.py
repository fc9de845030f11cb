"""nats-py's client, mended where a wait that is given up would end the connection."""

from tapewire.log.jetstream.headers import FastHeaderClient


class PongSafeClient(FastHeaderClient):
    """A client that may be flushed and drained under a time-out.

    nats-py hands each PONG to whoever sent the PING. When that one has stopped waiting, the PONG of
    a server that stood still for a while raises, and that ends the reading of the connection for
    good. It overrides a method that nats-py keeps to itself; a test tells if that is renamed.
    """

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
            self._pongs_received += 1
            self._pings_outstanding = 0
            return
        await super()._process_pong()
