"""Quotes: all current quotes first, then the changes, newest wins (T3, R2)."""

import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import QuoteDriver
from tests.harness.sse import has_price

PRICES = "/api/stream/prices"
FIELDS = {
    "symbol", "price", "bid", "ask", "volume", "change", "changePercent", "timestamp",
}  # fmt: skip


@pytest.fixture
async def symbol(fresh: Callable[[str], str], market: QuoteDriver, edge: EdgeProcess) -> str:
    """Return a symbol with a quote that the edge has received."""
    name = fresh("SYM")
    await quoted(edge, market, name)
    return name


async def quoted(edge: EdgeProcess, market: QuoteDriver, name: str) -> None:
    await market.publish(name)
    await edge.wait_for_quotes(name)


def updates(frames: Any) -> list[Any]:
    return [f for f in frames if f.event == "price:update" and "symbol" in f.data]


class TestInitialPrices:
    async def test_the_first_message_contains_the_newest_values(
        self, edge: EdgeProcess, symbol: str, market: QuoteDriver
    ) -> None:
        newest = await market.publish(symbol, "12.345", volume=Decimal("1e3"))
        async with await edge.open_stream(f"{PRICES}?symbols={symbol}") as stream:
            first = await stream.read()
            if first.data["prices"][0]["price"] != newest.price:  # the quote has not arrived yet
                await stream.read_until("the quote", lambda f: f.data.get("price") == newest.price)
        assert first.event == "price:update"
        assert first.id is None
        assert first.data["initializing"] is True
        assert datetime.fromisoformat(first.data["timestamp"]).tzinfo is not None
        assert [set(price) for price in first.data["prices"]] == [FIELDS | {"age", "stale"}]

    async def test_streams_without_a_filter_show_every_symbol(
        self, edge: EdgeProcess, fresh: Callable[[str], str], market: QuoteDriver
    ) -> None:
        names = [fresh("ALL") for _ in range(3)]
        for name in names:
            await quoted(edge, market, name)
        for path in (PRICES, f"{PRICES}?symbols=", f"{PRICES}?symbols=%20,%20"):
            async with await edge.open_stream(path) as stream:
                first = await stream.read()
            got = [price["symbol"] for price in first.data["prices"]]
            assert set(names) <= set(got)
            assert got == sorted(got)

    async def test_symbols_are_trimmed_and_upper_cased(
        self, edge: EdgeProcess, fresh: Callable[[str], str], market: QuoteDriver
    ) -> None:
        one, two, three = (fresh("TRIM") for _ in range(3))
        for name in (one, two, three):
            await quoted(edge, market, name)
        path = f"{PRICES}?symbols=%20{one.lower()}%20,,{two.title()},nosuch"
        async with await edge.open_stream(path) as stream:
            first = await stream.read()
            await market.publish(three, "1")
            await market.publish(two, "7")
            assert (await stream.read()).data["symbol"] == two
        assert [price["symbol"] for price in first.data["prices"]] == [one, two]

    @pytest.mark.parametrize(
        "name",
        ["kCOIN{}", "BRK{}.B", "EUR/USD{}", "^GSPC{}", "ES{}=F", "AAPL{}  24C00150", "a{}*>"],
    )
    async def test_a_symbol_is_found_by_its_exact_name(
        self, edge: EdgeProcess, fresh: Callable[[str], str], market: QuoteDriver, name: str
    ) -> None:
        name = name.format(fresh(""))
        await quoted(edge, market, name)
        for path in (f"{PRICES}?symbols=", "/api/stream?topics=prices:"):
            async with await edge.open_stream(f"{path}{quote(name)}") as stream:
                first = (await stream.read()).data
                assert [price["symbol"] for price in first["prices"]] == [name]
                assert "unknown" not in first
                await market.publish(name, "5")
                assert (await stream.read()).data["symbol"] == name
        async with edge.client() as http:
            body = (await http.get("/api/prices", params={"symbols": name})).json()
        assert [price["symbol"] for price in body["prices"]] == [name]

    async def test_the_exact_name_wins_over_the_one_in_upper_case(
        self, edge: EdgeProcess, fresh: Callable[[str], str], market: QuoteDriver
    ) -> None:
        upper = fresh("CASE").upper()
        exact = upper.lower()
        await quoted(edge, market, upper)
        async with await edge.open_stream(f"{PRICES}?symbols={exact}") as stream:
            first = (await stream.read()).data
            assert [price["symbol"] for price in first["prices"]] == [upper]
            await market.publish(upper, "6")
            assert (await stream.read()).data["symbol"] == upper
            await market.publish(exact, "7")
            assert (await stream.read()).data["symbol"] == exact
            await market.publish(upper, "8")
            await market.publish(exact, "9")
            assert (await stream.read()).data["symbol"] == exact

    async def test_a_symbol_may_receive_its_first_quote_later(
        self, edge: EdgeProcess, fresh: Callable[[str], str], market: QuoteDriver
    ) -> None:
        name = fresh("LATE")
        async with await edge.open_stream(f"{PRICES}?symbols={name}") as stream:
            first = (await stream.read()).data
            assert (first["prices"], first["unknown"]) == ([], [name])
            await market.publish(name)
            assert (await stream.read()).data["symbol"] == name


