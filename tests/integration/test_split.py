"""A split of a symbol's shares on a whole platform: nothing is sold, lost or gained by it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tapewire.log.jetstream import connect
from tests.harness import fork_server
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.publishers import QuoteDriver
from tests.harness.waiting import wait_until_async

COMMAND_SECONDS = 90
SYMBOL = "SPLT"
SERVICES = ("orders", "positions", "strategies", "alerts")


class Platform:
    """All services that a split concerns, and a market that the test makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = LocalNatsServer(folder, provisioned=True)
        self.server.start()
        self.settings = {"TAPEWIRE_NATS_URL": self.server.url, "TAPEWIRE_STALE_SECONDS": "60"}
        self.edge = EdgeProcess(self.settings, folder)
        self.services = {name: self.start_service(name) for name in SERVICES}
        for service in (self.edge, *self.services.values()):
            service.wait_ready()

    def start_service(self, name: str) -> ManagedService:
        return ManagedService(name, self.settings, self.folder)

    async def run_command(self, *words: str) -> tuple[int, str]:
        command = (*words, "--nats", self.server.url)
        result = await asyncio.to_thread(fork_server.run_cli, *command, timeout=COMMAND_SECONDS)
        return result.returncode, result.stdout + result.stderr

    def close(self) -> None:
        for service in (self.edge, *self.services.values()):
            service.kill()
        self.server.close()


class Trader:
    """What one user has, over HTTP."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        answer.raise_for_status()
        return json.loads(answer.text, parse_float=Decimal)

    async def post(self, path: str, **body: Any) -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return json.loads(answer.text, parse_float=Decimal) if answer.text else None

    async def order(self, order_id: str) -> dict[str, Any]:
        return dict(await self.get(f"/api/orders/{order_id}"))

    async def position(self) -> dict[str, Any]:
        found = (await self.get("/api/positions"))["positions"]
        return next((dict(one) for one in found if one["symbol"] == SYMBOL), {"quantity": 0})

    async def strategy(self) -> dict[str, Any]:
        return dict((await self.get("/api/strategies"))["strategies"][0])


async def until(what: str, read: Callable[[], Any], expected: Any) -> None:
    last: Any = None

    async def is_so() -> bool:
        nonlocal last
        last = await read()
        return bool(last == expected)

    await wait_until_async(what, is_so, describe_last=lambda: last)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("split"))
    yield made
    made.close()


async def test_a_split_sells_nothing_and_changes_no_cash(platform: Platform) -> None:
    connection = await connect(platform.server.url, "test")
    market = QuoteDriver(connection)
    async with platform.edge.client(await platform.edge.sign_in("alice")) as http:
        trader = Trader(http)
        await market.list_symbol(SYMBOL, "100")
        await trader.post("/api/orders", symbol=SYMBOL, side="buy", type="market", qty=7)
        resting = [
            await trader.post("/api/orders", symbol=SYMBOL, **terms)
            for terms in (
                {"side": "buy", "type": "limit", "qty": 3, "limitPrice": 50},
                {"side": "sell", "type": "stop_limit", "qty": 2, "stopPrice": 80, "limitPrice": 79},
            )
        ]
        rule = {"kind": "price_below", "symbol": SYMBOL, "price": 70, "level": "warning"}
        await trader.post("/api/alerts/rules", **rule)
        strategy = await trader.post(
            "/api/strategies",
            name="breaks out", symbol=SYMBOL, quantity=10,
            rule={"kind": "breakout", "window": 2, "marginPercent": 0.5},
            stopLoss={"kind": "trailing", "percent": 5},
        )  # fmt: skip
        strategy_id = strategy["strategyId"]
        await trader.post(f"/api/strategies/{strategy_id}/start")
        for ask in ("100", "100.01", "100", "104"):
            await market.publish(SYMBOL, ask)
            await asyncio.sleep(0.3)

        async def held() -> Any:
            return (await trader.strategy())["position"]

        await until("the strategy holds 10", held, 10)

        async def quantity() -> Any:
            return (await trader.position())["quantity"]

        await until("17 are held", quantity, 17)
        before = await trader.get("/api/account")
        bought = await trader.position()

        code, printed = await platform.run_command("split", SYMBOL, "10:1", "--id", "S-1")
        assert (code, "may be quoted in the new shares" in printed) == (0, True), printed
        position = await trader.position()
        assert (position["quantity"], position["currentPrice"]) == (170, None)
        assert position["entryPrice"] == round(bought["entryPrice"] / 10, 8)
        after = await trader.get("/api/account")
        assert (after["cash"], after["realizedPnL"]) == (before["cash"], before["realizedPnL"])
        found = [await trader.order(one["orderId"]) for one in resting]
        assert [(one["qty"], one["limitPrice"], one.get("stopPrice")) for one in found] == [
            (30, 5, None),
            (20, Decimal("7.9"), 8),
        ]
        now = await trader.strategy()
        assert (now["position"], now["quantity"], now["status"]) == (100, 100, "started")
        assert [one["price"] for one in (await trader.get("/api/alerts/rules"))["rules"]] == [7]

        await market.publish(SYMBOL, "10.3")
        await until("it is valued", lambda: price_of(trader), Decimal("10.3"))
        await asyncio.sleep(1)  # nothing follows from it
        assert (await held(), await quantity()) == (100, 170)
        assert (await trader.strategy())["status"] == "started"
        assert not (await trader.get("/api/alerts"))["alerts"]
        assert [one["status"] for one in found] == ["new", "new"]

        code, printed = await platform.run_command("split", SYMBOL, "10:1", "--id", "S-1")
        assert (code, await quantity(), await held()) == (0, 170, 100), printed
        code, printed = await platform.run_command("split", SYMBOL, "2:1", "--id", "S-1")
        assert (code, "has another ratio" in printed) == (2, True), printed

        await market.publish(SYMBOL, "9.85")  # 5 % below the best price, which was 104

        async def status() -> Any:
            return (await trader.strategy())["position"]

        await until("the trailing stop has sold the 100", status, 0)
        await until("70 are left", quantity, 70)
        await market.publish(SYMBOL, "6.9")
        await until("the rule is triggered", lambda: alert_count(trader), 1)
    code, printed = await platform.run_command("verify")
    assert code == 0, printed
    await connection.close()


async def price_of(trader: Trader) -> Any:
    return (await trader.position())["currentPrice"]


async def alert_count(trader: Trader) -> int:
    return len((await trader.get("/api/alerts"))["alerts"])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((SYMBOL, "10"), "write it like 10:1"),
        ((SYMBOL, "0:1"), "write it like 10:1"),
        ((SYMBOL, "3:3"), "is no split"),
        ((SYMBOL, "99999:1"), "shares"),
        (("IBMM", "2:1"), "was never quoted"),
    ],
)
async def test_what_is_no_split_is_refused(
    platform: Platform, words: tuple[str, ...], text: str
) -> None:
    code, printed = await platform.run_command("split", *words)
    assert (code, text in printed) == (2, True), printed
