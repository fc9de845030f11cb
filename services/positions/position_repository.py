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

from tapewire.events import Position, TradeExecuted, Undecodable, UnknownType
from tapewire.log import (
    AlreadyStored,
    BadSubject,
    CommandRejected,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    OutcomeUnknown,
    RecordedEvent,
    Unavailable,
    Versioned,
)
from tapewire.log.ports import MAX_BATCH_EVENTS
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    ApplyTradeCommand,
    PositionKey,
    State,
    TradedState,
    build_trade_command,
)

MAX_TRADES_PER_APPEND = MAX_BATCH_EVENTS // 2
"""Trades of one append: each makes two events at the most."""
MAX_APPEND_ATTEMPTS = 8
"""Times a page is decided before its conflicts are given up, for now."""
MAX_CONCURRENT_READS = 64
"""Positions read from the log at the same time."""
MAX_CACHED_CLOSED_POSITIONS = 4096
"""Closed positions remembered, so that trading again needs no read."""

logger = structlog.get_logger("positions.ledger")


class _PendingTrade(NamedTuple):
    """A trade to take, and the event that told of it."""

    key: PositionKey
    command: ApplyTradeCommand
    meta: EventMetadata


class PositionRepository:
    """All positions, as far as this process knows them: the open ones and some closed ones."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._open: dict[PositionKey, Versioned[State]] = {}
        self._closed: OrderedDict[PositionKey, Versioned[State]] = OrderedDict()
        self._read_slots = asyncio.Semaphore(MAX_CONCURRENT_READS)

    def open_positions(self) -> dict[PositionKey, Versioned[State]]:
        """What is held, by whom and in what."""
        return self._open

    def cache_position(self, key: PositionKey, versioned: Versioned[State]) -> None:
        """Guess that `known` is the state of a position."""
        self._evict(key)
        if isinstance(versioned.state, TradedState) and versioned.state.position.quantity:
            self._open[key] = versioned
            return
        self._closed[key] = versioned
        if len(self._closed) > MAX_CACHED_CLOSED_POSITIONS:
            self._closed.popitem(last=False)

    async def apply_trades(self, events: Sequence[RecordedEvent]) -> dict[PositionKey, Position]:
        """Store what `events` make of the positions, unless it is stored already; the positions
        concerned, as they are afterwards. What cannot be read or used is passed over, loudly.

        Raises:
            LogError: not all is stored. Taking all again, by any process, is harmless.
        """
        trades = [taken for taken in map(_parse_trade, events) if taken is not None]
        for start in range(0, len(trades), MAX_TRADES_PER_APPEND):
            await self._append_events(trades[start : start + MAX_TRADES_PER_APPEND])
        after = await self._load_all({taken.key for taken in trades})
        return {
            key: known.state.position
            for key, known in after.items()
            if isinstance(known.state, TradedState)
        }

    async def load_position(self, key: PositionKey) -> Versioned[State]:
        """The position as the leader of the log has it. Raises Unavailable."""
        subject = str(key.subject)
        async with self._read_slots:
            last = await self._log.last_sequence(subject)
            known: Versioned[State] = Versioned(POSITION_DECIDER.initial_state, 0)
            if last:
                page = await self._log.page(subject, after=last - 1, limit=1)
                if not page.events:
                    raise Unavailable(f"{subject} should reach {last}, a replica does not")
                [recorded] = page.events
                known = Versioned(
                    POSITION_DECIDER.evolve(known.state, recorded.event), recorded.sequence
                )
        self.cache_position(key, known)
        return known

    async def _append_events(self, trades: Sequence[_PendingTrade]) -> None:
        keys = {taken.key for taken in trades}
        for _ in range(MAX_APPEND_ATTEMPTS):
            drafts, after = _decide_trades(trades, await self._load_all(keys))
            if not drafts:
                return
            try:
                last = await self._log.append(drafts)
            except (Conflict, AlreadyStored, OutcomeUnknown):
                for key in keys:
                    self._evict(key)
            else:
                first = last - len(drafts) + 1
                for key, (state, number) in after.items():
                    self.cache_position(key, Versioned(state, first + number))
                return
        raise Unavailable(
            f"{len(keys)} positions changed {MAX_APPEND_ATTEMPTS} times under one page"
        )

    async def _load_all(self, keys: Iterable[PositionKey]) -> dict[PositionKey, Versioned[State]]:
        found = {key: self._open.get(key) or self._closed.get(key) for key in keys}
        unknown = [key for key, known in found.items() if known is None]
        read = await asyncio.gather(*map(self.load_position, unknown), return_exceptions=True)
        for key, one in zip(unknown, read, strict=True):
            if isinstance(one, BaseException):
                raise one
            found[key] = one
        return {key: known for key, known in found.items() if known is not None}

    def _evict(self, key: PositionKey) -> None:
        self._open.pop(key, None)
        self._closed.pop(key, None)


def _parse_trade(recorded: RecordedEvent) -> _PendingTrade | None:
    try:
        event, user = recorded.event, recorded.event_subject.owner
        if not isinstance(event, TradeExecuted):
            return None
        command = build_trade_command(recorded.metadata.id, user, recorded.sequence, event)
    except (UnknownType, Undecodable, BadSubject, CommandRejected) as error:
        logger.error("passes over an event", sequence=recorded.sequence, error=str(error))
        return None
    return _PendingTrade(PositionKey(user, event.symbol), command, recorded.metadata)


def _decide_trades(
    trades: Sequence[_PendingTrade], current: dict[PositionKey, Versioned[State]]
) -> tuple[list[EventDraft], dict[PositionKey, tuple[State, int]]]:
    """Events to append, and by position that changes: its state afterwards, and the number of its
    last event among them."""
    drafts: list[EventDraft] = []
    after: dict[PositionKey, tuple[State, int]] = {}
    for key, command, meta in trades:
        state = after[key][0] if key in after else current[key].state
        for number, happening in enumerate(POSITION_DECIDER.decide(state, command)):
            expect = None if key in after else current[key].sequence
            state = POSITION_DECIDER.evolve(state, happening.event)
            after[key] = (state, len(drafts))
            told = _event_meta(command, meta, number)
            drafts.append(
                EventDraft(
                    subject=happening.subject,
                    event=happening.event,
                    metadata=told,
                    expected_sequence=expect,
                )
            )
    return drafts, after


def _event_meta(
    command: ApplyTradeCommand, trade_meta: EventMetadata, number: int
) -> EventMetadata:
    """An event's id follows from the trade alone, whoever takes it, however often."""
    return EventMetadata(
        id=f"{command.id or 'trade'}.{command.sequence}.{number}",
        correlation=trade_meta.correlation,
        causation=command.id or None,
        traceparent=trade_meta.traceparent,
    )
