"""Each client resumes where it stopped: it receives every event once, in the order of the log."""

from collections.abc import Callable

import pytest

from tests.clients.client_runs import DocumentedClient
from tests.clients.conftest import ClientGroup, RunClient
from tests.clients.relay import run_relay
from tests.clients.stream_users import (
    ORDERS_PATH,
    SETTINGS,
    StreamUser,
    append_orders,
    expected_order_events,
)
from tests.harness.edge import Harness
from tests.harness.publishers import hidden_event

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNCOMPRESSED_SETTINGS = {**SETTINGS, "SSE_GZIP": "off"}
"""Settings for tests that search the response for a position in its bytes."""


async def test_client_resumes_after_the_given_id(
    client: DocumentedClient, run_client: RunClient, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The client starts with an id, as after its own restart, and later resumes after a cut
    connection. Every client reads gzip, and receives each event before the next one is appended."""
    edge = harness.shared_edge(**SETTINGS)
    async with run_relay(edge.port) as way, harness.journal() as journal:
        alice = StreamUser(fresh("alice"), edge, way.url)
        *_, start = await append_orders(journal, alice.name, "o-0", "o-1", "o-2")
        await append_orders(journal, alice.name, *(f"o-{number}" for number in range(3, 8)))
        at = f"{await journal.epoch()}-{start}"
        async with run_client(
            await alice.stream_request(ORDERS_PATH, client.auth_methods[0], at)
        ) as reader:
            await reader.wait_for_order(ORDERS_PATH, "o-7")
            way.cut_all()
            await append_orders(journal, alice.name, "o-8", "o-9")
            await reader.wait_for_order(ORDERS_PATH, "o-9")
            for number in range(10, 20):
                await append_orders(journal, alice.name, f"o-{number}")
                await reader.wait_for_order(ORDERS_PATH, f"o-{number}")
            assert reader.order_events(ORDERS_PATH) == await expected_order_events(
                journal, alice.name, start
            )
            assert not [one for one in reader.events if "snapshot" in one.data]
        assert way.requests[0].last_id == at
        assert [request.is_compressed for request in way.requests] == [True, True]


async def test_client_resumes_after_a_cut_at_every_position_in_an_event(
    client_group: ClientGroup, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The first connection ends within the first event, the second within the second, and so on,
    each at another position. The cuts first break the connection, then end the response cleanly. An
    incomplete event must not be delivered."""
    edge = harness.shared_edge(**UNCOMPRESSED_SETTINGS)

    async def check(client: DocumentedClient, run: RunClient) -> None:
        async with run_relay(edge.port) as way, harness.journal() as journal:
            alice = StreamUser(fresh("alice"), edge, way.url)
            [start] = await append_orders(journal, alice.name, "start")
            epoch = await journal.epoch()
            names = [f"o-{number}" for number in range(2 * CUT_COUNT + 1)]
            ids = [f"{epoch}-{one}" for one in await append_orders(journal, alice.name, *names)]
            for number, id_ in enumerate(ids[:-1]):
                end = cut_point(number % CUT_COUNT, names[number], id_, ids[number - 1]).encode()
                way.plans.append(way.cut_after(end, ends_cleanly=number >= CUT_COUNT))
            wanted = await alice.stream_request(
                ORDERS_PATH, client.auth_methods[0], f"{epoch}-{start}"
            )
            async with run(wanted) as reader:
                await reader.wait_for_order(ORDERS_PATH, names[-1])
                assert reader.order_events(ORDERS_PATH) == await expected_order_events(
                    journal, alice.name, start
                )
            assert len(way.requests) == len(names)
            assert not reader.events_of(ORDERS_PATH, "stream:reset")

    await client_group.check_each(check)


CUT_COUNT = 7
"""The number of cut positions within an event."""


def cut_point(position_in_event: int, name: str, id_: str, before: str) -> str:
    """The text at which the connection ends: a position in the event of order `name` with id `id_`,
    which follows the event with id `before`."""
    retry = f"\nretry: {UNCOMPRESSED_SETTINGS['SSE_RETRY_MS']}\n"
    return (
        f'"orderId":"{name}"',
        f"\nid: {before}{retry}\nevent: order:update\n",
        f"\nid: {before}{retry}\nevent: order:update\nda",
        f"\nid: {id_[:-1]}",
        f"\nid: {id_}",
        f"\nid: {id_}\n",
        f"\nid: {id_}{retry}",
    )[position_in_event]


async def test_unknown_epoch_is_reset_and_followed_by_a_snapshot(
    client: DocumentedClient, run_client: RunClient, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The client resumes with an id of another journal."""
    edge = harness.shared_edge(**SETTINGS)
    alice = StreamUser(fresh("alice"), edge)
    async with harness.journal() as journal:
        [before] = await append_orders(journal, alice.name, "before")
        await edge.wait_until_followed(before)
        wanted = await alice.stream_request(ORDERS_PATH, client.auth_methods[0], "zother-7")
        async with run_client(wanted) as reader:
            reset = await reader.wait_for_event(ORDERS_PATH, "stream:reset")
            assert (reset.data["reason"], reset.data["requestedId"]) == ("epoch", "zother-7")
            snapshot = await reader.wait_for_event(ORDERS_PATH, "order:update")
            assert [one["orderId"] for one in snapshot.data["orders"]] == ["before"]
            await append_orders(journal, alice.name, "after")
            await reader.wait_for_order(ORDERS_PATH, "after")


async def test_checkpoint_frame_advances_the_resume_id_of_a_quiet_client(
    client_group: ClientGroup, harness: Harness, fresh: Callable[[str], str]
) -> None:
    """An event is appended that the stream does not show. After a checkpoint frame and idle frames
    the connection is cut, and the client resumes with the id of the checkpoint frame."""
    edge = harness.shared_edge(**UNCOMPRESSED_SETTINGS, SSE_KEEPALIVE_INTERVAL=0.3)

    async def check(client: DocumentedClient, run: RunClient) -> None:
        async with run_relay(edge.port) as way, harness.journal() as journal:
            alice = StreamUser(fresh("alice"), edge, way.url)
            async with run(
                await alice.stream_request(ORDERS_PATH, client.auth_methods[0])
            ) as reader:
                await reader.wait_for_event(ORDERS_PATH, "order:update")
                unseen = await journal.append_event(
                    alice.name, "notifications", "1", hidden_event()
                )
                at = f"{await journal.epoch()}-{unseen}"
                response_body = way.requests[0].response_body
                await reader.wait_until(
                    "the checkpoint",
                    lambda r: (
                        at in [one.last_event_id for one in r.events_of(ORDERS_PATH, "checkpoint")]
                        or (not client.reports_checkpoints and at.encode() in response_body)
                    ),
                )
                idle = response_body.count(b": keepalive\n\n")
                await reader.wait_until(
                    "one more keepalive comment",
                    lambda _: response_body.count(b": keepalive\n\n") > idle,
                )
                way.cut_all()
                await reader.wait_until("the client reconnects", lambda _: len(way.requests) >= 2)
                assert way.requests[1].last_id == at
                await append_orders(journal, alice.name, "after")
                await reader.wait_for_order(ORDERS_PATH, "after")

    await client_group.check_each(check)
