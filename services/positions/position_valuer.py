"""Publishes what open positions are worth now, as latest values under ``{user}.{symbol}``.

A position is valued when its symbol is quoted, at most once a second, and immediately when it
changes. The last value of a closed position has the quantity 0 and is acknowledged, because a
reader would otherwise show the position as open forever. Nothing is published before
`mark_caught_up`: the checkpointed positions are older than what an earlier process may have
published. Memory holds the open positions only.

`run` publishes; `update_position` and quotes only schedule. Start at `PositionValuer`.
"""

import asyncio
import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import structlog

from tapewire.events import CODEC, Position, PositionValued, SplitExecuted, UserErased
from tapewire.log import LatestValueStore, LogError, encode_token
from tapewire.log.backoff import new_rng, retry
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.subjects import decode_token
from tapewire.views.positions import value_position
from tapewire_services.positions.domain.position import PositionKey, TradedState
from tapewire_services.positions.position_repository import PositionRepository

VALUATION_INTERVAL_SECONDS = 1.0
"""The least time between two values of a position that does not change."""
RETRY_SECONDS = 0.5
"""The wait after a value could not be sent."""
MAX_PUTS_PER_TURN = 64
"""Values that are sent before the event loop has a turn."""
_LONG_AGO = float("-inf")

logger = structlog.get_logger("positions.valuer")


class _HeldPosition:
    """An open position, and when it was last valued."""

    __slots__ = ("position", "valued_at")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.valued_at = _LONG_AGO


class _SymbolHolders:
    """The holders of a symbol. They are valued at `due_at` (None: at the next quote), and not
    before `not_before`."""

    __slots__ = ("due_at", "holders", "not_before")

    def __init__(self) -> None:
        self.holders: dict[str, _HeldPosition] = {}
        self.due_at: float | None = None
        self.not_before = _LONG_AGO


