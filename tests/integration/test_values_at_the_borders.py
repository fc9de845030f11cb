"""Numbers, times and symbols as the world writes them, from a recording and from a producer, as the
edge shows them; what a recording cannot give is counted by reason, however often it comes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote as url_quote

import pytest
import pytest_asyncio

import tapewire
from tests.harness.edge import EdgeProcess, ManagedService
from tests.harness.foreign_values import ArrayScalar, DecimalSubclass, FrozenTime, TextSubclass
from tests.harness.nats_servers import LocalNatsServer
from tests.harness.provisioning import get, run_command
from tests.harness.waiting import wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORDING = """ms,symbol,bid,bid_size,ask,ask_size,last,last_size
0,TST,182.40,500,182.45,500,182.42,100
10,TST,0,0,120.60,500,120.55,100
20,COIN/USD,1.234E-5,1000000,0.00001236,1000000,0.00001235,100
30,CL,-37.63,10,-37.50,10,-37.60,5
40,kCOIN1,181.45000000000002,500,181.5,500,181.47,100
50,HALF,many,1,7.5,20,7.5,1
"""
BAD_LINES = "60,TST,NaN,1,120.60,500,,\n" * 40 + "70,TST\n" * 3


class Borders:
    """A message server, an edge, and a prices service that plays the recording."""

    def __init__(self, folder: Path) -> None:
        self.server = LocalNatsServer(folder, provisioned=True)
        self.server.start()
        recording = folder / "day.csv"
        recording.write_text(RECORDING + BAD_LINES)
        settings = {"TAPEWIRE_NATS_URL": self.server.url}
        played = {"TAPEWIRE_FEED": str(recording), "TAPEWIRE_FEED_END": "stop"}
        self.edge = EdgeProcess(settings, folder)
        self.prices = ManagedService("prices", settings | played, folder)

    async def wait_for_quote(self, symbol: str) -> dict[str, Any]:
        """The quote of `symbol`, once there is one, as `/api/prices` shows it."""
        found: list[dict[str, Any]] = []

        async def is_quoted() -> bool:
            answer = await get(f"{self.edge.url}/api/prices?symbols={url_quote(symbol, safe='')}")
            found[:] = answer.json()["prices"]
            return bool(found)

        await wait_until_async(f"{symbol} is quoted", is_quoted)
        return found[0]

    def close(self) -> None:
        for service in (self.edge, self.prices):
            service.kill()
        self.server.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def borders(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Borders]:
    made = Borders(tmp_path_factory.mktemp("borders"))
    for service in (made.edge, made.prices):
        await asyncio.to_thread(service.wait_ready)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("symbol", "bid", "ask", "price"),
    [
        ("COIN/USD", 0.00001234, 0.00001236, 0.00001235),
        ("CL", -37.63, -37.5, -37.6),
        ("kCOIN1", 181.45, 181.5, 181.47),
        ("HALF", None, 7.5, 7.5),
    ],
)
async def test_a_recording_is_taken_as_it_was_written(
    borders: Borders, symbol: str, bid: float | None, ask: float, price: float
) -> None:
    quote = await borders.wait_for_quote(symbol)
    assert (quote["symbol"], quote["bid"], quote["ask"], quote["price"]) == (
        symbol, bid, ask, price,
    )  # fmt: skip


async def test_a_side_that_nobody_offers_takes_no_other_one_with_it(borders: Borders) -> None:
    await borders.wait_for_quote("HALF")
    quote = await borders.wait_for_quote("TST")
    assert (quote["bid"], quote["ask"], quote["price"]) == (None, 120.6, 120.55)


async def test_what_a_recording_cannot_give_is_in_status_and_metrics(borders: Borders) -> None:
    seen = ""

    async def is_counted() -> bool:
        nonlocal seen
        seen = (await get(f"{borders.edge.url}/metrics")).text
        return 'tapewire_feed_faults_total{reason="not_finite"} 40' in seen

    await wait_until_async("the metric", is_counted, describe_last=lambda: seen[-500:])
    assert 'tapewire_feed_faults_total{reason="field_count"} 3' in seen
    _, status = await asyncio.to_thread(run_command, "status", "--nats", borders.server.url)
    assert (
        "feed: 44 faults in recording day.csv (field_count 3, not_a_number 1, not_finite 40)"
        in status
    )


NOW = FrozenTime.now(UTC)
PUBLISHED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("SUB1", {"price": (182.41 + 182.44 + 182.47) / 3, "at": NOW}, {"price": 182.44}),
    ("lower", {"price": 1, "bid": 0.1 + 0.2, "ask": "1e2"}, {"bid": 0.3, "ask": 100}),
    ("ES=F", {"price": ArrayScalar(182.4499969482422, "f", 4)}, {"price": 182.45}),
    ("SPREAD", {"price": DecimalSubclass("-0.25"), "bid": 0, "bid_size": 5}, {"bid": 0}),
    ("NO BID", {"price": 2, "bid": 0, "ask": 2.5}, {"bid": None, "ask": 2.5}),
    ("TINY", {"price": Decimal("1E-8"), "day_open": 0}, {"price": 1e-8, "changePercent": 0}),
]


@pytest.mark.parametrize(("symbol", "given", "expected"), PUBLISHED)
async def test_a_producer_publishes_the_values_that_its_libraries_have(
    borders: Borders, symbol: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    async with tapewire.connect(borders.server.url, "borders") as client:
        await client.price(TextSubclass(symbol), **given)
    quote = await borders.wait_for_quote(symbol)
    assert {name: quote[name] for name in expected} == expected
    if "at" in given:
        assert datetime.fromisoformat(quote["timestamp"]) == NOW


async def test_the_blocking_client_takes_the_same_values_and_refuses_with_the_same_error(
    borders: Borders,
) -> None:
    await asyncio.to_thread(_use_blocking_client, borders.server.url)


def _use_blocking_client(url: str) -> None:
    with tapewire.sync.connect(url, "borders-sync") as client:
        receipt = client.decision(
            user=TextSubclass("alice"), strategy_id="s", symbol="SUB1", action="buy",
            confidence=0.8731234567891234, reasoning=TextSubclass("model"),
            taken=ArrayScalar(True, "b", 1),  # type: ignore[arg-type]
        )  # fmt: skip
        assert receipt.sequence
        with pytest.raises(tapewire.InvalidArgument, match="price=nan: must be a finite number"):
            client.price("SUB1", float("nan"))
        with pytest.raises(tapewire.InvalidArgument, match=r"at=.*must have a time zone"):
            client.price("SUB1", 1, at=FrozenTime(2026, 3, 2))
