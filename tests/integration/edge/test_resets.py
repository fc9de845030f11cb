"""Ids that cannot be honoured: a reset that says why, and a right snapshot after it (C10)."""

from collections.abc import Callable

import pytest

from tests.integration.edge.house import Edge, House
from tests.integration.edge.market import Journal, elsewhere, many, placed
from tests.integration.edge.reading import is_reset, sequences, upto
from tests.waiting import until

ORDERS = "/api/stream/orders"


@pytest.fixture
def alice(fresh: Callable[[str], str]) -> str:
    return fresh("alice")


@pytest.fixture
async def cookie(edge: Edge, alice: str) -> str:
    return await edge.sign_in(alice)


class TestResets:
    @pytest.mark.parametrize(
        "requested",
        [
            "nonsense",
            "-1",
            "1.5",
            "e1-",
            "e1--5",
            "e1-5 6",
            "E1-5",
            "5-e1",
            "e1-99999999999999999999",
            "9223372036854775808",
            "0x10",
            "1712345678901-",
            "<script>alert(1)</script>",
            "e1-5;drop",
            "\xe9",
            "x" * 64,
        ],
    )
    async def test_malformed(
        self, edge: Edge, cookie: str, alice: str, journal: Journal, requested
    ) -> None:
        await journal.append(alice, placed("there"))
        async with await edge.follow(ORDERS, cookie, last_event_id=requested) as stream:
            _, snapshot = await is_reset(stream, "malformed", requested)
            assert [order["orderId"] for order in snapshot.data["orders"]] == ["there"]
            last = await journal.append(alice, placed("next"))
            assert await upto(stream, last) == [last]

    @pytest.mark.parametrize(
        "quoted", ["%0A", "%00", "%E2%80%A8", "%F0%9F%93%88", "%FF", "%D9%A1", "%20", "1%0A2"]
    )
    async def test_malformed_in_the_query(self, edge: Edge, cookie: str, quoted: str) -> None:
        """The id comes back in the reset, and breaks no frame there."""
        async with await edge.follow(f"{ORDERS}?lastEventId={quoted}", cookie) as stream:
            reset = await stream.read()
        assert (reset.event, reset.data["reason"]) == ("stream:reset", "malformed")

    async def test_an_enormous_one_is_not_repeated_in_full(self, edge: Edge, cookie: str) -> None:
        path = f"{ORDERS}?lastEventId={'9' * 5000}"
        async with await edge.follow(path, cookie) as stream:
            reset = await stream.read()
        assert reset.data["reason"] == "malformed"
        assert len(reset.raw) < 500

    async def test_ahead(self, edge: Edge, cookie: str, alice: str, journal: Journal) -> None:
        await journal.append(alice, placed("there"))
        bounds = await journal.log.bounds()
        for requested in (f"{bounds.epoch}-{bounds.last + 1_000_000}", str(2**63 - 1)):
            async with await edge.follow(ORDERS, cookie, last_event_id=requested) as stream:
                reset, _ = await is_reset(stream, "ahead", requested)
                assert reset.data["firstAvailableId"] == f"{bounds.epoch}-{bounds.first}"

    async def test_another_epoch(
        self, edge: Edge, cookie: str, alice: str, journal: Journal
    ) -> None:
        await journal.append(alice, placed("there"))
        async with await edge.follow(ORDERS, cookie, last_event_id="e0-1") as stream:
            _, snapshot = await is_reset(stream, "epoch", "e0-1")
            assert snapshot.data["orders"][0]["orderId"] == "there"

    async def test_a_price_stream_needs_no_id(self, edge: Edge) -> None:
        """Newest-wins: whatever id comes, all values are sent."""
        async with await edge.follow("/api/stream/prices", last_event_id="e0-1") as stream:
            assert (await stream.read()).data["initializing"] is True


