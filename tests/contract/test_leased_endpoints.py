"""Endpoints that only the holder of a lease serves."""

import asyncio

import msgspec
import pytest

from tapewire.runtime import App, Endpoint, RequestClient, RequestTimeout, Settings
from tapewire.runtime.requests import RequestContext
from tests.contract.backends import JetStreamBackend
from tests.harness.waiting import wait_until


class GetHolder(msgspec.Struct, frozen=True):
    """A request for the name of the lease holder."""


class HolderReply(msgspec.Struct, frozen=True):
    name: str


async def start_process(jetstream: JetStreamBackend, name: str, work: asyncio.Event) -> App:
    """Start an app that serves `who` while it holds the lease."""
    app = App("shop", Settings(instance=name), await jetstream.connect(name))

    async def who(_request: GetHolder, _context: RequestContext) -> HolderReply:
        return HolderReply(name)

    async def working() -> None:
        await work.wait()

    app.run_leased("till", working, {"who": Endpoint(GetHolder, who)})
    return app


async def ask_holder(requests: RequestClient) -> str:
    try:
        return (
            await requests.request(
                "shop", "who", GetHolder(), HolderReply, correlation="c", timeout_seconds=1
            )
        ).name
    except RequestTimeout:
        return "nobody"


async def test_only_the_lease_holder_answers_and_its_successor_takes_over(
    jetstream: JetStreamBackend,
) -> None:
    requests = RequestClient(await jetstream.connect("client"))
    ends, never, seen = asyncio.Event(), asyncio.Event(), list[str]()

    async def ask_on() -> None:
        while True:
            seen.append(await ask_holder(requests))
            await asyncio.sleep(0.01)

    assert await ask_holder(requests) == "nobody"
    first = await start_process(jetstream, "first", ends)
    asking = asyncio.create_task(ask_on())
    await wait_until("the first answers", lambda: seen and seen[-1] == "first")
    second = await start_process(jetstream, "second", never)
    answered = len(seen)
    await wait_until("the first answers more requests", lambda: len(seen) > answered + 20)
    assert "second" not in seen, "a standby answered"
    ends.set()
    await wait_until("the second answers", lambda: seen[-1] == "second")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert seen[seen.index("second") :].count("first") == 0
    await first.close()
    await second.close()
