"""A broker that answers late: what its venue executed is what the journal says, in every race."""

import asyncio
import contextlib
import random
from decimal import Decimal

import pytest

from tapewire.events import AlertRaised, TradeExecuted
from tapewire.log import CommandRejected
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.orders import ReplaceOrder
from tests.harness.memory_process import make_context
from tests.harness.order_builders import USER
from tests.harness.orders_process import (
    OrdersLogSummary,
    OrdersProcess,
    QuoteSimulator,
    place_request,
    wait_for_log,
)
from tests.harness.simulated_venue import SimulatedVenue, VenueBroker
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    server = MemoryServer()
    await QuoteSimulator(server).publish_quote()
    return server


async def start_process(
    server: MemoryServer, venue: SimulatedVenue, max_delay: float = 0.0
) -> OrdersProcess:
    process = OrdersProcess(server, confirms_at_once=False)
    process.make_broker = lambda _: VenueBroker(venue, max_delay)
    return await process.start()


async def until(server: MemoryServer, name: str, status: str, filled: str) -> OrdersLogSummary:
    def is_there(seen: OrdersLogSummary) -> bool:
        order = seen.order(name)
        return (order.status.value, order.filled_qty) == (status, Decimal(filled))

    return await wait_for_log(server, f"{name} {status} {filled}", is_there)


async def test_a_cancel_is_pending_and_what_is_executed_meanwhile_counts(
    server: MemoryServer,
) -> None:
    venue = SimulatedVenue()
    process = await start_process(server, venue, max_delay=2.0)
    placed = await process.place_order(place_request("100", client_order_id="o"))
    id_ = placed.order.order_id
    await wait_for_log(server, "sent", lambda _: id_ in venue.orders)
    requested = await process.cancel_order(id_)
    assert requested.status.value == "pending_cancel"
    venue.execute(id_, Decimal(77))
    seen = await until(server, "o", "canceled", "77")
    trades = [one.event for one in seen.events if isinstance(one.event, TradeExecuted)]
    assert [(one.qty, one.fee) for one in trades] == [(Decimal(77), Decimal("0.01"))]
    await assert_verified(server, allow_pending=True)
    await process.kill()


async def test_an_execution_that_is_reported_after_the_cancel_counts_and_is_an_alert(
    server: MemoryServer,
) -> None:
    venue = SimulatedVenue()
    process = await start_process(server, venue)
    id_ = (await process.place_order(place_request("100", client_order_id="o"))).order.order_id
    await wait_for_log(server, "sent", lambda _: id_ in venue.orders)
    execution = venue.execute(id_, Decimal(77))
    venue.orders[id_].executions.clear()
    await process.cancel_order(id_)
    await until(server, "o", "canceled", "0")
    venue.orders[id_].executions.append(execution)
    seen = await until(server, "o", "canceled", "77")
    assert sum(isinstance(one.event, AlertRaised) for one in seen.events) == 1
    await assert_verified(server, allow_pending=True)
    await process.kill()


async def test_a_cancel_that_comes_too_late_is_rejected_and_the_order_filled(
    server: MemoryServer,
) -> None:
    venue = SimulatedVenue()
    process = await start_process(server, venue, max_delay=1.0)
    id_ = (await process.place_order(place_request("100", client_order_id="o"))).order.order_id
    await wait_for_log(server, "sent", lambda _: id_ in venue.orders)
    venue.execute(id_, Decimal(100))
    with contextlib.suppress(CommandRejected):
        await process.cancel_order(id_)
    await until(server, "o", "filled", "100")
    await process.kill()


@pytest.mark.parametrize("seed", range(8))
async def test_the_journal_and_the_venue_agree_after_any_race_of_requests_and_executions(
    server: MemoryServer, seed: int
) -> None:
    venue, rng = SimulatedVenue(seed), random.Random(seed)
    process = await start_process(server, venue, max_delay=0.5)
    names = [f"o{number}" for number in range(12)]
    for name in names:
        await process.place_order(place_request("10", client_order_id=name))
    for turn in range(80):
        await asyncio.sleep(rng.uniform(0, 0.2))
        working = [id_ for id_, order in venue.orders.items() if order.is_working]
        if not working:
            continue
        id_ = rng.choice(working)
        match rng.choice(["execute", "execute", "cancel", "replace", "restart"]):
            case "execute":
                left = venue.orders[id_].qty - venue.orders[id_].filled_qty
                venue.execute(id_, min(left, Decimal(rng.randrange(1, 6))))
            case "cancel":
                with contextlib.suppress(CommandRejected):
                    await process.cancel_order(id_)
            case "replace":
                request = ReplaceOrder(
                    user_id=USER, order_id=id_, qty=Decimal(rng.randrange(1, 30))
                )
                with contextlib.suppress(CommandRejected):
                    await process.service.replace(request, make_context())
            case _ if turn % 3 == 0:
                await process.kill()
                process = await start_process(server, venue, max_delay=0.5)
            case _:
                pass

    def agrees(seen: OrdersLogSummary) -> bool:
        return all(
            seen.orders[id_].filled_qty == order.filled_qty
            and seen.orders[id_].status.is_open is order.is_working
            and not seen.orders[id_].status.value.startswith("pending")
            for id_, order in venue.orders.items()
        )

    seen = await wait_for_log(server, "both agree", agrees)
    trades = [one.event for one in seen.events if isinstance(one.event, TradeExecuted)]
    reported = [one for order in venue.orders.values() for one in order.executions]
    assert {one.execution_id for one in trades} == {one.execution_id for one in reported}
    assert len(trades) == len(reported)
    await assert_verified(server, allow_pending=True)
    await process.kill()