class TestUpdates:
    async def test_a_price_frame_has_exactly_these_bytes(
        self, edge: EdgeProcess, symbol: str, market: QuoteDriver
    ) -> None:
        async with await edge.open_stream(f"{PRICES}?symbols={symbol}") as stream:
            await stream.read()
            made = await market.publish(
                symbol, "100.10", change=Decimal("-0.50"), change_percent=Decimal("-0.4970")
            )
            frame = await stream.read()
        when = made.timestamp.isoformat().replace("+00:00", "Z")
        assert frame.raw.decode() == (
            "event: price:update\n"
            f'data: {{"symbol":"{symbol}","price":100.10,"bid":99.10,"ask":100.10,"volume":10,'
            f'"change":-0.50,"changePercent":-0.4970,"timestamp":"{when}"}}\n'
            "retry: 5000"
        )

    async def test_updates_are_limited_to_ten_a_second_and_the_newest_wins(
        self, edge: EdgeProcess, symbol: str, market: QuoteDriver
    ) -> None:
        """Publish over 100 quotes for more than a second, as fast as the server accepts them."""
        async with await edge.open_stream(f"{PRICES}?symbols={symbol}") as stream:
            await stream.read()
            since, number = time.monotonic(), 0
            while time.monotonic() - since < 1.2 or number <= 100:
                number += 1
                await market.publish(symbol, number)
            await stream.read_until("the last quote", lambda f: f.data["price"] == number)
            took = time.monotonic() - since
        got = [int(frame.data["price"]) for frame in updates(stream.frames)]
        assert got == sorted(set(got))
        assert len(got) <= took * 10 + 1, f"{len(got)} in {took:.2f} s"
        assert len(got) >= 2

    async def test_a_client_may_choose_a_lower_rate(
        self, edge: EdgeProcess, symbol: str, market: QuoteDriver
    ) -> None:
        path = f"{PRICES}?symbols={symbol}"
        async with (
            await edge.open_stream(f"{path}&maxRate=2") as rare,
            await edge.open_stream(path) as often,
        ):
            for stream in (rare, often):
                await stream.read()
            since = time.monotonic()
            for number in range(1, 16):
                await market.publish(symbol, number)
                await often.read_until("the quote", partial(has_price, price=number))
            await rare.read_until("the last quote", lambda f: f.data["price"] == 15)
            took = time.monotonic() - since
        assert len(updates(often.frames)) == 15
        assert len(updates(rare.frames)) <= took * 2 + 1

    async def test_the_rate_limit_applies_to_each_symbol_separately(
        self, edge: EdgeProcess, fresh: Callable[[str], str], market: QuoteDriver
    ) -> None:
        busy, calm = fresh("BUSY"), fresh("CALM")
        for name in (busy, calm):
            await quoted(edge, market, name)
        async with await edge.open_stream(f"{PRICES}?symbols={busy},{calm}&maxRate=0.1") as stream:
            await stream.read()
            since = time.monotonic()
            await market.publish(busy, "1")
            await stream.read_until("busy", lambda f: f.data["symbol"] == busy)
            await market.publish(busy, "2")  # this update waits for ten seconds
            await market.publish(calm, "1")
            frame = await stream.read()
            took = time.monotonic() - since
        assert frame.data["symbol"] == calm or took >= 10

    async def test_an_older_quote_is_ignored(
        self, edge: EdgeProcess, symbol: str, market: QuoteDriver
    ) -> None:
        async with await edge.open_stream(f"{PRICES}?symbols={symbol}") as stream:
            await stream.read()
            newest = await market.publish(symbol, "2")
            await market.publish(symbol, "1", timestamp=newest.timestamp)
            await market.publish(symbol, "3")
            await stream.read_until("the third", lambda f: f.data["price"] == 3)
        assert 1 not in [frame.data["price"] for frame in updates(stream.frames)]

    async def test_a_reader_that_pauses_receives_the_newest_values_not_the_backlog(
        self, isolated_harness: Harness
    ) -> None:
        """The client reads nothing during 30 rounds of 400 symbols, and its pending values do not
        grow. It then receives what the kernel buffered, and the newest value of each symbol."""
        edge = isolated_harness.start_edge()
        names = [f"S{number:03}" for number in range(400)]
        async with isolated_harness.market() as market:
            for name in names:
                await market.publish(name)
            async with (
                await edge.open_stream(PRICES) as healthy,
                await edge.open_stream(PRICES, receive_buffer=4096) as paused,
            ):
                for number in range(1, 31):
                    for name in names:
                        await market.publish_without_ack(name, number)
                    await healthy.read_until(
                        "the round",
                        partial(has_price, symbol=names[-1], price=number),
                    )
                await paused.read_until(
                    "the newest of the last symbol",
                    partial(has_price, symbol=names[-1], price=30),
                )
        got = updates(paused.frames)
        last = {frame.data["symbol"]: frame.data["price"] for frame in got}
        assert last == dict.fromkeys(names, 30)
        assert len(got) < 400 * 15, f"{len(got)} frames of {400 * 30}"

    async def test_quotes_have_no_id_and_do_not_move_the_cursor(
        self, edge: EdgeProcess, symbol: str, market: QuoteDriver
    ) -> None:
        async with await edge.open_stream(f"{PRICES}?symbols={symbol}") as stream:
            await stream.read()
            await market.publish(symbol, "9")
            await stream.read()
        assert stream.last_id is None


