"""Each client reads each family: what it begins with, and what then happens, with its id."""

from collections.abc import Callable

import pytest

from tapewire.log import EVERYBODY
from tests.clients.conftest import Run
from tests.clients.people import SETTINGS, Person, happens
from tests.clients.readers import Client
from tests.integration.edge.golden import golden
from tests.integration.edge.house import House
from tests.integration.edge.market import placed

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDERS = "/api/stream/orders"
TRADING = "/api/stream/trading"
STRATEGIES = "/sse/strategies"
DASHBOARD = "/api/v2/stream"
NOTIFICATIONS = "/api/sse/notifications"
BEGINS = {
    ORDERS: ("connected", "order:update"),
    TRADING: ("connected", "position:update", "order:update"),
    STRATEGIES: ("CONNECTED", "initial_state"),
    DASHBOARD: ("connected", "metrics"),
    NOTIFICATIONS: ("connected", "notification:unread"),
}
PLACED = {ORDERS: "order:update", TRADING: "order:update", STRATEGIES: "ORDER_PLACED"}
LINE_ENDS = 'a\rb\nc\r\nd\u2028e\u2029f\u0085g\x0bh\x0ci\0j\ufeffk\U0001f4c8"\\l: data: m\n\nid: n'
"""What one parser or another takes for the end of a line, or of an event."""


async def test_every_family(
    client: Client, run: Run, house: House, fresh: Callable[[str], str]
) -> None:
    edge = house.shared_edge(**SETTINGS)
    alice = Person(fresh("alice"), edge)
    async with house.journal() as journal:
        await happens(journal, alice.name, "positions", "IBM", golden("position.opened"))
        await edge.hears(await journal.append(alice.name, placed("before")))
        ways = [client.ways[number % len(client.ways)] for number in range(len(BEGINS))]
        wanted = [await alice.wants(path, way) for path, way in zip(BEGINS, ways, strict=True)]
        async with run(*wanted) as reader:
            for path, events in BEGINS.items():
                for event in events:
                    await reader.until_event(path, event)
                begun = [one.event for one in reader.of(path) if one.event in events]
                assert begun[: len(events)] == [*events], path
            assert reader.of(ORDERS, "connected")[0].data["userId"] == alice.name
            for path in (ORDERS, TRADING):
                snapshot = reader.of(path, "order:update")[0]
                assert snapshot.data["snapshot"] is True
                assert [order["orderId"] for order in snapshot.data["orders"]] == ["before"]
                assert snapshot.id
            held = reader.of(TRADING, "position:update")[0]
            assert held.data["snapshot"] is True
            assert len(held.data["positions"]) == 1
            for path, event in (
                (STRATEGIES, "initial_state"),
                (NOTIFICATIONS, "notification:unread"),
            ):
                assert reader.of(path, event)[0].id

            epoch = await journal.epoch()
            last = await journal.append(alice.name, placed("live", reason=LINE_ENDS))
            for path, event in PLACED.items():
                told = (event, f"{epoch}-{last}")
                await reader.until(
                    f"{told} on {path}",
                    lambda r, p=path, t=told: t in [(one.event, one.id) for one in r.of(p)],
                )
                (placed_,) = [one.data for one in reader.of(path, event) if one.id == told[1]]
                assert placed_["message" if path == STRATEGIES else "reason"] == LINE_ENDS, path
            item, noted = fresh("item"), golden("notification.created")
            last = await happens(
                journal, EVERYBODY, "items", item, golden("item.analysed", item__id=item)
            )
            await reader.until(
                "the item, with its id",
                lambda r: (
                    ("new_item", item, f"{epoch}-{last}")
                    in [(one.event, one.data.get("id"), one.id) for one in r.of(DASHBOARD)]
                ),
            )
            last = await happens(journal, alice.name, "notifications", "1", noted)
            assert (await reader.until_event(NOTIFICATIONS, "notification")).id == f"{epoch}-{last}"
