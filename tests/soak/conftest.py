"""One message server and one edge a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import LocalBroker
from tests.integration.edge.house import Edge
from tests.issuer import SECRET
from tests.soak.plan import SETTINGS


def _running(folder, settings):
    """The edge is quiet: its log would be larger than what is measured."""
    broker, edge = LocalBroker(folder, monitored=True), None
    broker.start()
    try:
        common = {"TAPEWIRE_NATS_URL": broker.url, "TAPEWIRE_LOG_LEVEL": "warning"}
        edge = Edge({**common, **SETTINGS, "TAPEWIRE_JWT_SECRET": SECRET, **settings}, folder)
        edge.wait_ready()
        yield edge, broker
    finally:
        if edge is not None and edge.process.poll() is None:
            edge.kill()
        broker.close()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[tuple[Edge, LocalBroker]]:
    """With the limits that visitors are to meet."""
    yield from _running(tmp_path, {})


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[tuple[Edge, LocalBroker]]:
    """With room for thousands, and as patient as an edge is by default."""
    yield from _running(
        tmp_path,
        {
            "SSE_MAX_CONNECTIONS": "20000",
            "TAPEWIRE_SESSION_HOURS": "12",
            "SSE_KEEPALIVE_INTERVAL": "30",
            "SSE_WRITE_SECONDS": "60",
        },
    )
