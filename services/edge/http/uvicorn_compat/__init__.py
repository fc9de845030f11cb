"""uvicorn, adapted to event streams: the only package that touches its private parts.

`StreamProtocol` lets the application cut a connection and write to it without a task, serves
requests that are pipelined behind an open stream, limits the time for a request to arrive, and
speaks HTTP/1.0 to clients that do. `EdgeServer` accepts connections itself, closes its listener
before its streams, and leaves signals and draining to the edge.

pyproject.toml bounds uvicorn's version by `TESTED_BELOW`. To raise it, read the diff of uvicorn's
`server.py` and `protocols/http/`, and run the edge's tests.
"""

from tapewire_services.edge.http.uvicorn_compat.protocol import (
    MAX_HEAD_BYTES,
    MAX_PIPELINED_REQUESTS,
    GuardedTransport,
    StreamProtocol,
)
from tapewire_services.edge.http.uvicorn_compat.server import BACKLOG, EdgeServer

__all__ = [
    "BACKLOG",
    "MAX_HEAD_BYTES",
    "MAX_PIPELINED_REQUESTS",
    "TESTED_BELOW",
    "EdgeServer",
    "GuardedTransport",
    "StreamProtocol",
]

TESTED_BELOW = "0.55"
"""The overrides hold for versions below this one."""
