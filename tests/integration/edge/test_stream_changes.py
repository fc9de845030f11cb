"""`PATCH /api/stream/{clientId}` changes an open stream without a gap (W6)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tapewire.log.subjects import EVERYBODY
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.golden_events import golden_event
from tests.harness.publishers import (
    EventLogDriver,
    QuoteDriver,
    hidden_event,
    order_placed,
    orders_placed,
)
from tests.harness.sse import Frame, SseStream, has_price
from tests.harness.waiting import wait_until

TOPICS = "/api/stream?topics="
PUBLISH_INTERVAL_SECONDS = 0.01
"""No assertion depends on it."""


@pytest.fixture
def other(harness: Harness) -> EdgeProcess:
    """A second process next to `edge`."""
    return harness.shared_edge(SSE_FLUSH_MS=5)


def client_id_of(stream: SseStream) -> str:
    data = stream.frames[1].data
    return str(data.get("clientId") or data["client_id"])


async def patch(edge: EdgeProcess, cookie: str | None, client_id: str, body: Any) -> Any:
    async with edge.client(cookie) as http:
        return await http.patch(f"/api/stream/{client_id}", json=body)


async def change(edge: EdgeProcess, cookie: str, stream: SseStream, **body: Any) -> Any:
    answer = await patch(edge, cookie, client_id_of(stream), body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read_through_change(stream: SseStream) -> list[Frame]:
    """The frames up to `stream:updated`, which is the last one."""
    frames = [await stream.read()]
    while frames[-1].event != "stream:updated":
        frames.append(await stream.read())
    return frames


async def read_price(stream: SseStream, price: int, symbol: str) -> Frame:
    return await stream.read_until("the quote", lambda frame: has_price(frame, price, symbol))


def alert(number: int) -> Any:
    return golden_event("alert.raised", alertId=f"a{number}")


class Publisher:
    """Appends orders and alerts of a user, one after the other, while its block lasts."""

    def __init__(self, journal: EventLogDriver, user: str) -> None:
        self._journal = journal
        self._user = user
        self.orders: list[int] = []
        self.alerts: list[int] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._publish())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def wait_for_orders(self, count: int) -> None:
        """Wait until more than `count` orders were appended."""
        await wait_until("more is published", lambda: len(self.orders) > count)

    async def _publish(self) -> None:
        number = 0
        while True:
            number += 1
            self.orders.append(await self._journal.append(self._user, order_placed(f"o{number}")))
            self.alerts.append(
                await self._journal.append_event(self._user, "alerts", f"a{number}", alert(number))
            )
            await asyncio.sleep(PUBLISH_INTERVAL_SECONDS)


class TestGaplessness:
    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    async def test_topics_change_again_and_again_while_events_are_published(
        self,
        edge: EdgeProcess,
        other: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        is_remote: bool,
    ) -> None:
        """The stream of orders is joined by alerts and left by them, several times. All orders
        arrive once and in order. While alerts are shown, all of them arrive, from their snapshot
        on."""
        target = other if is_remote else edge
        publisher = Publisher(journal, alice)
        frames: list[Frame] = []
        async with (
            await edge.open_stream(f"{TOPICS}orders", cookie) as stream,
            publisher.running(),
        ):
            start = (await stream.read_until("order:update")).sequence

            async def collect() -> None:
                while True:
                    frames.append(await stream.read())

            reading = asyncio.create_task(collect())
            for _ in range(4):
                for topics in (["orders", "alerts"], ["orders"]):
                    answer = await change(target, cookie, stream, topics=topics)
                    assert answer["topics"] == topics
                    seen = len(publisher.orders)
                    await publisher.wait_for_orders(seen + 3)
            last = publisher.orders[-1]
            await wait_until(
                "all orders have arrived",
                lambda: any(frame.id and frame.sequence >= last for frame in frames),
            )
            reading.cancel()
        orders = [one.sequence for one in frames if one.event == "order:update" and one.id]
        expected = [one for one in publisher.orders if start < one <= last]
        assert [one for one in orders if one <= last] == expected
        ids = [one.sequence for one in frames if one.id is not None]
        assert ids == sorted(set(ids))
        changes = [number for number, one in enumerate(frames) if one.event == "stream:updated"]
        assert len(changes) == 8
        for added, removed in zip(changes[::2], changes[1::2], strict=True):
            known = self._snapshot_alerts(frames, added)
            live = [
                one.data["alertId"]
                for one in frames[added + 1 : removed]
                if one.event == "alert:new" and one.id is not None
            ]
            first, end = int(known[-1][1:]) + 1 if known else 1, int((live or known)[-1][1:])
            assert live == [f"a{number}" for number in range(first, end + 1)]
        for removed, added in zip(changes[1::2], [*changes[2::2], len(frames)], strict=True):
            after = [one for one in frames[removed:added] if one.event == "alert:new"]
            assert all(one.id is None for one in after)  # the snapshot of the next addition

    def _snapshot_alerts(self, frames: list[Frame], added: int) -> list[str]:
        """The alerts without ids just before a change."""
        found: list[str] = []
        for frame in reversed(frames[:added]):
            if frame.event != "alert:new" or frame.id is not None:
                break
            found.insert(0, frame.data["alertId"])
        return found

    async def test_a_client_that_resumes_with_the_new_selection_misses_nothing(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            await stream.read_until("order:update")
            await journal.append_event(alice, "notifications", "n", hidden_event())
            await change(edge, cookie, stream, topics=["orders", "alerts"])
            updated = (await read_through_change(stream))[-1]
        missed = await journal.append_event(alice, "alerts", "a1", alert(1))
        async with await edge.open_stream(
            f"{TOPICS}orders,alerts", cookie, last_event_id=updated.id or stream.last_id
        ) as stream:
            assert (await stream.read_until("alert:new")).sequence == missed


class TestContent:
    async def test_an_added_topic_begins_with_its_snapshot(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        await edge.wait_until_followed(await journal.append(alice, *orders_placed(3)))
        async with await edge.open_stream(f"{TOPICS}alerts", cookie) as stream:
            answer = await change(edge, cookie, stream, topics=["alerts", "orders"])
            *_, snapshot, updated = await read_through_change(stream)
            assert snapshot.data["snapshot"] is True
            assert {one["orderId"] for one in snapshot.data["orders"]} == {"o-0", "o-1", "o-2"}
            content = {"topics": ["alerts", "orders"], "symbols": None, "maxRate": 10.0}
            assert answer == {"clientId": client_id_of(stream), **content}
            assert updated.data == content
            last = await journal.append(alice, order_placed("live"))
            assert (await stream.read_until("order:update")).sequence == last

    async def test_nothing_of_a_removed_topic_follows_the_answer(
        self, edge: EdgeProcess, cookie: str, alice: str, journal: EventLogDriver
    ) -> None:
        async with await edge.open_stream(f"{TOPICS}orders,alerts", cookie) as stream:
            await change(edge, cookie, stream, topics=["alerts"])
            await journal.append(alice, *orders_placed(5))
            last = await journal.append_event(alice, "alerts", "a1", alert(1))
            await read_through_change(stream)
            assert (await stream.read()).sequence == last

    @pytest.mark.parametrize("symbols", [["NEW"], ["OLD", "NEW"], None], ids=str)
    async def test_symbols_change_and_the_newest_quotes_of_the_new_ones_follow(
        self,
        edge: EdgeProcess,
        cookie: str,
        market: QuoteDriver,
        fresh: Callable[[str], str],
        symbols: list[str] | None,
    ) -> None:
        old, new = fresh("OLD").upper(), fresh("NEW").upper()
        await market.publish(old, 50)
        await market.publish(new, 60)
        await edge.wait_for_quotes(old, new)
        names = {"OLD": old, "NEW": new}
        wanted = None if symbols is None else [names[one].lower() for one in symbols]
        path = f"/api/stream/prices?symbols={old}"
        async with await edge.open_stream(path, cookie) as stream:
            await stream.read_until("price:update")
            answer = await change(edge, cookie, stream, symbols=wanted)
            assert answer["symbols"] == (
                None if symbols is None else sorted(names[one] for one in symbols)
            )
            snapshot, _ = await read_through_change(stream)
            prices = {one["symbol"] for one in snapshot.data["prices"]}
            assert new in prices
            assert (old in prices) is (symbols != ["NEW"])
            await market.publish(old, 51)
            await market.publish(new, 61)
            await stream.read_until("the quote", lambda frame: has_price(frame, 61, new))
            seen = [one for one in stream.frames if has_price(one, 51, old)]
            assert bool(seen) is (symbols != ["NEW"])

    async def test_prices_can_be_added_to_events_and_events_to_prices(
        self,
        edge: EdgeProcess,
        cookie: str,
        alice: str,
        journal: EventLogDriver,
        market: QuoteDriver,
        fresh: Callable[[str], str],
    ) -> None:
        symbol = fresh("BOTH").upper()
        await market.publish(symbol, 70)
        await edge.wait_for_quotes(symbol)
        async with await edge.open_stream(f"{TOPICS}prices:{symbol}", cookie) as stream:
            await journal.append(alice, order_placed("before"))
            await edge.wait_until_followed(await journal.append(alice, order_placed("before-too")))
            await change(edge, cookie, stream, topics=["orders"])
            *_, snapshot, updated = await read_through_change(stream)
            assert len(snapshot.data["orders"]) == 2
            assert updated.id is not None
            await change(edge, cookie, stream, topics=["orders", f"prices:{symbol}"])
            frames = await read_through_change(stream)
            assert [one.event for one in frames] == ["price:update", "stream:updated"]
            await change(edge, cookie, stream, topics=[f"prices:{symbol}"])
            await read_through_change(stream)
            await change(edge, cookie, stream, topics=["orders", f"prices:{symbol}"])
            frames = await read_through_change(stream)
            assert [one.event for one in frames] == ["order:update", "stream:updated"]
            last = await journal.append(alice, order_placed("after"))
            after = await stream.read_until("order:update")
            assert (after.sequence, after.data["orderId"]) == (last, "after")

    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    @pytest.mark.parametrize("field", ["symbols", "topics"])
    async def test_symbols_without_a_quote_are_named(
        self,
        edge: EdgeProcess,
        other: EdgeProcess,
        cookie: str,
        market: QuoteDriver,
        fresh: Callable[[str], str],
        field: str,
        is_remote: bool,
    ) -> None:
        known, unknown = fresh("KNOWN").upper(), fresh("nothing")
        await market.publish(known, 70)
        await edge.wait_for_quotes(known)
        prefix = "prices:" if field == "topics" else ""
        wanted = {field: [f"{prefix}{symbol}" for symbol in (known, unknown)]}
        async with await edge.open_stream(f"{TOPICS}prices:{known}", cookie) as stream:
            answer = await change(other if is_remote else edge, cookie, stream, **wanted)
            *_, updated = await read_through_change(stream)
            assert answer["unknown"] == updated.data["unknown"] == [unknown]
            answer = await change(edge, cookie, stream, topics=[f"prices:{known}"])
            *_, updated = await read_through_change(stream)
            assert "unknown" not in answer
            assert "unknown" not in updated.data

    async def test_the_rate_changes_and_no_newest_value_is_lost(
        self,
        edge: EdgeProcess,
        cookie: str,
        market: QuoteDriver,
        fresh: Callable[[str], str],
    ) -> None:
        """A quote that waits for the old rate is sent by the change."""
        symbol = fresh("RATE").upper()
        await market.publish(symbol, 80)
        await edge.wait_for_quotes(symbol)
        path = f"/api/stream/prices?symbols={symbol}&maxRate=0.1"
        async with await edge.open_stream(path, cookie) as stream:
            await market.publish(symbol, 81)
            await stream.read_until("the quote", lambda frame: has_price(frame, 81, symbol))
            await market.publish(symbol, 82)  # may leave in ten seconds
            async with edge.client() as http:
                while (await http.get(f"/api/prices?symbols={symbol}")).json()["prices"][0][
                    "price"
                ] != 82:
                    pass
            assert (await change(edge, cookie, stream, maxRate=10))["maxRate"] == 10
            snapshot, _ = await read_through_change(stream)
            assert [one["price"] for one in snapshot.data["prices"]] == [82]
            for price in range(83, 90):
                await market.publish(symbol, price)
                await read_price(stream, price, symbol)

    async def test_concurrent_changes_are_all_answered_and_the_last_one_is_shown(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            answers = await asyncio.gather(
                *(change(edge, cookie, stream, maxRate=rate) for rate in range(1, 10))
            )
            final = await change(edge, cookie, stream)
            assert final["maxRate"] in {one["maxRate"] for one in answers}
            frames = [await stream.read()]
            while frames[-1].data.get("maxRate") != final["maxRate"]:
                frames.append(await stream.read())

    async def test_a_strategy_stream_changes_in_its_own_convention(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        async with await edge.connect("/sse/prices?symbols=IBM", cookie) as stream:
            await stream.read_until("CONNECTED")
            await change(edge, cookie, stream, symbols=["SPY"])
            updated = (await read_through_change(stream))[-1]
        assert updated.data["type"] == "stream:updated"
        assert (updated.data["symbols"], updated.data["max_rate"]) == (["SPY"], 10)


class TestOwnership:
    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    async def test_another_users_stream_is_not_found(
        self,
        edge: EdgeProcess,
        other: EdgeProcess,
        cookie: str,
        fresh: Callable[[str], str],
        is_remote: bool,
    ) -> None:
        """Not by an admin either."""
        target = other if is_remote else edge
        stranger = await edge.sign_in(fresh("mallory"), ["admin"])
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            answer = await patch(target, stranger, client_id_of(stream), {"topics": ["alerts"]})
            assert answer.status_code == 404
            mine = await change(target, cookie, stream)
            assert mine["topics"] == ["orders"]

    @pytest.mark.parametrize("client_id", ["nobody-topics-1", "x", "a%2Fb-topics-1", "%00"])
    async def test_an_unknown_stream_is_not_found(
        self, edge: EdgeProcess, cookie: str, client_id: str
    ) -> None:
        answer = await patch(edge, cookie, client_id, {"maxRate": 1})
        assert answer.status_code == 404

    async def test_a_closed_stream_is_not_found(self, edge: EdgeProcess, cookie: str) -> None:
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            client_id = client_id_of(stream)
        await wait_until(
            "it is closed", lambda: edge.find_log_lines("stream.closed", client_id=client_id)
        )
        assert (await patch(edge, cookie, client_id, {"maxRate": 1})).status_code == 404

    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    async def test_a_public_stream_that_becomes_private_ends_with_the_session(
        self, edge: EdgeProcess, other: EdgeProcess, cookie: str, is_remote: bool
    ) -> None:
        """Until then it outlives the session that it was opened with."""
        target = other if is_remote else edge
        async with await edge.open_stream(f"{TOPICS}prices:IBM", cookie) as stream:
            await change(target, cookie, stream, topics=["orders"])
            async with edge.client(cookie) as http:
                assert (await http.delete("/api/session")).status_code == 204
            assert (await stream.read_until("auth:expired")).data["reason"] == "revoked"

    async def test_a_user_id_with_a_slash_has_a_stream_to_change(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        cookie = await edge.sign_in(fresh("a/b c"))
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            quoted = client_id_of(stream).replace("/", "%2F").replace(" ", "%20")
            answer = await patch(edge, cookie, quoted, {"maxRate": 1})
            assert answer.status_code == 200, answer.text


class TestWithoutSession:
    """Whoever knows the whole id of a stream without a session may change it, and nobody else."""

    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    async def test_its_client_changes_it_by_its_id(
        self,
        edge: EdgeProcess,
        other: EdgeProcess,
        journal: EventLogDriver,
        market: QuoteDriver,
        fresh: Callable[[str], str],
        is_remote: bool,
    ) -> None:
        symbol = fresh("OPEN").upper()
        await market.publish(symbol, 70)
        await edge.wait_for_quotes(symbol)
        target = other if is_remote else edge
        async with await edge.open_stream(f"{TOPICS}items") as stream:
            client_id = client_id_of(stream)
            topics = ["items", f"prices:{symbol}", "agents"]
            answer = await patch(target, None, client_id, {"topics": topics})
            assert answer.status_code == 200, answer.text
            assert answer.json()["clientId"] == client_id
            assert answer.json()["topics"] == ["items", "prices", "agents"]
            await read_through_change(stream)
            await market.publish(symbol, 71)
            await read_price(stream, 71, symbol)
            item = golden_event("item.analysed")
            last = await journal.append_event(EVERYBODY, "items", fresh("i"), item)
            assert (await stream.read_until("new_item")).sequence == last

    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    @pytest.mark.parametrize("topics", [["orders"], ["items", "orders", "alerts"]], ids=str)
    async def test_it_never_shows_what_needs_a_session(
        self, edge: EdgeProcess, other: EdgeProcess, topics: list[str], is_remote: bool
    ) -> None:
        target = other if is_remote else edge
        async with await edge.open_stream(f"{TOPICS}items") as stream:
            client_id = client_id_of(stream)
            answer = await patch(target, None, client_id, {"topics": topics})
            assert answer.status_code == 401
            if len(topics) > 1:
                assert (answer.json()["path"], answer.json()["value"]) == ("topics", topics[1:])
            content = (await patch(target, None, client_id, {})).json()
            assert content["topics"] == ["items"]

    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    async def test_another_id_is_not_found(
        self, edge: EdgeProcess, other: EdgeProcess, is_remote: bool
    ) -> None:
        """The part of it that stands in logs, a key that is nearly right, and another stream's."""
        target = other if is_remote else edge
        async with (
            await edge.open_stream(f"{TOPICS}items") as stream,
            await edge.open_stream(f"{TOPICS}items") as another,
        ):
            public_id, _, key = client_id_of(stream).rpartition("-")
            others_key = client_id_of(another).rpartition("-")[2]
            nearly = key[:-1] + ("0" if key[-1] != "0" else "1")
            statuses = {
                client_id: (await patch(target, None, client_id, {"maxRate": 1})).status_code
                for client_id in (
                    public_id,
                    f"{public_id}-",
                    f"{public_id}-{key[:-1]}",
                    f"{public_id}-{nearly}",
                    f"{public_id}-{others_key}",
                    f"{public_id}-{key.upper()}{key}",
                )
            }
            assert set(statuses.values()) == {401, 404}, statuses
            content = await patch(target, None, client_id_of(stream), {})
            assert content.json()["maxRate"] == 10

    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    async def test_a_users_stream_needs_that_users_session(
        self, edge: EdgeProcess, other: EdgeProcess, cookie: str, is_remote: bool
    ) -> None:
        """Also one that shows what is public. A session changes no stream without one."""
        target = other if is_remote else edge
        async with (
            await edge.open_stream(f"{TOPICS}prices:IBM", cookie) as mine,
            await edge.open_stream(f"{TOPICS}prices:IBM") as nobodys,
        ):
            key = client_id_of(nobodys).rpartition("-")[2]
            for client_id in (client_id_of(mine), f"{client_id_of(mine)}-{key}"):
                answer = await patch(target, None, client_id, {"topics": ["items"]})
                assert answer.status_code == 401
            answer = await patch(target, cookie, client_id_of(nobodys), {"topics": ["items"]})
            assert answer.status_code == 404
            assert (await change(target, cookie, mine))["topics"] == ["prices"]

    async def test_a_user_whose_name_is_anonymous_has_streams_of_its_own(
        self, edge: EdgeProcess
    ) -> None:
        cookie = await edge.sign_in("anonymous")
        async with await edge.open_stream(f"{TOPICS}orders", cookie) as stream:
            client_id = client_id_of(stream)
            assert (await patch(edge, None, client_id, {})).status_code == 401
            assert (await patch(edge, None, f"{client_id}-{'0' * 32}", {})).status_code == 404
            assert (await change(edge, cookie, stream))["topics"] == ["orders"]

    async def test_after_its_end_it_is_not_found(self, edge: EdgeProcess) -> None:
        async with await edge.open_stream(f"{TOPICS}items") as stream:
            client_id = client_id_of(stream)
        public_id = client_id.rpartition("-")[0]
        await wait_until(
            "it is closed", lambda: edge.find_log_lines("stream.closed", client_id=public_id)
        )
        assert (await patch(edge, None, client_id, {"maxRate": 1})).status_code == 404

    async def test_a_foreign_page_may_not_change_it(self, edge: EdgeProcess) -> None:
        async with await edge.open_stream(f"{TOPICS}items") as stream, edge.client() as http:
            answer = await http.patch(
                f"/api/stream/{client_id_of(stream)}",
                json={"maxRate": 1},
                headers={"Origin": "https://evil.example"},
            )
            assert answer.status_code == 403

    async def test_its_key_is_long_and_told_to_nobody_else(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        admin = await edge.sign_in(fresh("root"), ["admin"])
        async with (
            await edge.open_stream(f"{TOPICS}items,connections") as stream,
            await edge.open_stream(f"{TOPICS}items") as another,
            edge.client(admin) as http,
        ):
            keys = [client_id_of(one).rpartition("-")[2] for one in (stream, another)]
            assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)  # 128 bits
            assert len(set(keys)) == 2
            await patch(edge, None, client_id_of(stream), {"maxRate": 1})
            public_id = client_id_of(stream).rpartition("-")[0]
            await wait_until(
                "it is logged", lambda: edge.find_log_lines("stream.opened", client_id=public_id)
            )
            texts = [
                (await http.get(path)).text
                for path in ("/api/operations/connections", "/api/stream/metrics")
            ]
            texts.append(edge.log_file.read_text())
            assert not any(key in text for key in keys for text in texts)

    async def test_changes_are_limited_by_address(self, harness: Harness) -> None:
        """Also those with ids that were guessed."""
        limited = harness.start_edge(TAPEWIRE_CALL_RATE="5")
        async with await limited.open_stream(f"{TOPICS}items") as stream:
            answers = [await patch(limited, None, client_id_of(stream), {}) for _ in range(5)]
            assert {one.status_code for one in answers} == {200}
            for client_id in (client_id_of(stream), f"anonymous-topics-1-{'0' * 32}"):
                refused = await patch(limited, None, client_id, {})
                assert refused.status_code == 429
                assert int(refused.headers["retry-after"]) >= 1
        limited.kill()


