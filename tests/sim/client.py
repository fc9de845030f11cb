"""A simulated client. It reads as its behavior says, disconnects without notice, and resumes with
its last id.

Its history is what it parsed. In some seeds its first request carries an invalid id, which the edge
must answer with a reset.
"""

import asyncio
import random
from collections import Counter
from typing import Protocol
from urllib.parse import quote

import msgspec

from tests.harness.history import HistoryEntry, ReceivedEvent, StreamOpened
from tests.harness.simulated_edge import SimulatedEdge
from tests.harness.simulated_stream import SimulatedStream, StrictSseParser
from tests.sim.plan import ClientBehavior

MAX_RECONNECT_DELAY_SECONDS = 0.4
"""The longest delay between two connections."""
MAX_STALL_SECONDS = 4.0
INVALID_EVENT_IDS = (
    "nonsense",
    "m1-4000000",
    "m0-3",
    "m1:7",
    "4000000",
    "x" * 100,
    "m1-99999999999999999999",
)


class ClientEnvironment(Protocol):
    """The part of the simulation that a client uses."""

    counts: Counter[str]
    is_calm: bool

    def accepting_edges(self) -> list[SimulatedEdge]:
        """The edges that accept connections now."""
        ...

    async def sign_in(self, user: str) -> str:
        """Return the token of a new session."""
        ...


class SimulatedClient:
    """Call `run` and cancel it at the end; `last_id` is the id of the last frame that was parsed
    completely."""

    def __init__(
        self,
        environment: ClientEnvironment,
        number: int,
        user: str,
        behavior: ClientBehavior,
        rng: random.Random,
    ) -> None:
        self._environment = environment
        self.number = number
        self.user = user
        self._behavior = behavior
        self._rng = rng
        self._token = ""
        self._edge: SimulatedEdge | None = None
        self._stream: SimulatedStream | None = None
        self.last_id: str | None = rng.choice(INVALID_EVENT_IDS) if rng.random() < 0.05 else None
        self.is_awaiting_snapshot = False
        """Whether this connection received a reset and no snapshot yet."""
        self.history: list[HistoryEntry] = []

    async def run(self) -> None:
        while True:
            edge = self._choose_edge()
            if edge is not None:
                if not self._token:
                    self._token = await self._environment.sign_in(self.user)
                if edge.is_accepting:
                    await self._open_stream(edge)
            await asyncio.sleep(self._rng.uniform(0.01, MAX_RECONNECT_DELAY_SECONDS))

    def _choose_edge(self) -> SimulatedEdge | None:
        edges = self._environment.accepting_edges()
        if not edges:
            return None
        if self._edge in edges and self._rng.random() >= self._behavior.edge_switch_probability:
            return self._edge
        chosen = self._rng.choice(edges)
        if self._edge is not None and chosen is not self._edge and self.last_id is not None:
            self._environment.counts["client: reconnected to another edge"] += 1
        self._edge = chosen
        return chosen

    async def _open_stream(self, edge: SimulatedEdge) -> None:
        stream = SimulatedStream(self._behavior.buffer_bytes, max_notice_seconds=0.3)
        headers = [(b"cookie", b"session=" + self._token.encode()), (b"x-correlation-id", b"sim")]
        query = ""
        if self.last_id is not None:
            match self._rng.randrange(3):
                case 0:
                    query = f"lastEventId={quote(self.last_id)}"
                case 1:
                    query = f"last_event_id={quote(self.last_id)}"
                case _:
                    headers.append((b"last-event-id", self.last_id.encode()))
        edge.open_stream(stream, self._behavior.path, query, headers)
        status = await stream.wait_for_status()
        if status == 401:
            self._token = ""
        if status != 200:
            self._environment.counts[f"client: answered {status}"] += 1
            return
        self.history.append(StreamOpened(self.last_id))
        self.is_awaiting_snapshot = False
        self._stream = stream
        leaves = asyncio.get_running_loop().call_later(
            self._rng.expovariate(1 / self._behavior.mean_connection_seconds),
            self._disconnect,
            stream,
        )
        try:
            await self._read_stream(stream)
        finally:
            leaves.cancel()
            self._stream = None

    def _disconnect(self, stream: SimulatedStream) -> None:
        if not self._environment.is_calm:
            self._environment.counts["client: dropped"] += 1
            stream.sever(self._rng)

    async def _read_stream(self, stream: SimulatedStream) -> None:
        manner, parser = self._behavior, StrictSseParser()
        stalls = self._rng.random() < manner.stall_probability
        while data := await stream.read(
            65_536 if self._environment.is_calm else manner.max_read_bytes
        ):
            for frame in parser.feed(data):
                self._record_frame(frame)
            if manner.mean_pause_seconds and not self._environment.is_calm:
                pause = self._rng.uniform(0, 2 * manner.mean_pause_seconds)
                if stalls and self._rng.random() < 0.1:
                    self._environment.counts["client: stopped reading"] += 1
                    stalls, pause = False, MAX_STALL_SECONDS
                await asyncio.sleep(pause)
        self._environment.counts["client: comments"] += parser.comment_count
        if parser.is_inside_frame:
            self._environment.counts["client: dropped within a frame"] += 1

    def _record_frame(self, frame: ReceivedEvent) -> None:
        self.history.append(frame)
        if frame.id is not None:
            self.last_id, self.is_awaiting_snapshot = frame.id, False
            self._environment.counts[f"frames: {frame.name}"] += 1
        elif frame.name == "auth:expired":
            self._token = ""
            self._environment.counts["client: session ended"] += 1
        elif frame.name == "stream:reset":
            self.is_awaiting_snapshot = True
            payload = msgspec.json.decode(frame.data)
            self._environment.counts[f"reset: {payload['reason']}"] += 1
