"""A rejection counts only if the leader's log confirms it."""

import pytest

from tapewire.events import OrderStatus
from tapewire.log import CommandHandler, CommandRejected, EventSubject, Page, Unavailable
from tapewire.log.command_handler import MAX_LOAD_ATTEMPTS
from tapewire.log.memory import MemoryEventLog, MemoryServer
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import ClosedState, State, WorkingState
from tests.harness.order_builders import (
    USER,
    accept,
    cancel,
    fill,
    order_id,
    place,
    reject_cancel,
    request_cancel,
)

pytestmark = pytest.mark.virtual_time

ORDER = EventSubject(USER, "orders", order_id(USER, "c-1"))
Handler = CommandHandler[State, Command]


class LaggingLog(MemoryEventLog):
    """Its next `lagging_pages` pages come from a replica that has no event yet."""

    lagging_pages = 0

    async def page(self, filter: str, **bounds: int) -> Page:  # noqa: A002
        if self.lagging_pages:
            self.lagging_pages -= 1
            return Page([], False)
        return await super().page(filter, **bounds)


async def place_elsewhere() -> tuple[LaggingLog, Handler, Handler]:
    """A log, the handler of this process, and that of another process, which placed an order."""
    server = MemoryServer()
    log, other = LaggingLog(server), CommandHandler(MemoryEventLog(server), ORDER_DECIDER)
    await other.handle(ORDER, place("10"), correlation="c")
    return log, CommandHandler(log, ORDER_DECIDER), other


async def test_a_lagging_replica_rejects_no_command() -> None:
    """The broker's acceptance used to be rejected (no such order) after such a read, and the order
    then waited forever."""
    log, orders, _ = await place_elsewhere()
    log.lagging_pages = 2
    accepted = await orders.handle(ORDER, accept(), correlation="c")
    assert accepted.sequence == 2


async def test_an_outdated_cache_rejects_no_command() -> None:
    _, orders, other = await place_elsewhere()
    await orders.handle(ORDER, accept(), correlation="c")
    await other.handle(ORDER, fill("4"), correlation="c")
    filled = await orders.handle(ORDER, fill("6", filled_before="4"), correlation="c")
    assert isinstance(filled.state, ClosedState)
    assert filled.state.order.status is OrderStatus.FILLED


async def test_an_outdated_cache_makes_no_command_ineffective() -> None:
    """Another process stored that the venue did not cancel the order. The user asks again."""
    _, orders, other = await place_elsewhere()
    await other.handle(ORDER, accept(), correlation="c")
    await orders.handle(ORDER, request_cancel("first"), correlation="c")
    await other.handle(ORDER, reject_cancel(), correlation="c")
    requested = await orders.handle(ORDER, request_cancel("second"), correlation="c")
    assert isinstance(requested.state, WorkingState)
    assert requested.state.order.status is OrderStatus.PENDING_CANCEL
    assert requested.sequence == 5


async def test_an_erased_order_is_placed_anew_under_its_client_order_id() -> None:
    server = MemoryServer()
    log = MemoryEventLog(server)
    orders = CommandHandler(log, ORDER_DECIDER)
    await orders.handle(ORDER, place("10"), correlation="c")
    server.remove_user(USER)
    placed = await orders.handle(ORDER, place("10", id="p2"), correlation="c", is_new=True)
    assert (placed.sequence, await log.last_sequence(str(ORDER))) == (2, 2)


async def test_a_confirmed_rejection_is_raised() -> None:
    _, orders, other = await place_elsewhere()
    await other.handle(ORDER, cancel(), correlation="c")
    with pytest.raises(CommandRejected, match="canceled already"):
        await orders.handle(ORDER, accept(), correlation="c")


async def test_a_replica_that_lags_too_long_makes_the_log_unavailable() -> None:
    log, orders, _ = await place_elsewhere()
    log.lagging_pages = MAX_LOAD_ATTEMPTS
    with pytest.raises(Unavailable, match=r"should reach 1, a replica ends at 0"):
        await orders.load_latest(ORDER)
    assert (await orders.load_latest(ORDER)).sequence == 1
