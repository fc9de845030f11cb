"""Turns trades into position events: one atomic append for each page of trades.

An atomic append costs the server milliseconds whatever its size, and one of 300 events hardly more
than one of two. So everything that a page of trades makes of all positions is decided in memory and
stored together, or not at all. The position events of all users are therefore in the order of their
trades, which `tapewire.verify` relies on.

The cached positions are only a guess. An append states, for each position, the sequence that it was
decided on. If another process appended in between, the positions are read again (the last event is
the whole state) and the page is decided again; trades that the log already holds then make no
event. A correction of a trade is decided on all trades of its user in the symbol, which are read
from the log. Start at `PositionRepository.apply_trades`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog

from tapewire.events import (
    Position,
    PositionEvent,
    SplitExecuted,
    TradeCorrected,
    Undecodable,
    UnknownType,
    UserErased,
)
from tapewire.log import (
    EVERYBODY,
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
    encode_token,
    pattern,
)
from tapewire.log.page_reader import read_pages
from tapewire.log.ports import MAX_BATCH_EVENTS
from tapewire_services.positions.domain.corrections import Change, Trade, refold_position
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    Command,
    CorrectPositionCommand,
    PositionKey,
    SplitPositionCommand,
    State,
    TradedState,
    build_trade_command,
)

MAX_TRADES_PER_APPEND = MAX_BATCH_EVENTS // 2
"""Trades of one append; each makes at most two events."""
MAX_APPEND_ATTEMPTS = 8
"""Times that a page is decided before its conflicts make the log unavailable."""
MAX_CONCURRENT_READS = 64
"""Positions that are read from the log at the same time."""
MAX_CACHED_CLOSED_POSITIONS = 4096
"""Closed positions that stay cached; opening one of them again needs no read."""

logger = structlog.get_logger("positions")


class _PendingTrade(NamedTuple):
    """A trade or its correction to apply, and the metadata of its event."""

    key: PositionKey
    command: Command
    metadata: EventMetadata


class PositionRepository:
    """All positions, with a cache of the open ones and of some closed ones."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._open: dict[PositionKey, Versioned[State]] = {}
        self._closed: OrderedDict[PositionKey, Versioned[State]] = OrderedDict()
        self._split_keys: tuple[int, list[PositionKey]] | None = None
        """The sequence of the last split and the positions that were open then. A conflict removes
        positions from the cache, and the split is handled again."""
        self._read_slots = asyncio.Semaphore(MAX_CONCURRENT_READS)

    def open_positions(self) -> dict[PositionKey, Versioned[State]]:
        """The open positions in the cache."""
        return self._open

    def cache_position(self, key: PositionKey, versioned: Versioned[State]) -> None:
        """Cache `versioned` as the state of a position."""
        self._evict(key)
        if isinstance(versioned.state, TradedState) and versioned.state.position.quantity:
            self._open[key] = versioned
            return
        self._closed[key] = versioned
        if len(self._closed) > MAX_CACHED_CLOSED_POSITIONS:
            self._closed.popitem(last=False)

    def forget_user(self, erasure: UserErased) -> None:
        """Drop all positions of the erased user from the cache."""
        for key in [key for key in (*self._open, *self._closed) if erasure.concerns(key.user)]:
            self._evict(key)

    async def apply_trades(self, events: Sequence[RecordedEvent]) -> dict[PositionKey, Position]:
        """Store what the trades, their corrections and the splits among `events` make of the
        positions, unless it is stored already. A page with a split has no other event. Returns the
        positions concerned, as they are afterwards. An event that cannot be read or used is logged
        and skipped.

        Raises:
            LogError: Not everything is stored. Any process may apply the same events again.
        """
        trades = [one for recorded in events for one in await self._parse_event(recorded)]
        for start in range(0, len(trades), MAX_TRADES_PER_APPEND):
            await self._append_events(trades[start : start + MAX_TRADES_PER_APPEND])
        after = await self._load_all({trade.key for trade in trades})
        return {
            key: versioned.state.position
            for key, versioned in after.items()
            if isinstance(versioned.state, TradedState)
        }

    async def load_position(self, key: PositionKey) -> Versioned[State]:
        """The position as the leader of the log has it. It is not cached.

        Raises:
            Unavailable: The log cannot be reached, or a replica lags behind its leader.
        """
        subject = str(key.subject)
        async with self._read_slots:
            last = await self._log.last_sequence(subject)
            versioned: Versioned[State] = Versioned(POSITION_DECIDER.initial_state, 0)
            if last:
                page = await self._log.page(subject, after=last - 1, limit=1)
                if not page.events:
                    raise Unavailable(f"{subject} should reach {last}, a replica does not")
                [recorded] = page.events
                versioned = Versioned(
                    POSITION_DECIDER.evolve(versioned.state, recorded.event), recorded.sequence
                )
        return versioned

    async def _append_events(self, trades: Sequence[_PendingTrade]) -> None:
        keys = {trade.key for trade in trades}
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
                for key, (state, index) in after.items():
                    self.cache_position(key, Versioned(state, first + index))
                return
        raise Unavailable(f"{len(keys)} positions kept changing while a page of trades was applied")

    async def _load_all(self, keys: Iterable[PositionKey]) -> dict[PositionKey, Versioned[State]]:
        found = {key: self._open.get(key) or self._closed.get(key) for key in keys}
        missing = [key for key, versioned in found.items() if versioned is None]
        loaded = await asyncio.gather(*map(self.load_position, missing), return_exceptions=True)
        for key, result in zip(missing, loaded, strict=True):
            if isinstance(result, BaseException):
                raise result
            self.cache_position(key, result)
            found[key] = result
        return {key: versioned for key, versioned in found.items() if versioned is not None}

    def _evict(self, key: PositionKey) -> None:
        self._open.pop(key, None)
        self._closed.pop(key, None)

    async def _parse_event(self, recorded: RecordedEvent) -> list[_PendingTrade]:
        """What the event gives to positions: a split to each open one of its symbol."""
        try:
            event, user = recorded.event, recorded.event_subject.owner
            if isinstance(event, SplitExecuted):
                return self._parse_split(recorded, event)
            if not isinstance(event, Trade):
                return []
            key, id_ = PositionKey(user, event.symbol), recorded.metadata.id
            if isinstance(event, TradeCorrected):
                position = await self._refold_position(key, recorded.sequence, event)
                command: Command = CorrectPositionCommand(
                    id=id_,
                    user=user,
                    sequence=recorded.sequence,
                    correction=event,
                    position=position,
                )
            else:
                command = build_trade_command(id_, user, recorded.sequence, event)
        except (UnknownType, Undecodable, BadSubject, CommandRejected) as error:
            logger.error("event.skipped", sequence=recorded.sequence, error=str(error))
            return []
        return [_PendingTrade(key, command, recorded.metadata)]

    def _parse_split(self, recorded: RecordedEvent, split: SplitExecuted) -> list[_PendingTrade]:
        sequence = recorded.sequence
        if self._split_keys is None or self._split_keys[0] != sequence:
            keys = sorted(key for key in self._open if key.symbol == split.symbol)
            self._split_keys = sequence, keys
        return [
            _PendingTrade(
                key,
                SplitPositionCommand(
                    id=f"{recorded.metadata.id}.{encode_token(key.user)}",
                    user=key.user,
                    sequence=sequence,
                    split=split,
                ),
                recorded.metadata,
            )
            for key in self._split_keys[1]
        ]

    async def _refold_position(
        self, key: PositionKey, sequence: int, correction: TradeCorrected
    ) -> Position:
        """The position after `correction`, whose event is at `sequence`."""
        history: list[tuple[int, Change]] = []
        base, after = await self._find_base(key)
        for owner in (EVERYBODY, key.user):
            filter_ = pattern(owner=owner, domain="trades")
            async for events in read_pages(self._log, filter_, after=after, up_to=sequence):
                for recorded in events:
                    event = _decode_change(recorded)
                    if event is not None and event.symbol == key.symbol:
                        history.append((recorded.sequence, event))
        return refold_position(base, key.user, history, correction)

    async def _find_base(self, key: PositionKey) -> tuple[State, int]:
        """The state and the sequence of the last trade from which on the log has every trade: the
        beginning, unless the log was trimmed."""
        state, bounds = POSITION_DECIDER.initial_state, await self._log.bounds()
        if bounds.first > 1:
            subject = str(key.subject)
            async for events in read_pages(self._log, subject, after=0, up_to=bounds.last):
                for recorded in events:
                    event = recorded.event
                    if isinstance(event, PositionEvent) and event.trade_sequence < bounds.first:
                        state = POSITION_DECIDER.evolve(state, event)
        return state, state.trade_sequence if isinstance(state, TradedState) else 0


