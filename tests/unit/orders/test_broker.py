"""The paper broker at its desk, on the log in memory, in virtual time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial

import msgspec
import pytest

from services.orders.broker import PaperBroker
from services.orders.commands import Command, Fail, Fill
from services.orders.desk import CHECKPOINT, CHECKPOINT_EVENTS
from services.orders.openorders import OpenOrder, OpenOrders
from tapewire.events import OrderStatus
from tapewire.log import Refusal
from tapewire.log.market import Market
from tapewire.log.memory import MemoryServer, MemoryValues
from tests.unit.orders import virtual
from tests.unit.orders.house import Feed, Process, Tally, ask, in_log, statuses
from tests.unit.orders.spec import open_order

Story = Callable[[MemoryServer, Feed], Awaitable[None]]


def play(story: Story) -> None:
    async def work() -> None:
        server = MemoryServer()
        await story(server, Feed(server))

    virtual.run(work())


def has_filled(qty: str, seen: Tally) -> bool:
    return statuses(seen)[0].endswith(f" {qty}")


def test_a_market_order_is_accepted_and_filled_at_the_touch() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("99", "100")
        process = await Process(server).start()
        placed = await process.place(ask("10"))
        assert (placed.created, placed.order.status) == (True, OrderStatus.NEW)
        seen = await in_log(server, "filled", lambda seen: not seen.open())
        assert [recorded.tag for recorded in seen.stored] == [
            "order.placed.v1",
            "order.accepted.v1",
            "order.filled.v1",
            "trade.executed.v1",
        ]
        assert {recorded.meta.correlation for recorded in seen.stored} == {"c"}
        assert seen.orders[placed.order.order_id].filled_avg_price == Decimal(100)
        await process.kill()

    play(story)


def test_an_order_that_was_open_before_the_broker_came_is_worked() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show()
        process = await Process(server).start(broker=False)
        await process.place(ask("10"))
        broker = await Process(server).start()
        await in_log(server, "filled", lambda seen: statuses(seen) == ["filled 10"])
        await process.kill()
        await broker.kill()

    play(story)


def test_an_offer_that_was_used_up_is_no_offer_to_the_next_broker() -> None:
    """A broker that took over from a killed one filled the rest of the order from the same quote
    once more: twice as many shares were executed as anybody had offered."""

    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("99", "100", "4")
        process = await Process(server).start()
        await process.place(ask("10"))
        await in_log(server, "4 filled", partial(has_filled, "4"))
        await process.kill()
        process = await Process(server).start()
        later = await process.place(ask("1"))
        await in_log(server, "accepted", lambda seen: len(seen.stored) == 6)
        await asyncio.sleep(10)  # of virtual time
        assert statuses(await in_log(server, "there", bool)) == ["partially_filled 4", "new 0"]
        await feed.show("99", "101", "4")
        await in_log(server, "8 filled", partial(has_filled, "8"))
        assert later.created
        await process.kill()

    play(story)


def test_a_limit_order_waits_and_is_filled_in_parts() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("99", "100", "4")
        process = await Process(server).start()
        await process.place(ask("10", limit="99.5"))
        await in_log(server, "accepted", lambda seen: len(seen.stored) == 2)
        for ask_, filled in [("99.5", "4"), ("100", "4"), ("99", "8"), ("99.4", "10")]:
            await feed.show("90", ask_, "4")
            seen = await in_log(
                server,
                f"{filled} filled",
                partial(has_filled, filled),
            )
        assert statuses(seen) == ["filled 10"]
        await process.kill()

    play(story)


def test_an_order_beyond_the_accounts_means_is_rejected_with_the_reason() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show()
        process = await Process(server).start()
        placed = await process.place(ask("1000000", limit="1000.01"))
        seen = await in_log(server, "closed", lambda seen: not seen.open())
        order = seen.orders[placed.order.order_id]
        assert order.status is OrderStatus.REJECTED
        assert order.reason is not None
        assert order.reason.startswith("1000010000 dollars")
        await process.kill()

    play(story)


def test_a_canceled_order_is_not_filled_and_its_size_goes_to_the_next() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("90", "100", "4")
        process = await Process(server).start()
        first = await process.place(ask("4", limit="95"))
        second = await process.place(ask("4", limit="95"))
        await in_log(server, "both accepted", lambda seen: len(seen.stored) == 4)
        await process.cancel(first.order.order_id)
        await feed.show("90", "95", "4")
        seen = await in_log(server, "closed", lambda seen: not seen.open())
        assert seen.orders[first.order.order_id].status is OrderStatus.CANCELED
        assert seen.orders[second.order.order_id].status is OrderStatus.FILLED
        await process.kill()

    play(story)


def test_a_cancel_elsewhere_that_wins_the_race_against_a_fill() -> None:
    """The broker's own memory of the order is older than the log: its append conflicts, and what
    it then reads is that the order is closed."""

    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("90", "100")
        broker = await Process(server).start()
        other = await Process(server).start(broker=False)
        placed = await broker.place(ask("4", limit="95"))
        await in_log(server, "accepted", lambda seen: len(seen.stored) == 2)
        canceling = asyncio.create_task(other.cancel(placed.order.order_id))
        await feed.show("90", "95")
        with contextlib.suppress(Refusal):
            await canceling
        seen = await in_log(server, "closed", lambda seen: not seen.open())
        seen.check()
        broker.check()
        await broker.kill()
        await other.kill()

    play(story)


def test_a_fill_is_decided_on_the_log_and_not_on_an_old_memory() -> None:
    """A process that brokered, lost the lease and wins it again remembers orders as they were. A
    fill that names what was filled since used to be refused on that memory, and the order failed.
    """

    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("90", "100", "2")
        one, two = Process(server), Process(server)
        await one.start(broker=False)
        await two.start(broker=False)
        await one.place(ask("10"))
        for turn, process in enumerate([one, two, one, two, one], 1):
            lease = asyncio.create_task(process.run_broker())
            await feed.show("90", "100", "2")
            await in_log(
                server,
                f"fill {turn}",
                partial(has_filled, str(2 * turn)),
            )
            lease.cancel()
            await asyncio.gather(lease, return_exceptions=True)
        seen = await in_log(server, "filled", lambda seen: not seen.open())
        assert statuses(seen) == ["filled 10"]
        await one.kill()
        await two.kill()

    play(story)


def test_the_next_broker_begins_at_the_checkpoint() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show("90", "100")
        process = await Process(server).start()
        for _ in range(CHECKPOINT_EVENTS):
            await process.place(ask("4", limit="95"))
        views = MemoryValues(server, stream="VIEWS", prefix="view")
        await asyncio.sleep(2)
        data = await views.get(CHECKPOINT)
        assert data is not None
        assert len(OpenOrders.decode(data)) == CHECKPOINT_EVENTS
        await process.kill()
        await feed.show("90", "95", "100000")
        last = await Process(server).start()
        seen = await in_log(server, "all filled", lambda seen: not seen.open())
        assert statuses(seen) == ["filled 4"] * CHECKPOINT_EVENTS
        await last.kill()

    play(story)


@pytest.mark.parametrize("data", [b"rubbish", OpenOrders("e0", 1).encode()])
def test_a_checkpoint_that_is_of_no_use_costs_only_time(data: bytes) -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show()
        await MemoryValues(server, stream="VIEWS", prefix="view").put(CHECKPOINT, data)
        placing = await Process(server).start(broker=False)
        await placing.place(ask("10"))
        broker = await Process(server).start()
        await in_log(server, "filled", lambda seen: statuses(seen) == ["filled 10"])
        await placing.kill()
        await broker.kill()

    play(story)


def test_an_order_is_worked_at_once_and_not_at_the_next_poll() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show()
        process = await Process(server).start()
        await asyncio.sleep(100)
        clock = asyncio.get_running_loop().time
        for _ in range(5):
            began = clock()
            await process.place(ask())
            await in_log(server, "filled", lambda seen: not seen.open())
            assert clock() - began < 0.05
        await process.kill()

    play(story)


def test_an_order_that_can_never_be_executed_fails() -> None:
    async def story(server: MemoryServer, feed: Feed) -> None:
        await feed.show()
        board = Market(MemoryValues(server))
        await board.start()
        broker, reported = PaperBroker(board), list[Command]()

        async def refuse(order: OpenOrder, command: Command) -> OpenOrder:
            reported.append(command)
            if isinstance(command, Fill):
                return order
            failed = msgspec.structs.replace(order.order, status=OrderStatus.FAILED)
            return msgspec.structs.replace(order, order=failed, sequence=order.sequence + 1)

        broker.placed(open_order())
        working = asyncio.create_task(broker.work(refuse))
        await asyncio.sleep(1)
        assert [type(command) for command in reported] == [Fill, Fail]
        working.cancel()

    play(story)
