"""What is measured: each started alone, loaded the same way, stopped again.

`port.Server` is what a trial needs of one; `tapewire`, `nchan`, `sse_starlette` and `floor` are the
four. Each says why it cannot run here (`missing`), if so.
"""

from collections.abc import Sequence

from tests.bench.peers.servers.bare_socket import BareSocket
from tests.bench.peers.servers.base import BenchServer
from tests.bench.peers.servers.nchan import Nchan
from tests.bench.peers.servers.sse_starlette import SseStarlette
from tests.bench.peers.servers.tapewire import TapewireServer

SERVERS: Sequence[type[BenchServer]] = (TapewireServer, Nchan, SseStarlette, BareSocket)
PEERS: Sequence[type[BenchServer]] = (Nchan, SseStarlette)

__all__ = [
    "PEERS",
    "SERVERS",
    "BareSocket",
    "BenchServer",
    "Nchan",
    "SseStarlette",
    "TapewireServer",
]
