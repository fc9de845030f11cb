"""The market that is generated from a seed is repeatable, plausible and unlimited."""

from collections import defaultdict
from decimal import Decimal
from itertools import islice, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire_services.prices.domain import DAY_MS, DEFAULT_SYMBOLS, RandomWalk, RecordedTick

CENT = Decimal("0.01")


def minutes(walk: RandomWalk, count: float) -> list[RecordedTick]:
    return list(takewhile(lambda tick: tick.ms < count * 60_000, walk.read_day()))


def test_the_default_symbols_are_generated() -> None:
    assert set(DEFAULT_SYMBOLS) == {"AAPL", "AIG", "BAC", "BRK.B", "GOOGL", "IBM", "MSFT", "SPY"}
    assert {tick.symbol for tick in islice(RandomWalk(1).read_day(), len(DEFAULT_SYMBOLS))} == set(
        DEFAULT_SYMBOLS
    )


def test_the_market_depends_on_the_seed() -> None:
    assert minutes(RandomWalk(7), 1) == minutes(RandomWalk(7), 1)
    assert minutes(RandomWalk(7), 1) != minutes(RandomWalk(8), 1)


def test_a_symbol_does_not_depend_on_the_other_symbols() -> None:
    alone = minutes(RandomWalk(7, ["IBM"]), 1)
    assert alone == [tick for tick in minutes(RandomWalk(7), 1) if tick.symbol == "IBM"]


def test_symbols_can_be_chosen_and_unknown_ones_get_a_profile_from_the_seed() -> None:
    ticks = minutes(RandomWalk(7, ["SPY", "ACME", "SPY"]), 1)
    assert {tick.symbol for tick in ticks} == {"SPY", "ACME"}
    assert ticks == minutes(RandomWalk(7, ["SPY", "ACME"]), 1)


def test_every_symbol_starts_with_a_quote_of_two_sides() -> None:
    for tick in islice(RandomWalk(3).read_day(), len(DEFAULT_SYMBOLS)):
        assert tick.ms == 0
        assert tick.last is None
        assert None not in (tick.bid, tick.bid_size, tick.ask, tick.ask_size)


def test_each_symbol_has_several_updates_a_second_and_trades() -> None:
    ticks = minutes(RandomWalk(5), 10)
    for symbol in DEFAULT_SYMBOLS:
        mine = [tick for tick in ticks if tick.symbol == symbol]
        assert 3 < len(mine) / 600 < 5
        assert 0.3 < sum(tick.last is not None for tick in mine) / len(mine) < 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63), st.sampled_from([*DEFAULT_SYMBOLS, "ACME", "^VIX"]))
def test_the_market_is_plausible_for_any_seed(seed: int, symbol: str) -> None:
    ticks = minutes(RandomWalk(seed, [symbol]), 20)
    opening_bid = ticks[0].bid
    assert opening_bid is not None
    before = 0
    quoted_sizes: dict[Decimal, Decimal] = defaultdict(Decimal)
    for tick in ticks:
        assert tick.bid is not None
        assert tick.ask is not None
        assert before <= tick.ms < DAY_MS
        assert CENT <= tick.ask - tick.bid <= 20 * CENT
        assert tick.bid % CENT == tick.ask % CENT == 0
        assert opening_bid / 2 < tick.bid < opening_bid * 2
        for size in (tick.bid_size, tick.ask_size):
            assert size is not None
            assert size > 0
            assert size % 100 == 0
        if tick.last is not None:
            assert tick.last in quoted_sizes, "the trade is at a price that was not quoted before"
            assert tick.last_size is not None
            assert 0 < tick.last_size <= quoted_sizes[tick.last]
        before = tick.ms
        quoted_sizes = {
            tick.bid: tick.bid_size or Decimal(0),
            tick.ask: tick.ask_size or Decimal(0),
        }


@pytest.mark.parametrize("strayed", [0.75, 1.25])
def test_prices_revert_towards_the_opening_price(strayed: float) -> None:
    walk = RandomWalk(7, ["IBM"])
    (path,) = walk._symbol_walks
    opening_bid = path._bid
    path._bid = round(opening_bid * strayed)
    *_, last = minutes(walk, 60)
    assert last.bid is not None
    assert abs(float(last.bid) * 100 / opening_bid - 1) < abs(strayed - 1) - 0.05


def test_the_next_day_starts_at_the_last_prices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tapewire_services.prices.domain.random_walk.DAY_MS", 60_000)
    walk = RandomWalk(7, ["IBM"])
    first, second = list(walk.read_day()), list(walk.read_day())
    assert (first[-1].bid, first[-1].ask) == (second[0].bid, second[0].ask)
    assert second[0].ms == 0
    assert second != first
