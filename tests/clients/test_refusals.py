"""What each client does when it is refused: it gives up where that is right, waits where not."""

from collections.abc import Callable

import pytest

from tests.clients.conftest import Crowd, Run
from tests.clients.people import ORDERS, SETTINGS, Person, places
from tests.clients.readers import Wanted
from tests.clients.relay import relay
from tests.integration.edge.house import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOLD_SECONDS, UNTOLD_SECONDS = 1.9, 0.9
"""What they wait at least: two seconds as they are told, or one where they cannot know; their
timers may be some milliseconds early by ours."""


async def test_nobody_signed_in(run: Run, house: House) -> None:
    """401: it ends, and says so."""
    edge = house.shared_edge(**SETTINGS)
    async with run(Wanted(edge.url, ORDERS)) as reader:
        assert await reader.until_over() == "401"
        assert not reader.seen


async def test_a_full_edge_and_too_many_tries(
    crowd: Crowd, house: House, fresh: Callable[[str], str]
) -> None:
    """503 of an edge that holds as many as it may, 429 of a strict one, and then a stream: asked
    for by itself, not sooner than it was told."""
    full = house.shared_edge(**SETTINGS, SSE_MAX_CONNECTIONS=1)
    strict = house.shared_edge(**SETTINGS, SSE_CONNECT_RATE=1)
    edge = house.shared_edge(**SETTINGS)

    async def check(client, run) -> None:
        async with relay(edge.port) as way, house.journal() as journal:
            alice = Person(fresh("alice"), edge, way.url)
            way.plans += [way.refusing(full.port), way.refusing(strict.port)]
            # By the cookie where it can: a browser that was refused with a ticket has no session.
            async with run(await alice.wants(ORDERS, client.ways[-1])) as reader:
                await reader.until_event(ORDERS, "order:update")
                await places(journal, alice.name, "one")
                await reader.until_order(ORDERS, "one")
            assert [asked.answer.split()[1] for asked in way.asked] == ["503", "429", "200"]
            first, second, third = (asked.at for asked in way.asked)
            least = UNTOLD_SECONDS if client.name == "EventSource" else TOLD_SECONDS
            assert min(second - first, third - second) >= least

    async with await full.connect("/api/stream/prices"):
        await crowd.each(check)


async def test_one_stream_too_many(crowd: Crowd, house: House, fresh: Callable[[str], str]) -> None:
    """Its user opens another one: it ends, and does not come back to end that one."""
    edge = house.shared_edge(**SETTINGS | {"SSE_MAX_CONNECTIONS_PER_USER": 1})

    async def check(client, run) -> None:
        async with relay(edge.port) as way, house.journal() as journal:
            alice = Person(fresh("alice"), edge, way.url)
            async with run(await alice.wants(ORDERS, client.ways[0])) as reader:
                await reader.until_event(ORDERS, "order:update")
                async with await edge.follow(ORDERS, await edge.sign_in(alice.name)) as other:
                    assert await reader.until_over() == "limit"
                    await places(journal, alice.name, "one")
                    shown = await other.until(
                        "the order", lambda f: "orderId" in (f.data or {}), seconds=60
                    )
                    assert shown.data["orderId"] == "one"
            assert reader.seen[-1].event == "connection:limit"
            assert len(way.asked) == 1

    await crowd.each(check)
