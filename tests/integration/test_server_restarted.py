"""A NATS server restarts and loses the streams that it kept in memory.

The regression: MARKET is stored in memory, and a restarted single server no longer has it.
`tapewire up` creates the streams of its server again. In containers nothing did, and the services
reported "nothing answers" for ever. There, `tapewire provision --watch` does it.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tapewire.log import LogError
from tapewire.log.jetstream import JetStreamLatestValueStore, connect
from tapewire.log.jetstream.streams import MARKET
from tests.harness import fork_server
from tests.harness.nats_servers import LocalNatsServer


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalNatsServer]:
    made = LocalNatsServer(tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture
def prices(broker: LocalNatsServer) -> Iterator[None]:
    """The prices service, and beside it the command that creates the streams."""
    environment = {**os.environ, "TAPEWIRE_NATS_URL": broker.url, "TAPEWIRE_SPEED": "10"}
    with Path(os.devnull).open("wb") as nothing:
        fd = nothing.fileno()
        command = ["provision", "--watch"]
        processes = [
            fork_server.start(fork_server.CLI, environment, fd, arguments=command),
            fork_server.start_service("prices", environment, fd),
        ]
    yield
    for process in processes:
        process.terminate()
    assert [process.wait(timeout=60) for process in processes] == [0, 0]


async def quotes(url: str) -> Any:
    """Return the number of symbols with a quote, read over a new connection."""
    connection = await connect(url, "test")
    try:
        market = JetStreamLatestValueStore(
            connection, stream=MARKET, prefix="px", live_prefix="live.px"
        )
        return len(await market.get_all())
    finally:
        await connection.close()


async def quoted(url: str, what: str) -> None:
    seen = None
    try:
        async with asyncio.timeout(90):
            while True:
                try:
                    seen = await quotes(url)
                except LogError as error:  # the stream, or the server, is not there yet
                    seen = error
                if isinstance(seen, int) and seen > 0:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"no quotes {what}; last seen: {seen!r}")


@pytest.mark.usefixtures("prices")
async def test_quotes_continue_after_the_server_lost_its_memory_streams(
    broker: LocalNatsServer,
) -> None:
    await quoted(broker.url, "at first")
    broker.kill()
    broker.start()
    await quoted(broker.url, "after the server was killed and started")
