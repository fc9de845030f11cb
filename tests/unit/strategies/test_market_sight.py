"""Alerts that a strategy cannot see the market, on the log in memory and in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tapewire.events import CODEC, AlertRaised
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.market_sight import MarketSightMonitor
from tests.harness.order_builders import quote
from tests.harness.recorded_log import event_of, read_events
from tests.unit.strategies.spec import at, started_strategy

pytestmark = pytest.mark.virtual_time
LIMIT = 4.0


def tracked(strategy_id: str, symbol: str = "IBM", user: str = "alice") -> TrackedStrategy:
    return TrackedStrategy(
        user=user,
        strategy=started_strategy(strategy_id=strategy_id, symbol=symbol),
        sequence=1,
        position_since=1,
        rule_since=1,
        correlation="c",
    )


class Sight:
    """The monitor of a process, and the quotes that it sees."""

    def __init__(self, server: MemoryServer | None = None) -> None:
        self.server = server or MemoryServer()
        self.strategies = [tracked("s-1"), tracked("s-2", "SPY")]
        self._store = MemoryLatestValueStore(self.server)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        cache = QuoteCache(MemoryLatestValueStore(self.server), stale_seconds=LIMIT)
        await cache.start()
        monitor = MarketSightMonitor(
            MemoryEventLog(self.server), cache, lambda: self.strategies, lambda: at(0), LIMIT
        )
        self._tasks = [asyncio.create_task(work) for work in (cache.run(), monitor.run())]

    async def quote(self, *symbols: str, seconds: float = 0, second: int = 0) -> None:
        """Quote `symbols`, the same quote again every second for `seconds`."""
        for _ in range(int(seconds) + 1):
            for symbol in symbols:
                await self._store.put(symbol, CODEC.encode(quote(symbol=symbol, second=second)))
            await asyncio.sleep(1)

    async def alerts(self) -> list[AlertRaised]:
        events = await read_events(MemoryEventLog(self.server), "ev.*.alerts.>")
        return [event_of(one, AlertRaised) for one in events]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def sight() -> AsyncIterator[Sight]:
    made = Sight()
    await made.start()
    yield made
    await made.stop()


async def test_a_strategy_that_loses_sight_says_so_once(sight: Sight) -> None:
    await sight.quote("IBM", "SPY")
    await sight.quote("SPY", seconds=30)
    [alert] = await sight.alerts()
    assert (alert.symbol, alert.rule_id, alert.level.value) == ("IBM", None, "warning")
    assert "cannot see the market: no quote of IBM since" in alert.message


async def test_each_loss_is_said_again(sight: Sight) -> None:
    await sight.quote("IBM", "SPY")
    await sight.quote("SPY", seconds=10)
    await sight.quote("IBM", "SPY", second=20)
    await sight.quote("SPY", seconds=10)
    assert [one.symbol for one in await sight.alerts()] == ["IBM", "IBM"]


async def test_a_quiet_market_that_is_confirmed_is_no_loss(sight: Sight) -> None:
    await sight.quote("IBM", "SPY", seconds=60)
    assert await sight.alerts() == []


async def test_every_user_of_the_symbol_is_told(sight: Sight) -> None:
    sight.strategies = [tracked("s-1"), tracked("s-2"), tracked("s-3", user="bob")]
    await sight.quote("IBM")
    await asyncio.sleep(10)
    assert len({one.alert_id for one in await sight.alerts()}) == 3


async def test_a_process_that_starts_waits_for_the_market_before_it_complains() -> None:
    """The quotes that it reads are confirmed by nobody until the feed does."""
    sight = Sight()
    await sight.quote("IBM", "SPY")
    await sight.start()
    await asyncio.sleep(LIMIT - 1)
    assert await sight.alerts() == []
    await sight.quote("IBM", "SPY", seconds=10)
    assert await sight.alerts() == []
    await sight.stop()


async def test_a_successor_does_not_repeat_the_alert(sight: Sight) -> None:
    await sight.quote("IBM", "SPY")
    await asyncio.sleep(10)
    await sight.stop()
    successor = Sight(sight.server)
    await successor.start()
    await asyncio.sleep(60)
    assert len(await sight.alerts()) == 2
    await successor.stop()


async def test_a_strategy_that_is_not_active_says_nothing(sight: Sight) -> None:
    sight.strategies = []
    await sight.quote("IBM")
    await asyncio.sleep(20)
    assert await sight.alerts() == []
