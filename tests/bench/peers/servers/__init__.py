"""The measured servers. Each is started alone, loaded in the same way, and stopped.

`base.BenchServer` is the interface that a trial uses; `tapewire`, `nchan`, `sse_starlette` and
`bare_socket` implement it. `unavailable_reason` says why a server cannot run here.
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
