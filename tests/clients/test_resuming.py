"""Each client carries on where it was: every event once, in order, as the log has them."""

from collections.abc import Callable

import pytest

from tests.clients.conftest import Crowd, Run
from tests.clients.people import ORDERS, SETTINGS, Person, happens, places, written
from tests.clients.readers import Client
from tests.clients.relay import relay
from tests.integration.edge.house import House
from tests.integration.edge.market import elsewhere

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN = {**SETTINGS, "SSE_GZIP": "off"}
"""Where a test must find its place in the bytes."""


async def test_it_carries_on_after_the_id_that_it_is_given(
    client: Client, run: Run, house: House, fresh: Callable[[str], str]
) -> None:
    """As after its own restart; and again, when the connection breaks while it reads on. All of
    them read gzip, and each event is there before the next one is made."""
    edge = house.shared_edge(**SETTINGS)
    async with relay(edge.port) as way, house.journal() as journal:
        alice = Person(fresh("alice"), edge, way.url)
        *_, start = await places(journal, alice.name, "o-0", "o-1", "o-2")
        await places(journal, alice.name, *(f"o-{number}" for number in range(3, 8)))
        at = f"{await journal.epoch()}-{start}"
        async with run(await alice.wants(ORDERS, client.ways[0], at)) as reader:
            await reader.until_order(ORDERS, "o-7")
            way.cut()
            await places(journal, alice.name, "o-8", "o-9")
            await reader.until_order(ORDERS, "o-9")
            for number in range(10, 20):
                await places(journal, alice.name, f"o-{number}")
                await reader.until_order(ORDERS, f"o-{number}")
            assert reader.orders(ORDERS) == await written(journal, alice.name, start)
            assert not [one for one in reader.seen if "snapshot" in one.data]
        assert way.asked[0].last_id == at
        assert [asked.is_compressed for asked in way.asked] == [True, True]


async def test_cut_at_every_place_within_an_event(
    crowd: Crowd, house: House, fresh: Callable[[str], str]
) -> None:
    """The first connection ends within the first event, the second within the second, each at
    another place, first broken off and then as if that were all: a half is no event, and no event
    was seen whose end was not."""
    edge = house.shared_edge(**PLAIN)

    async def check(client, run) -> None:
        async with relay(edge.port) as way, house.journal() as journal:
            alice = Person(fresh("alice"), edge, way.url)
            [start] = await places(journal, alice.name, "start")
            epoch = await journal.epoch()
            names = [f"o-{number}" for number in range(2 * CUTS + 1)]
            ids = [f"{epoch}-{one}" for one in await places(journal, alice.name, *names)]
            for number, id_ in enumerate(ids[:-1]):
                end = cut(number % CUTS, names[number], id_, ids[number - 1]).encode()
                way.plans.append(way.cut_after(end, whole=number >= CUTS))
            wanted = await alice.wants(ORDERS, client.ways[0], f"{epoch}-{start}")
            async with run(wanted) as reader:
                await reader.until_order(ORDERS, names[-1])
                assert reader.orders(ORDERS) == await written(journal, alice.name, start)
            assert len(way.asked) == len(names)
            assert not reader.of(ORDERS, "stream:reset")

    await crowd.each(check)


CUTS = 7
"""Places within an event."""


def cut(place, name: str, id_, before):
    """Up to where a connection gets within the event of that order, that id, after that id."""
    retry = f"\nretry: {PLAIN['SSE_RETRY_MS']}\n"
    return (
        f'"orderId":"{name}"',
        f"\nid: {before}{retry}\nevent: order:update\n",
        f"\nid: {before}{retry}\nevent: order:update\nda",
        f"\nid: {id_[:-1]}",
        f"\nid: {id_}",
        f"\nid: {id_}\n",
        f"\nid: {id_}{retry}",
    )[place]


async def test_a_loss_is_said_and_the_snapshot_follows(
    client: Client, run: Run, house: House, fresh: Callable[[str], str]
) -> None:
    """An id of another journal."""
    edge = house.shared_edge(**SETTINGS)
    alice = Person(fresh("alice"), edge)
    async with house.journal() as journal:
        [before] = await places(journal, alice.name, "before")
        await edge.hears(before)
        wanted = await alice.wants(ORDERS, client.ways[0], "zother-7")
        async with run(wanted) as reader:
            reset = await reader.until_event(ORDERS, "stream:reset")
            assert (reset.data["reason"], reset.data["requestedId"]) == ("epoch", "zother-7")
            snapshot = await reader.until_event(ORDERS, "order:update")
            assert [one["orderId"] for one in snapshot.data["orders"]] == ["before"]
            await places(journal, alice.name, "after")
            await reader.until_order(ORDERS, "after")


async def test_a_quiet_client_moves_on(
    crowd: Crowd, house: House, fresh: Callable[[str], str]
) -> None:
    """What it is not shown happens; after a checkpoint and idle frames it is cut, and comes back
    with the checkpoint's id."""
    edge = house.shared_edge(**PLAIN, SSE_KEEPALIVE_INTERVAL=0.3)

    async def check(client, run) -> None:
        async with relay(edge.port) as way, house.journal() as journal:
            alice = Person(fresh("alice"), edge, way.url)
            async with run(await alice.wants(ORDERS, client.ways[0])) as reader:
                await reader.until_event(ORDERS, "order:update")
                unseen = await happens(journal, alice.name, "notifications", "1", elsewhere())
                at = f"{await journal.epoch()}-{unseen}"
                await reader.until(
                    "the checkpoint", lambda r: at in [one.id for one in r.of(ORDERS, "checkpoint")]
                )
                shown = way.asked[0].body
                idle = shown.count(b": keepalive\n\n")
                await reader.until(
                    "an idle frame more", lambda _: shown.count(b": keepalive\n\n") > idle
                )
                way.cut()
                await reader.until("it comes back", lambda _: len(way.asked) >= 2)
                assert way.asked[1].last_id == at
                await places(journal, alice.name, "after")
                await reader.until_order(ORDERS, "after")

    await crowd.each(check)
