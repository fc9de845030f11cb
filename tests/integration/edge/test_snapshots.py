"""A connection without an id: a snapshot, then every later event without a gap (C11, T1)."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tapewire.events import CODEC
from tapewire.log.view_checkpoints import apply_event
from tapewire.views import OrdersView
from tapewire_services.edge.delivery.frames import render_frame
from tests.harness import sse
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import (
    EventLogDriver,
    order_accepted,
    order_filled,
    order_placed,
    order_rejected,
    orders_placed,
    trade_executed,
)

ORDERS = "/api/stream/orders"


def state(frames: Any) -> list[Any]:
    """Return the orders that a client shows after `frames`: the snapshot with later updates."""
    orders: dict[str, Any] = {}
    for got in frames:
        if got.event in ("order:update", "order:fill"):
            for order in got.data.get("orders", [got.data]):
                visible = {k: v for k, v in order.items() if k not in FILL}
                orders.pop(order["orderId"], None)
                orders[order["orderId"]] = visible
    return list(orders.values())


FILL = ("snapshot", "fillQty", "fillPrice", "tradeId")


async def truth(journal: EventLogDriver, user: str) -> list[bool]:
    """Return the orders of the user, folded from the log."""
    view = OrdersView()
    for recorded in await journal.read_user(user):
        apply_event(view, recorded)
    return [plain(order) for order in view.orders()]


def plain(value: Any) -> Any:
    """Return `value` as a client parses it."""
    return sse.parse_frame(render_frame("x", value).rstrip(b"\n")).data


async def test_a_user_without_orders_gets_an_empty_snapshot(
    edge: EdgeProcess, cookie: str, journal: EventLogDriver
) -> None:
    async with await edge.open_stream(ORDERS, cookie) as stream:
        snapshot = await stream.read()
    bounds = await journal.log.bounds()
    assert snapshot.event == "order:update"
    assert snapshot.id == f"{bounds.epoch}-{bounds.last}"
    assert snapshot.data.keys() == {"snapshot", "orders", "timestamp"}
    assert (snapshot.data["snapshot"], snapshot.data["orders"]) == (True, [])


@pytest.mark.parametrize("path", [ORDERS, "/api/stream/trading"])
async def test_the_snapshot_shows_only_the_users_own_orders(
    edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver, path: str
) -> None:
    await journal.append(
        alice,
        order_placed("a"),
        order_placed("b"),
        order_rejected("b"),
        order_placed("c"),
        order_accepted("c"),
    )
    await journal.append(f"{alice}.x", order_placed("foreign"))
    async with await edge.open_stream(path, cookie) as stream:
        snapshot = await stream.read_until("order:update")
    assert snapshot.data["orders"] == await truth(journal, alice)
    assert [(o["orderId"], o["status"]) for o in snapshot.data["orders"]] == [
        ("a", "new"),
        ("b", "rejected"),
        ("c", "new"),
    ]


async def test_a_snapshot_may_exceed_a_page_and_a_multi_subject_read(
    edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    """1,100 open orders: reads of the last message of each subject stop at 1,024."""
    drafts = orders_placed(1100)
    for first in range(0, 1100, 100):
        await asyncio.gather(*(journal.append(alice, e) for e in drafts[first : first + 100]))
    async with await edge.open_stream(ORDERS, cookie) as stream:
        snapshot = await stream.read()
        assert len(snapshot.data["orders"]) == 1100
        last = await journal.append(alice, order_placed("one-more"))
        assert (await stream.read()).sequence == last


async def test_a_checkpoint_does_not_change_the_snapshot(
    edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    await journal.append(alice, *orders_placed(5))
    await journal.save_orders_checkpoint(alice)
    await journal.append(alice, order_accepted("o-3"), *orders_placed(2, "later"))
    async with await edge.open_stream(ORDERS, cookie) as stream:
        assert (await stream.read()).data["orders"] == await truth(journal, alice)


async def test_a_checkpoint_of_another_epoch_is_ignored(isolated_harness: Harness) -> None:
    edge = isolated_harness.start_edge()
    cookie = await edge.sign_in("alice")
    async with isolated_harness.journal() as journal:
        await journal.append("alice", *orders_placed(3, "old"))
        await journal.save_orders_checkpoint("alice")
        await journal.recreate_stream()
        await journal.append("alice", *orders_placed(3, "new"))
        new_edge = isolated_harness.start_edge()
        async with await new_edge.open_stream(ORDERS, cookie) as stream:
            orders = (await stream.read()).data["orders"]
    assert [order["orderId"] for order in orders] == ["new-0", "new-1", "new-2"]


async def write(journal: EventLogDriver, user: str, number: int, under_way: Any) -> None:
    """Append events of 40 orders; the second half waits for `under_way`."""
    for order in range(40):
        if order == 20:
            await under_way.wait()
        for make_event in (order_placed, order_accepted, order_rejected)[: 1 + order % 3]:
            await journal.append(user, make_event(f"w{number}-{order}"))


async def test_streams_have_no_gaps_while_writers_append(
    harness: Harness, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
) -> None:
    """Clients connect at any moment, to a running edge and to a new one with an empty memory, while
    four writers append. Each client ends with the state of the log, without a lost or repeated
    event."""
    new_edge = harness.start_edge()
    writing, under_way = True, asyncio.Event()
    end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def read(at: Any) -> Any:
        # `at.open_stream` would wait until the edge has received the appended events.
        async with await sse.open_stream(at.url, ORDERS, cookie=cookie) as stream:
            snapshot = await stream.read_until("order:update")
            while writing:
                await stream.read_until("an event", lambda f: f.id)
            last = await end
            if stream.frames[-1].sequence < last:
                await stream.read_until("the last event", partial(sse.is_event_at, sequence=last))
            return snapshot.sequence, stream.frames[2:]

    async def readers() -> list[asyncio.Task[Any]]:
        reading: list[asyncio.Task[Any]] = []
        while writing and len(reading) < 40:
            reading += [asyncio.create_task(read(at)) for at in (edge, new_edge)]
            await journal.append(alice, order_placed(f"mark-{len(reading)}"))
            if len(reading) == 20:
                under_way.set()
        return reading

    opening_task = asyncio.create_task(readers())
    await asyncio.gather(*(write(journal, alice, number, under_way) for number in range(4)))
    writing = False
    reading = await opening_task
    end.set_result(await journal.append(alice, order_placed("end")))
    log = await journal.read_user(alice)
    final = await truth(journal, alice)
    assert len(reading) > 10
    for since, frames in await asyncio.gather(*reading):
        assert [f.sequence for f in frames[1:]] == [r.sequence for r in log if r.sequence > since]
        assert sorted(state(frames), key=by_id) == sorted(final, key=by_id)
    new_edge.stop()


def by_id(order: Any) -> Any:
    return order["orderId"]


class TestEvents:
    """The SSE event of each stored event."""

    async def read_events(
        self,
        edge: EdgeProcess,
        cookie: str,
        journal: EventLogDriver,
        alice: str,
        *events: Any,
        path: str = ORDERS,
        **how: Any,
    ) -> Any:
        async with await edge.open_stream(path, cookie) as stream:
            await stream.read_until("order:update")
            await journal.append(alice, *events, **how)
            return [await stream.read_numbered() for _ in events]

    @pytest.mark.parametrize("path", [ORDERS, "/api/stream/trading"])
    async def test_order_events_become_updates_and_fills(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver, path: str
    ) -> None:
        got = await self.read_events(
            edge,
            cookie,
            journal,
            alice,
            order_placed("o"),
            order_accepted("o"),
            order_filled("o", "3", "12.25"),
            order_rejected("p", reason="no"),
            path=path,
        )
        assert [f.event for f in got] == ["order:update"] * 2 + ["order:fill", "order:update"]
        fields = {
            "orderId", "clientOrderId", "symbol", "side", "type", "qty", "limitPrice", "status",
            "filledQty", "filledAvgPrice", "strategyId", "reason", "timestamp",
        }  # fmt: skip
        assert got[0].data.keys() == fields
        assert got[2].data.keys() == fields | {"fillQty", "fillPrice", "tradeId"}
        assert got[2].data["status"] == "partially_filled"
        assert (str(got[2].data["fillQty"]), str(got[2].data["fillPrice"])) == ("3", "12.25")
        assert (got[3].data["status"], got[3].data["reason"]) == ("rejected", "no")

    @pytest.mark.parametrize("path", [ORDERS, "/api/stream/trading"])
    async def test_trade_events_become_new_trades(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver, path: str
    ) -> None:
        (got,) = await self.read_events(
            edge,
            cookie,
            journal,
            alice,
            trade_executed("o", "3", "12.25"),
            domain="trades",
            path=path,
        )
        assert got.event == "trade:new"
        assert got.data.keys() == {
            "tradeId", "orderId", "symbol", "side", "qty", "price", "strategyId", "timestamp",
        }  # fmt: skip

    async def test_decimal_numbers_keep_their_digits(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
    ) -> None:
        exact = "123456789012.345678"
        (got,) = await self.read_events(
            edge, cookie, journal, alice, order_placed("o", limit_price=exact)
        )
        assert b'"limitPrice":123456789012.345678,' in got.raw

    async def test_unreadable_events_are_skipped(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
    ) -> None:
        """Neither an event of a newer producer nor invalid JSON ends a stream."""
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            for tag, data in ((b"order.placed.v99", b"{}"), (b"order.placed.v1", b"{nonsense")):
                await journal.connection.request(
                    f"ev.{alice}.orders.o-1", data, {"Tw-Type": tag.decode()}
                )
            last = await journal.append(alice, order_placed("after"))
            assert (await stream.read()).sequence == last
        async with await edge.open_stream(ORDERS, cookie) as stream:
            orders = (await stream.read()).data["orders"]
        assert [order["orderId"] for order in orders] == ["after"]

    async def test_payloads_contain_only_catalogue_fields(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
    ) -> None:
        """Clients do not receive the fields that a producer adds."""
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            data = CODEC.encode(order_placed("o")).replace(
                b'{"order":{', b'{"order":{"secret":"s3cr3t",'
            )
            await journal.connection.request(
                f"ev.{alice}.orders.o", data, {"Tw-Type": "order.placed.v1"}
            )
            assert b"s3cr3t" not in (await stream.read()).raw


class TestUserIdParameter:
    """T4: a user reads her own stream; an admin reads the stream of any user."""

    TRADING = "/api/stream/trading"

    async def test_a_user_may_name_herself(
        self, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
    ) -> None:
        await journal.append(alice, order_placed("mine"))
        async with await edge.open_stream(f"{self.TRADING}?userId={alice}", cookie) as stream:
            snapshot = await stream.read_until("order:update")
            assert snapshot.data["orders"][0]["orderId"] == "mine"

    @pytest.mark.parametrize("other", ["bob", "*", ">", "", "_all", "alice%00"])
    async def test_another_user_id_is_forbidden(
        self, edge: EdgeProcess, cookie: str, other: str
    ) -> None:
        answer = await edge.connect(f"{self.TRADING}?userId={other}", cookie)
        assert answer.status == 403
        body = CODEC.decode(await answer.body(), dict)
        await answer.close()
        assert (body["error"], body["statusCode"], body["path"]) == ("Forbidden", 403, "userId")

    async def test_a_user_id_without_a_session_is_unauthorized(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        async with await edge.connect(f"{self.TRADING}?userId={alice}") as answer:
            assert answer.status == 401

    async def test_an_admin_may_read_another_users_stream(
        self, edge: EdgeProcess, alice: str, fresh: Callable[[str], str], journal: EventLogDriver
    ) -> None:
        cookie = await edge.sign_in(fresh("root"), ["admin"])
        await journal.append(alice, order_placed("theirs"))
        async with await edge.open_stream(f"{self.TRADING}?userId={alice}", cookie) as stream:
            assert stream.frames[-1].data["userId"] == alice
            snapshot = await stream.read_until("order:update")
            assert snapshot.data["orders"][0]["orderId"] == "theirs"
            last = await journal.append(alice, order_placed("next"))
            assert (await stream.read_numbered()).sequence == last

    async def test_all_connections_of_a_user_receive_every_event(
        self, harness: Harness, edge: EdgeProcess, alice: str, cookie: str, journal: EventLogDriver
    ) -> None:
        """The connections are of several tabs, streams and edges."""
        other = harness.shared_edge(SSE_FLUSH_MS=5)
        paths = [ORDERS, ORDERS, self.TRADING]
        streams = [await at.open_stream(path, cookie) for at in (edge, other) for path in paths]
        for stream in streams:
            await stream.read_until("order:update")
        last = await journal.append(alice, *orders_placed(3))
        for stream in streams:
            frames = [await stream.read_numbered() for _ in range(3)]
            assert frames[-1].sequence == last
            await stream.close()
