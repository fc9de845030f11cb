"""What the service answers, on the log in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from services.orders.commands import Fill
from services.orders.domain import order_id
from tapewire.events import OrderStatus
from tapewire.log import Refusal, Subject, Unavailable
from tapewire.log.memory import Faults, MemoryServer, MemoryValues
from tapewire.log.projector import CHECKPOINT_EVENTS, Projector
from tapewire.runtime.contracts.orders import CancelOrder, GetOrder, ListOrders
from tapewire.views import OrdersView
from tests.unit.orders import virtual
from tests.unit.orders.house import Feed, Process, ask, context, tally
from tests.unit.orders.spec import USER, at

Story = Callable[[Process, MemoryServer], Awaitable[None]]


def play(story: Story) -> None:
    """The story of a process without a broker, in a settled market that quotes IBM."""

    async def work() -> None:
        server = MemoryServer()
        await Feed(server).show()
        process = await Process(server).start(broker=False)
        await asyncio.sleep(10)
        await story(process, server)
        await process.kill()

    virtual.run(work())


async def refused(answer: Awaitable[object]) -> tuple[str, str | None]:
    with pytest.raises(Refusal) as refusal:
        await answer
    return refusal.value.code, refusal.value.path


def test_placing_answers_with_the_order() -> None:
    async def story(process: Process, _: MemoryServer) -> None:
        reply = await process.service.place(ask("10", limit="99.5", client="mine"), context())
        assert reply.created
        order = reply.order
        assert (order.client_order_id, order.status) == ("mine", OrderStatus.NEW)
        assert (order.qty, order.limit_price) == (Decimal(10), Decimal("99.5"))

    play(story)


def test_the_same_client_order_id_again_answers_with_the_order_as_it_is_now() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        first = await process.service.place(ask(client="mine"), context())
        await process.cancel(first.order.order_id)
        for again in (process, Process(server)):
            await again.board.start()
            reply = await again.service.place(ask(client="mine"), context())
            assert (reply.created, reply.order.status) == (False, OrderStatus.CANCELED)
        other = process.service.place(ask("11", client="mine"), context())
        assert await refused(other) == ("conflict", "clientOrderId")

    play(story)


def test_a_command_that_is_repeated_is_answered_as_before() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        first = await process.service.place(ask(), context("command"))
        again = await process.service.place(ask(), context("command"))
        assert first.created
        assert again == first
        assert len((await tally(server)).orders) == 1
        canceling = CancelOrder(user_id=USER, order_id=first.order.order_id)
        one = await process.service.cancel(canceling, context("c"))
        assert await process.service.cancel(canceling, context("c")) == one
        assert await refused(process.service.cancel(canceling, context("d"))) == ("conflict", None)

    play(story)


def test_the_same_client_order_id_at_once_makes_one_order() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        processes = [process, *(Process(server, Faults(seed=n, delay=0.1)) for n in range(5))]
        for other in processes[1:]:
            await other.board.start()
        replies = await asyncio.gather(*(one.place(ask(client="mine")) for one in processes))
        assert sorted(reply.created for reply in replies) == [False] * 5 + [True]
        assert len({reply.order.order_id for reply in replies}) == 1
        assert len((await tally(server)).stored) == 1

    play(story)


def test_a_thousand_orders_at_once() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        await asyncio.gather(*(process.place(ask()) for _ in range(1000)))
        assert len((await tally(server)).orders) == 1000

    play(story)


def test_bad_fields_are_named() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        place = process.service.place
        assert await refused(place(ask("0"), context())) == ("invalid", "qty")
        assert await refused(place(ask("NaN"), context())) == ("invalid", "qty")
        assert await refused(place(ask(limit="-1"), context())) == ("invalid", "limitPrice")
        assert await refused(place(ask(client=""), context())) == ("invalid", "clientOrderId")
        assert await refused(place(ask(symbol="NOPE"), context())) == ("invalid", "symbol")
        assert await refused(place(ask(symbol=""), context())) == ("invalid", "symbol")
        assert (await tally(server)).stored == []

    play(story)


def test_what_is_another_users_is_not_found() -> None:
    async def story(process: Process, _: MemoryServer) -> None:
        id_ = (await process.place(ask(user="bob"))).order.order_id
        for guess in (id_, "nonsense", "", "*", ">", "x" * 1000):
            get = process.service.get(GetOrder(user_id=USER, order_id=guess), context())
            assert await refused(get) == ("not_found", None)
            cancel = CancelOrder(user_id=USER, order_id=guess)
            assert await refused(process.service.cancel(cancel, context())) == ("not_found", None)
        found = await process.service.get(GetOrder(user_id="bob", order_id=id_), context())
        assert found.order.order_id == id_

    play(story)


def test_an_order_that_was_asked_for_too_early_can_be_canceled_later() -> None:
    """One process remembers that there is no such order; another places it. Canceling it at the
    first used to be answered from that memory: not found."""

    async def story(process: Process, server: MemoryServer) -> None:
        other = await Process(server).start(broker=False)
        id_ = order_id(USER, "mine")
        get = process.service.get(GetOrder(user_id=USER, order_id=id_), context())
        assert await refused(get) == ("not_found", None)
        await other.place(ask(client="mine"))
        assert (await process.cancel(id_)).status is OrderStatus.CANCELED
        await other.kill()

    play(story)


def test_reading_sees_what_other_processes_wrote() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        id_ = (await process.place(ask())).order.order_id
        other = await Process(server).start(broker=False)
        await other.cancel(id_)
        found = await process.service.get(GetOrder(user_id=USER, order_id=id_), context())
        assert found.order.status is OrderStatus.CANCELED
        await other.kill()

    play(story)


def test_the_list_is_true_for_one_sequence() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        ids = [(await process.place(ask())).order.order_id for _ in range(3)]
        await process.place(ask(user="bob"))
        await process.cancel(ids[0])
        reply = await process.service.list(ListOrders(user_id=USER), context())
        assert [order.order_id for order in reply.orders] == [ids[1], ids[2], ids[0]]
        assert (reply.as_of, reply.epoch) == (server.journal.last, server.journal.epoch)

    play(story)


def test_without_the_log_the_answer_is_unavailable_and_nothing_else() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        server.stop()
        with pytest.raises(Unavailable):
            await process.service.place(ask(), context())
        with pytest.raises(Unavailable):
            await process.service.list(ListOrders(user_id=USER), context())

    play(story)


async def checkpoint(server: MemoryServer, user: str = USER) -> bytes | None:
    return await MemoryValues(server, stream="VIEWS", prefix="view").get(f"{user}.orders")


def test_a_users_view_is_checkpointed_after_enough_events_and_not_before() -> None:
    async def story(_: Process, server: MemoryServer) -> None:
        process = await Process(server).start(broker=False, projector=True)
        for _number in range(CHECKPOINT_EVENTS - 1):
            await process.place(ask())
        await asyncio.sleep(5)
        assert await checkpoint(server) is None
        await process.place(ask())
        await asyncio.sleep(5)
        first = await checkpoint(server)
        assert first is not None
        listed = await process.service.list(ListOrders(user_id=USER), context())
        assert len(listed.orders) == CHECKPOINT_EVENTS
        await process.cancel(listed.orders[0].order_id)
        await asyncio.sleep(5)
        assert await checkpoint(server) == first
        again = await process.service.list(ListOrders(user_id=USER), context())
        assert again.orders[-1].status is OrderStatus.CANCELED
        await process.kill()

    play(story)


def test_a_projector_counts_a_bounded_number_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapewire.log.projector.USERS", 3)

    async def story(process: Process, server: MemoryServer) -> None:
        projector = Projector(process.log, process.views, OrdersView)
        for number in range(10):
            await process.place(ask(user=f"u{number % 5}"))
        for recorded in (await tally(server)).stored:
            await projector.note(recorded)
        assert len(projector._counts) == 3

    play(story)


def test_canceling_what_was_filled_meanwhile_is_a_conflict() -> None:
    async def story(process: Process, server: MemoryServer) -> None:
        id_ = (await process.place(ask("10"))).order.order_id
        other = Process(server)
        fill = Fill(
            id="f",
            at=at(1),
            user=USER,
            qty=Decimal(10),
            price=Decimal(1),
            filled_before=Decimal(0),
        )
        await other.orders.handle(
            Subject(USER, "orders", id_), fill, correlation="c", traceparent=None
        )
        cancel = CancelOrder(user_id=USER, order_id=id_)
        assert await refused(process.service.cancel(cancel, context())) == ("conflict", None)

    play(story)
