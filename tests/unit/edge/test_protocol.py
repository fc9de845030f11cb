"""What stands between uvicorn and the application, where a peer is cut off."""

import asyncio
import socket

import pytest

from tapewire_services.edge.http.protocol import GuardedTransport

uvloop = pytest.importorskip("uvloop")


def test_what_is_written_to_a_peer_that_was_cut_off_goes_nowhere() -> None:
    """uvloop raises between the cut and the word of it: a client that reset its connection in
    that moment was a failed request in the log, with a traceback."""

    async def cut() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, sock=ours
            )
            way = GuardedTransport(transport)
            way.write(b"before")
            transport.abort()
            assert way.is_closing()
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError):
                transport.write(b"after")
            way.write(b"after")
            way.close()
            assert theirs.recv(100) == b"before"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cut())