class TestBadInput:
    @pytest.mark.parametrize("rate", ["0", "-1", "11", "nan", "inf", "abc", "", "1e9", "0x1"])
    async def test_an_invalid_max_rate_is_rejected(self, edge: EdgeProcess, rate: str) -> None:
        answer = await edge.connect(f"{PRICES}?maxRate={rate}")
        assert answer.status == 422
        assert b'"path":"maxRate"' in await answer.body()
        await answer.close()

    @pytest.mark.parametrize("symbols", [",".join(f"S{n}" for n in range(501)), "X" * 65, "%C3%89"])
    async def test_invalid_symbols_are_rejected(self, edge: EdgeProcess, symbols: Any) -> None:
        for path in (PRICES, "/api/prices"):
            answer = await edge.connect(f"{path}?symbols={symbols}")
            assert answer.status == 422
            assert b'"path":"symbols"' in await answer.body()
            await answer.close()


class TestPricesOverRest:
    """R2: the same quotes over GET, without a session."""

    async def test_selected_symbols_are_returned(self, edge: EdgeProcess, symbol: str) -> None:
        async with edge.client() as http:
            answer = await http.get("/api/prices", params={"symbols": f" {symbol.lower()} ,x"})
        assert answer.status_code == 200
        body = answer.json()
        assert body.keys() == {"prices", "timestamp", "unknown"}
        assert body["unknown"] == ["x"]
        assert [price["symbol"] for price in body["prices"]] == [symbol]
        assert body["prices"][0].keys() >= FIELDS

    async def test_all_symbols_are_returned(self, edge: EdgeProcess, symbol: str) -> None:
        async with edge.client() as http:
            body = (await http.get("/api/prices")).json()
        assert symbol in [price["symbol"] for price in body["prices"]]