def _decode_change(recorded: RecordedEvent) -> Change | None:
    try:
        event = recorded.event
    except (UnknownType, Undecodable):
        return None
    return event if isinstance(event, Change) else None


def _decide_trades(
    trades: Sequence[_PendingTrade], current: dict[PositionKey, Versioned[State]]
) -> tuple[list[EventDraft], dict[PositionKey, tuple[State, int]]]:
    """The events to append and, for each position that changes, its state afterwards and the index
    of its last event among them."""
    drafts: list[EventDraft] = []
    after: dict[PositionKey, tuple[State, int]] = {}
    for key, command, trade_metadata in trades:
        state = after[key][0] if key in after else current[key].state
        for number, new_event in enumerate(POSITION_DECIDER.decide(state, command)):
            expected_sequence = None if key in after else current[key].sequence
            state = POSITION_DECIDER.evolve(state, new_event.event)
            after[key] = (state, len(drafts))
            drafts.append(
                EventDraft(
                    subject=new_event.subject,
                    event=new_event.event,
                    metadata=_event_metadata(command, trade_metadata, number),
                    expected_sequence=expected_sequence,
                )
            )
    return drafts, after


def _event_metadata(command: Command, trade_metadata: EventMetadata, number: int) -> EventMetadata:
    """The id depends on the trade, or on split and user, so every process appends the event under
    the same id."""
    return EventMetadata(
        id=f"{command.id or 'trade'}.{command.sequence}.{number}",
        correlation=trade_metadata.correlation,
        causation=trade_metadata.id or None,
        traceparent=trade_metadata.traceparent,
    )
