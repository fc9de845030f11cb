"""Each client reads a stream of each API family: the opening, and then each event with its id."""

from collections.abc import Callable
from functools import partial

import pytest

from tapewire.log import EVERYBODY
from tests.clients.client_runs import ClientRun, DocumentedClient
from tests.clients.conftest import RunClient
from tests.clients.stream_users import SETTINGS, StreamUser
from tests.harness.edge import Harness
from tests.harness.golden_events import golden_event
from tests.harness.publishers import order_placed

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDERS_PATH = "/api/stream/orders"
TRADING_PATH = "/api/stream/trading"
STRATEGIES_PATH = "/sse/strategies"
DASHBOARD_PATH = "/api/v2/stream"
NOTIFICATIONS_PATH = "/api/sse/notifications"
OPENING_EVENTS = {
    ORDERS_PATH: ("connected", "order:update"),
    TRADING_PATH: ("connected", "position:update", "order:update"),
    STRATEGIES_PATH: ("CONNECTED", "initial_state"),
    DASHBOARD_PATH: ("connected", "metrics"),
    NOTIFICATIONS_PATH: ("connected", "notification:unread"),
}
ORDER_EVENT_NAMES = {
    ORDERS_PATH: "order:update",
    TRADING_PATH: "order:update",
    STRATEGIES_PATH: "ORDER_PLACED",
}
LINE_ENDS = 'a\rb\nc\r\nd\u2028e\u2029f\u0085g\x0bh\x0ci\0j\ufeffk\U0001f4c8"\\l: data: m\n\nid: n'
"""Characters that some parser takes for the end of a line or of an event."""


def has_event(path: str, event: tuple[str, str], run: ClientRun) -> bool:
    """Whether the client received the event, as (name, id), on `path`."""
    return event in [(one.event, one.last_event_id) for one in run.events_of(path)]


async def test_client_reads_every_api_family(
    client: DocumentedClient, run_client: RunClient, harness: Harness, fresh: Callable[[str], str]
) -> None:
    edge = harness.shared_edge(**SETTINGS)
    alice = StreamUser(fresh("alice"), edge)
    async with harness.journal() as journal:
        await journal.append_event(alice.name, "positions", "IBM", golden_event("position.opened"))
        await edge.wait_until_followed(await journal.append(alice.name, order_placed("before")))
        ways = [
            client.auth_methods[number % len(client.auth_methods)]
            for number in range(len(OPENING_EVENTS))
        ]
        wanted = [
            await alice.stream_request(path, way)
            for path, way in zip(OPENING_EVENTS, ways, strict=True)
        ]
        async with run_client(*wanted) as reader:
            for path, events in OPENING_EVENTS.items():
                for event in events:
                    await reader.wait_for_event(path, event)
                begun = [one.event for one in reader.events_of(path) if one.event in events]
                assert begun[: len(events)] == [*events], path
            assert reader.events_of(ORDERS_PATH, "connected")[0].data["userId"] == alice.name
            for path in (ORDERS_PATH, TRADING_PATH):
                snapshot = reader.events_of(path, "order:update")[0]
                assert snapshot.data["snapshot"] is True
                assert [order["orderId"] for order in snapshot.data["orders"]] == ["before"]
                assert snapshot.last_event_id
            held = reader.events_of(TRADING_PATH, "position:update")[0]
            assert held.data["snapshot"] is True
            assert len(held.data["positions"]) == 1
            for path, event in (
                (STRATEGIES_PATH, "initial_state"),
                (NOTIFICATIONS_PATH, "notification:unread"),
            ):
                assert reader.events_of(path, event)[0].last_event_id

            epoch = await journal.epoch()
            last = await journal.append(alice.name, order_placed("live", reason=LINE_ENDS))
            for path, event in ORDER_EVENT_NAMES.items():
                expected = (event, f"{epoch}-{last}")
                await reader.wait_until(f"{expected} on {path}", partial(has_event, path, expected))
                (placed_,) = [
                    one.data
                    for one in reader.events_of(path, event)
                    if one.last_event_id == expected[1]
                ]
                assert placed_["message" if path == STRATEGIES_PATH else "reason"] == LINE_ENDS, (
                    path
                )
            item, noted = fresh("item"), golden_event("notification.created")
            last = await journal.append_event(
                EVERYBODY, "items", item, golden_event("item.analysed", item__id=item)
            )
            await reader.wait_until(
                "the item with its id",
                lambda r: (
                    ("new_item", item, f"{epoch}-{last}")
                    in [
                        (one.event, one.data.get("id"), one.last_event_id)
                        for one in r.events_of(DASHBOARD_PATH)
                    ]
                ),
            )
            last = await journal.append_event(alice.name, "notifications", "1", noted)
            assert (
                await reader.wait_for_event(NOTIFICATIONS_PATH, "notification")
            ).last_event_id == f"{epoch}-{last}"
