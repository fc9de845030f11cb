"""Traces that real processes export to an OTLP collector over HTTP."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapewire.log import RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog, connect
from tests.harness.edge import Harness
from tests.harness.stack import Stack, StackFactory


class Span:
    """The asserted fields of a span. The ids are hexadecimal, as in a traceparent."""

    def __init__(
        self, service: str, name: str, trace: str, id_: str, parent: str, receivers: int
    ) -> None:
        self.service = service
        self.receivers = receivers
        self.name = name
        self.trace = trace
        self.id = id_
        self.parent = parent

    def __repr__(self) -> str:
        return f"Span({self.service} {self.name!r} {self.trace} {self.parent}→{self.id})"


class Collector:
    """An OTLP collector that records the received spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector._receive(self.path, body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _receive(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            [service] = [
                one.value.string_value
                for one in of_resource.resource.attributes
                if one.key == "service.name"
            ]
            for scope in of_resource.scope_spans:
                self.spans += [
                    Span(
                        service,
                        one.name,
                        one.trace_id.hex(),
                        one.span_id.hex(),
                        one.parent_span_id.hex(),
                        sum(
                            attribute.value.int_value
                            for attribute in one.attributes
                            if attribute.key == "tapewire.receivers"
                        ),
                    )
                    for one in scope.spans
                ]

    def find(self, service: str, name: str) -> list[Span]:
        return [one for one in self.spans if (one.service, one.name) == (service, name)]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        yield
        self._server.shutdown()
        thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    with made.running():
        yield made


TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_one_trace_covers_the_request_and_its_delivery_to_streams(
    stack_factory: StackFactory, collector: Collector
) -> None:
    """The trace leads from the caller through the edge, the command handler and the log to the
    streams that the event is written to. It also covers the later events of the broker."""
    stack = stack_factory(
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    )
    order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 5}
    cookies = stack.sign_in("tracy")
    with contextlib.ExitStack() as opened:
        streams = []
        for path in ("/api/stream/orders", "/api/stream/trading"):
            reading = httpx.stream("GET", f"{stack.url}{path}", timeout=60, cookies=cookies)
            streams.append(opened.enter_context(reading).iter_lines())
            while '"orders":[]' not in next(streams[-1]):
                pass
        placed = httpx.post(
            f"{stack.url}/api/orders",
            json=order,
            cookies=cookies,
            timeout=60,
            headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
        )
        assert placed.status_code == 201
        for stream in streams:
            while "trade:new" not in next(stream):
                pass

    def written() -> list[Span]:
        found = collector.find("tapewire-edge", "fan out")
        return [one for one in found if one.trace == TRACE and one.receivers == 2]

    stack.wait_for(
        "all services that handled the order have reported",
        lambda: (
            collector.find("tapewire-edge", "POST /api/orders")
            and collector.find("tapewire-edge", "ask orders.place")
            and collector.find("tapewire-orders", "orders.place")
            and len(written()) >= 4
        ),
        describe_last=lambda: collector.spans,
    )
    [called] = collector.find("tapewire-edge", "POST /api/orders")
    assert (called.trace, called.parent) == (TRACE, CALLER)
    [request_span] = collector.find("tapewire-edge", "ask orders.place")
    [answered] = collector.find("tapewire-orders", "orders.place")
    assert (request_span.trace, request_span.parent) == (TRACE, called.id)
    assert (answered.trace, answered.parent) == (TRACE, request_span.id)
    assert {one.parent for one in written()} >= {answered.id}
    [first, *_] = asyncio.run(_events(stack, "tracy"))
    assert (first.metadata.traceparent or "").split("-")[1:3] == [answered.trace, answered.id]


async def test_buffered_spans_are_exported_at_shutdown(
    tmp_path: Path, collector: Collector
) -> None:
    """The exporter buffers spans for an hour; a stop must export the buffered ones."""
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    }
    harness = Harness(tmp_path)
    try:
        edge = harness.start_edge(**settings)
        orders = harness.start_service("orders", **settings)
        cookie = await edge.sign_in("tracy")
        async with edge.client(cookie) as http:
            assert (await http.get("/api/orders")).status_code == 200
        assert not collector.spans

        assert (await asyncio.to_thread(edge.stop), await asyncio.to_thread(orders.stop)) == (0, 0)
    finally:
        harness.close()

    assert collector.find("tapewire-edge", "ask orders.list")
    assert collector.find("tapewire-orders", "orders.list")


async def _events(stack: Stack, user: str) -> list[RecordedEvent]:
    connection = await connect(stack.nats_url, "test")
    try:
        return (await JetStreamEventLog(connection).page(f"ev.{user}.>", after=0)).events
    finally:
        await connection.close()
