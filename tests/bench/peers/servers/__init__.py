"""What is measured: each started alone, loaded the same way, stopped again.

`port.Server` is what a trial needs of one; `tapewire`, `nchan`, `sse_starlette` and `floor` are the
four. Each says why it cannot run here (`missing`), if so.
"""

from collections.abc import Sequence

from tests.bench.peers.servers.floor import Floor
from tests.bench.peers.servers.nchan import Nchan
from tests.bench.peers.servers.port import Server
from tests.bench.peers.servers.sse_starlette import SseStarlette
from tests.bench.peers.servers.tapewire import Tapewire

SERVERS: Sequence[type[Server]] = (Tapewire, Nchan, SseStarlette, Floor)
PEERS: Sequence[type[Server]] = (Nchan, SseStarlette)

__all__ = ["PEERS", "SERVERS", "Floor", "Nchan", "Server", "SseStarlette", "Tapewire"]
