"""A service that is stopped while the NATS server is down exits with code 0.

The regression: closing the connection wrote pending data to a closed socket, and every such stop
ended with code 1 and a traceback in the log.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.edge import Harness, ManagedService

SERVICES = ("orders", "positions", "edge")
END_SECONDS = 30.0


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.close()


def test_services_stop_with_code_0_while_the_server_is_down(harness: Harness) -> None:
    port = {"TAPEWIRE_PORT": "0"}
    services = [
        harness.start_process(lambda *of, name=name: ManagedService(name, *of), **port)
        for name in SERVICES
    ]
    for service in services:
        service.wait_ready()
    harness.broker.kill()
    for service in services:
        service.terminate()
    codes = {service.name: service.process.wait(END_SECONDS) for service in services}
    assert codes == dict.fromkeys(SERVICES, 0), harness.log_text()
    errors = [
        line for service in services for line in service.log_lines() if line["level"] == "error"
    ]
    assert not errors
