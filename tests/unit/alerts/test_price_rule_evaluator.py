"""The evaluation of prices, by example, compared with a reference, and in bounded memory."""

import random
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from tapewire.events import CODEC, RuleKind
from tapewire_services.alerts.domain.price_rule_evaluator import PriceRuleEvaluator
from tapewire_services.alerts.domain.rolling_extremes import (
    TIERS,
    ExtremesSnapshot,
    RollingExtremes,
)
from tests.unit.alerts.reference_evaluator import (
    PAUSE_SECONDS,
    ArmStep,
    QuoteStep,
    ReferencePriceEvaluator,
    ScenarioStep,
    random_steps,
    run_both,
)
from tests.unit.alerts.spec import at, make_armed_rule, make_quote

ABOVE = make_armed_rule("a", RuleKind.PRICE_ABOVE, price="100")
BELOW = make_armed_rule("b", RuleKind.PRICE_BELOW, price="100")
MOVE = make_armed_rule("m", RuleKind.PERCENT_MOVE, percent="5", window_seconds=60)


def messages(evaluator: PriceRuleEvaluator, *quotes: tuple[str, float]) -> list[str]:
    return [
        hit.message
        for price, second in quotes
        for hit in evaluator.on_quote(make_quote(price), at(second))
    ]


def test_price_levels_are_exclusive() -> None:
    evaluator = PriceRuleEvaluator()
    assert evaluator.arm(ABOVE) == evaluator.arm(BELOW) == []
    assert messages(evaluator, ("100", 0)) == []
    assert messages(evaluator, ("100.01", 1)) == ["IBM is at 100.01, above 100"]
    assert messages(evaluator, ("99.99", 2)) == ["IBM is at 99.99, below 100"]


def test_a_rule_is_hit_once_until_it_is_armed_again() -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(ABOVE)
    assert len(messages(evaluator, ("101", 0), ("102", 1), ("99", 2), ("103", 3))) == 1
    assert [hit.message for hit in evaluator.arm(ABOVE)] == ["IBM is at 103, above 100"]
    assert messages(evaluator, ("104", 4)) == []


def test_a_rule_whose_condition_holds_is_hit_when_it_is_armed() -> None:
    evaluator = PriceRuleEvaluator()
    assert messages(evaluator, ("101", 0)) == []
    [hit] = evaluator.arm(ABOVE)
    assert hit.armed == ABOVE


def test_restored_past_prices_complete_a_move() -> None:
    """A process that started between the two prices of a move received the second one before it had
    restored the first. It used to wait for a third price, which might come too late."""
    first, second = PriceRuleEvaluator(), PriceRuleEvaluator()
    messages(first, ("100", 0))
    assert messages(second, ("106", 30)) == []
    assert second.arm(MOVE) == []
    [hit] = second.merge_extremes("IBM", first.extremes_of("IBM").snapshot())
    assert hit.message == "IBM moved +6.00 % from 100 to 106 in 60 s"
    assert hit.at == at(30)
    assert second.merge_extremes("IBM", first.extremes_of("IBM").snapshot()) == [], "once"


def test_restored_past_prices_before_the_window_hit_nothing() -> None:
    first, second = PriceRuleEvaluator(), PriceRuleEvaluator()
    messages(first, ("100", 0))
    assert messages(second, ("106", 30)) == []
    assert (
        second.arm(
            make_armed_rule("m", RuleKind.PERCENT_MOVE, percent="5", window_seconds=60, second=90)
        )
        == []
    )
    assert second.merge_extremes("IBM", first.extremes_of("IBM").snapshot()) == []


def test_restored_past_prices_of_a_clock_that_was_ahead_hit_nothing() -> None:
    """They used to stay in every window for as long as that clock had been ahead."""
    ahead, evaluator = PriceRuleEvaluator(), PriceRuleEvaluator()
    messages(ahead, ("200", 7200))
    evaluator.merge_extremes("IBM", ahead.extremes_of("IBM").snapshot())
    evaluator.arm(MOVE)
    assert messages(evaluator, ("100", 0), ("104", 30)) == []
    evaluator.merge_extremes("IBM", ahead.extremes_of("IBM").snapshot())
    assert messages(evaluator, ("103", 31), ("99.75", 40)) == []
    assert messages(evaluator, ("98.8", 80)) == ["IBM moved -5.00 % from 104 to 98.8 in 60 s"]


def test_a_move_is_a_percentage_up_or_down_within_its_window() -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(MOVE)
    assert messages(evaluator, ("100", 0), ("104.99", 59)) == []
    assert messages(evaluator, ("105", 60)) == ["IBM moved +5.00 % from 100 to 105 in 60 s"]
    evaluator.arm(
        make_armed_rule("m", RuleKind.PERCENT_MOVE, percent="5", window_seconds=60, second=200)
    )
    assert messages(evaluator, ("110", 201), ("105", 240), ("104.5", 261)) == [
        "IBM moved -5.00 % from 110 to 104.5 in 60 s"
    ]


def test_a_price_that_has_left_the_window_does_not_count() -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(MOVE)
    assert messages(evaluator, ("100", 0), ("105", 61)) == []


def test_a_move_counts_prices_before_the_arming() -> None:
    evaluator = PriceRuleEvaluator()
    assert messages(evaluator, ("100", 0), ("105", 30)) == []
    assert [hit.message for hit in evaluator.arm(MOVE)] == [
        "IBM moved +5.00 % from 100 to 105 in 60 s"
    ]


