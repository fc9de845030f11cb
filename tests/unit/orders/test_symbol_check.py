"""Which symbols an order may name when their quotes were lost, on the log in memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tapewire.events import PositionOpened
from tapewire.log import (
    CommandRejected,
    EventDraft,
    EventMetadata,
    EventSubject,
    Unavailable,
)
from tapewire.log.memory import MemoryServer
from tests.harness.memory_process import make_context
from tests.harness.order_builders import USER
from tests.harness.orders_process import OrdersProcess, QuoteSimulator, place_request
from tests.harness.position_builders import buy, given

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def process() -> AsyncIterator[OrdersProcess]:
    """The service without its broker and without a quote."""
    process = await OrdersProcess(MemoryServer()).start(with_broker=False)
    yield process
    await process.kill()


async def hold(process: OrdersProcess, *, user: str = USER) -> None:
    """Let `user` hold 10 shares of IBM."""
    opened = PositionOpened(
        position=given(buy("10", "100")).traded_state.position, trade_id="t1", trade_sequence=1
    )
    subject = EventSubject(user, "positions", "IBM")
    metadata = EventMetadata(id=f"opened-{user}", correlation="c")
    await process.log.append([EventDraft(subject=subject, event=opened, metadata=metadata)])


async def test_an_order_with_a_limit_rests_before_the_first_quote_of_all(
    process: OrdersProcess,
) -> None:
    reply = await process.service.place(place_request("10", limit="99"), make_context())
    assert reply.created


async def test_a_market_order_is_refused_before_the_first_quote_of_all(
    process: OrdersProcess,
) -> None:
    with pytest.raises(Unavailable, match="give a limit"):
        await process.service.place(place_request("10"), make_context())


async def test_what_is_held_can_be_sold_without_any_quote(process: OrdersProcess) -> None:
    await hold(process)
    assert (await process.service.place(place_request("10"), make_context())).created


async def test_what_is_held_can_be_sold_while_only_other_symbols_are_quoted(
    process: OrdersProcess,
) -> None:
    await hold(process)
    await QuoteSimulator(process._server).publish_quote(symbol="SPY")
    await asyncio.sleep(10)
    assert (await process.service.place(place_request("10"), make_context())).created


async def test_what_another_user_holds_is_an_unknown_symbol(process: OrdersProcess) -> None:
    await hold(process, user="bob")
    await QuoteSimulator(process._server).publish_quote(symbol="SPY")
    await asyncio.sleep(10)
    for request in (place_request("10"), place_request("10", limit="99")):
        with pytest.raises(CommandRejected, match="unknown symbol 'IBM'"):
            await process.service.place(request, make_context())
