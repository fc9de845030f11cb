"""Ids that cannot be honoured: a reset with its reason, then a correct snapshot (C10)."""

from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, hidden_event, order_placed, orders_placed
from tests.harness.stream_assertions import assert_reset, read_through, sequences
from tests.harness.waiting import wait_until

ORDERS = "/api/stream/orders"


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
    async def test_a_malformed_id_resets_the_stream(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver, requested: Any
    ) -> None:
        await journal.append(alice, order_placed("there"))
        async with await edge.open_stream(ORDERS, cookie, last_event_id=requested) as stream:
            _, snapshot = await assert_reset(stream, "malformed", requested)
            assert [order["orderId"] for order in snapshot.data["orders"]] == ["there"]
            last = await journal.append(alice, order_placed("next"))
            assert await read_through(stream, last) == [last]

    @pytest.mark.parametrize(
        "quoted", ["%0A", "%00", "%E2%80%A8", "%F0%9F%93%88", "%FF", "%D9%A1", "%20", "1%0A2"]
    )
    async def test_a_malformed_id_in_the_query_resets_the_stream(
        self, edge: EdgeProcess, cookie: str, quoted: str
    ) -> None:
        """The reset repeats the id without breaking its frame."""
        async with await edge.open_stream(f"{ORDERS}?lastEventId={quoted}", cookie) as stream:
            reset = await stream.read()
        assert (reset.event, reset.data["reason"]) == ("stream:reset", "malformed")

    async def test_a_very_long_id_is_not_repeated_in_full(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        path = f"{ORDERS}?lastEventId={'9' * 5000}"
        async with await edge.open_stream(path, cookie) as stream:
            reset = await stream.read()
        assert reset.data["reason"] == "malformed"
        assert len(reset.raw) < 500

    async def test_an_id_ahead_of_the_log_resets_the_stream(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        await journal.append(alice, order_placed("there"))
        bounds = await journal.log.bounds()
        for requested in (f"{bounds.epoch}-{bounds.last + 1_000_000}", str(2**63 - 1)):
            async with await edge.open_stream(ORDERS, cookie, last_event_id=requested) as stream:
                reset, _ = await assert_reset(stream, "ahead", requested)
                assert reset.data["firstAvailableId"] == f"{bounds.epoch}-{bounds.first}"

    async def test_an_id_of_another_epoch_resets_the_stream(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        await journal.append(alice, order_placed("there"))
        async with await edge.open_stream(ORDERS, cookie, last_event_id="e0-1") as stream:
            _, snapshot = await assert_reset(stream, "epoch", "e0-1")
            assert snapshot.data["orders"][0]["orderId"] == "there"

    async def test_price_streams_ignore_the_id(self, edge: EdgeProcess) -> None:
        """A newest-wins stream sends all values, whatever id the client sends."""
        async with await edge.open_stream("/api/stream/prices", last_event_id="e0-1") as stream:
            assert (await stream.read()).data["initializing"] is True


class TestTrimmedAndRecreatedLogs:
    """Each test trims or recreates its own log."""

    async def test_recreating_the_log_resets_an_absent_client(
        self, isolated_harness: Harness
    ) -> None:
        edge = isolated_harness.start_edge()
        cookie = await edge.sign_in("alice")
        async with isolated_harness.journal() as journal:
            last = await journal.append("alice", *orders_placed(5))
            old = f"{await journal.epoch()}-{last}"
            await journal.recreate_stream()
            await journal.append("alice", order_placed("new"))
            async with await edge.open_stream(ORDERS, cookie, last_event_id=old) as stream:
                _, snapshot = await assert_reset(stream, "epoch", old)
                seen = [order["orderId"] for order in snapshot.data["orders"]]
                if not seen:  # the edge may have received it only after the snapshot
                    seen.append((await stream.read_until("order:update")).data["orderId"])
                assert seen == ["new"]
                assert stream.last_id == f"{await journal.epoch()}-1"

    async def test_recreating_a_longer_log_resets_an_absent_client(
        self, isolated_harness: Harness
    ) -> None:
        """The sequence alone would look valid."""
        edge = isolated_harness.start_edge()
        cookie = await edge.sign_in("alice")
        async with isolated_harness.journal() as journal:
            last = await journal.append("alice", *orders_placed(2))
            old = f"{await journal.epoch()}-{last}"
            await journal.recreate_stream()
            await journal.append("alice", *orders_placed(10, "new"))
            async with await edge.open_stream(ORDERS, cookie, last_event_id=old) as stream:
                reset = await stream.read_until("stream:reset")
                assert reset.data["reason"] == "epoch"
                snapshot = await stream.read()
                seen = [order["orderId"] for order in snapshot.data["orders"]]
                while len(seen) < 10:  # the edge may have received some only after the snapshot
                    seen.append((await stream.read_until("order:update")).data["orderId"])
                assert seen == [f"new-{number}" for number in range(10)]
                assert stream.frames[-1].id == f"{await journal.epoch()}-10"

    async def test_recreating_the_log_resets_a_connected_client(
        self, isolated_harness: Harness
    ) -> None:
        edge = isolated_harness.start_edge()
        cookie = await edge.sign_in("alice")
        async with isolated_harness.journal() as journal:
            last = await journal.append("alice", *orders_placed(5))
            async with await edge.open_stream(ORDERS, cookie) as stream:
                await stream.read_until("order:update")
                old = f"{await journal.epoch()}-{last}"
                await journal.recreate_stream()
                reset, snapshot = await assert_reset(stream, "epoch", old)
                epoch = await journal.epoch()
                assert reset.data["firstAvailableId"] == f"{epoch}-1"
                assert (snapshot.id, snapshot.data["orders"]) == (f"{epoch}-0", [])
                first = await journal.append("alice", order_placed("first"))
                assert (await stream.read_until("order:update")).id == f"{epoch}-{first}"

    async def test_trimming_the_log_resets_an_absent_client(
        self, isolated_harness: Harness
    ) -> None:
        edge = isolated_harness.start_edge()
        cookie = await edge.sign_in("alice")
        async with isolated_harness.journal() as journal:
            await journal.append("alice", *orders_placed(10))
            await journal.save_orders_checkpoint("alice")
            await journal.purge_through(6)
            epoch = await journal.epoch()
            new_edge = isolated_harness.start_edge()
            async with await new_edge.open_stream(
                ORDERS, cookie, last_event_id=f"{epoch}-5"
            ) as stream:
                reset, snapshot = await assert_reset(stream, "trimmed", f"{epoch}-5")
                assert reset.data["firstAvailableId"] == f"{epoch}-7"
                assert [order["orderId"] for order in snapshot.data["orders"]] == [
                    f"o-{number}" for number in range(10)
                ]
            for at in (edge, new_edge):
                async with await at.open_stream(
                    ORDERS, cookie, last_event_id=f"{epoch}-6"
                ) as stream:
                    assert await read_through(stream, 10) == [7, 8, 9, 10]

    async def test_trimming_a_moment_ago_resets_an_absent_client(
        self, isolated_harness: Harness
    ) -> None:
        """Regression: an edge that had not asked the leader since the trim resumed the stream, and
        silently skipped the trimmed events."""
        first = isolated_harness.start_edge()
        cookie = await first.sign_in("alice")
        async with isolated_harness.journal() as journal:
            await journal.append("alice", *orders_placed(10))
            await journal.save_orders_checkpoint("alice")
            new_edge = isolated_harness.start_edge()
            await journal.purge_through(6)
            async with await new_edge.open_stream(ORDERS, cookie, last_event_id="2") as stream:
                await assert_reset(stream, "trimmed", "2")

    async def test_trimming_the_whole_log_resets_an_absent_client(
        self, isolated_harness: Harness
    ) -> None:
        first = isolated_harness.start_edge()
        cookie = await first.sign_in("alice")
        async with isolated_harness.journal() as journal:
            await journal.append("alice", *orders_placed(10))
            await journal.save_orders_checkpoint("alice")
            await journal.purge_through(10)
            new_edge = isolated_harness.start_edge()
            async with await new_edge.open_stream(ORDERS, cookie, last_event_id="4") as stream:
                reset, snapshot = await assert_reset(stream, "trimmed", "4")
                assert reset.data["firstAvailableId"].endswith("-11")
                assert snapshot.sequence == 10
                assert len(snapshot.data["orders"]) == 10
                assert await journal.append("alice", order_placed("next")) == 11
                assert await read_through(stream, 11) == [11]

    async def test_exceeding_the_replay_limit_resets_the_client(
        self, isolated_harness: Harness
    ) -> None:
        """The limit applies to a new edge, which reads the log; events in memory always replay."""
        old = isolated_harness.start_edge(SSE_REPLAY_LIMIT=10)
        cookie = await old.sign_in("alice")
        async with isolated_harness.journal() as journal:
            start = await journal.append("alice", order_placed("start"))
            for number in range(11):
                await journal.append("bob", order_placed(f"b-{number}"))
                await journal.append("alice", order_placed(f"o-{number}"))
            last = await journal.append("zoe", hidden_event())
            new_edge = isolated_harness.start_edge(SSE_REPLAY_LIMIT=10)
            async with await new_edge.open_stream(
                ORDERS, cookie, last_event_id=str(start)
            ) as stream:
                _, snapshot = await assert_reset(stream, "limit", str(start))
                assert len(snapshot.data["orders"]) == 12
                assert snapshot.sequence == last
            within = sequences(await journal.read_user("alice"))[1]
            async with await new_edge.open_stream(
                ORDERS, cookie, last_event_id=str(within)
            ) as stream:
                assert len(await read_through(stream, last - 1)) == 10
            async with await old.open_stream(ORDERS, cookie, last_event_id=str(start)) as stream:
                assert len(await read_through(stream, last - 1)) == 11

    async def test_resets_are_logged_with_the_client(self, isolated_harness: Harness) -> None:
        edge = isolated_harness.start_edge()
        cookie = await edge.sign_in("alice")
        async with await edge.open_stream(ORDERS, cookie, last_event_id="???") as stream:
            client = stream.frames[-1].data["clientId"]
            await assert_reset(stream, "malformed", "???")
            await wait_until(
                "the reset is logged",
                lambda: edge.find_log_lines("stream.reset", client_id=client, reason="malformed"),
                describe_last=edge.log_lines,
            )
