"""What open positions are worth now, as newest-wins values under ``{user}.{symbol}``.

A position is valued when its symbol is quoted, at most once a second, and at once when it changed.
The last value of one says that nothing is held, and is acknowledged, so that no reader keeps
showing what was closed. Nothing is valued before `caught_up`, because what was checkpointed is
older than what a process before this one may have told already. Memory holds the open positions
and nothing else. `run` does the work; `changed` and quotes only say when something is due.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import structlog

from tapewire.events import CODEC, Position, PositionValued
from tapewire.log import LatestValueStore, LogError, encode_token
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.subjects import decode_token
from tapewire.views.positions import value_position
from tapewire_services.positions.domain.position import PositionKey

VALUATION_INTERVAL_SECONDS = 1.0
"""A position is valued at most this often, unless it changes."""
RETRY_SECONDS = 0.5
"""After a value could not be sent."""
MAX_PUTS_PER_TURN = 64
"""Values sent before the event loop has a turn."""
_LONG_AGO = float("-inf")

LoadPosition = Callable[[PositionKey], Awaitable[Position | None]]
"""Reads a position from the log; None when nobody ever traded it."""

logger = structlog.get_logger("positions.valuer")


class _HeldPosition:
    """An open position, and when it was valued last."""

    __slots__ = ("position", "valued_at")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.valued_at = _LONG_AGO


class _SymbolHolders:
    """Who holds a symbol; when it is to be valued (None: not before a quote), and not before
    when."""

    __slots__ = ("due_at", "holders", "not_before")

    def __init__(self) -> None:
        self.holders: dict[str, _HeldPosition] = {}
        self.due_at: float | None = None
        self.not_before = _LONG_AGO


class PositionValuer:
    """Values open positions. One a process; `clear` before it is told of another log's."""

    def __init__(
        self,
        valuation_store: LatestValueStore,
        quote_cache: QuoteCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self._valuation_store = valuation_store
        self._quote_cache = quote_cache
        self._clock = clock
        self._rng = rng or new_rng()
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._stale_check_requested = asyncio.Event()
        self.clear()

    def clear(self) -> None:
        """Nobody holds anything, as far as is known yet."""
        self._caught_up.clear()
        self._stale_check_requested.clear()
        self._load_position: LoadPosition | None = None
        self._holders_by_symbol: dict[str, _SymbolHolders] = {}
        self._due_heap: list[tuple[float, str]] = []
        self._closed_positions: dict[PositionKey, Position] = {}

    def is_open(self, key: PositionKey) -> bool:
        """Whether the position is open."""
        board = self._holders_by_symbol.get(key.symbol)
        return board is not None and key.user in board.holders

    def update_position(self, key: PositionKey, position: Position) -> None:
        """The position is like this now; value it without waiting for its second."""
        board = self._holders_by_symbol.setdefault(key.symbol, _SymbolHolders())
        if position.quantity:
            self._closed_positions.pop(key, None)
            board.holders[key.user] = _HeldPosition(position)
            self._schedule(key.symbol, board, _LONG_AGO)
            return
        board.holders.pop(key.user, None)
        if not board.holders:
            del self._holders_by_symbol[key.symbol]
        if (
            self._caught_up.is_set()
        ):  # before, there may be millions; `_mend_all` finds what matters
            self._closed_positions[key] = position
            self._wake.set()

    def mark_caught_up(self, load_position: LoadPosition) -> None:
        """All open positions are known: what else has a value that says open, was closed by a
        process that died before it could send the last one."""
        self._load_position = load_position
        self._caught_up.set()
        self._stale_check_requested.set()

    async def run(self) -> None:
        """Value what is due, until canceled."""
        stop = self._quote_cache.add_listener(self._on_quote)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish_when_due())
                group.create_task(self._close_stale_values())
        finally:
            stop()

    async def _publish_when_due(self) -> None:
        while True:
            await self._caught_up.wait()
            await self._wait_until_due()
            if self._caught_up.is_set():
                await self._publish_due_values()

    async def _close_stale_values(self) -> None:
        patience = Backoff(self._rng)
        while True:
            await self._stale_check_requested.wait()
            try:
                for name, data in (await self._valuation_store.get_all()).items():
                    await self._close_stale_value(name, data)
            except LogError as error:
                logger.warning("cannot read the values", error=str(error))
                await patience.wait()
            else:
                self._stale_check_requested.clear()

    async def _close_stale_value(self, name: str, data: bytes) -> None:
        user, _, symbol = name.partition(".")
        key = PositionKey(decode_token(user), decode_token(symbol))
        try:
            valued = CODEC.decode(data, PositionValued)
        except msgspec.DecodeError as error:
            logger.warning("passes over a value", name=name, error=str(error))
            return
        if not valued.quantity or self.is_open(key) or self._load_position is None:
            return
        position = await self._load_position(key)
        if not self.is_open(key) and (position is None or not position.quantity):
            self._closed_positions[key] = position or _zero_position(valued)
            self._wake.set()

    def _on_quote(self, symbol: str) -> None:
        board = self._holders_by_symbol.get(symbol)
        if board is not None:
            self._schedule(symbol, board, board.not_before)

    def _schedule(self, symbol: str, symbol_holders: _SymbolHolders, due_at: float) -> None:
        if symbol_holders.due_at is None or due_at < symbol_holders.due_at:
            symbol_holders.due_at = due_at
            heapq.heappush(self._due_heap, (due_at, symbol))
            if self._due_heap[0][0] == due_at:
                self._wake.set()

    async def _wait_until_due(self) -> None:
        """Until something is due."""
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
                when, symbol = heapq.heappop(self._due_heap)
                board = self._holders_by_symbol.get(symbol)
                if board is not None and board.due_at == when:
                    await self._publish_symbol_values(symbol, board, now)
        except LogError as error:
            logger.warning("cannot send values", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _publish_closed_values(self) -> None:
        while self._closed_positions:
            key = next(iter(self._closed_positions))
            position = self._closed_positions[key]
            quote = self._quote_cache.quote(key.symbol)
            if quote is not None:  # else it never had a value
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
        posted = 0
        for user, held in [*symbol_holders.holders.items()]:
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
            posted += 1
            if posted % MAX_PUTS_PER_TURN == 0:
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


def _zero_position(valued: PositionValued) -> Position:
    """Of a position that the log does not know: it was made anew."""
    none = Decimal(0)
    return Position(
        symbol=valued.symbol,
        quantity=none,
        cost_basis=none,
        entry_price=None,
        realized_pnl=none,
        fees=none,
        timestamp=valued.timestamp,
    )
