"""The paper broker with two lease holders, outages, and random faults chosen by a seed."""

import asyncio
import contextlib
import random

import pytest

from tapewire.events import OrderStatus, Side
from tapewire.log import CommandRejected
from tapewire.log.memory import Faults, MemoryServer
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    order_statuses,
    place_request,
    wait_for_log,
)
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def feed(server: MemoryServer) -> QuoteSimulator:
    return QuoteSimulator(server)


async def test_two_brokers_at_once_fill_nothing_twice(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    brokers = [await OrdersProcess(server).start() for _ in range(2)]
    await feed.publish_quote("99", "100", "1")
    for _ in range(5):
        await brokers[0].place_order(place_request("7"))
    for number in range(40):
        await feed.publish_quote("99", "100", f"3.{number}")
        await asyncio.sleep(0.05)
    seen = await wait_for_log(server, "all closed", lambda seen: not seen.open_orders())
    await assert_verified(server, allow_pending=True)
    assert order_statuses(seen) == ["filled 7"] * 5
    for broker in brokers:
        broker.raise_task_errors()
        await broker.kill()


async def test_orders_of_a_recreated_log_are_filled_even_if_it_is_longer_than_the_old_one(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote()
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("10", client_order_id="old"))
    await wait_for_log(server, "filled", lambda seen: not seen.open_orders())
    other = await OrdersProcess(server).start(with_broker=False)
    server.recreate()
    await feed.publish_quote()
    for number in range(10):
        await other.place_order(place_request("10", client_order_id=f"new {number}"))
    await wait_for_log(server, "filled", lambda seen: order_statuses(seen) == ["filled 10"] * 10)
    await other.kill()
    process.raise_task_errors()
    await process.kill()


async def test_the_broker_survives_an_outage_of_the_log(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("99", "100", "3")
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("10"))
    await wait_for_log(server, "a part", lambda seen: "partially_filled 3" in order_statuses(seen))
    server.stop()
    await asyncio.sleep(600)
    process.raise_task_errors()
    server.start()
    for number in range(100):
        await feed.publish_quote("99", "100", f"3.{number}")
        await asyncio.sleep(0.1)
    await wait_for_log(server, "filled", lambda seen: order_statuses(seen) == ["filled 10"])
    await process.kill()


@pytest.mark.parametrize("seed", range(25))
async def test_every_order_is_filled_or_canceled_despite_faults_and_kills(seed: int) -> None:
    """Processes on an unreliable network are killed at random; some orders are canceled."""
    rng, server = random.Random(seed), MemoryServer()
    feeding = asyncio.create_task(QuoteSimulator(server, seed).run())
    faults = [Faults.rough(seed * 10 + number) for number in range(20)]
    process = await OrdersProcess(server, faults.pop()).start()
    canceled: set[str] = set()
    for number in range(40):
        side = rng.choice([Side.BUY, Side.SELL])
        limit = rng.choice([None, "100"])
        request = place_request(
            str(rng.randrange(1, 50)), limit=limit, side=side, client_order_id=f"c{number}"
        )
        placed = await process.place_order(request)
        if rng.random() < 0.2:
            with contextlib.suppress(CommandRejected):
                await process.cancel_order(placed.order.order_id)
                canceled.add(placed.order.order_id)
        if rng.random() < 0.1:
            await process.kill()
            process = await OrdersProcess(server, faults.pop()).start()
    seen = await wait_for_log(server, "all closed", lambda seen: not seen.open_orders())
    await assert_verified(server, allow_pending=True)
    process.raise_task_errors()
    assert len(seen.orders) == 40
    for id_, order in seen.orders.items():
        wanted = OrderStatus.CANCELED if id_ in canceled else OrderStatus.FILLED
        assert order.status is wanted, order
    feeding.cancel()
    await process.kill()
