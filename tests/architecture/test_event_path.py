"""A published event's way through an edge process is the one that docs/architecture.md lists.

One edge runs on the log in memory with one reader of the order stream. A profiler notes every
module of the edge that is entered between the arrival of one order event at the log tail and the
write of its frame. Start at `trace_event_path`.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

import pytest

from tapewire.events import Order, OrderAccepted, OrderStatus, OrderType, Side
from tapewire.log import EventDraft, EventMetadata, EventSubject
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime import Settings
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.http.streams import DIRECT_WRITER_EXTENSION
from tapewire_services.edge.ingest.log_tail import LogTail
from tests.architecture.sources import SERVICES, module_name
from tests.harness.simulated_edge import SimulatedEdge
from tests.harness.simulated_stream import SimulatedStream

pytestmark = pytest.mark.virtual_time

ROOT = Path(__file__).parents[2]
PATH_HEADING = "### The modules of an event's way"
MAX_MODULES = 10
NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
USER = "alice"
CATCH_UP_SECONDS = 1.0
"""Virtual seconds after which the connection is live."""

ORDER = Order(
    order_id="o1",
    client_order_id="c1",
    symbol="IBM",
    side=Side.BUY,
    type=OrderType.MARKET,
    qty=Decimal(10),
    limit_price=None,
    strategy_id=None,
    reason=None,
    status=OrderStatus.NEW,
    filled_qty=Decimal(0),
    filled_avg_price=None,
    timestamp=NOW,
)


class RecordingWriter:
    """A direct writer that keeps what is written, and says that the write is the end of the way."""

    timed_out = False

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.written = asyncio.Event()

    def has_room(self) -> bool:
        return True

    def write_body(self, body: bytes) -> None:
        sys.setprofile(None)
        self.chunks.append(body)
        self.written.set()


class ModuleRecorder:
    """The edge's modules that are entered from the first call of `start` on, in order."""

    def __init__(self, start: CodeType) -> None:
        self._start = start
        self._is_recording = False
        self.modules: list[str] = []

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call":
            return
        self._is_recording = self._is_recording or frame.f_code is self._start
        if self._is_recording:
            module = _module_of(frame.f_code.co_filename)
            if module is not None and module not in self.modules:
                self.modules.append(module)


@contextmanager
def record_modules(start: CodeType) -> Iterator[ModuleRecorder]:
    recorder = ModuleRecorder(start)
    sys.setprofile(recorder)
    try:
        yield recorder
    finally:
        sys.setprofile(None)


def _module_of(file: str) -> str | None:
    """The module below `services/edge` that `file` holds, if it is one."""
    path = Path(file).resolve()
    if not path.is_relative_to(ROOT / "services" / "edge"):
        return None
    return module_name(path, ROOT).removeprefix(f"{SERVICES}.edge.")


async def trace_event_path() -> tuple[list[str], bytes]:
    """The modules that an order event enters, and the bytes that are written for it."""
    server, faults = MemoryServer(lambda: NOW), Faults(seed=1)
    edge = SimulatedEdge(server, faults, Settings(gzip=True), lambda: NOW, seed=1)
    await edge.start()
    token, _ = await edge.sessions.create(USER, [])
    stream, writer = SimulatedStream(1 << 20, max_notice_seconds=0.0), RecordingWriter()
    serving = asyncio.create_task(_serve(edge, stream, writer, token))
    assert await stream.wait_for_status() == 200
    await asyncio.sleep(CATCH_UP_SECONDS)
    assert all(connection.is_live for connection in edge.hub.connections())
    with record_modules(LogTail._receive.__code__) as recorder:
        await edge.log.append([_draft()])
        await writer.written.wait()
    serving.cancel()
    await edge.kill(lambda _: None)
    return recorder.modules, b"".join(writer.chunks)


async def _serve(
    edge: SimulatedEdge, stream: SimulatedStream, writer: RecordingWriter, token: str
) -> None:
    route = next(route for route in STREAM_ROUTES if route.path == "/api/stream/orders")
    headers = [(b"cookie", b"session=" + token.encode()), (b"accept-encoding", b"gzip")]
    scope: dict[str, Any] = {
        "method": "GET",
        "headers": headers,
        "query_string": b"",
        "extensions": {DIRECT_WRITER_EXTENSION: writer},
    }
    await edge.streams.handle(route, cast("Any", scope), stream.receive, stream.send)


def _draft() -> EventDraft:
    return EventDraft(
        subject=EventSubject(USER, "orders", ORDER.order_id),
        event=OrderAccepted(order=ORDER, command_id="k1"),
        metadata=EventMetadata(id="e1", correlation="c"),
    )


def documented_path() -> list[str]:
    """The modules listed in docs/architecture.md, in order."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.partition(f"\n{PATH_HEADING}\n")[2].partition("\n#")[0]
    rows = [line for line in section.splitlines() if line[:1].isdigit()]
    return [row.split("`")[1] for row in rows]


async def test_an_event_enters_the_documented_modules() -> None:
    modules, written = await trace_event_path()
    assert written
    assert sorted(modules) == sorted(documented_path())
    assert modules[0] == documented_path()[0]


def test_the_way_has_at_most_ten_modules() -> None:
    assert 0 < len(documented_path()) <= MAX_MODULES
