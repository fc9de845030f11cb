"""The stop-loss, by example, and compared with a reference that looks at all prices each time."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import Phase
from hypothesis import given as examples
from hypothesis import settings as of
from hypothesis import strategies as st

from tapewire.events import Side, StopLoss, StopLossKind, Strategy
from tapewire_services.strategies.domain.protection import (
    ExitTouch,
    ProtectionState,
    apply_price,
    calculate_trigger_price,
)
from tests.unit.strategies.spec import make_stop_loss, started_strategy

FIXED, TRAILING = StopLossKind.FIXED, StopLossKind.TRAILING


def holding_strategy(position: str, entry: str, stop_loss: StopLoss | None) -> Strategy:
    held = Decimal(position)
    return started_strategy(
        position=held, entry_price=Decimal(entry) if held else None, stop_loss=stop_loss
    )


def touched_at(of: Strategy, *prices: str) -> tuple[str, str] | None:
    """The trigger and the price of the touch, or None."""
    state = ProtectionState()
    for price in prices:
        state = apply_price(state, of, 7, Decimal(price))
    touch = state.touch
    return None if touch is None else (str(touch.trigger_price), str(touch.price))


def test_a_fixed_stop_loss_is_measured_from_the_entry() -> None:
    long = holding_strategy("100", "200", make_stop_loss("1.5", FIXED))
    assert touched_at(long, "199", "210", "197.01") is None
    assert touched_at(long, "199", "197", "190") == ("197", "197")
    short = holding_strategy("-100", "200", make_stop_loss("1.5", FIXED))
    assert touched_at(short, "190", "202.99") is None
    assert touched_at(short, "190", "203.5") == ("203", "203.5")


def test_a_trailing_stop_loss_follows_the_best_price() -> None:
    long = holding_strategy("100", "200", make_stop_loss("10", TRAILING))
    assert touched_at(long, "181", "250", "225.01") is None
    assert touched_at(long, "181", "250", "225") == ("225", "225")
    short = holding_strategy("-100", "200", make_stop_loss("10", TRAILING))
    assert touched_at(short, "219", "100", "109.99") is None
    assert touched_at(short, "219", "100", "110", "90") == ("110", "110")


def test_a_trailing_stop_loss_is_at_most_as_far_as_from_the_entry() -> None:
    long = holding_strategy("100", "200", make_stop_loss("10", TRAILING))
    assert touched_at(long, "190", "180") == ("180", "180")


def test_a_touched_stop_loss_stays_touched() -> None:
    long = holding_strategy("100", "200", make_stop_loss("1", FIXED))
    assert touched_at(long, "190", "300") == ("198", "190")


def test_nothing_is_touched_without_a_position_or_a_stop_loss() -> None:
    assert touched_at(holding_strategy("0", "0", make_stop_loss("1")), "1", "1000") is None
    assert touched_at(holding_strategy("5", "200", None), "1") is None


def test_a_new_position_starts_a_new_state() -> None:
    stop = make_stop_loss("10", TRAILING)
    state = apply_price(ProtectionState(), holding_strategy("100", "200", stop), 1, Decimal(300))
    assert state == ProtectionState(1, Side.SELL, Decimal(300), None)
    state = apply_price(state, holding_strategy("100", "200", stop), 2, Decimal(200))
    assert state == ProtectionState(2, Side.SELL, Decimal(200), None)
    state = apply_price(state, holding_strategy("-100", "200", stop), 2, Decimal(230))
    assert state == ProtectionState(
        2, Side.BUY, Decimal(230), ExitTouch(Decimal(220), Decimal(230))
    )


def test_a_removed_stop_loss_clears_the_state() -> None:
    state = apply_price(
        ProtectionState(), holding_strategy("1", "100", make_stop_loss("1")), 1, Decimal(50)
    )
    assert state.touch
    assert apply_price(
        state, holding_strategy("1", "100", None), 1, Decimal(50)
    ) == ProtectionState(1, Side.SELL)


def test_triggers_are_rounded_to_eight_places() -> None:
    third = Decimal("33.333333")
    assert calculate_trigger_price(make_stop_loss("0.0001"), Side.SELL, third, third) == Decimal(
        "33.33329967"
    )
    trigger = calculate_trigger_price(make_stop_loss("33.3333"), Side.SELL, third, third)
    assert trigger == Decimal("22.22223311")


@pytest.mark.parametrize(
    ("entry", "side", "trigger"),
    [
        ("0.00001234", Side.SELL, "0.00001172"),
        ("0.00001234", Side.BUY, "0.00001296"),
        ("-37.63", Side.SELL, "-39.5115"),
        ("-37.63", Side.BUY, "-35.7485"),
        ("15000000", Side.SELL, "14250000"),
    ],
)
def test_the_distance_of_a_stop_loss_is_a_part_of_the_price_whatever_its_size(
    entry: str, side: Side, trigger: str
) -> None:
    price = Decimal(entry)
    found = calculate_trigger_price(make_stop_loss("5"), side, price, price)
    assert found == Decimal(trigger)


def reference_touch(
    stop_loss: StopLoss, side: Side, entry_price: Decimal, prices: Sequence[Decimal]
) -> tuple[int, Fraction] | None:
    """The number of the price that touches, and the trigger."""
    for end, price in enumerate(prices, start=1):
        seen = [entry_price, *prices[:end]] if stop_loss.kind is TRAILING else [entry_price]
        part = Fraction(stop_loss.percent) / 100
        if side is Side.SELL:
            trigger = Fraction(max(seen)) * (1 - part)
        else:
            trigger = Fraction(min(seen)) * (1 + part)
        trigger = Fraction(round(trigger * 10**8), 10**8)
        if (price <= trigger) if side is Side.SELL else (price >= trigger):
            return end, trigger
    return None


ApplyPrice = Callable[[ProtectionState, Strategy, int, Decimal], ProtectionState]


def holdings(price: st.SearchStrategy[Decimal]) -> st.SearchStrategy[Any]:
    """Successive positions: quantity, entry price, and the prices meanwhile."""
    prices = st.lists(price, min_size=1, max_size=9)
    return st.lists(st.tuples(st.sampled_from(["100", "-30", "0"]), price, prices), max_size=4)


HOLDINGS = st.one_of(
    holdings(st.sampled_from([50, 100, 150, 200]).map(Decimal)),
    holdings(st.integers(90, 110).map(Decimal)),
    holdings(st.decimals("0.00000001", "1000", places=8)),
)


def check_against_reference(apply: ApplyPrice, state_type: type[Any] = ProtectionState) -> None:
    """Fold successive positions; each must be touched as the reference says."""

    @of(
        database=None,
        derandomize=True,
        max_examples=300,
        report_multiple_bugs=False,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
    )
    @examples(
        HOLDINGS,
        st.sampled_from(["0.5", "1", "7.25", "50"]),
        st.sampled_from(StopLossKind),
    )
    def run(
        held_in_turn: list[tuple[str, Decimal, list[Decimal]]], percent: str, how: StopLossKind
    ) -> None:
        state, stop = state_type(), make_stop_loss(percent, how)
        for since, (position, entry, prices) in enumerate(held_in_turn, start=5):
            held = holding_strategy(position, str(entry), stop)
            side = Side.SELL if held.position > 0 else Side.BUY
            expected = reference_touch(stop, side, entry, prices) if held.position else None
            for number, one in enumerate(prices, start=1):
                state = apply(state, held, since, one)
                if expected is None or number < expected[0]:
                    assert state.touch is None
                else:
                    assert state.touch is not None
                    assert Fraction(state.touch.trigger_price) == expected[1]
                    assert state.touch.price == prices[expected[0] - 1]

    run()


def test_touches_match_the_reference() -> None:
    check_against_reference(apply_price)


def test_the_state_survives_serialization() -> None:
    state = apply_price(
        ProtectionState(), holding_strategy("1", "100", make_stop_loss("1")), 1, Decimal("98.5")
    )
    assert msgspec.json.decode(msgspec.json.encode(state), type=ProtectionState) == state
