"""Quotes of a program whose clock is wrong, on a whole platform: all parts are at the newest price.

The quotes go to MARKET as another team's program would send them, past the producer library, which
rejects times ahead of the clock.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tapewire.log.jetstream import connect
from tests.harness.publishers import QuoteDriver
from tests.harness.stack import Stack
from tests.harness.waiting import wait_until_async

YEAR = timedelta(days=365)


class MarketUser:
    """A user of the platform, and a program that sends quotes of one symbol."""

    def __init__(self, http: httpx.AsyncClient, quotes: QuoteDriver, symbol: str) -> None:
        self.symbol = symbol
        self._http = http
        self._quotes = quotes

    async def wait_until_tradable(self) -> None:
        """Wait until the orders service has a quote of the symbol."""
        await self._quotes.wait_until_tradable(self.symbol)

    async def quote(self, price: object, timestamp: datetime) -> None:
        value = Decimal(str(price))
        await self._quotes.publish(self.symbol, value, bid=value, timestamp=timestamp)

    async def get(self, path: str) -> Any:
        return (await self._http.get(path)).raise_for_status().json()

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        return (await self._http.post(path, json=body)).raise_for_status().json()

    async def wait_for_price(self, price: float) -> None:
        async def is_there() -> bool:
            found = (await self.get(f"/api/prices?symbols={self.symbol}"))["prices"]
            return bool(found) and found[0]["price"] == price

        await wait_until_async(f"{self.symbol} at {price}", is_there)

    async def wait_for(
        self, path: str, condition: Any, *, quoting: tuple[object, datetime] | None = None
    ) -> Any:
        """Wait for an answer of `path`; a quote that is given is confirmed meanwhile, as by its
        feed, so it stays fresh on a busy machine."""
        answer: Any = None

        async def holds() -> bool:
            nonlocal answer
            if quoting is not None:
                await self.quote(*quoting)
            answer = await self.get(path)
            return bool(condition(answer))

        await wait_until_async(f"the condition on {path}", holds, describe_last=lambda: answer)
        return answer


@pytest.fixture
async def user(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[MarketUser]:
    name = request.node.name.partition("[")[0].removeprefix("test_")[:40]
    symbol = f"T{abs(hash(request.node.name)) % 10**8}"
    cookies = await asyncio.to_thread(stack.sign_in, f"clock-{name}"[:60])
    connection = await connect(stack.nats_url, "clock")
    async with httpx.AsyncClient(base_url=stack.url, cookies=cookies, timeout=30) as http:
        yield MarketUser(http, QuoteDriver(connection), symbol)
    await connection.close()


async def test_screens_fills_valuations_and_rules_are_at_the_newest_price(user: MarketUser) -> None:
    """A quote that is dated a year ahead used to stay on screens while orders filled at others."""
    now = datetime.now(UTC).replace(microsecond=0)
    for price, timestamp in (
        (100, now),
        (150, now + YEAR),
        (90, now - timedelta(seconds=60)),
        (80, now),
        (70, now),
    ):
        await user.quote(price, timestamp)
    await user.wait_for_price(70)
    await user.wait_until_tradable()
    order = await user.post(
        "/api/orders", {"symbol": user.symbol, "side": "buy", "type": "market", "qty": 1}
    )
    path = f"/api/orders/{order['orderId']}"
    filled = await user.wait_for(path, lambda found: found["status"] == "filled", quoting=(70, now))
    assert filled["filledAvgPrice"] == 70
    await user.post(
        "/api/alerts/rules", {"kind": "price_below", "symbol": user.symbol, "price": 75}
    )
    alerts = await user.wait_for("/api/alerts", lambda found: found["alerts"], quoting=(70, now))
    assert "is at 70" in alerts["alerts"][0]["message"]
    await user.quote(60, now - YEAR)
    await user.wait_for_price(60)
    await user.wait_for("/api/positions", lambda found: found["positions"][0]["currentPrice"] == 60)


async def test_a_stop_loss_sees_each_of_several_prices_with_one_timestamp(user: MarketUser) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    await user.quote(100, now)
    await user.wait_for_price(100)
    strategy = await user.post(
        "/api/strategies",
        {
            "symbol": user.symbol,
            "quantity": 100,
            "rule": {"kind": "breakout", "window": 2, "marginPercent": 0},
            "maxTrades": 1,
            "stopLoss": {"kind": "fixed", "percent": 5},
        },
    )
    path = f"/api/strategies/{strategy['strategyId']}"
    await user.post(f"{path}/start", {})
    prices = itertools.count(101)

    async def is_held() -> bool:  # not before the runner has started the strategy, too
        await user.quote(next(prices), now)
        await asyncio.sleep(0.2)
        return bool((await user.get(path))["position"] == 100)

    await wait_until_async("the strategy has bought", is_held)
    entry = (await user.get(path))["entryPrice"]
    last_price = f"{entry - 1:.2f}"
    for price in (f"{entry - 0.5:.2f}", f"{entry / 2:.2f}", last_price):
        await user.quote(price, now)
    await user.wait_for(path, lambda found: found["position"] == 0, quoting=(last_price, now))
