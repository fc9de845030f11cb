"""A network cable between the browser and the edge, to be pulled and plugged in again.

Chromium's own offline mode leaves open streams alone, so it proves nothing about them.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.browser.balancer import Balancer, listening


class Cable(Balancer):
    """Forwards connections; start with `plugged_into`."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(ports)
        self._far = self.ports

    def pull(self) -> None:
        """Every connection breaks, and new ones break at once."""
        self.ports = []
        self.cut()

    def plug_in(self) -> None:
        self.ports = self._far


@contextlib.asynccontextmanager
async def plugged_into(port: int) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to `port` on this machine, and the address of its other end."""
    cable = Cable([port])
    async with listening(cable) as address:
        yield cable, address
