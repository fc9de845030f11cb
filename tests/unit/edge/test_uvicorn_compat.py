"""The extensions of uvicorn, and the versions of uvicorn that they are tested with."""

import asyncio
import socket
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tapewire_services.edge.http.uvicorn_compat import TESTED_BELOW, GuardedTransport

uvloop = pytest.importorskip("uvloop")

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def test_the_installed_version_is_below_the_tested_bound() -> None:
    assert release(version("uvicorn")) < release(TESTED_BELOW)


def test_the_package_requires_a_version_below_the_tested_bound() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    (requirement,) = [text for text in extras["edge"] if text.startswith("uvicorn")]
    assert requirement.endswith(f",<{TESTED_BELOW}")


def test_a_write_after_an_abort_is_dropped() -> None:
    """The transport of uvloop raises between an abort and `connection_lost`.

    Regression: a client that reset its connection at that moment caused a failed request in the
    log, with a traceback.
    """

    async def write_after_abort() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, sock=ours
            )
            guarded = GuardedTransport(transport)
            guarded.write(b"before")
            transport.abort()
            assert guarded.is_closing()
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError):
                transport.write(b"after")
            guarded.write(b"after")
            guarded.close()
            assert theirs.recv(100) == b"before"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(write_after_abort())
