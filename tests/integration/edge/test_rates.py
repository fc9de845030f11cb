"""Rates that clients choose, on each stream of newest-wins values (B3, T2, T3, T11, S3).

Urgent events wait for no rate limit and no flush window (C18).
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tapewire.events import CODEC
from tapewire.log import encode_token
from tapewire.log.jetstream import JetStreamLatestValueStore
from tapewire.log.jetstream.streams import MARKET
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.golden_events import golden_event
from tests.harness.pacing import call_at_rate
from tests.harness.publishers import EventLogDriver, QuoteDriver, make_quote
from tests.harness.sse import Frame
from tests.harness.waiting import wait_until, wait_until_async
from tests.integration.edge.stream_cases import open_stream
from tests.integration.edge.user_scenario import UserScenario

RATE = 2
SPREAD_SECONDS = 0.8
TRIES = 2
BUSY_SYMBOLS, BUSY_RATE = 200, 1600
COUNTED_SECONDS = 2.0


@pytest.fixture
async def cast(journal: EventLogDriver, fresh: Callable[[str], str]) -> UserScenario:
    return UserScenario(journal, fresh("rate"))


@pytest.fixture
def symbol(fresh: Callable[[str], str]) -> str:
    return fresh("RATE")


@pytest.fixture
async def value(
    journal: EventLogDriver, cast: UserScenario, market: QuoteDriver, symbol: str
) -> Callable[[int], Awaitable[None]]:
    """Return a function that sets the price of the symbol and the value of the user's position."""
    values = JetStreamLatestValueStore(journal.connection, stream=MARKET, prefix=f"mk.{cast.user}")

    async def put(price: int) -> None:
        await market.publish(symbol, price)
        now = datetime.now(UTC).isoformat()
        valued = golden_event("position.valued", symbol=symbol, timestamp=now, currentPrice=price)
        await values.put(symbol, CODEC.encode(valued))

    await put(1)
    return put


def price_in(frame: Frame) -> Any:
    """Return the price in a frame of any stream, or None."""
    data = frame.data or {}
    if frame.id is not None:
        return None
    quotes = data.get("positions", data.get("prices", [data]))
    prices = [one.get("currentPrice", one.get("ltp", one.get("price"))) for one in quotes]
    return prices[0] if prices else None


@pytest.mark.parametrize(
    "path",
    [
        "/api/stream/prices?symbols={}",
        "/api/stream?topics=positions",
        "/sse/prices?symbols={}",
    ],
)
async def test_a_client_receives_the_newest_value_at_its_chosen_rate(
    edge: EdgeProcess,
    cast: UserScenario,
    symbol: str,
    value: Callable[[int], Awaitable[None]],
    path: str,
) -> None:
    cookie = await edge.sign_in(cast.user)
    path = path.format(symbol)
    async with await open_stream(edge, f"{path}&maxRate={RATE}", cookie) as stream:
        await stream.read_until("the first price", lambda frame: price_in(frame) == 1)
        since, price, before = time.monotonic(), 1, len(stream.frames)
        while time.monotonic() - since < SPREAD_SECONDS:
            price += 1
            await value(price)
        await stream.read_until(
            "the newest value of each symbol", lambda frame: price_in(frame) == price
        )
        took = time.monotonic() - since
        got = [p for p in map(price_in, stream.frames[before:]) if p is not None]
    assert got == sorted(set(got))
    assert len(got) <= took * RATE + 2, (got, took)


async def test_a_stream_is_written_ten_times_a_second_above_a_thousand_values_a_second(
    edge: EdgeProcess, journal: EventLogDriver, fresh: Callable[[str], str]
) -> None:
    """The newest value of each symbol is still delivered. The test checks periods of two seconds
    repeatedly, because on a slow machine the load comes in bursts with pauses between them."""
    values = JetStreamLatestValueStore(journal.connection, stream=MARKET, prefix="px")
    symbols = [fresh("BUSY") for _ in range(BUSY_SYMBOLS)]
    rounds, posted, chunks = itertools.cycle(symbols), [], []

    async def post(_number: Any, price: Any = 3) -> None:
        made = make_quote(next(rounds), price)
        await values.put_unacknowledged(encode_token(made.symbol), CODEC.encode(made))
        posted.append(time.monotonic())

    async def read() -> None:
        while True:
            chunks.append((await stream._chunk(), time.monotonic()))

    async def slowed() -> bool:
        await call_at_rate(BUSY_RATE, 0.25, post)
        since = time.monotonic() - COUNTED_SECONDS
        posted_count, written_count = (
            sum(at > since for at in posted),
            sum(at > since for _, at in chunks),
        )
        return (
            posted_count > 1_100 * COUNTED_SECONDS
            and 0 < written_count <= COUNTED_SECONDS / 0.1 + 2
        )

    async with await edge.open_stream(f"/api/stream/prices?symbols={','.join(symbols)}") as stream:
        reading = asyncio.create_task(read())
        await wait_until_async("the stream is written ten times a second", slowed)
        for number in range(BUSY_SYMBOLS):
            await post(number, price=2)
        wanted = {f'"{symbol}","price":2,'.encode() for symbol in symbols}

        def seen() -> bytes:
            return b"".join(chunk for chunk, _ in chunks[-50:])

        await wait_until(
            "the newest value of each symbol", lambda: all(one in seen() for one in wanted)
        )
        reading.cancel()


async def test_an_error_flushes_the_window_with_all_waiting_events(
    harness: Harness, cast: UserScenario
) -> None:
    """With windows of one second, a burst waits for the next window, but an error does not. The
    test takes the best of several tries, because the machine may be busy."""
    edge = harness.shared_edge(SSE_FLUSH_MS=1000)
    cookie = await edge.sign_in(cast.user)
    waited: dict[str, list[float]] = {"info": [], "error": []}
    async with await open_stream(edge, "/api/stream/alerts", cookie) as stream:
        await stream.read_until("checkpoint")
        for _ in range(TRIES):
            for level in waited:
                for number in range(0, 24, 3):  # of level info
                    last = await cast.append_event("alerts", number)
                if level == "error":
                    last = await cast.append_event("alerts", 2)
                since = time.monotonic()
                await stream.read_until("the last", lambda f, at=last: f.id and f.sequence == at)
                waited[level].append(time.monotonic() - since)
    assert max(waited["info"]) > 0.5, "no event waited and none was received"
    assert min(waited["error"]) < 0.25
    expected = {
        "event": "connection.urgent_event_written",
        "client_id": stream.frames[1].data["clientId"],
    }
    await wait_until(
        "each delivery is logged",
        lambda: len(edge.find_log_lines(**expected)) == TRIES,
        describe_last=edge.log_lines,
    )
