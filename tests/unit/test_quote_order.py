"""What every part of the platform makes of quotes whose timestamps are in any order.

After each quote the screens, fills, valuations, price rules and stop-losses are at its price.
Quotes of symbols that nobody needs are not even decoded.
"""

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal

import pytest

from tapewire.events import CODEC, PriceUpdated, RuleKind, StopLossTriggered
from tapewire.log import encode_token, quote_cache
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime.contracts.orders import GetOrder
from tapewire_services.edge.ingest.quote_feed import QuoteFeed
from tests.harness.memory_process import make_context
from tests.harness.order_builders import USER, quote
from tests.harness.orders_process import OrdersProcess, place_request
from tests.harness.strategies_process import (
    StrategiesProcess,
    UnreliableOrderClient,
    make_buy_when_flat,
    wait_for_strategies_log,
)
from tests.unit.alerts.harness import AlertsEnvironment, AlertsProcess, create_rule_request
from tests.unit.positions.harness import PositionsProcess, read_valuations
from tests.unit.strategies.runner_scenario import TREND
from tests.unit.strategies.spec import make_stop_loss

pytestmark = pytest.mark.virtual_time

YEAR_SECONDS = 31_536_000
QUOTES = 11
STAMPS: dict[str, Sequence[float]] = {
    "equal": [0] * QUOTES,
    "earlier": range(0, -QUOTES, -1),
    "later": range(QUOTES),
    "one ahead": [0, YEAR_SECONDS, *range(2, QUOTES)],
    "two clocks": [number - 60 * (number % 2) for number in range(QUOTES)],
    **{
        f"jumping {seed}": random.Random(seed).choices(
            (0, 1, 2, -3600, 86_400, YEAR_SECONDS), k=QUOTES
        )
        for seed in range(6)
    },
}
"""Seconds, for each quote."""


class Platform:
    """One process of each service that reads quotes, and the quotes of an edge process."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.market = MemoryLatestValueStore(server)
        self.screen = QuoteFeed(
            MemoryLatestValueStore(server), lambda _: None, rng=random.Random(1)
        )
        self.orders = OrdersProcess(server)
        self.strategies = StrategiesProcess(
            server,
            UnreliableOrderClient(self.orders),
            make_decision_maker=make_buy_when_flat,
        )
        self.alerts = AlertsProcess(server)
        self.positions = PositionsProcess(server)
        self._screen_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._screen_task = asyncio.create_task(self.screen.run())
        for process in (self.orders, self.strategies, self.alerts, self.positions):
            await process.start()

    async def stop(self) -> None:
        if self._screen_task is not None:
            self._screen_task.cancel()
        for process in (self.orders, self.strategies, self.alerts, self.positions):
            process.raise_task_errors()
            await process.kill()

    async def publish(self, price: int, stamp: float, symbol: str = "IBM") -> None:
        data = CODEC.encode(quote(str(price), str(price), symbol=symbol, second=stamp))
        await self.market.put_unacknowledged(encode_token(symbol), data)

    async def read_prices(self, price: int) -> dict[str, Decimal | None]:
        """The price of IBM that each part is at; the rule is one that `price` hits."""
        await asyncio.sleep(2)
        newest = self.screen.quote("IBM")
        placed = (await self.orders.place_order(place_request("1"))).order
        rule = create_rule_request(RuleKind.PRICE_ABOVE, price=str(price - 0.5))
        rule_id = (await self.alerts.create_rule(rule)).rule_id
        environment = AlertsEnvironment(self.server)
        log = await environment.wait_for_log(
            f"an alert at {price}", lambda log: not log.rules[rule_id].armed
        )
        await asyncio.sleep(1)
        request = GetOrder(user_id=USER, order_id=placed.order_id)
        filled = (await self.orders.service.get(request, make_context())).order
        valued = (await read_valuations(self.server)).get(f"{encode_token(USER)}.IBM")
        return {
            "screen": newest.price if newest is not None else None,
            "fill": filled.filled_avg_price,
            "valuation": valued.current_price if valued is not None else None,
            "rule": Decimal(log.alerts[-1].message.split()[3].rstrip(",")),
        }


@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
async def test_all_are_at_the_newest_price_whatever_the_timestamps(
    stamps: Sequence[float],
) -> None:
    rng, platform = random.Random(7), Platform(MemoryServer())
    await platform.publish(100, stamps[0])
    await platform.start()
    await asyncio.sleep(10)
    stop = make_stop_loss("50")
    strategy = await platform.strategies.create_strategy(TREND, stop_loss=stop, max_trades=1)
    for number in range(1, 8):
        price = rng.randrange(80, 120)
        await platform.publish(price, stamps[number])
        prices = await platform.read_prices(price)
        assert prices == dict.fromkeys(prices, Decimal(price))
    for number, price in enumerate((100, 30, 100), start=8):
        await platform.publish(price, stamps[number])
    seen = await wait_for_strategies_log(
        platform.server,
        "the stop-loss is triggered",
        lambda seen: seen.events_of_type(strategy, StopLossTriggered),
    )
    [triggered] = seen.events_of_type(strategy, StopLossTriggered)
    assert isinstance(triggered, StopLossTriggered)
    assert triggered.current_price == Decimal(30)
    await platform.stop()


async def test_services_decode_no_quotes_of_symbols_that_they_do_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 10,000 symbols the alerts service used to evaluate each quote, and lost its leases."""
    decoded: list[bytes] = []
    decode = quote_cache._decode_quote

    def record(data: bytes) -> PriceUpdated | None:
        decoded.append(data)
        return decode(data)

    monkeypatch.setattr(quote_cache, "_decode_quote", record)
    platform = Platform(MemoryServer())
    await platform.publish(100, 0)
    await platform.start()
    await asyncio.sleep(10)
    await platform.read_prices(100)
    await platform.strategies.create_strategy(TREND)
    for number in range(2_000):
        await platform.publish(100, 0, f"S{number}")
    await asyncio.sleep(1)
    assert {CODEC.decode(data, PriceUpdated).symbol for data in decoded} == {"IBM"}
    assert len(platform.screen.quotes(None)) == 2_001
    await platform.stop()
