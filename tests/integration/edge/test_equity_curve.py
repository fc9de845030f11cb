"""The equity curve over REST: without doubles over takeovers, and erased with its user."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.golden_events import golden_event
from tests.harness.provisioning import run_command
from tests.harness.publishers import EventLogDriver
from tests.harness.waiting import wait_until_async
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument

SETTINGS = {"TAPEWIRE_EQUITY_INTERVAL": 1, "TAPEWIRE_STARTING_BALANCE": 1000}


@pytest.fixture
async def edge(isolated_harness: Harness) -> EdgeProcess:
    edge = isolated_harness.start_edge(**SETTINGS)
    async with isolated_harness.market() as market:
        await market.publish("EQ", 100)
    await edge.wait_for_quotes("EQ")
    return edge


async def buy(journal: EventLogDriver, user: str, number: int) -> None:
    """Append a trade, of one share at 100, as the orders service does."""
    trade = golden_event(
        "trade.executed", tradeId=f"t{number}", orderId=f"o{number}", symbol="EQ", side="buy",
        qty=1, price=100, fee="0.25",
    )  # fmt: skip
    await journal.append_event(user, "trades", f"o{number}", trade)


async def read_curve(http: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """All points, the oldest first."""
    points: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await http.get("/api/account/equity", params={"limit": 2, **query, **cursor})
        assert answer.status_code == 200, answer.text
        points += answer.json()["points"]
        if "next" not in answer.json():
            return points[::-1]
        cursor = {"cursor": answer.json()["next"]}


async def test_the_curve_goes_on_over_takeovers_and_is_erased_with_its_user(
    edge: EdgeProcess, isolated_harness: Harness, fresh: Callable[[str], str]
) -> None:
    user, url = fresh("alice"), isolated_harness.broker.url
    processes = [isolated_harness.start_service("positions", **SETTINGS) for _ in range(2)]
    async with (
        isolated_harness.journal() as journal,
        edge.client(await edge.sign_in(user)) as http,
        edge.client(await edge.sign_in(fresh("bob"))) as other,
    ):
        document = OpenApiDocument((await http.get(OPENAPI_PATH)).json())
        document.assert_documented(await http.get("/api/account/equity"))
        for query in ("since=yesterday", "limit=0", "cursor=x", "interval=1m"):
            answer = await http.get(f"/api/account/equity?{query}")
            document.assert_documented(answer)
            assert (answer.status_code, answer.json()["path"]) == (422, query.partition("=")[0])

        async def has_cash(cash: float) -> bool:
            points = await read_curve(http)
            return bool(points and points[-1]["cash"] == cash)

        for number in range(1, 5):
            await buy(journal, user, number)
            cash = 1000 - 100.25 * number
            await wait_until_async(
                f"{cash} of cash in the curve",
                lambda cash=cash: has_cash(cash),  # type: ignore[misc]
                describe_last=lambda: isolated_harness.log_text()[-500:],
            )
            if number in (1, 3):
                processes.pop(0).kill()
                processes.append(isolated_harness.start_service("positions", **SETTINGS))
        points = await read_curve(http)
        times = [point["timestamp"] for point in points]
        assert times == sorted(set(times))
        assert [point["cash"] for point in points] == [1000 - 100.25 * n for n in range(1, 5)]
        assert {point["equity"] + 0.25 * n for n, point in enumerate(points, 1)} == {1000}
        assert await read_curve(http, since=times[2]) == points[2:]
        assert await read_curve(other) == []

        code, output = await asyncio.to_thread(
            run_command, "journal", "erase", "--user", user, "--nats", url
        )
        assert code == 0, output
        async with edge.client(await edge.sign_in(user)) as again:
            await asyncio.sleep(2)  # for two samples more
            assert await read_curve(again) == []
