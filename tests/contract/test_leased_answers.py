"""What only the holder of a lease can answer: it does, and nobody else."""

import asyncio

import msgspec
import pytest

from tapewire.runtime import App, Endpoint, Requests, Settings, Unanswered
from tapewire.runtime.requests import Context
from tests.contract.backends import JetStreamBackend
from tests.waiting import until


class Who(msgspec.Struct, frozen=True):
    """Who holds it?"""


class Holder(msgspec.Struct, frozen=True):
    name: str


async def process(jetstream: JetStreamBackend, name: str, work: asyncio.Event) -> App:
    """One that answers `who` while it works."""
    app = App("shop", Settings(instance=name), await jetstream.wire(name))

    async def who(_request: Who, _context: Context) -> Holder:
        return Holder(name)

    async def working() -> None:
        await work.wait()

    app.leased("till", working, {"who": Endpoint(Who, who)})
    return app


async def asked(requests: Requests) -> str:
    try:
        return (await requests.ask("shop", "who", Who(), Holder, correlation="c", seconds=1)).name
    except Unanswered:
        return "nobody"


async def test_the_holder_answers_then_nobody_then_the_next(jetstream: JetStreamBackend) -> None:
    requests = Requests(await jetstream.wire("client"))
    ends, never, seen = asyncio.Event(), asyncio.Event(), list[str]()

    async def ask_on() -> None:
        while True:
            seen.append(await asked(requests))
            await asyncio.sleep(0.01)

    assert await asked(requests) == "nobody"
    first = await process(jetstream, "first", ends)
    asking = asyncio.create_task(ask_on())
    await until("the first answers", lambda: seen and seen[-1] == "first")
    second = await process(jetstream, "second", never)
    answered = len(seen)
    await until("it answers on", lambda: len(seen) > answered + 20)
    assert "second" not in seen, "a standby answered"
    ends.set()
    await until("the second answers", lambda: seen[-1] == "second")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert seen[seen.index("second") :].count("first") == 0
    await first.close()
    await second.close()
