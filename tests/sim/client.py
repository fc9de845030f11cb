"""A client that comes, reads in its manner, drops without a word, and comes back with its last id.

What it parsed is its history. It lies only when it first comes, in some seeds: with an id that
nobody gave it, which must be answered by a reset.
"""

import asyncio
import random
from collections import Counter
from typing import Protocol
from urllib.parse import quote

import msgspec

from tests.history import Connect, Entry, Frame
from tests.sim.edge import Edge
from tests.sim.plan import Manner
from tests.sim.wire import Parser, Wire

AWAY_SECONDS = 0.4
"""Between two connections, at most."""
STALL_SECONDS = 4.0
LIES = ("nonsense", "m1-4000000", "m0-3", "m1:7", "4000000", "x" * 100, "m1-99999999999999999999")


class Place(Protocol):
    """What a client knows of the world."""

    counts: Counter[str]
    calm: bool

    def edges(self) -> list[Edge]:
        """Those that accept connections now."""
        ...

    async def sign_in(self, user: str) -> str:
        """The token of a new session."""
        ...


class Client:
    """`run` it until cancelled; `last_id` is that of the last frame it parsed to its end."""

    def __init__(
        self, place: Place, number: int, user: str, manner: Manner, chance: random.Random
    ) -> None:
        self._place = place
        self.number = number
        self.user = user
        self._manner = manner
        self._chance = chance
        self._token = ""
        self._edge: Edge | None = None
        self._wire: Wire | None = None
        self.last_id: str | None = chance.choice(LIES) if chance.random() < 0.05 else None
        self.lost = False
        """Whether this connection was told of a reset and has no snapshot yet."""
        self.history: list[Entry] = []

    async def run(self) -> None:
        while True:
            edge = self._choose()
            if edge is not None:
                if not self._token:
                    self._token = await self._place.sign_in(self.user)
                if edge.accepts:
                    await self._visit(edge)
            await asyncio.sleep(self._chance.uniform(0.01, AWAY_SECONDS))

    def _choose(self) -> Edge | None:
        edges = self._place.edges()
        if not edges:
            return None
        if self._edge in edges and self._chance.random() >= self._manner.wander:
            return self._edge
        chosen = self._chance.choice(edges)
        if self._edge is not None and chosen is not self._edge and self.last_id is not None:
            self._place.counts["client: came back to another edge"] += 1
        self._edge = chosen
        return chosen

    async def _visit(self, edge: Edge) -> None:
        wire = Wire(self._manner.capacity, notice=0.3)
        headers = [(b"cookie", b"session=" + self._token.encode()), (b"x-correlation-id", b"sim")]
        query = ""
        if self.last_id is not None:
            match self._chance.randrange(3):
                case 0:
                    query = f"lastEventId={quote(self.last_id)}"
                case 1:
                    query = f"last_event_id={quote(self.last_id)}"
                case _:
                    headers.append((b"last-event-id", self.last_id.encode()))
        edge.open(wire, self._manner.path, query, headers)
        status = await wire.answer()
        if status == 401:
            self._token = ""
        if status != 200:
            self._place.counts[f"client: answered {status}"] += 1
            return
        self.history.append(Connect(self.last_id))
        self.lost = False
        self._wire = wire
        leaves = asyncio.get_running_loop().call_later(
            self._chance.expovariate(1 / self._manner.stay), self._leave, wire
        )
        try:
            await self._read(wire)
        finally:
            leaves.cancel()
            self._wire = None

    def _leave(self, wire: Wire) -> None:
        if not self._place.calm:
            self._place.counts["client: dropped"] += 1
            wire.break_(self._chance)

    async def _read(self, wire: Wire) -> None:
        manner, parser = self._manner, Parser()
        stalls = self._chance.random() < manner.stall
        while data := await wire.read(65_536 if self._place.calm else manner.bite):
            for frame in parser.feed(data):
                self._take(frame)
            if manner.pause and not self._place.calm:
                pause = self._chance.uniform(0, 2 * manner.pause)
                if stalls and self._chance.random() < 0.1:
                    self._place.counts["client: stopped reading"] += 1
                    stalls, pause = False, STALL_SECONDS
                await asyncio.sleep(pause)
        self._place.counts["client: comments"] += parser.comments
        if parser.within:
            self._place.counts["client: dropped within a frame"] += 1

    def _take(self, frame: Frame) -> None:
        self.history.append(frame)
        if frame.id is not None:
            self.last_id, self.lost = frame.id, False
            self._place.counts[f"frames: {frame.name}"] += 1
        elif frame.name == "auth:expired":
            self._token = ""
            self._place.counts["client: session ended"] += 1
        elif frame.name == "stream:reset":
            self.lost = True
            told = msgspec.json.decode(frame.data)
            self._place.counts[f"reset: {told['reason']}"] += 1
