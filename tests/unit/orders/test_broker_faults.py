"""The paper broker on a bad day: two at once, outages, and everything together, by seed."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest

from tapewire.events import OrderStatus, Side
from tapewire.log import Refusal
from tapewire.log.memory import Faults, MemoryServer
from tests.unit.orders import virtual
from tests.unit.orders.house import Feed, Process, ask, in_log, statuses

Story = Callable[[MemoryServer, Feed], Awaitable[None]]


def play(story: Story) -> None:
    async def work() -> None:
        server = MemoryServer()
        await story(server, Feed(server))

    virtual.run(work())


def test_two_brokers_at_once_fill_nothing_twice() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        brokers = [await Process(server).start() for _ in range(2)]
        await feed.show("99", "100", "1")
        for _ in range(5):
            await brokers[0].place(ask("7"))
        for _ in range(40):
            await feed.show("99", "100", "3")
            await asyncio.sleep(0.05)
        seen = await in_log(server, "all closed", lambda seen: not seen.open())
        seen.check()
        assert statuses(seen) == ["filled 7"] * 5
        for broker in brokers:
            broker.check()
            await broker.kill()

    play(story)


def test_a_log_made_anew_is_noticed_and_worked_even_when_it_is_longer_already() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show()
        process = await Process(server).start()
        await process.place(ask("10", client="old"))
        await in_log(server, "filled", lambda seen: not seen.open())
        other = await Process(server).start(broker=False)
        server.recreate()
        await feed.show()
        for number in range(10):
            await other.place(ask("10", client=f"new {number}"))
        await in_log(server, "filled", lambda seen: statuses(seen) == ["filled 10"] * 10)
        await other.kill()
        process.check()
        await process.kill()

    play(story)


def test_the_broker_outlives_an_outage_of_the_log() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("99", "100", "3")
        process = await Process(server).start()
        await process.place(ask("10"))
        await in_log(server, "a part", lambda seen: "partially_filled 3" in statuses(seen))
        server.stop()
        await asyncio.sleep(600)
        process.check()
        server.start()
        for _ in range(100):
            await feed.show("99", "100", "3")
            await asyncio.sleep(0.1)
        await in_log(server, "filled", lambda seen: statuses(seen) == ["filled 10"])
        await process.kill()

    play(story)


@pytest.mark.parametrize("seed", range(25))
def test_whatever_goes_wrong_every_order_ends_filled_to_its_quantity(seed: int) -> None:
    """Processes on a bad network, killed at random; orders of all kinds, some canceled."""

    async def work() -> None:
        chance, server = random.Random(seed), MemoryServer()
        feeding = asyncio.create_task(Feed(server, seed).run())
        faults = [Faults.rough(seed * 10 + number) for number in range(20)]
        process = await Process(server, faults.pop()).start()
        canceled: set[str] = set()
        for number in range(40):
            side = chance.choice([Side.BUY, Side.SELL])
            limit = chance.choice([None, "100"])
            request = ask(str(chance.randrange(1, 50)), limit=limit, side=side, client=f"c{number}")
            placed = await process.place(request)
            if chance.random() < 0.2:
                with contextlib.suppress(Refusal):
                    await process.cancel(placed.order.order_id)
                    canceled.add(placed.order.order_id)
            if chance.random() < 0.1:
                await process.kill()
                process = await Process(server, faults.pop()).start()
        seen = await in_log(server, "all closed", lambda seen: not seen.open())
        seen.check()
        process.check()
        assert len(seen.orders) == 40
        for id_, order in seen.orders.items():
            wanted = OrderStatus.CANCELED if id_ in canceled else OrderStatus.FILLED
            assert order.status is wanted, order
        feeding.cancel()
        await process.kill()

    virtual.run(work())
