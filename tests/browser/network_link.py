"""A network link between the browser and the edge that a test can disconnect and reconnect.

Chromium's own offline mode leaves open streams alone, so it proves nothing about them.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.harness.tcp_balancer import TcpBalancer, listen


class NetworkLink(TcpBalancer):
    """Forwards connections. Start it with `run_network_link`."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(ports)
        self._edge_ports = self.ports

    def disconnect(self) -> None:
        """Break every open connection, and each new one immediately."""
        self.ports = []
        self.cut_all()

    def reconnect(self) -> None:
        self.ports = self._edge_ports


@contextlib.asynccontextmanager
async def run_network_link(port: int) -> AsyncIterator[tuple[NetworkLink, str]]:
    """Run a link to this local port; yield it and the URL of its near end."""
    cable = NetworkLink([port])
    async with listen(cable) as address:
        yield cable, address
