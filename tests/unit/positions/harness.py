"""The positions service in this process, on the log in memory.

`PositionsProcess` wires the parts as `tapewire_services.positions.__main__` does, without NATS. A
test can kill it at any moment and start another beside or after it. `TradeProducer` appends trades
as the orders service does, and `wait_until_consistent` waits for the positions and verifies them.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import TypeVar

from tapewire.events import (
    CODEC,
    Position,
    PositionEvent,
    PositionValued,
    Side,
    TradeExecuted,
)
from tapewire.log import (
    AlreadyStored,
    EventDraft,
    EventMetadata,
    EventSubject,
    LatestValueStore,
    OutcomeUnknown,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpointer import ViewCheckpointer
from tapewire.runtime import RequestContext
from tapewire.views import PositionsView
from tapewire.views.account import AccountTerms
from tapewire_services.positions.domain.position import PositionKey
from tapewire_services.positions.equity_sampler import EquitySampler
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.positions.position_valuer import PositionValuer
from tapewire_services.positions.service import PositionsService
from tapewire_services.positions.trade_consumer import TradeConsumer, subscribe_to_trades
from tests.harness.memory_process import MemoryProcess, make_clock, retry_until_answered
from tests.harness.position_builders import START, quote, trade
from tests.harness.recorded_log import read_events
from tests.harness.verification import TRADE_WITHOUT_FILL, assert_verified

T = TypeVar("T")
TERMS = AccountTerms(starting_balance=Decimal(100_000), max_leverage=Decimal(2))
CONTEXT = RequestContext(correlation="c", command_id="q", traceparent=None)


clock = make_clock(START)


class PositionsProcess(MemoryProcess):
    """One process of the service. It holds the lease if it is started with `holds_lease`."""

    def __init__(
        self,
        server: MemoryServer,
        faults: Faults | None = None,
        *,
        equity_interval: float | None = None,
    ) -> None:
        super().__init__(server, faults)
        self.valuation_store = self._open_store(prefix="mk")
        self._equity_interval = equity_interval
        self.trades = subscribe_to_trades(
            self.log,
            self.views,
            self.valuation_store,
            self.quote_cache,
            clock,
            self.rng,
            None if equity_interval is None else self._make_sampler,
        )
        self.projector = ViewCheckpointer(self.log, self.views, PositionsView)
        self.service = PositionsService(self.log, self.views, self.quote_cache, TERMS)

    async def start(
        self, *, holds_lease: bool = True, with_projector: bool = False
    ) -> "PositionsProcess":
        await self.start_quotes()
        if with_projector:
            await self.log.subscribe_durable(
                self.projector.durable_name, "ev.*.positions.>", self.projector.handle
            )
            self.spawn(self.projector.run())
        if holds_lease:
            self.spawn(self.trades.run())
        return self

    def _make_sampler(self) -> EquitySampler:
        return EquitySampler(
            self.log,
            self.views,
            self.quote_cache,
            TERMS,
            interval_seconds=self._equity_interval or 0.0,
            now=clock,
        )

    def make_valuer(self, valuation_store: LatestValueStore | None = None) -> PositionValuer:
        """A valuer beside the one of the subscription."""
        return PositionValuer(
            PositionRepository(self.log),
            self.valuation_store if valuation_store is None else valuation_store,
            self.quote_cache,
            clock,
            self.rng,
        )

    def make_consumer(self) -> tuple[TradeConsumer, PositionRepository]:
        """A consumer beside the one of the subscription, and its positions."""
        repository = PositionRepository(self.log)
        return TradeConsumer(repository, self.make_valuer()), repository


class TradeProducer:
    """Appends trades, each exactly once, through faults of the log."""

    def __init__(self, server: MemoryServer, seed: int = 0) -> None:
        self._log = MemoryEventLog(server)
        self._rng = random.Random(seed)
        self._trade_number = 0

    async def append_trade(
        self,
        side: Side,
        qty: str,
        price: str,
        fee: str = "0",
        *,
        user: str = "alice",
        symbol: str = "IBM",
    ) -> None:
        self._trade_number += 1
        made = trade(side, qty, price, fee, symbol=symbol, number=self._trade_number)
        await self.append_event(user, made, f"trade-{self._trade_number}")

    async def append_event(self, user: str, trade_event: TradeExecuted, event_id: str) -> None:
        draft = EventDraft(
            subject=EventSubject(user, "trades", trade_event.order_id),
            event=trade_event,
            metadata=EventMetadata(
                id=event_id, correlation=f"of-{event_id}", traceparent=f"00-{event_id}"
            ),
        )
        with contextlib.suppress(AlreadyStored):  # by a try whose answer was lost
            await retry_until_available(lambda: self._log.append([draft]))

    async def append_random_trade(self, user_count: int = 3, symbol_count: int = 3) -> None:
        """Append a random trade; many of them go through zero."""
        rng = self._rng
        await self.append_trade(
            rng.choice([Side.BUY, Side.SELL]),
            rng.choice(["1", "2", "3", "0.7", "15"]),
            f"{rng.randrange(9000, 11000) / 100:.2f}",
            rng.choice(["0", "0.35", "-0.1"]),
            user=f"u{rng.randrange(user_count)}",
            symbol=f"S.{rng.randrange(symbol_count)}",
        )


async def retry_until_available(operation: Callable[[], Awaitable[T]]) -> T:
    """The result of `operation`, repeated until the log is available."""
    return await retry_until_answered(operation, (Unavailable, OutcomeUnknown))


async def publish_quote(server: MemoryServer, price: str, symbol: str = "IBM") -> None:
    """Publish a quote of `symbol`."""
    with contextlib.suppress(Unavailable):
        now = asyncio.get_running_loop().time()
        data = CODEC.encode(quote(price, symbol=symbol, second=now))
        await MemoryLatestValueStore(server).put_unacknowledged(symbol.replace(".", "%2E"), data)


async def read_all_events(server: MemoryServer, filter_: str = "ev.>") -> list[RecordedEvent]:
    """Every event in the log, read through faults."""
    return await retry_until_available(partial(read_events, MemoryEventLog(server), filter_))


def last_positions(events: Sequence[RecordedEvent]) -> dict[PositionKey, Position]:
    """Each position as its last event has it."""
    return {
        PositionKey(
            recorded.event_subject.owner, recorded.event_subject.entity
        ): recorded.event.position
        for recorded in events
        if isinstance(recorded.event, PositionEvent)
    }


async def wait_until_consistent(server: MemoryServer, seconds: float = 600) -> list[RecordedEvent]:
    """Wait until every trade has its position event, and verify the log; return its events."""
    deadline = asyncio.get_running_loop().time() + seconds
    while last_applied_trade(events := await read_all_events(server)) < last_trade(events):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(
                f"trades are applied up to {last_applied_trade(events)} of {last_trade(events)}"
            )
        await asyncio.sleep(0.05)
    await assert_verified(server, ignored=[TRADE_WITHOUT_FILL])
    return events


def last_trade(events: Sequence[RecordedEvent]) -> int:
    """The sequence of the last trade."""
    return max((one.sequence for one in events if isinstance(one.event, TradeExecuted)), default=0)


def last_applied_trade(events: Sequence[RecordedEvent]) -> int:
    """The sequence of the last trade that a position event names."""
    positions = [one.event for one in events if isinstance(one.event, PositionEvent)]
    return max((event.trade_sequence for event in positions), default=0)


async def read_valuations(server: MemoryServer) -> dict[str, PositionValued]:
    """The published valuations."""
    found = await retry_until_available(MemoryLatestValueStore(server, prefix="mk").get_all)
    return {name: CODEC.decode(data, PositionValued) for name, data in found.items()}


async def wait_for_valuations(
    server: MemoryServer, description: str, condition: Callable[[dict[str, PositionValued]], object]
) -> dict[str, PositionValued]:
    """Wait until `condition` holds for the published valuations, and return them."""
    for _ in range(6000):
        seen = await read_valuations(server)
        if condition(seen):
            return seen
        await asyncio.sleep(0.01)
    raise AssertionError(f"never: {description}; last seen: {seen}")
