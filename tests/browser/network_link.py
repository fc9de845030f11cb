"""A network cable between the browser and the edge, to be pulled and plugged in again.

Chromium's own offline mode leaves open streams alone, so it proves nothing about them.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.browser.tcp_balancer import TcpBalancer, listen


class NetworkLink(TcpBalancer):
    """Forwards connections; start with `plugged_into`."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(ports)
        self._edge_ports = self.ports

    def disconnect(self) -> None:
        """Every connection breaks, and new ones break at once."""
        self.ports = []
        self.cut_all()

    def reconnect(self) -> None:
        self.ports = self._edge_ports


@contextlib.asynccontextmanager
async def run_network_link(port: int) -> AsyncIterator[tuple[NetworkLink, str]]:
    """A cable to `port` on this machine, and the address of its other end."""
    cable = NetworkLink([port])
    async with listen(cable) as address:
        yield cable, address
