"""The rules, by example, and compared with reference rules that calculate in fractions."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import Action, Breakout, MeanReversion, MovingAverageCrossover
from tapewire_services.strategies.domain.rules import Rule, Signal, make_rule, price_window

HOLD, BUY, SELL = Action.HOLD, Action.BUY, Action.SELL

prices = st.one_of(
    *(
        st.lists(price, max_size=40)
        for price in (
            st.integers(1, 3).map(Decimal),
            st.integers(95, 105).map(Decimal),
            st.decimals("99", "101", places=2),
            st.decimals("0.00000001", "1000000", places=8),
        )
    )
)


def actions(of: Rule, seen: Sequence[Decimal]) -> list[Action]:
    return [of.on_price(price).action for price in seen]


def average(seen: Sequence[Decimal]) -> Fraction:
    return sum(map(Fraction, seen), Fraction(0)) / len(seen)


def reference_crossover(of: MovingAverageCrossover, seen: Sequence[Decimal]) -> list[Action]:
    """The signs of the difference of the averages; a change of the sign is a signal, however many
    zeros lie in between."""
    signals, side = list[Action](), 0
    for end in range(1, len(seen) + 1):
        action = HOLD
        if end >= of.slow:
            off = average(seen[end - of.fast : end]) - average(seen[end - of.slow : end])
            sign = (off > 0) - (off < 0)
            if sign and side and sign != side:
                action = BUY if sign > 0 else SELL
            side = sign or side
        signals.append(action)
    return signals


def reference_breakout(of: Breakout, seen: Sequence[Decimal]) -> list[Action]:
    signals = []
    for end, price in enumerate(seen):
        before = seen[end - of.window : end] if end >= of.window else []
        margin = Fraction(of.margin_percent) / 100
        if before and Fraction(price) > Fraction(max(before)) * (1 + margin):
            signals.append(BUY)
        elif before and Fraction(price) < Fraction(min(before)) * (1 - margin):
            signals.append(SELL)
        else:
            signals.append(HOLD)
    return signals


def reference_reversion(of: MeanReversion, seen: Sequence[Decimal]) -> list[Action]:
    signals = []
    for end, price in enumerate(seen):
        before = seen[end - of.window : end] if end >= of.window else []
        action = HOLD
        if before and len(set(before)) > 1:
            mean = average(before)
            variance = sum((Fraction(one) - mean) ** 2 for one in before) / len(before)
            off = Fraction(price) - mean
            if off**2 >= Fraction(of.deviations) ** 2 * variance:
                action = BUY if off < 0 else SELL
        signals.append(action)
    return signals


RuleFactory = Callable[[Any], Rule]
HYPOTHESIS_SETTINGS = settings(
    database=None,
    derandomize=True,
    max_examples=400,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.generate],
)
"""Without shrinking, because the examples are small."""


def check_crossover(make: RuleFactory) -> None:
    @HYPOTHESIS_SETTINGS
    @examples(st.integers(1, 6), st.integers(1, 6), prices)
    def check(fast: int, more: int, seen: list[Decimal]) -> None:
        of = MovingAverageCrossover(fast=fast, slow=fast + more)
        assert actions(make(of), seen) == reference_crossover(of, seen)

    check()


def check_breakout(make: RuleFactory) -> None:
    @HYPOTHESIS_SETTINGS
    @examples(st.integers(2, 8), st.sampled_from(["0", "0.5", "2.25"]), prices)
    def check(width: int, margin: str, seen: list[Decimal]) -> None:
        of = Breakout(window=width, margin_percent=Decimal(margin))
        assert actions(make(of), seen) == reference_breakout(of, seen)

    check()


def check_reversion(make: RuleFactory) -> None:
    @HYPOTHESIS_SETTINGS
    @examples(st.integers(2, 8), st.sampled_from(["0.5", "1", "1.5", "2"]), prices)
    def check(width: int, deviations: str, seen: list[Decimal]) -> None:
        of = MeanReversion(window=width, deviations=Decimal(deviations))
        assert actions(make(of), seen) == reference_reversion(of, seen)

    check()


def test_crossovers_match_the_reference_rule() -> None:
    check_crossover(make_rule)


def test_breakouts_match_the_reference_rule() -> None:
    check_breakout(make_rule)


def test_reversions_match_the_reference_rule() -> None:
    check_reversion(make_rule)


@examples(prices)
def test_confidence_is_from_0_to_1_with_two_places(seen: list[Decimal]) -> None:
    for parameters in (
        MovingAverageCrossover(fast=2, slow=5),
        Breakout(window=3),
        MeanReversion(window=3, deviations=Decimal("1.5")),
    ):
        made = make_rule(parameters)
        for price in seen:
            signal = made.on_price(price)
            assert 0 <= signal.confidence <= 1
            assert signal.confidence == round(signal.confidence, 2)
            assert "E" not in signal.reasoning
            if signal.action is not HOLD and not isinstance(parameters, MovingAverageCrossover):
                assert signal.confidence >= Decimal("0.5")


@examples(prices)
def test_the_sums_do_not_drift(seen: list[Decimal]) -> None:
    window = price_window.PriceWindow(4)
    for number, price in enumerate(seen, start=1):
        window.add(price)
        last = seen[max(0, number - 4) : number]
        assert Fraction(window.price_sum) == sum(map(Fraction, last))
        assert Fraction(window.squared_price_sum) == sum(Fraction(one) ** 2 for one in last)
        assert (window.highest, window.lowest) == (max(last), min(last))


def last_signal(of: Any, *seen: str) -> Signal:
    made = make_rule(of)
    return [made.on_price(Decimal(price)) for price in seen][-1]


def test_the_reasoning_of_a_crossover_contains_its_averages() -> None:
    of = MovingAverageCrossover(fast=2, slow=3)
    assert last_signal(of, "10", "9", "8").reasoning == (
        "the average of 2 prices, 8.5, did not cross that of 3, 9"
    )
    signal = last_signal(of, "10", "9", "8", "11", "12")
    assert signal == Signal(
        HOLD, Decimal("0.42"), "the average of 2 prices, 11.5, did not cross that of 3, 10.3333"
    )
    signal = last_signal(of, "10", "9", "8", "11")
    assert (signal.action, signal.reasoning) == (
        BUY,
        "the average of 2 prices, 9.5, rose above that of 3, 9.3333",
    )


def test_the_reasoning_of_a_breakout_contains_the_level() -> None:
    of = Breakout(window=2, margin_percent=Decimal(1))
    assert last_signal(of, "100", "99").reasoning == "warming up: 1 of 2 prices seen"
    assert (
        last_signal(of, "100", "99", "101").reasoning
        == "101 is between 98.01 and 101 over 2 prices"
    )
    signal = last_signal(of, "100", "99", "101.5")
    assert (signal.action, signal.confidence) == (BUY, Decimal("0.75"))
    assert signal.reasoning == (
        "101.5 broke above 101, the highest of 2 prices, 100, and the margin"
    )
    signal = last_signal(Breakout(window=2), "100", "99", "98.5")
    assert (signal.action, signal.reasoning) == (
        SELL,
        "98.5 broke below 99, the lowest of 2 prices",
    )


def test_the_reasoning_of_a_reversion_contains_the_deviations() -> None:
    of = MeanReversion(window=4, deviations=Decimal(2))
    signal = last_signal(of, "99", "101", "99", "101", "97")
    assert (signal.action, signal.confidence) == (BUY, Decimal("0.75"))
    assert signal.reasoning == (
        "97 is 3 deviations below 100, the mean of 4 prices; 2 are acted on"
    )
    still = last_signal(of, "100", "100", "100", "100", "90")
    assert (still.action, still.reasoning) == (HOLD, "the last 4 prices were all 100")
