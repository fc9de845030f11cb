"""What reconciliation finds: nothing where positions are right, and exactly what is wrong."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import PositionChanged, PositionClosed, PositionEvent, Side
from tapewire.log import (
    CommandRejected,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    RecordedEvent,
)
from tapewire.log.memory import MemoryEventLog, MemoryServer
from tapewire.log.ports import CATCH_UP_PAGE_EVENTS
from tapewire.runtime.contracts.positions import (
    MAX_LISTED_DIFFERENCES,
    Difference,
    DifferenceKind,
    ReconcileReply,
)
from tapewire_services.positions.domain.position import DOMAIN
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.positions.reconciler import reconcile
from tests.harness import virtual_time
from tests.unit.positions.harness import TradeProducer, read_all_events
from tests.unit.positions.spec import trade

Story = Callable[[MemoryServer, TradeProducer], Awaitable[None]]
Change = Callable[[list[EventDraft]], list[EventDraft]]


def play(story: Story) -> None:
    async def work() -> None:
        server = MemoryServer()
        await story(server, TradeProducer(server))

    virtual_time.run(work())


class Wrong(MemoryEventLog):
    """Stores something else than it is given: what a service with a mistake would have stored."""

    def __init__(self, server: MemoryServer, change: Change) -> None:
        super().__init__(server)
        self._change = change

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        changed = self._change([*drafts])
        bare = [msgspec.structs.replace(draft, expected_sequence=None) for draft in changed]
        return await super().append(bare)


async def take(server: MemoryServer, log: EventLog | None = None) -> None:
    """Take all trades as one page."""
    await PositionRepository(log or MemoryEventLog(server)).apply_trades(
        await read_all_events(server, "ev.*.trades.>")
    )


async def wrong(change: Change) -> ReconcileReply:
    """Four trades of alice and one of bob, taken with a mistake."""
    server = MemoryServer()
    trader = TradeProducer(server)
    await trader.append_trade(Side.BUY, "10", "100")
    await trader.append_trade(Side.BUY, "5", "101", "0.5")
    await trader.append_trade(Side.SELL, "20", "105")
    await trader.append_trade(Side.BUY, "1", "50", user="bob", symbol="SPY")
    await trader.append_trade(Side.BUY, "1", "104")
    await take(server, Wrong(server, change))
    return await reconcile(MemoryEventLog(server))


def found(change: Change) -> Difference:
    async def work() -> Difference:
        reply = await wrong(change)
        assert reply.differing == 1
        [difference] = reply.differences
        return difference

    return virtual_time.run(work())


def without(number: int) -> Change:
    return lambda drafts: [*drafts[:number], *drafts[number + 1 :]]


def replaced(number: int, with_: Callable[[PositionEvent], PositionEvent]) -> Change:
    def change(drafts: list[EventDraft]) -> list[EventDraft]:
        event = drafts[number].event
        assert isinstance(event, PositionEvent)
        drafts[number] = msgspec.structs.replace(drafts[number], event=with_(event))
        return drafts

    return change


def test_what_is_right_is_proved_and_counted() -> None:
    async def work() -> None:
        reply = await wrong(lambda drafts: drafts)
        assert (reply.differing, reply.differences) == (0, [])
        assert (reply.trades, reply.events, reply.positions) == (5, 6, 2)
        assert (reply.pending, reply.unusable) == (0, 0)
        assert (reply.as_of, reply.epoch) == (11, "m1")

    virtual_time.run(work())


def test_an_event_that_is_missing_is_named_by_its_trade() -> None:
    difference = found(without(1))
    assert difference.kind is DifferenceKind.MISSING
    assert (difference.user_id, difference.symbol) == ("alice", "IBM")
    assert (difference.trade_id, difference.trade_sequence) == ("t2", 2)
    assert (difference.sequence, difference.found) == (None, None)
    assert difference.expected is not None
    assert difference.expected.quantity == 15


def test_the_other_half_of_a_trade_through_zero_is_missed() -> None:
    difference = found(without(3))
    assert (difference.kind, difference.trade_sequence) == (DifferenceKind.MISSING, 3)
    assert difference.expected is not None
    assert difference.expected.quantity == -5


def test_a_position_that_was_never_told_of_is_missed() -> None:
    difference = found(without(4))
    assert (difference.kind, difference.user_id) == (DifferenceKind.MISSING, "bob")


def test_an_event_that_is_there_twice_is_unexpected_the_second_time() -> None:
    def twice(drafts: list[EventDraft]) -> list[EventDraft]:
        meta = EventMetadata(id="again", correlation="c")
        return [*drafts[:2], msgspec.structs.replace(drafts[1], meta=meta), *drafts[2:]]

    difference = found(twice)
    assert (difference.kind, difference.trade_sequence) == (DifferenceKind.UNEXPECTED, 2)
    assert (difference.sequence, difference.expected) == (8, None)


def test_an_event_without_a_trade_is_unexpected() -> None:
    difference = found(
        lambda drafts: [
            *drafts,
            msgspec.structs.replace(
                drafts[0],
                subject=EventSubject("carol", DOMAIN, "IBM"),
                meta=EventMetadata(id="made up", correlation="c"),
            ),
        ]
    )
    assert (difference.kind, difference.user_id) == (DifferenceKind.UNEXPECTED, "carol")
    assert difference.found is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", Decimal(14)),
        ("cost_basis", Decimal("1505.000000000000000001")),
        ("entry_price", Decimal("100.333334")),
        ("realized_pnl", Decimal("-0.49")),
        ("fees", Decimal(0)),
        ("symbol", "SPY"),
    ],
)
def test_any_field_that_is_off_by_a_digit_is_told_with_both(field: str, value: object) -> None:
    def off(event: PositionEvent) -> PositionEvent:
        position = msgspec.structs.replace(event.position, **{field: value})
        return msgspec.structs.replace(event, position=position)

    async def work() -> None:
        reply = await wrong(replaced(1, off))
        assert reply.differing >= 1
        difference = reply.differences[0]
        if field == "symbol":
            return
        assert (difference.kind, difference.trade_id) == (DifferenceKind.DIFFERENT, "t2")
        assert difference.sequence == 7
        assert difference.expected is not None
        assert difference.found is not None
        assert getattr(difference.found, field) == value != getattr(difference.expected, field)

    virtual_time.run(work())


def test_an_event_of_another_kind_is_different() -> None:
    def other(event: PositionEvent) -> PositionEvent:
        assert isinstance(event, PositionClosed)
        return PositionChanged(
            position=event.position, trade_id=event.trade_id, trade_sequence=event.trade_sequence
        )

    assert found(replaced(2, other)).kind is DifferenceKind.DIFFERENT


def test_of_each_position_only_the_first_departure_is_told() -> None:
    def worse(drafts: list[EventDraft]) -> list[EventDraft]:
        return without(0)(without(1)(drafts))

    difference = found(worse)
    assert difference.trade_sequence == 1


def test_trades_that_are_too_new_are_pending() -> None:
    async def story(server: MemoryServer, trader: TradeProducer) -> None:
        await trader.append_trade(Side.BUY, "10", "100")
        nothing_yet = await reconcile(MemoryEventLog(server))
        assert (nothing_yet.pending, nothing_yet.differing) == (1, 0)
        await take(server)
        await trader.append_trade(Side.BUY, "10", "100")
        await trader.append_trade(Side.BUY, "10", "100", user="bob")
        reply = await reconcile(MemoryEventLog(server))
        assert (reply.differing, reply.pending, reply.trades) == (0, 2, 3)

    play(story)


def test_a_trade_that_was_passed_over_for_one_user_is_missing_and_not_pending() -> None:
    """Trades are taken in order, so a later one of anybody proves that this one was passed."""

    async def story(server: MemoryServer, trader: TradeProducer) -> None:
        await trader.append_trade(Side.BUY, "10", "100", user="bob")
        await trader.append_trade(Side.BUY, "10", "100")
        await take(server, Wrong(server, without(0)))
        for user in (None, "bob"):
            reply = await reconcile(MemoryEventLog(server), user)
            assert [one.kind for one in reply.differences] == [DifferenceKind.MISSING]

    play(story)


def test_of_one_user_only_his_are_read() -> None:
    async def story(server: MemoryServer, trader: TradeProducer) -> None:
        for _ in range(100):
            await trader.append_random_trade()
        await take(server)
        every = await reconcile(MemoryEventLog(server))
        ones = [await reconcile(MemoryEventLog(server), f"u{number}") for number in range(3)]
        assert sum(one.trades for one in ones) == every.trades == 100
        assert sum(one.positions for one in ones) == every.positions
        assert [one.differing for one in ones] == [0, 0, 0]
        assert (await reconcile(MemoryEventLog(server), "nobody")).trades == 0

    play(story)


def test_what_cannot_be_used_is_counted() -> None:
    async def story(server: MemoryServer, trader: TradeProducer) -> None:
        await trader.append_event("alice", trade(Side.BUY, "0", "1", number=8), "none")
        await trader.append_trade(Side.BUY, "10", "100")
        await take(server)
        reply = await reconcile(MemoryEventLog(server))
        assert (reply.unusable, reply.differing, reply.trades) == (1, 0, 2)

    play(story)


def test_the_list_of_differences_ends_and_the_count_does_not() -> None:
    async def story(server: MemoryServer, trader: TradeProducer) -> None:
        for number in range(MAX_LISTED_DIFFERENCES + 20):
            await trader.append_trade(Side.BUY, "1", "1", user=f"u{number}")
        await take(server, Wrong(server, lambda drafts: drafts[-1:]))
        reply = await reconcile(MemoryEventLog(server))
        assert len(reply.differences) == MAX_LISTED_DIFFERENCES
        assert reply.differing == MAX_LISTED_DIFFERENCES + 19

    play(story)


def test_of_a_trimmed_log_nothing_can_be_proved() -> None:
    async def story(server: MemoryServer, trader: TradeProducer) -> None:
        await trader.append_trade(Side.BUY, "10", "100")
        await take(server)
        server.trim(1)
        with pytest.raises(CommandRejected) as refused:
            await reconcile(MemoryEventLog(server))
        assert refused.value.code == "conflict"

    play(story)


def test_thousands_of_trades_are_read_in_pages() -> None:
    class Counting(MemoryEventLog):
        most = 0

        async def page(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            page = await super().page(*args, **kwargs)  # type: ignore[arg-type]
            self.most = max(self.most, len(page.events))
            return page

    async def story(server: MemoryServer, trader: TradeProducer) -> None:
        for _ in range(3000):
            await trader.append_random_trade()
        trades: list[RecordedEvent] = await read_all_events(server, "ev.*.trades.>")
        ledger = PositionRepository(MemoryEventLog(server))
        for start in range(0, len(trades), 256):
            await ledger.apply_trades(trades[start : start + 256])
        log = Counting(server)
        reply = await reconcile(log)  # type: ignore[arg-type]
        assert (reply.trades, reply.differing) == (3000, 0)
        assert log.most <= CATCH_UP_PAGE_EVENTS < reply.trades

    play(story)
