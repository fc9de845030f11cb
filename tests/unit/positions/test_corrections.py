"""Positions after corrected and busted trades: as if the trades had always been like this."""

import random
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from tapewire.events import (
    ExecutionTerms,
    Position,
    PositionCorrected,
    PositionEvent,
    Side,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import EventDraft, EventMetadata, EventSubject
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire_services.positions.domain.corrections import refold_position
from tapewire_services.positions.domain.position import POSITION_DECIDER, PositionKey
from tests.harness.position_builders import at, given, trade
from tests.harness.verification import TRADE_WITHOUT_FILL, assert_verified, find_differences
from tests.unit.positions.harness import PositionsProcess, last_positions, read_all_events

pytestmark = pytest.mark.virtual_time

KEY = PositionKey("alice", "IBM")
CORRECTION_WITHOUT_ORDER = "no correction of an order comes right before"
Terms = tuple[str, str, str]
"""Quantity, price and fee."""


class Book:
    """Trades of one user in one symbol, as they were stored and as they count now."""

    def __init__(self) -> None:
        self.events: list[TradeExecuted | TradeCorrected] = []
        self.counting: dict[str, TradeExecuted] = {}
        self._corrections: dict[str, int] = {}

    def execute(self, side: Side, qty: str, price: str, fee: str = "0") -> str:
        number = len(self.events) + 1
        made = trade(side, qty, price, fee, number=number)
        self.events.append(made)
        self.counting[made.trade_id] = made
        return made.trade_id

    def correct(self, trade_id: str, qty: str, price: str = "0", fee: str = "0") -> None:
        before = self.counting[trade_id]
        number = self._corrections[before.order_id] = self._corrections.get(before.order_id, 0) + 1
        after = msgspec.structs.replace(
            before, qty=Decimal(qty), price=Decimal(price), fee=Decimal(fee)
        )
        self.counting[trade_id] = after
        self.events.append(
            TradeCorrected(
                trade_id=trade_id,
                order_id=before.order_id,
                symbol=before.symbol,
                side=before.side,
                qty=after.qty,
                price=after.price,
                strategy_id=None,
                timestamp=at(100 + len(self.events)),
                before=ExecutionTerms(qty=before.qty, price=before.price, fee=before.fee),
                number=number,
                fee=after.fee,
            )
        )

    def bust(self, trade_id: str) -> None:
        self.correct(trade_id, "0", str(self.counting[trade_id].price))

    def cash(self) -> Fraction:
        """The dollars received less those paid, fees included."""
        return sum(
            (
                Fraction(one.qty) * Fraction(one.price) * (-1 if one.side is Side.BUY else 1)
                - Fraction(one.fee)
                for one in self.counting.values()
            ),
            Fraction(0),
        )

    def expected(self) -> Position:
        """What the trades that count make of a position that knows no correction."""
        return given(*(one for one in self.counting.values() if one.qty)).traded_state.position


async def append(
    server: MemoryServer, events: Sequence[TradeExecuted | TradeCorrected], start: int
) -> None:
    drafts = [
        EventDraft(
            subject=EventSubject("alice", "trades", event.order_id),
            event=event,
            metadata=EventMetadata(id=f"e{number}", correlation="c"),
        )
        for number, event in enumerate(events, start)
    ]
    await MemoryEventLog(server).append(drafts)


async def follow(book: Book, step: int = 1000) -> Position:
    """The position that the service stores, `step` events at a time. Verification, which folds in
    whole numbers on its own, finds no difference."""
    server = MemoryServer()
    process = PositionsProcess(server)
    consumer, _ = process.make_consumer()
    for start in range(0, len(book.events), step):
        await append(server, book.events[start : start + step], start)
        page = await MemoryEventLog(server).page("ev.*.trades.>", after=0, limit=1000)
        await consumer.handle(page.events)  # earlier ones again: they change nothing
    ignored = [TRADE_WITHOUT_FILL, CORRECTION_WITHOUT_ORDER]
    await assert_verified(server, ignored=ignored)
    events = await read_all_events(server)
    last = [one for one in events if isinstance(one.event, PositionEvent)][-1]
    assert isinstance(last.event, PositionEvent)
    assert last_positions(events)[KEY] == last.event.position
    return last.event.position


def assert_same(found: Position, book: Book) -> None:
    position = book.expected()
    assert found.quantity == position.quantity
    assert found.cost_basis == position.cost_basis
    assert found.realized_pnl == position.realized_pnl
    assert (found.entry_price, found.fees) == (position.entry_price, position.fees)
    assert Fraction(found.realized_pnl) - Fraction(found.cost_basis) == book.cash()


async def test_a_busted_purchase_was_never_made() -> None:
    book = Book()
    first = book.execute(Side.BUY, "10", "100", "1")
    book.execute(Side.BUY, "10", "110", "1")
    book.execute(Side.SELL, "5", "120", "1")
    book.bust(first)
    position = await follow(book)
    assert_same(position, book)
    assert (position.quantity, position.entry_price) == (Decimal(5), Decimal(110))
    assert (position.realized_pnl, position.fees) == (Decimal(48), Decimal(2))


async def test_the_only_trade_is_busted_and_nothing_is_left() -> None:
    book = Book()
    book.bust(book.execute(Side.SELL, "3", "100", "0.35"))
    position = await follow(book)
    assert position.quantity == position.cost_basis == position.realized_pnl == position.fees == 0
    assert position.entry_price is None


async def test_a_busted_sale_of_a_closed_position_opens_it_again() -> None:
    book = Book()
    book.execute(Side.BUY, "10", "100")
    sale = book.execute(Side.SELL, "10", "130")
    book.bust(sale)
    position = await follow(book, step=1)
    assert_same(position, book)
    assert (position.quantity, position.realized_pnl) == (Decimal(10), Decimal(0))


async def test_a_corrected_quantity_may_carry_a_later_trade_through_zero() -> None:
    book = Book()
    bought = book.execute(Side.BUY, "10", "100")
    book.execute(Side.SELL, "8", "90")
    book.correct(bought, "6", "101", "0.5")
    position = await follow(book)
    assert_same(position, book)
    assert (position.quantity, position.entry_price) == (Decimal(-2), Decimal(90))


@pytest.mark.parametrize("seed", range(60))
async def test_positions_are_the_fold_of_the_trades_as_they_count_now(seed: int) -> None:
    rng, book = random.Random(seed), Book()
    for _ in range(25):
        live = [id_ for id_, one in book.counting.items() if one.qty]
        kind = rng.choice(["execute", "execute", "correct", "bust"])
        terms = (
            rng.choice(["1", "2", "0.7", "15", "0.000000003"]),
            f"{rng.randrange(9000, 11000) / 100:.2f}",
            rng.choice(["0", "0.35", "-0.1"]),
        )
        if kind == "execute" or not live:
            book.execute(rng.choice([*Side]), *terms)
        elif kind == "correct":
            book.correct(rng.choice(live), *terms)
        else:
            book.bust(rng.choice(live))
    if any(one.qty for one in book.counting.values()):
        assert_same(await follow(book, step=rng.choice([1, 3, 1000])), book)


@pytest.mark.parametrize("seed", range(20))
def test_a_correction_from_before_the_history_keeps_quantity_and_cash_exact(seed: int) -> None:
    """An archived journal does not reach back to every trade."""
    rng, book = random.Random(seed), Book()
    ids = [
        book.execute(
            rng.choice([*Side]), str(rng.randrange(1, 9)), str(rng.randrange(90, 110)), "0.1"
        )
        for _ in range(6)
    ]
    base = given(*book.counting.values()).state
    book.execute(Side.BUY, "3", "101")
    book.correct(rng.choice(ids), rng.choice(["0", "4"]), "99", "0")
    history = list(enumerate(book.events, 1))[6:]
    correction = book.events[-1]
    assert isinstance(correction, TradeCorrected)
    position = refold_position(base, "alice", history, correction)
    assert position.quantity == sum(
        (one.qty if one.side is Side.BUY else -one.qty for one in book.counting.values()),
        Decimal(0),
    )
    assert Fraction(position.realized_pnl) - Fraction(position.cost_basis) == book.cash()


async def test_a_correction_repeated_by_another_process_changes_nothing() -> None:
    book, server = Book(), MemoryServer()
    book.bust(book.execute(Side.BUY, "10", "100"))
    book.execute(Side.BUY, "1", "99")
    await append(server, book.events, 0)
    page = await MemoryEventLog(server).page("ev.*.trades.>", after=0)
    for _ in range(2):
        consumer, _ = PositionsProcess(server).make_consumer()
        await consumer.handle(page.events)
    events = await read_all_events(server, "ev.*.positions.>")
    assert [type(one.event).__name__ for one in events].count(PositionCorrected.__name__) == 1
    assert len(events) == 3
    assert POSITION_DECIDER.evolve(POSITION_DECIDER.initial_state, events[-1].event)


@pytest.mark.parametrize("field", ["quantity", "cost_basis", "realized_pnl", "fees"])
async def test_verification_notices_a_wrong_corrected_position(field: str) -> None:
    book, server = Book(), MemoryServer()
    book.execute(Side.BUY, "10", "100")
    book.bust(book.execute(Side.BUY, "5", "90", "1"))
    process = PositionsProcess(server)
    consumer, _ = process.make_consumer()
    await append(server, book.events[:2], 0)
    log = MemoryEventLog(server)
    await consumer.handle((await log.page("ev.*.trades.>", after=0)).events)
    await append(server, book.events[2:], 2)
    [correction] = (await log.page("ev.*.trades.>", after=4)).events
    position = msgspec.structs.replace(book.expected(), timestamp=book.events[2].timestamp)
    wrong = msgspec.structs.replace(position, **{field: getattr(position, field) + Decimal("1e-9")})
    event = PositionCorrected(
        position=wrong, trade_id=book.events[2].trade_id, trade_sequence=correction.sequence
    )
    metadata = EventMetadata(id="p", correlation="c", causation=correction.metadata.id)
    await log.append([EventDraft(subject=KEY.subject, event=event, metadata=metadata)])
    ignored = [TRADE_WITHOUT_FILL, CORRECTION_WITHOUT_ORDER]
    differences, _ = await find_differences(
        log, MemoryLatestValueStore(server, prefix="view"), ignored=ignored
    )
    name = {"quantity": "quantity", "cost_basis": "costBasis", "realized_pnl": "realizedPnl"}
    assert any(f"{name.get(field, field)} is" in one for one in differences), differences
