"""What a broker is made with: its logger, its store, its settings and the clock."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.log import EVERYBODY, LatestValueStore, encode_token
from tapewire.log.backoff import Backoff, new_rng, retry
from tapewire.log.checkpoint import read_checkpoint, write_checkpoint

STORE_NAME = "broker-state"
"""The first token of the keys of all brokers' values."""


class BrokerStore:
    """Values of one broker that outlive its process, such as the sequence numbers of a session.

    A value is stored on disk by the message server, with as many copies as the journal. It is read
    as it was last saved, by whichever process runs the broker. A user's data does not belong here:
    an erasure does not reach it.
    """

    def __init__(
        self,
        values: LatestValueStore,
        broker: str,
        logger: FilteringBoundLogger,
        holds_lease: Callable[[], bool] = lambda: True,
    ) -> None:
        self._values = values
        self._holds_lease = holds_lease
        self._prefix = f"{EVERYBODY}.{encode_token(STORE_NAME)}.{encode_token(broker)}"
        self._logger = logger
        self._rng = new_rng()

    async def load(self, name: str) -> bytes | None:
        """The value saved as `name`; None if there is none. Waits until it can be read."""
        checkpoint = await retry(
            lambda: read_checkpoint(self._values, self._key(name)),
            self._rng,
            self._logger,
            "broker.load_failed",
            name=name,
        )
        return None if checkpoint is None else msgspec.json.decode(checkpoint.state, type=bytes)

    async def save(self, name: str, data: bytes) -> None:
        """Store `data` in place of what was saved as `name`. Waits until it is stored: some
        milliseconds, longer while the message server is away or another process may hold the
        broker's lease."""
        backoff = Backoff(self._rng)
        while not self._holds_lease():
            await backoff.wait()
        await retry(
            lambda: write_checkpoint(
                self._values,
                self._key(name),
                epoch="",
                as_of=0,
                state=msgspec.json.encode(data),
            ),
            self._rng,
            self._logger,
            "broker.save_failed",
            name=name,
        )

    def _key(self, name: str) -> str:
        return f"{self._prefix}.{encode_token(name)}"


class BrokerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker is made with.

    Args:
        name: what `TAPEWIRE_BROKER` calls it.
        environment: the environment variables; an adapter reads settings of its own from there.
        store: values that outlive the process.
        logger: a structlog logger.
        clock: returns the time in UTC.
        set_problem: says why the broker cannot work now, such as a session that is down; None when
            it can again. `tapewire status` then shows the orders service as degraded.
    """

    name: str
    environment: Mapping[str, str]
    store: BrokerStore
    logger: FilteringBoundLogger
    clock: Callable[[], datetime]
    set_problem: Callable[[str | None], None]
