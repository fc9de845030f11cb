"""Reading what `reconciling` compares: trades and position events, in pages, each once.

Trades are taken in the order of the log, and what they make is stored in that order. So the last
position event of all says how far the trades are taken: those up to its own must account for every
event up to it, and later ones are pending. The two are read side by side, and an event waits until
the trades up to its own are read, so a page of each is all that is held. Start at `reconcile`.
"""

from collections.abc import AsyncIterator

from tapewire.events import PositionEvent, TradeExecuted, Undecodable, UnknownType
from tapewire.log import BadSubject, CommandRejected, EventLog, RecordedEvent, Unavailable, pattern
from tapewire.log.ports import CATCH_UP_PAGE_BYTES, CATCH_UP_PAGE_EVENTS
from tapewire.runtime.contracts.positions import ReconcileReply
from tapewire_services.positions.domain.position import DOMAIN
from tapewire_services.positions.domain.reconciliation import Reconciliation


async def reconcile(log: EventLog, user: str | None = None) -> ReconcileReply:
    """Compare the positions of `user`, or of everybody, with the fold of all trades.

    Raises:
        Refusal: conflict: the log was trimmed, so the fold of all trades cannot be known.
        Unavailable: from the log.
        Undecodable, UnknownType: an event of a position cannot be read by this program.
    """
    last, taken = await _load_last_position_event(log)
    bounds = await log.bounds()
    if bounds.first > 1:
        raise CommandRejected(
            "conflict", f"the log begins at {bounds.first}: earlier trades are unknown"
        )
    found = Reconciliation()
    trades = _TradeReader(
        _read_events(log, pattern(owner=user, domain="trades"), bounds.last), found
    )
    async for recorded in _read_events(log, pattern(owner=user, domain=DOMAIN), last):
        if isinstance(recorded.event, PositionEvent):
            await trades.advance_to(recorded.event.trade_sequence)
            found.add_position_event(
                recorded.event_subject.owner, recorded.sequence, recorded.event
            )
    await trades.advance_to(taken)
    await trades.count_pending()
    counts = found.finish()
    return ReconcileReply(
        differing=found.differing_count,
        differences=found.differences,
        trades=counts.trades,
        events=counts.events,
        positions=counts.positions,
        pending=counts.pending,
        unusable=counts.unusable,
        as_of=bounds.last,
        epoch=bounds.epoch,
    )


class _TradeReader:
    """Trades on their way into a reconciliation."""

    def __init__(
        self, trades: AsyncIterator[RecordedEvent], reconciliation: Reconciliation
    ) -> None:
        self._trades = trades
        self._reconciliation = reconciliation
        self._next: RecordedEvent | None = None

    async def advance_to(self, sequence: int) -> None:
        """Tell of all up to `sequence`."""
        while True:
            if self._next is None:
                self._next = await anext(self._trades, None)
            if self._next is None or self._next.sequence > sequence:
                return
            self._add_trade(self._next)
            self._next = None

    async def count_pending(self) -> None:
        """Count what is left."""
        if self._next is not None:
            self._reconciliation.add_pending_trade()
        async for _ in self._trades:
            self._reconciliation.add_pending_trade()

    def _add_trade(self, recorded: RecordedEvent) -> None:
        try:
            event = recorded.event
            if isinstance(event, TradeExecuted):
                self._reconciliation.add_trade(
                    recorded.event_subject.owner, recorded.sequence, event
                )
        except (UnknownType, Undecodable, BadSubject):
            self._reconciliation.add_unreadable_trade()


async def _load_last_position_event(log: EventLog) -> tuple[int, int]:
    """Where the last position event of all stands, and the trade that it is for."""
    everything = pattern(domain=DOMAIN)
    last = await log.last_sequence(everything)
    if not last:
        return 0, 0
    page = await log.page(everything, after=last - 1, limit=1)
    if not page.events:
        raise Unavailable(f"{everything} should reach {last}, a replica does not")
    event = page.events[0].event
    return last, event.trade_sequence if isinstance(event, PositionEvent) else 0


async def _read_events(
    log: EventLog, filter_: str, last_sequence: int
) -> AsyncIterator[RecordedEvent]:
    """Everything of `filter_` up to `upto`, page by page. Raises Unavailable."""
    wanted, after = min(await log.last_sequence(filter_), last_sequence), 0
    while after < wanted:
        page = await log.page(
            filter_, after=after, limit=CATCH_UP_PAGE_EVENTS, max_bytes=CATCH_UP_PAGE_BYTES
        )
        if not page.events:
            raise Unavailable(f"{filter_} should reach {wanted}, a replica ends at {after}")
        for recorded in page.events:
            if recorded.sequence > last_sequence:
                return
            yield recorded
        after = page.events[-1].sequence