class PositionValuer:
    """Values the open positions of one incarnation of the log."""

    def __init__(
        self,
        repository: PositionRepository,
        valuation_store: LatestValueStore,
        quote_cache: QuoteCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self._repository = repository
        self._valuation_store = valuation_store
        self._quote_cache = quote_cache
        self._clock = clock
        self._rng = rng or new_rng()
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._holders_by_symbol: dict[str, _SymbolHolders] = {}
        self._due_heap: list[tuple[float, str]] = []
        self._closed_positions: dict[PositionKey, Position] = {}
        self._erasures: list[UserErased] = []

    def is_open(self, key: PositionKey) -> bool:
        """Whether the position is open."""
        symbol_holders = self._holders_by_symbol.get(key.symbol)
        return symbol_holders is not None and key.user in symbol_holders.holders

    def update_position(self, key: PositionKey, position: Position) -> None:
        """Replace the position, and value it without waiting for its second."""
        symbol_holders = self._holders_by_symbol.setdefault(key.symbol, _SymbolHolders())
        if position.quantity:
            self._closed_positions.pop(key, None)
            symbol_holders.holders[key.user] = _HeldPosition(position)
            self._schedule(key.symbol, symbol_holders, _LONG_AGO)
            return
        symbol_holders.holders.pop(key.user, None)
        if not symbol_holders.holders:
            del self._holders_by_symbol[key.symbol]
        # Before catching up there may be millions; `_close_stale_values` finds those that matter.
        if self._caught_up.is_set():
            self._closed_positions[key] = position
            self._wake.set()

    def add_split(self, split: SplitExecuted) -> None:
        """Value nothing of the symbol before there is a quote of the new shares."""
        self._quote_cache.add_split(split)

    def forget_user(self, erasure: UserErased) -> None:
        """Publish nothing more of the erased user, not even that the positions are closed."""
        self._erasures.append(erasure)
        for symbol, symbol_holders in [*self._holders_by_symbol.items()]:
            for user in [user for user in symbol_holders.holders if erasure.concerns(user)]:
                del symbol_holders.holders[user]
            if not symbol_holders.holders:
                del self._holders_by_symbol[symbol]
        for key in [key for key in self._closed_positions if erasure.concerns(key.user)]:
            del self._closed_positions[key]

    def mark_caught_up(self) -> None:
        """Start to publish: all open positions are known. Any other value that shows an open
        position is stale; an earlier process stopped before it sent the last one."""
        self._caught_up.set()

    async def run(self) -> None:
        """Publish due valuations until cancelled."""
        remove_listener = self._quote_cache.add_listener(self._on_quote)
        try:
            await self._caught_up.wait()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish_when_due())
                group.create_task(self._close_stale_values())
        finally:
            remove_listener()

    async def _publish_when_due(self) -> None:
        while True:
            await self._wait_until_due()
            await self._publish_due_values()

    async def _close_stale_values(self) -> None:
        async def close_all() -> None:
            for name, data in (await self._valuation_store.get_all()).items():
                await self._close_stale_value(name, data)

        await retry(close_all, self._rng, logger, "valuation.read_failed")

    async def _close_stale_value(self, name: str, data: bytes) -> None:
        user, _, symbol = name.partition(".")
        key = PositionKey(decode_token(user), decode_token(symbol))
        try:
            valued = CODEC.decode(data, PositionValued)
        except msgspec.DecodeError as error:
            logger.warning("valuation.skipped", name=name, error=str(error))
            return
        if not valued.quantity or self.is_open(key):
            return
        state = (await self._repository.load_position(key)).state
        # Without a trade in the log, the log was recreated since the value was stored.
        position = (
            state.position
            if isinstance(state, TradedState)
            else Position.before_trades(valued.symbol, valued.timestamp)
        )
        is_erased = any(one.concerns(key.user) for one in self._erasures)
        if not self.is_open(key) and not position.quantity and not is_erased:
            self._closed_positions[key] = position
            self._wake.set()

    def _on_quote(self, symbol: str) -> None:
        symbol_holders = self._holders_by_symbol.get(symbol)
        if symbol_holders is not None:
            self._schedule(symbol, symbol_holders, symbol_holders.not_before)

    def _schedule(self, symbol: str, symbol_holders: _SymbolHolders, due_at: float) -> None:
        if symbol_holders.due_at is None or due_at < symbol_holders.due_at:
            symbol_holders.due_at = due_at
            heapq.heappush(self._due_heap, (due_at, symbol))
            if self._due_heap[0][0] == due_at:
                self._wake.set()

    async def _wait_until_due(self) -> None:
        if self._closed_positions:
            return
        now = asyncio.get_running_loop().time()
        seconds = None if not self._due_heap else self._due_heap[0][0] - now
        if seconds is not None and seconds <= 0:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _publish_due_values(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            await self._publish_closed_values()
            while self._due_heap and self._due_heap[0][0] <= now:
                due_at, symbol = heapq.heappop(self._due_heap)
                symbol_holders = self._holders_by_symbol.get(symbol)
                if symbol_holders is not None and symbol_holders.due_at == due_at:
                    await self._publish_symbol_values(symbol, symbol_holders, now)
        except LogError as error:
            logger.warning("valuation.write_failed", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _publish_closed_values(self) -> None:
        while self._closed_positions:
            key = next(iter(self._closed_positions))
            position = self._closed_positions[key]
            quote = self._quote_cache.quote(key.symbol)
            if quote is not None:  # otherwise the position never had a value
                await self._valuation_store.put(
                    _value_key(key), self._serialize_value(position, quote.price)
                )
            if self._closed_positions.get(key) is position:
                del self._closed_positions[key]

    async def _publish_symbol_values(
        self, symbol: str, symbol_holders: _SymbolHolders, now: float
    ) -> None:
        quote = self._quote_cache.quote(symbol)
        symbol_holders.due_at = None
        if quote is None:
            return
        symbol_holders.not_before = now + VALUATION_INTERVAL_SECONDS
        put_count = 0
        for user, held in [*symbol_holders.holders.items()]:
            if user not in symbol_holders.holders:
                continue  # it was erased meanwhile
            if held.valued_at + VALUATION_INTERVAL_SECONDS > now:
                self._schedule(symbol, symbol_holders, held.valued_at + VALUATION_INTERVAL_SECONDS)
                continue
            data = self._serialize_value(held.position, quote.price)
            try:
                await self._valuation_store.put_unacknowledged(
                    _value_key(PositionKey(user, symbol)), data
                )
            except LogError:
                self._schedule(symbol, symbol_holders, now)
                raise
            held.valued_at = now
            put_count += 1
            if put_count % MAX_PUTS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _serialize_value(self, position: Position, price: Decimal) -> bytes:
        return CODEC.encode(
            PositionValued(
                symbol=position.symbol,
                quantity=position.quantity,
                entry_price=position.entry_price,
                current_price=price,
                unrealized_pnl=value_position(position, price).unrealized_pnl,
                realized_pnl=position.realized_pnl,
                timestamp=self._clock(),
            )
        )


def _value_key(key: PositionKey) -> str:
    return f"{encode_token(key.user)}.{encode_token(key.symbol)}"