def test_an_old_quote_does_not_count_as_a_present_move() -> None:
    evaluator = PriceRuleEvaluator()
    assert messages(evaluator, ("100", 0), ("105", 30)) == []
    later = make_armed_rule("m", RuleKind.PERCENT_MOVE, percent="5", window_seconds=60, second=3600)
    assert evaluator.arm(later) == []


def test_symbols_are_evaluated_separately() -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(ABOVE)
    assert evaluator.on_quote(make_quote("200", symbol="SPY"), at(0)) == []


def test_rules_on_events_are_ignored() -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(make_armed_rule("o", RuleKind.ORDER_REJECTED))
    assert messages(evaluator, ("100", 0)) == []


def test_a_deleted_rule_is_not_hit() -> None:
    evaluator = PriceRuleEvaluator()
    for rule in (ABOVE, MOVE):
        evaluator.arm(rule)
        evaluator.disarm(rule.rule.rule_id)
        evaluator.disarm(rule.rule.rule_id)
    assert messages(evaluator, ("100", 0), ("200", 1)) == []


@pytest.mark.parametrize(
    "price", ["NaN", "sNaN", "Infinity", "1e12", "-1e12", "1e999999", "1e-999999"]
)
def test_a_quote_out_of_bounds_is_ignored(price: str) -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(ABOVE)
    evaluator.arm(MOVE)
    assert messages(evaluator, ("100", 0)) == []
    assert messages(evaluator, (price, 1), ("100", 2)) == []


def test_the_largest_move_can_be_described() -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(MOVE)
    [message] = messages(evaluator, ("0.00000001", 0), ("1000000000", 1))
    assert message.startswith("IBM moved +9999999999999999900.00 % from 0.00000001 to 1000000000")


def test_quotes_with_decreasing_times_are_accepted() -> None:
    evaluator = PriceRuleEvaluator()
    evaluator.arm(MOVE)
    assert len(messages(evaluator, ("100", 100), ("99", 0), ("104", 101))) == 1


STEPS = st.one_of(
    st.builds(
        QuoteStep,
        st.sampled_from(PAUSE_SECONDS),
        st.integers(900, 1100).map(lambda tenths: str(Decimal(tenths) / 10)),
    ),
    st.builds(ArmStep, st.integers(0, 39), st.sampled_from(PAUSE_SECONDS)),
)


@settings(max_examples=300, deadline=None)
@examples(st.lists(STEPS, max_size=80))
def test_hits_match_the_reference_evaluator(steps: list[ScenarioStep]) -> None:
    real, reference = run_both(steps, ReferencePriceEvaluator())
    assert real == reference
    hits = [arming for step in real for arming in step]
    assert len(hits) == len(set(hits))


@pytest.mark.parametrize("seed", range(40))
def test_hits_match_the_reference_evaluator_on_long_walks(seed: int) -> None:
    real, reference = run_both(random_steps(seed, 400), ReferencePriceEvaluator())
    assert real == reference


@pytest.mark.parametrize("seed", range(20))
def test_a_window_is_at_least_its_length_and_at_most_a_thirtieth_or_a_second_more(
    seed: int,
) -> None:
    """Checked without buckets: every move within the window is hit, and none beyond the window and
    its slack."""
    for (width, buckets), (next_width, _) in pairwise(TIERS):
        assert next_width * 30 <= width * buckets
    steps = [step for step in random_steps(seed, 200) if isinstance(step, QuoteStep)]
    everything: list[ScenarioStep] = [*[ArmStep(number) for number in range(40)], *steps]
    real, exact = run_both(everything, ReferencePriceEvaluator(slack_seconds=0))
    _, loose = run_both(everything, ReferencePriceEvaluator(slack_seconds=240))
    assert by(real) >= by(exact)
    assert by(loose) >= by(real)


def by(hits: list[list[str]]) -> set[str]:
    return {arming for step in hits for arming in step}


def test_memory_per_symbol_is_bounded() -> None:
    rising, walking = RollingExtremes(), RollingExtremes()
    rng, price = random.Random(1), 1_000_000
    for second in range(0, 3 * 86_400, 7):
        rising.add_price(second, Decimal(second))
        price += rng.choice([-1, 1])
        walking.add_price(second, Decimal(price))
    most = sum(buckets + 2 for _, buckets in TIERS) + len(TIERS)
    assert len(rising) <= most
    assert len(walking) <= 2 * most


@settings(max_examples=200, deadline=None)
@examples(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 50), st.booleans()), max_size=60),
    st.sampled_from([1, 10, 100, 120, 121, 900, 1000, 5000]),
)
def test_merged_snapshots_contain_the_prices_of_both(
    seen: list[tuple[int, int, bool]], window: int
) -> None:
    """The order of merging does not matter, nor do repeats."""
    all_, mine, other = RollingExtremes(), RollingExtremes(), RollingExtremes()
    for second, price, here in sorted(seen):
        all_.add_price(second, Decimal(price))
        (mine if here else other).add_price(second, Decimal(price))
    snapshot = CODEC.decode(CODEC.encode(other.snapshot()), ExtremesSnapshot)
    mine.merge(snapshot)
    mine.merge(snapshot)
    for now in (3000, 3001, 4000, 9000):
        assert mine.low_high_within(now, window) == all_.low_high_within(now, window)


def differs(seed: int) -> bool:
    try:
        real, reference = run_both(random_steps(seed), ReferencePriceEvaluator())
    except (AssertionError, IndexError, KeyError, ValueError):
        return True
    return real != reference
