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

from services.positions.domain import Key
from tapewire.events import CODEC, Position, PositionValued
from tapewire.log import LogError, Values, token
from tapewire.log.market import Market
from tapewire.log.patience import Patience, fresh_chance
from tapewire.log.subjects import text
from tapewire.views.positions import worth

EVERY_SECONDS = 1.0
"""A position is valued at most this often, unless it changes."""
RETRY_SECONDS = 0.5
"""After a value could not be sent."""
POSTS_AT_ONCE = 64
"""Values sent before the event loop has a turn."""
_LONG_AGO = float("-inf")

Load = Callable[[Key], Awaitable[Position | None]]
"""Reads a position from the log; None when nobody ever traded it."""

logger = structlog.get_logger("positions.valuer")


class _Held:
    """An open position, and when it was valued last."""

    __slots__ = ("position", "valued_at")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.valued_at = _LONG_AGO


class _Board:
    """Who holds a symbol; when it is to be valued (None: not before a quote), and not before
    when."""

    __slots__ = ("due", "holders", "not_before")

    def __init__(self) -> None:
        self.holders: dict[str, _Held] = {}
        self.due: float | None = None
        self.not_before = _LONG_AGO


class Valuer:
    """Values open positions. One a process; `clear` before it is told of another log's."""

    def __init__(
        self,
        values: Values,
        market: Market,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: random.Random | None = None,
    ) -> None:
        self._values = values
        self._market = market
        self._clock = clock
        self._chance = chance or fresh_chance()
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._mending = asyncio.Event()
        self.clear()

    def clear(self) -> None:
        """Nobody holds anything, as far as is known yet."""
        self._caught_up.clear()
        self._mending.clear()
        self._load: Load | None = None
        self._boards: dict[str, _Board] = {}
        self._queue: list[tuple[float, str]] = []
        self._closed: dict[Key, Position] = {}

    def holds(self, key: Key) -> bool:
        """Whether the position is open."""
        board = self._boards.get(key.symbol)
        return board is not None and key.user in board.holders

    def changed(self, key: Key, position: Position) -> None:
        """The position is like this now; value it without waiting for its second."""
        board = self._boards.setdefault(key.symbol, _Board())
        if position.quantity:
            self._closed.pop(key, None)
            board.holders[key.user] = _Held(position)
            self._want(key.symbol, board, _LONG_AGO)
            return
        board.holders.pop(key.user, None)
        if not board.holders:
            del self._boards[key.symbol]
        if (
            self._caught_up.is_set()
        ):  # before, there may be millions; `_mend_all` finds what matters
            self._closed[key] = position
            self._wake.set()

    def caught_up(self, load: Load) -> None:
        """All open positions are known: what else has a value that says open, was closed by a
        process that died before it could send the last one."""
        self._load = load
        self._caught_up.set()
        self._mending.set()

    async def run(self) -> None:
        """Value what is due, until canceled."""
        stop = self._market.listen(self._heard)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work())
                group.create_task(self._mend_all())
        finally:
            stop()

    async def _work(self) -> None:
        while True:
            await self._caught_up.wait()
            await self._rest()
            if self._caught_up.is_set():
                await self._sweep()

    async def _mend_all(self) -> None:
        patience = Patience(self._chance)
        while True:
            await self._mending.wait()
            try:
                for name, data in (await self._values.all()).items():
                    await self._mend(name, data)
            except LogError as error:
                logger.warning("cannot read the values", error=str(error))
                await patience.wait()
            else:
                self._mending.clear()

    async def _mend(self, name: str, data: bytes) -> None:
        user, _, symbol = name.partition(".")
        key = Key(text(user), text(symbol))
        try:
            valued = CODEC.decode(data, PositionValued)
        except msgspec.DecodeError as error:
            logger.warning("passes over a value", name=name, error=str(error))
            return
        if not valued.quantity or self.holds(key) or self._load is None:
            return
        position = await self._load(key)
        if not self.holds(key) and (position is None or not position.quantity):
            self._closed[key] = position or _nothing(valued)
            self._wake.set()

    def _heard(self, symbol: str) -> None:
        board = self._boards.get(symbol)
        if board is not None:
            self._want(symbol, board, board.not_before)

    def _want(self, symbol: str, board: _Board, when: float) -> None:
        if board.due is None or when < board.due:
            board.due = when
            heapq.heappush(self._queue, (when, symbol))
            if self._queue[0][0] == when:
                self._wake.set()

    async def _rest(self) -> None:
        """Until something is due."""
        if self._closed:
            return
        now = asyncio.get_running_loop().time()
        seconds = None if not self._queue else self._queue[0][0] - now
        if seconds is not None and seconds <= 0:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            await self._close()
            while self._queue and self._queue[0][0] <= now:
                when, symbol = heapq.heappop(self._queue)
                board = self._boards.get(symbol)
                if board is not None and board.due == when:
                    await self._value(symbol, board, now)
        except LogError as error:
            logger.warning("cannot send values", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _close(self) -> None:
        while self._closed:
            key = next(iter(self._closed))
            position = self._closed[key]
            quote = self._market.quote(key.symbol)
            if quote is not None:  # else it never had a value
                await self._values.put(_name(key), self._valued(position, quote.price))
            if self._closed.get(key) is position:
                del self._closed[key]

    async def _value(self, symbol: str, board: _Board, now: float) -> None:
        quote = self._market.quote(symbol)
        board.due = None
        if quote is None:
            return
        board.not_before = now + EVERY_SECONDS
        posted = 0
        for user, held in [*board.holders.items()]:
            if held.valued_at + EVERY_SECONDS > now:
                self._want(symbol, board, held.valued_at + EVERY_SECONDS)
                continue
            data = self._valued(held.position, quote.price)
            try:
                await self._values.post(_name(Key(user, symbol)), data)
            except LogError:
                self._want(symbol, board, now)
                raise
            held.valued_at = now
            posted += 1
            if posted % POSTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _valued(self, position: Position, price: Decimal) -> bytes:
        return CODEC.encode(
            PositionValued(
                symbol=position.symbol,
                quantity=position.quantity,
                entry_price=position.entry_price,
                current_price=price,
                unrealized_pnl=worth(position, price).unrealized_pnl,
                realized_pnl=position.realized_pnl,
                timestamp=self._clock(),
            )
        )


def _name(key: Key) -> str:
    return f"{token(key.user)}.{token(key.symbol)}"


def _nothing(valued: PositionValued) -> Position:
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