class TestInput:
    @pytest.mark.parametrize("is_remote", [False, True], ids=["here", "at another process"])
    @pytest.mark.parametrize(
        ("path", "body", "wrong"),
        [
            (f"{TOPICS}orders", {"topics": ["orders", "nonsense"]}, "topics[1]"),
            (f"{TOPICS}orders", {"topics": ["orders:IBM"]}, "topics[0]"),
            (f"{TOPICS}orders", {"topics": [""]}, "topics[0]"),
            (f"{TOPICS}orders", {"topics": []}, "topics"),
            (f"{TOPICS}orders", {"topics": "orders"}, "topics"),
            (f"{TOPICS}orders", {"topics": None}, "topics"),
            (f"{TOPICS}orders", {"topics": [7]}, "topics[0]"),
            (f"{TOPICS}orders", {"symbols": ["IBM"]}, "symbols"),
            (f"{TOPICS}orders", {"topics": ["prices:IBM"], "symbols": ["SPY"]}, "symbols"),
            (f"{TOPICS}prices", {"symbols": []}, "symbols"),
            (f"{TOPICS}prices", {"symbols": ["IBM", " "]}, "symbols[1]"),
            (f"{TOPICS}prices", {"symbols": ["IBM,SPY"]}, "symbols[0]"),
            (f"{TOPICS}prices", {"symbols": ["X" * 65]}, "symbols[0]"),
            (f"{TOPICS}prices", {"maxRate": 0}, "maxRate"),
            (f"{TOPICS}prices", {"maxRate": 10.5}, "maxRate"),
            (f"{TOPICS}prices", {"maxRate": "fast"}, "maxRate"),
            (f"{TOPICS}prices", {"rate": 1}, "rate"),
            ("/api/stream/orders", {"topics": ["alerts"]}, "topics"),
        ],
    )
    async def test_a_bad_field_is_422_with_its_path_and_changes_nothing(
        self,
        edge: EdgeProcess,
        other: EdgeProcess,
        cookie: str,
        path: str,
        body: Any,
        wrong: str,
        is_remote: bool,
    ) -> None:
        target = other if is_remote else edge
        async with await edge.open_stream(path, cookie) as stream:
            before = await change(target, cookie, stream)
            answer = await patch(target, cookie, client_id_of(stream), body)
            assert (answer.status_code, answer.json()["path"]) == (422, wrong), answer.text
            assert await change(target, cookie, stream) == before
