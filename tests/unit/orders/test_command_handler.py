"""Refusals count only on the order as the leader of the log has it."""

import pytest

from tapewire.events import OrderStatus
from tapewire.log import CommandRejected, EventSubject, Page, Unavailable
from tapewire.log.command_handler import MAX_LOAD_ATTEMPTS
from tapewire.log.memory import MemoryEventLog, MemoryServer
from tapewire_services.orders.command_handler import OrderCommandHandler
from tests.harness.order_builders import USER, accept, cancel, fill, order_id, place

pytestmark = pytest.mark.virtual_time

ORDER = EventSubject(USER, "orders", order_id(USER, "c-1"))


class Lagging(MemoryEventLog):
    """Its next `lags` pages come from a replica that has not heard of anything yet."""

    lags = 0

    async def page(self, filter: str, **bounds: int) -> Page:  # noqa: A002
        if self.lags:
            self.lags -= 1
            return Page([], False)
        return await super().page(filter, **bounds)


async def placed() -> tuple[Lagging, OrderCommandHandler, OrderCommandHandler]:
    """A lagging log, the orders behind it, and those of another process, which placed one."""
    server = MemoryServer()
    log, other = Lagging(server), OrderCommandHandler(MemoryEventLog(server))
    await other.handle(ORDER, place("10"), correlation="c", traceparent=None)
    return log, OrderCommandHandler(log), other


async def test_an_order_is_not_refused_because_a_replica_has_not_heard_of_it() -> None:
    """The broker's acceptance used to be refused (no such order) on such a reading, and the order
    then waited for ever."""
    log, orders, _ = await placed()
    log.lags = 2
    known = await orders.handle(ORDER, accept(), correlation="c", traceparent=None)
    assert known.sequence == 2


async def test_an_order_is_not_refused_on_an_old_memory() -> None:
    _, orders, other = await placed()
    await orders.handle(ORDER, accept(), correlation="c", traceparent=None)
    await other.handle(ORDER, fill("4"), correlation="c", traceparent=None)
    later = fill("6", filled_before="4")
    known = await orders.handle(ORDER, later, correlation="c", traceparent=None)
    assert known.state.order.status is OrderStatus.FILLED  # type: ignore[union-attr]


async def test_a_refusal_that_holds_is_told() -> None:
    _, orders, other = await placed()
    await other.handle(ORDER, cancel(), correlation="c", traceparent=None)
    with pytest.raises(CommandRejected, match="canceled already"):
        await orders.handle(ORDER, accept(), correlation="c", traceparent=None)


async def test_a_replica_that_lags_for_too_long_is_no_answer() -> None:
    log, orders, _ = await placed()
    log.lags = MAX_LOAD_ATTEMPTS
    with pytest.raises(Unavailable, match=r"should reach 1, a replica ends at 0"):
        await orders.load_latest(ORDER)
    assert (await orders.load_latest(ORDER)).sequence == 1
