"""One message server and one edge per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.edge import EdgeProcess
from tests.harness.jwt_issuer import HS256_SECRET
from tests.harness.nats_servers import LocalNatsServer
from tests.soak.plan import SETTINGS


def _run_edge(
    folder: Path, settings: dict[str, str]
) -> Iterator[tuple[EdgeProcess, LocalNatsServer]]:
    """Run an edge without log output, because its log would be larger than the sizes measured."""
    broker, edge = LocalNatsServer(folder, with_monitoring=True, provisioned=True), None
    broker.start()
    try:
        common = {"TAPEWIRE_NATS_URL": broker.url, "TAPEWIRE_LOG_LEVEL": "warning"}
        edge = EdgeProcess(
            {**common, **SETTINGS, "TAPEWIRE_JWT_SECRET": HS256_SECRET, **settings}, folder
        )
        edge.wait_ready()
        yield edge, broker
    finally:
        if edge is not None and edge.process.poll() is None:
            edge.kill()
        broker.close()


@pytest.fixture
def edge_with_limits(tmp_path: Path) -> Iterator[tuple[EdgeProcess, LocalNatsServer]]:
    """An edge with limits that the load reaches."""
    yield from _run_edge(tmp_path, {})


@pytest.fixture
def edge_with_defaults(tmp_path: Path) -> Iterator[tuple[EdgeProcess, LocalNatsServer]]:
    """An edge with room for thousands of connections and with default timeouts."""
    yield from _run_edge(
        tmp_path,
        {
            "SSE_MAX_CONNECTIONS": "20000",
            "TAPEWIRE_SESSION_HOURS": "12",
            "SSE_KEEPALIVE_INTERVAL": "30",
            "SSE_WRITE_SECONDS": "60",
        },
    )
