"""An account that has something to show in every panel of the terminal."""

import uuid
from typing import Any

from playwright.async_api import APIResponse, BrowserContext

from tests.browser.page_event_publisher import PageEventPublisher
from tests.harness.waiting import wait_until_async

QUICK_RULE = {"kind": "moving_average_crossover", "fast": 2, "slow": 5}
"""Trades within seconds of any market that moves."""
SLOW_RULE = {"kind": "moving_average_crossover", "fast": 50, "slow": 400}
"""Reads more prices than come while a test runs."""


class AccountApi:
    """The calls of one user, with the cookies of a browser session."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self._request = context.request
        self._url = url

    async def sign_in(self, user: str, *roles: str) -> None:
        await self.post("/api/session", userId=user, roles=list(roles))

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Raises AssertionError if it is refused."""
        return await _read(await self._request.post(f"{self._url}{path}", data=body))

    async def patch(self, path: str, **body: Any) -> dict[str, Any]:
        """Raises AssertionError if it is refused."""
        return await _read(await self._request.patch(f"{self._url}{path}", data=body))

    async def delete(self, path: str) -> dict[str, Any]:
        """Raises AssertionError if it is refused."""
        return await _read(await self._request.delete(f"{self._url}{path}"))

    async def get(self, path: str) -> dict[str, Any]:
        """Raises AssertionError if it is refused."""
        return await _read(await self._request.get(f"{self._url}{path}"))

    async def place_order(self, symbol: str, **terms: Any) -> str:
        """Place an order, a purchase of 10 shares at the market unless `terms` say otherwise;
        return its id."""
        body = {"symbol": symbol, "side": "buy", "type": "market", "qty": 10}
        return str((await self.post("/api/orders", **{**body, **terms}))["orderId"])

    async def place_limit_order(self, symbol: str, **terms: Any) -> str:
        """Place an order that stays open; return its id."""
        return await self.place_order(
            symbol, **{"type": "limit", "qty": 5, "limitPrice": 0.01, **terms}
        )

    async def wait_for_order(self, order_id: str, status: str) -> None:
        await self._wait(f"/api/orders/{order_id}", status)

    async def create_strategy(self, symbol: str, name: str, **settings: Any) -> str:
        """Create a strategy that trades within seconds once it is started; return its id."""
        body = {"symbol": symbol, "name": name, "rule": QUICK_RULE, "quantity": 1, **settings}
        return str((await self.post("/api/strategies", **body))["strategyId"])

    async def start_strategy(self, strategy_id: str) -> None:
        await self.post(f"/api/strategies/{strategy_id}/start")

    async def wait_for_strategy(self, strategy_id: str, status: str) -> None:
        await self._wait(f"/api/strategies/{strategy_id}", status)

    async def create_price_rule(self, symbol: str, price: float, **terms: Any) -> str:
        """Create an alert rule for a price above `price`; return its id."""
        body = {"kind": "price_above", "symbol": symbol, "price": price, **terms}
        return str((await self.post("/api/alerts/rules", **body))["ruleId"])

    async def wait_for_count(self, path: str, name: str, count: int) -> None:
        """Wait until the list `name` of the answer has at least `count` entries."""

        async def has_them() -> bool:
            return len((await self.get(path))[name]) >= count

        await wait_until_async(f"{path} has {count} {name}", has_them)

    async def _wait(self, path: str, status: str) -> None:
        seen = ""

        async def has_it() -> bool:
            nonlocal seen
            seen = str((await self.get(path))["status"])
            return seen == status

        await wait_until_async(f"{path} is {status}", has_it, describe_last=lambda: seen)


async def fill_account(
    api: AccountApi, publisher: PageEventPublisher, user: str, symbol: str
) -> None:
    """Orders in every state, executions, a position, strategies in every state but failed with
    their decisions, rules that wait and that have triggered, notifications of every kind, news
    items and a view. The account is quiet afterwards: nothing trades on."""
    await _place_orders(api, symbol)
    await _create_strategies(api, symbol)
    for price, level in ((0.01, "info"), (0.02, "warning"), (0.03, "error")):  # met at once
        await api.create_price_rule(symbol, price, level=level)
    await api.create_price_rule(symbol, 1_000_000)
    await api.wait_for_count("/api/alerts", "alerts", 3)
    for type_, payload in (
        ("message", {}),
        ("margin_call", {"level": "warning"}),
        ("report_failed", {"level": "error"}),
        ("strategy_report", {"strategyId": "of-another-program", "symbol": symbol}),
    ):
        title = f"A {type_.replace('_', ' ')}"
        await publisher.publish_notification(user, title, "Add funds", type_, payload)
    await _publish_items(publisher, symbol)
    await api.post("/api/v2/configurations", name="My view", tickers=[symbol], tags=[])


async def _place_orders(api: AccountApi, symbol: str) -> None:
    """A filled, a rejected, a canceled, a partly filled, and three open ones."""
    await api.wait_for_order(await api.place_order(symbol), "filled")
    rejected = await api.place_limit_order(symbol, qty=1_000_000, limitPrice=100_000)
    await api.wait_for_order(rejected, "rejected")
    canceled = await api.place_limit_order(symbol)
    await api.delete(f"/api/orders/{canceled}")
    await api.wait_for_order(canceled, "canceled")
    await _place_partly_filled_order(api, symbol)
    await api.place_limit_order(symbol, timeInForce="day")
    await api.place_limit_order(symbol, type="stop_limit", stopPrice=1_000_000)
    await api.place_order(symbol, side="sell", type="stop", stopPrice=0.01, reduceOnly=True)


async def _place_partly_filled_order(api: AccountApi, symbol: str) -> None:
    """It takes a part of what is offered, and then its limit is out of reach."""
    [quote] = (await api.get(f"/api/prices?symbols={symbol}"))["prices"]
    limit = round(float(quote["ask"]) * 1.01, 2)
    order = await api.place_limit_order(symbol, qty=1_000_000, limitPrice=limit)
    await api.wait_for_order(order, "partially_filled")
    await api.patch(f"/api/orders/{order}", limitPrice=0.01)
    await api.wait_for_order(order, "partially_filled")


async def _create_strategies(api: AccountApi, symbol: str) -> None:
    """A completed, a running, a stopped one, and one that was never started."""
    trades = await api.create_strategy(symbol, "Trades", maxTrades=1)
    await api.start_strategy(trades)
    waits = await api.create_strategy(symbol, "Waits", rule=SLOW_RULE)
    await api.start_strategy(waits)
    stopped = await api.create_strategy(symbol, "Stopped by hand", rule=SLOW_RULE)
    await api.start_strategy(stopped)
    await api.post(f"/api/strategies/{stopped}/stop", position="leave")
    protection = {"stopLoss": {"kind": "trailing", "percent": 2}, "takeProfit": {"percent": 5}}
    await api.create_strategy(symbol, "Not started", **protection)
    await api.wait_for_strategy(trades, "completed")


async def _publish_items(publisher: PageEventPublisher, symbol: str) -> None:
    tag = f"t{uuid.uuid4().hex[:8]}"
    for title in (
        "Profits rise to a record",
        "The firm is bankrupt after a fraud",
        "Annual meeting is on Tuesday",
    ):
        await publisher.publish_item(f"{title}, says {tag}", symbol, tags=(tag,))


async def _read(response: APIResponse) -> dict[str, Any]:
    assert response.ok, f"{response.url}: {response.status} {await response.text()}"
    found: dict[str, Any] = await response.json()
    return found
