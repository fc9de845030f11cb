"""A service that is told to stop while the message server is away ends in order.

The regression: closing the connection wrote what was pending into a socket that was closed, and
every such stop ended with code 1 and a traceback in the log.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.edge import Harness, ManagedService

SERVICES = ("orders", "positions", "edge")
END_SECONDS = 30.0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.close()


def test_services_end_in_order_without_the_message_server(house: Harness) -> None:
    port = {"TAPEWIRE_PORT": "0"}
    services = [
        house.start_process(lambda *of, name=name: ManagedService(name, *of), **port)
        for name in SERVICES
    ]
    for service in services:
        service.wait_ready()
    house.broker.kill()
    for service in services:
        service.terminate()
    codes = {service.name: service.process.wait(END_SECONDS) for service in services}
    assert codes == dict.fromkeys(SERVICES, 0), house.log_text()
    errors = [
        line for service in services for line in service.log_lines() if line["level"] == "error"
    ]
    assert not errors
