"""Trades into position events: a page of trades becomes one atomic append.

An atomic append costs the server milliseconds however small it is, and one of three hundred events
hardly more than one of two; so all that a page of trades makes of all positions is decided in
memory and stored together, or not at all. The order of position events is then that of the trades,
over all users, which is what `reconciling` relies on.

Nothing here is true because it is remembered: an append states for each position the sequence that
it was decided on. Where another process was there before, the positions concerned are read again
(their last event is their whole state) and the page is decided again; what is in the log already
then makes nothing. Start at `Ledger.take`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog

from services.positions.domain import POSITIONS, Key, State, TakeTrade, Traded, taking
from tapewire.events import Position, TradeExecuted, Undecodable, UnknownType
from tapewire.log import (
    AlreadyStored,
    BadSubject,
    Conflict,
    Draft,
    EventLog,
    Known,
    Meta,
    Recorded,
    Refusal,
    Unavailable,
    Uncertain,
)
from tapewire.log.port import BATCH_EVENTS

TRADES_AT_ONCE = BATCH_EVENTS // 2
"""Trades of one append: each makes two events at the most."""
ATTEMPTS = 8
"""Times a page is decided before its conflicts are given up, for now."""
READS_AT_ONCE = 64
"""Positions read from the log at the same time."""
CLOSED_KEPT = 4096
"""Closed positions remembered, so that trading again needs no read."""

logger = structlog.get_logger("positions.ledger")


class _Taken(NamedTuple):
    """A trade to take, and the event that told of it."""

    key: Key
    command: TakeTrade
    meta: Meta


class Ledger:
    """All positions, as far as this process knows them: the open ones and some closed ones."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._open: dict[Key, Known[State]] = {}
        self._closed: OrderedDict[Key, Known[State]] = OrderedDict()
        self._reading = asyncio.Semaphore(READS_AT_ONCE)

    def open(self) -> dict[Key, Known[State]]:
        """What is held, by whom and in what."""
        return self._open

    def remember(self, key: Key, known: Known[State]) -> None:
        """Guess that `known` is the state of a position."""
        self._forget(key)
        if isinstance(known.state, Traded) and known.state.position.quantity:
            self._open[key] = known
            return
        self._closed[key] = known
        if len(self._closed) > CLOSED_KEPT:
            self._closed.popitem(last=False)

    async def take(self, events: Sequence[Recorded]) -> dict[Key, Position]:
        """Store what `events` make of the positions, unless it is stored already; the positions
        concerned, as they are afterwards. What cannot be read or used is passed over, loudly.

        Raises:
            LogError: not all is stored. Taking all again, by any process, is harmless.
        """
        trades = [taken for taken in map(_read, events) if taken is not None]
        for start in range(0, len(trades), TRADES_AT_ONCE):
            await self._store(trades[start : start + TRADES_AT_ONCE])
        after = await self._all({taken.key for taken in trades})
        return {
            key: known.state.position
            for key, known in after.items()
            if isinstance(known.state, Traded)
        }

    async def load(self, key: Key) -> Known[State]:
        """The position as the leader of the log has it. Raises Unavailable."""
        subject = str(key.subject)
        async with self._reading:
            last = await self._log.last(subject)
            known: Known[State] = Known(POSITIONS.initial, 0)
            if last:
                page = await self._log.page(subject, after=last - 1, limit=1)
                if not page.events:
                    raise Unavailable(f"{subject} should reach {last}, a replica does not")
                [recorded] = page.events
                known = Known(POSITIONS.evolve(known.state, recorded.event), recorded.sequence)
        self.remember(key, known)
        return known

    async def _store(self, trades: Sequence[_Taken]) -> None:
        keys = {taken.key for taken in trades}
        for _ in range(ATTEMPTS):
            drafts, after = _decided(trades, await self._all(keys))
            if not drafts:
                return
            try:
                last = await self._log.append(drafts)
            except (Conflict, AlreadyStored, Uncertain):
                for key in keys:
                    self._forget(key)
            else:
                first = last - len(drafts) + 1
                for key, (state, number) in after.items():
                    self.remember(key, Known(state, first + number))
                return
        raise Unavailable(f"{len(keys)} positions changed {ATTEMPTS} times under one page")

    async def _all(self, keys: Iterable[Key]) -> dict[Key, Known[State]]:
        found = {key: self._open.get(key) or self._closed.get(key) for key in keys}
        unknown = [key for key, known in found.items() if known is None]
        read = await asyncio.gather(*map(self.load, unknown), return_exceptions=True)
        for key, one in zip(unknown, read, strict=True):
            if isinstance(one, BaseException):
                raise one
            found[key] = one
        return {key: known for key, known in found.items() if known is not None}

    def _forget(self, key: Key) -> None:
        self._open.pop(key, None)
        self._closed.pop(key, None)


def _read(recorded: Recorded) -> _Taken | None:
    try:
        event, user = recorded.event, recorded.place.owner
        if not isinstance(event, TradeExecuted):
            return None
        command = taking(recorded.meta.id, user, recorded.sequence, event)
    except (UnknownType, Undecodable, BadSubject, Refusal) as error:
        logger.error("passes over an event", sequence=recorded.sequence, error=str(error))
        return None
    return _Taken(Key(user, event.symbol), command, recorded.meta)


def _decided(
    trades: Sequence[_Taken], known: dict[Key, Known[State]]
) -> tuple[list[Draft], dict[Key, tuple[State, int]]]:
    """Events to append, and by position that changes: its state afterwards, and the number of its
    last event among them."""
    drafts: list[Draft] = []
    after: dict[Key, tuple[State, int]] = {}
    for key, command, meta in trades:
        state = after[key][0] if key in after else known[key].state
        for number, happening in enumerate(POSITIONS.decide(state, command)):
            expect = None if key in after else known[key].sequence
            state = POSITIONS.evolve(state, happening.event)
            after[key] = (state, len(drafts))
            told = _meta(command, meta, number)
            drafts.append(
                Draft(subject=happening.subject, event=happening.event, meta=told, expect=expect)
            )
    return drafts, after


def _meta(command: TakeTrade, cause: Meta, number: int) -> Meta:
    """An event's id follows from the trade alone, whoever takes it, however often."""
    return Meta(
        id=f"{command.id or 'trade'}.{command.sequence}.{number}",
        correlation=cause.correlation,
        causation=command.id or None,
        traceparent=cause.traceparent,
    )
