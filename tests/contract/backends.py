"""The two things that stand behind the ports, and what tests do to them from outside.

A `Backend` opens logs and values as separate processes would (`log`, `values`), and plays the
operator (`trim`, `recreate`) and the fault (`away`, `frozen`). The suite is written against this.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec

from tapewire.log import EventLog, Values
from tapewire.log.jetstream import JetStreamLog, JetStreamValues, Wire, connect, provision
from tapewire.log.jetstream.streams import EVENTS, configurations
from tapewire.log.memory import MemoryLog, MemoryServer, MemoryValues
from tests.broker import Broker
from tests.waiting import until


class Backend(Protocol):
    """A fresh, empty log and empty values."""

    name: str

    async def log(self) -> EventLog:
        """The log as a process of its own has it."""

    async def values(self) -> Values:
        """The quotes as a process of its own has them."""

    async def trim(self, upto: int) -> None:
        """Have the events up to and including `upto` forgotten."""

    async def recreate(self) -> None:
        """Delete the log and make it anew."""

    def away(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The server is dead meanwhile, and its processes know."""

    def frozen(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The server answers nothing meanwhile."""

    async def close(self) -> None: ...


async def settled(wire: Wire) -> None:
    """Wait until the server knows what was subscribed. (nats-py's flush does not prove it: its ping
    can overtake what is pending.)"""
    await wire.request("$JS.API.INFO")


class MemoryBackend:
    name = "memory"

    def __init__(self) -> None:
        self.server = MemoryServer()

    async def log(self) -> EventLog:
        return MemoryLog(self.server)

    async def values(self) -> Values:
        return MemoryValues(self.server)

    async def trim(self, upto: int) -> None:
        self.server.trim(upto)

    async def recreate(self) -> None:
        self.server.recreate()

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self.server.stop()
        yield
        self.server.start()

    frozen = away

    async def close(self) -> None:
        pass


class JetStreamBackend:
    name = "jetstream"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._wires: list[Wire] = []

    async def open(self) -> None:
        """Empty the server, whatever the test before left there."""
        self._operator = await self.wire("operator")
        # The server removes the folder of the last stream while the next one is being made in it:
        # with one stream that stays there is no such race.
        await self.call("STREAM.CREATE.KEPT", {"name": "KEPT", "subjects": ["kept"]})
        await self._anew([configuration["name"] for configuration in configurations()])

    async def wire(self, name: str = "test") -> Wire:
        """A connection that `close` ends."""
        wire = await connect(self._broker.url, name)
        self._wires.append(wire)
        return wire

    async def log(self) -> EventLog:
        return JetStreamLog(await self.wire())

    async def values(self) -> Values:
        return JetStreamValues(await self.wire(), stream="MARKET", prefix="px", live="live.px")

    async def call(self, verb: str, ask: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the JetStream API, as an operator does."""
        answer = await self._operator.request(f"$JS.API.{verb}", msgspec.json.encode(ask or {}))
        decoded: dict[str, Any] = msgspec.json.decode(answer.data)
        return decoded

    async def provision(self) -> None:
        """Make the streams that are not there."""
        await provision(self._operator)

    async def trim(self, upto: int) -> None:
        await self.call(f"STREAM.PURGE.{EVENTS}", {"seq": upto + 1})

    async def recreate(self) -> None:
        await self._anew([EVENTS])

    async def _anew(self, names: list[str]) -> None:
        """Delete and make. The server deletes a stream's files after it answered, so that the new
        stream may find the messages of the old one (seen of 2.15.1): then once more."""
        for _ in range(10):
            for name in names:
                await self.call(f"STREAM.DELETE.{name}")
            await provision(self._operator)
            made = [await self.call(f"STREAM.INFO.{name}") for name in names]
            if all(answer["state"]["last_seq"] == 0 for answer in made):
                return
        raise AssertionError(f"the server keeps what it should have deleted: {made}")

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._broker.kill()
        await self._all_connected(False)
        try:
            yield
        finally:
            self._broker.start()
            await self._all_connected(True)

    @contextlib.asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        self._broker.freeze()
        try:
            yield
        finally:
            self._broker.thaw()

    async def _all_connected(self, connected: bool) -> None:
        await until(
            f"every connection {'is back' if connected else 'noticed'}",
            lambda: all(wire.connected == connected for wire in self._wires),
            seen=lambda: [wire.connected for wire in self._wires],
        )

    async def close(self) -> None:
        for wire in self._wires:
            await wire.close()