class TestResetsOfABrokenLog:
    """Logs that are trimmed or made anew: each test breaks one of its own."""

    async def test_made_anew_while_away(self, lone: House) -> None:
        edge = lone.edge()
        cookie = await edge.sign_in("alice")
        async with lone.journal() as journal:
            last = await journal.append("alice", *many(5))
            old = f"{await journal.epoch()}-{last}"
            await journal.recreate()
            await journal.append("alice", placed("new"))
            async with await edge.follow(ORDERS, cookie, last_event_id=old) as stream:
                _, snapshot = await is_reset(stream, "epoch", old)
                seen = [order["orderId"] for order in snapshot.data["orders"]]
                if not seen:  # the edge may have heard of it only after the snapshot
                    seen.append((await stream.until("order:update")).data["orderId"])
                assert seen == ["new"]
                assert stream.last_id == f"{await journal.epoch()}-1"

    async def test_made_anew_and_longer_than_before(self, lone: House) -> None:
        """Sequences alone would look as if nothing had happened."""
        edge = lone.edge()
        cookie = await edge.sign_in("alice")
        async with lone.journal() as journal:
            last = await journal.append("alice", *many(2))
            old = f"{await journal.epoch()}-{last}"
            await journal.recreate()
            await journal.append("alice", *many(10, "new"))
            async with await edge.follow(ORDERS, cookie, last_event_id=old) as stream:
                reset = await stream.until("stream:reset")
                assert reset.data["reason"] == "epoch"
                snapshot = await stream.read()
                seen = [order["orderId"] for order in snapshot.data["orders"]]
                while len(seen) < 10:  # the edge may have heard of some only after the snapshot
                    seen.append((await stream.until("order:update")).data["orderId"])
                assert seen == [f"new-{number}" for number in range(10)]
                assert stream.frames[-1].id == f"{await journal.epoch()}-10"

    async def test_made_anew_under_a_connected_client(self, lone: House) -> None:
        edge = lone.edge()
        cookie = await edge.sign_in("alice")
        async with lone.journal() as journal:
            last = await journal.append("alice", *many(5))
            async with await edge.follow(ORDERS, cookie) as stream:
                await stream.until("order:update")
                old = f"{await journal.epoch()}-{last}"
                await journal.recreate()
                reset, snapshot = await is_reset(stream, "epoch", old)
                epoch = await journal.epoch()
                assert reset.data["firstAvailableId"] == f"{epoch}-1"
                assert (snapshot.id, snapshot.data["orders"]) == (f"{epoch}-0", [])
                first = await journal.append("alice", placed("first"))
                assert (await stream.until("order:update")).id == f"{epoch}-{first}"

    async def test_trimmed_while_away(self, lone: House) -> None:
        edge = lone.edge()
        cookie = await edge.sign_in("alice")
        async with lone.journal() as journal:
            await journal.append("alice", *many(10))
            await journal.checkpoint("alice")
            await journal.purge(6)
            epoch = await journal.epoch()
            young = lone.edge()
            async with await young.follow(ORDERS, cookie, last_event_id=f"{epoch}-5") as stream:
                reset, snapshot = await is_reset(stream, "trimmed", f"{epoch}-5")
                assert reset.data["firstAvailableId"] == f"{epoch}-7"
                assert [order["orderId"] for order in snapshot.data["orders"]] == [
                    f"o-{number}" for number in range(10)
                ]
            for at in (edge, young):
                async with await at.follow(ORDERS, cookie, last_event_id=f"{epoch}-6") as stream:
                    assert await upto(stream, 10) == [7, 8, 9, 10]

    async def test_trimmed_a_moment_ago(self, lone: House) -> None:
        """Regression: an edge that had not asked the leader since resumed, and silently left out
        what was gone."""
        first = lone.edge()
        cookie = await first.sign_in("alice")
        async with lone.journal() as journal:
            await journal.append("alice", *many(10))
            await journal.checkpoint("alice")
            young = lone.edge()
            await journal.purge(6)
            async with await young.follow(ORDERS, cookie, last_event_id="2") as stream:
                await is_reset(stream, "trimmed", "2")

    async def test_trimmed_to_nothing(self, lone: House) -> None:
        first = lone.edge()
        cookie = await first.sign_in("alice")
        async with lone.journal() as journal:
            await journal.append("alice", *many(10))
            await journal.checkpoint("alice")
            await journal.purge(10)
            young = lone.edge()
            async with await young.follow(ORDERS, cookie, last_event_id="4") as stream:
                reset, snapshot = await is_reset(stream, "trimmed", "4")
                assert reset.data["firstAvailableId"].endswith("-11")
                assert snapshot.sequence == 10
                assert len(snapshot.data["orders"]) == 10
                assert await journal.append("alice", placed("next")) == 11
                assert await upto(stream, 11) == [11]

    async def test_more_than_the_replay_limit(self, lone: House) -> None:
        """Beyond what the edge remembers: at a young one. What it remembers is always given."""
        old = lone.edge(SSE_REPLAY_LIMIT=10)
        cookie = await old.sign_in("alice")
        async with lone.journal() as journal:
            start = await journal.append("alice", placed("start"))
            for number in range(11):
                await journal.append("bob", placed(f"b-{number}"))
                await journal.append("alice", placed(f"o-{number}"))
            last = await journal.append("zoe", elsewhere())
            young = lone.edge(SSE_REPLAY_LIMIT=10)
            async with await young.follow(ORDERS, cookie, last_event_id=str(start)) as stream:
                _, snapshot = await is_reset(stream, "limit", str(start))
                assert len(snapshot.data["orders"]) == 12
                assert snapshot.sequence == last
            within = sequences(await journal.of("alice"))[1]
            async with await young.follow(ORDERS, cookie, last_event_id=str(within)) as stream:
                assert len(await upto(stream, last - 1)) == 10
            async with await old.follow(ORDERS, cookie, last_event_id=str(start)) as stream:
                assert len(await upto(stream, last - 1)) == 11

    async def test_resets_are_logged_with_the_client(self, lone: House) -> None:
        edge = lone.edge()
        cookie = await edge.sign_in("alice")
        async with await edge.follow(ORDERS, cookie, last_event_id="???") as stream:
            client = stream.frames[-1].data["clientId"]
            await is_reset(stream, "malformed", "???")
            await until(
                "the reset is logged",
                lambda: edge.logged("stream reset", client=client, reason="malformed"),
                seen=edge.lines,
            )
