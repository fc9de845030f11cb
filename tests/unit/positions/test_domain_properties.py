"""Properties of a position under any trades, in any order, split in any way, and repeated."""

import random
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import Position, PositionEvent, Side, TradeExecuted
from tapewire.log import EventDraft, EventMetadata, EventSubject
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire_services.positions.domain.position import POSITION_DECIDER, PositionKey
from tests.harness import virtual_time
from tests.harness.position_builders import USER, PositionHistory, given, trade
from tests.harness.verification import TRADE_WITHOUT_FILL, find_differences, net_cash

MAX_ROUNDING_ERROR = Fraction(1, 10**8)
"""Dollars a share by which rounding the cost of a part may move the average price."""


@st.composite
def trades(draw: st.DrawFn) -> TradeExecuted:
    """Whole and broken quantities, so that positions are often closed exactly."""
    qty = draw(
        st.one_of(
            st.integers(1, 4).map(Decimal),
            st.decimals("0.001", 100, places=3),
            st.decimals("0.000000001", 10, places=9),
        )
    )
    price = draw(st.one_of(st.integers(0, 9).map(Decimal), st.decimals(0, 10**6, places=8)))
    fee = draw(st.one_of(st.just(Decimal(0)), st.decimals(-5, 5, places=4)))
    return trade(draw(st.sampled_from(Side)), str(qty), str(price), str(fee))


def cash(position: Position) -> Fraction:
    """The dollars received less those paid, whichever part of them is realized."""
    return Fraction(position.realized_pnl) - Fraction(position.cost_basis)


histories = st.lists(trades(), min_size=1, max_size=30)


def to_drafts(history: PositionHistory) -> list[EventDraft]:
    """The trades of `history`, at the sequences that it numbers them by, then its positions."""
    drafts = [
        EventDraft(
            subject=EventSubject(USER, "trades", one.order_id),
            event=one,
            metadata=EventMetadata(id=f"e{number}", correlation="c"),
        )
        for number, one in enumerate(history.trades, 1)
    ]
    for number, event in enumerate(history.events):
        assert isinstance(event, PositionEvent)
        metadata = EventMetadata(
            id=f"p{number}", correlation="c", causation=f"e{event.trade_sequence}"
        )
        subject = PositionKey(USER, event.position.symbol).subject
        drafts.append(EventDraft(subject=subject, event=event, metadata=metadata))
    return drafts


async def find_differences_in(drafts: list[EventDraft]) -> list[str]:
    server = MemoryServer()
    log, store = MemoryEventLog(server), MemoryLatestValueStore(server, prefix="view")
    await log.append(drafts)
    differences, summary = await find_differences(log, store, ignored=[TRADE_WITHOUT_FILL])
    return [*differences, *summary.pending]


def split_trade(whole: TradeExecuted, weights: Sequence[int]) -> list[TradeExecuted]:
    """`whole` filled in parts, its fee with the first."""
    unit = Decimal("0.001")
    left, parts = whole.qty, list[TradeExecuted]()
    for weight in weights:
        if left > unit * weight:
            parts.append(msgspec.structs.replace(whole, qty=unit * weight))
            left -= unit * weight
    parts.append(msgspec.structs.replace(whole, qty=left))
    return [
        msgspec.structs.replace(part, fee=Decimal(0) if number else whole.fee)
        for number, part in enumerate(parts)
    ]


@examples(histories)
def test_every_history_passes_verification(history: list[TradeExecuted]) -> None:
    drafts = to_drafts(given(*history))
    assert virtual_time.run(find_differences_in(drafts)) == []


@examples(histories)
def test_cash_is_conserved(history: list[TradeExecuted]) -> None:
    position = given(*history).traded_state.position
    assert cash(position) == net_cash(history) - Fraction(position.fees)


@examples(histories)
def test_a_repeated_trade_changes_nothing(history: list[TradeExecuted]) -> None:
    after = given(*history)
    state = after.state
    for number, one in enumerate(history, 1):
        assert after.apply_trade(one, number) == []
    assert after.state == state


@examples(histories, st.randoms())
def test_any_order_gives_the_same_quantity_fees_and_total_at_any_price(
    history: list[TradeExecuted], rng: random.Random
) -> None:
    shuffled = [*history]
    rng.shuffle(shuffled)
    one, other = given(*history).traded_state.position, given(*shuffled).traded_state.position
    assert (one.quantity, one.fees) == (other.quantity, other.fees)
    assert cash(one) == cash(other)


@examples(histories, trades(), st.lists(st.integers(1, 2000), max_size=6))
def test_any_split_of_a_fill_gives_the_same_position(
    history: list[TradeExecuted], last: TradeExecuted, weights: list[int]
) -> None:
    whole = given(*history, last).traded_state.position
    split = given(*history, *split_trade(last, weights)).traded_state.position
    assert (whole.quantity, whole.fees) == (split.quantity, split.fees)
    assert cash(whole) == cash(split)
    moved = abs(Fraction(whole.cost_basis) - Fraction(split.cost_basis))
    assert moved <= MAX_ROUNDING_ERROR * (1 + abs(Fraction(whole.quantity)))


@examples(histories, histories)
def test_a_position_that_closed_starts_again_and_keeps_its_realized_gain(
    first: list[TradeExecuted], then: list[TradeExecuted]
) -> None:
    held = given(*first).traded_state.position.quantity
    closing = trade(Side.SELL if held > 0 else Side.BUY, str(abs(held)), "7") if held else None
    before = [*first, *([closing] if closing is not None else [])]
    gained = given(*before).traded_state.position
    both, alone = given(*before, *then).traded_state.position, given(*then).traded_state.position
    assert (both.quantity, both.cost_basis) == (alone.quantity, alone.cost_basis)
    exact = [Fraction(one.realized_pnl) for one in (both, gained, alone)]
    assert exact[0] == exact[1] + exact[2]


@examples(histories)
def test_the_state_is_that_of_the_last_stored_event(history: list[TradeExecuted]) -> None:
    after = given(*history)
    assert POSITION_DECIDER.evolve(POSITION_DECIDER.initial_state, after.events[-1]) == after.state
