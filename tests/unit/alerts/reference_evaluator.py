"""A reference evaluator of price rules: it keeps every price and examines all, in fractions.

`run_both` gives the same steps to it and to the real evaluator and returns the hits of both.
"""

import random
from decimal import Decimal
from fractions import Fraction

import msgspec

from tapewire.events import RuleKind
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.price_rule_evaluator import PriceRuleEvaluator
from tapewire_services.alerts.domain.rolling_extremes import TIERS
from tests.unit.alerts.spec import at, make_armed_rule, make_quote

WINDOW_SECONDS = (1, 2, 60, 120, 121, 600, 960, 961, 7200, 7201, 86_400)
PERCENTS = ("0.5", "1", "2.5", "5", "10")
PAUSE_SECONDS = (
    0.0,
    0.3,
    0.7,
    1.0,
    2.0,
    5.0,
    31.0,
    59.0,
    60.0,
    61.0,
    119.0,
    240.0,
    1000.0,
    7199.0,
    8e4,
)


class QuoteStep(msgspec.Struct, frozen=True):
    """A price in dollars, after a pause."""

    pause_seconds: float
    price: str


class ArmStep(msgspec.Struct, frozen=True):
    """A rule is armed, for the first time or again, after a pause."""

    rule_number: int
    pause_seconds: float = 0.0


ScenarioStep = QuoteStep | ArmStep


def numbered_rule(number: int, second: float, arming: str) -> ArmedRule:
    """Rule `number`: the same number always has the same condition."""
    rng = random.Random(number)
    kind = rng.choice([RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW, RuleKind.PERCENT_MOVE])
    if kind is not RuleKind.PERCENT_MOVE:
        price = Decimal(rng.randrange(95, 106))
        return make_armed_rule(f"r{number}", kind, price=price, second=second, arming=arming)
    return make_armed_rule(
        f"r{number}",
        kind,
        percent=rng.choice(PERCENTS),
        window_seconds=rng.choice(WINDOW_SECONDS),
        second=second,
        arming=arming,
    )


class ReferencePriceEvaluator:
    """Keeps every price.

    Args:
        slack_seconds: how far a move looks back beyond its window; None means to whole buckets, as
            in the real evaluator.
    """

    def __init__(self, slack_seconds: int | None = None) -> None:
        self._slack_seconds = slack_seconds
        self._prices: list[tuple[int, Fraction]] = []
        self._armed: dict[str, ArmedRule] = {}

    def arm(self, armed_rule: ArmedRule) -> list[str]:
        self._armed[armed_rule.rule.rule_id] = armed_rule
        return self._evaluate(int(armed_rule.rule.timestamp.timestamp()))

    def on_quote(self, second: float, price: str) -> list[str]:
        now = int(at(second).timestamp())
        self._prices.append((now, Fraction(price)))
        return self._evaluate(now)

    def _evaluate(self, now: int) -> list[str]:
        hits = [one.arming for one in self._armed.values() if self._is_triggered(one, now)]
        self._armed = {id_: one for id_, one in self._armed.items() if one.arming not in hits}
        return sorted(hits)

    def _is_triggered(self, armed_rule: ArmedRule, now: int) -> bool:
        if not self._prices:
            return False
        price, wanted = self._prices[-1][1], armed_rule.rule
        if wanted.kind is RuleKind.PRICE_ABOVE:
            return price > Fraction(wanted.price or 0)
        if wanted.kind is RuleKind.PRICE_BELOW:
            return price < Fraction(wanted.price or 0)
        since, share = (
            self._window_start(now, wanted.window_seconds or 0),
            Fraction(wanted.percent or 0),
        )
        past = [seen for when, seen in self._prices if when >= since]
        return any(abs(price - seen) * 100 >= share * seen for seen in past)

    def _window_start(self, now: int, window: int) -> int:
        if self._slack_seconds is not None:
            return now - window - self._slack_seconds
        width = next(seconds for seconds, buckets in TIERS if window <= seconds * buckets)
        return (now - window) // width * width


def run_both(
    steps: list[ScenarioStep], reference_evaluator: ReferencePriceEvaluator
) -> tuple[list[list[str]], list[list[str]]]:
    """The hits of the real evaluator at each step, and those of the reference."""
    evaluator, second = PriceRuleEvaluator(), 0.0
    real, reference = [], []
    for number, step in enumerate(steps):
        second += step.pause_seconds
        if isinstance(step, QuoteStep):
            hits = evaluator.on_quote(make_quote(step.price), at(second))
            reference.append(reference_evaluator.on_quote(second, step.price))
        else:
            one = numbered_rule(step.rule_number, second, f"r{step.rule_number} at {number}")
            hits = evaluator.arm(one)
            reference.append(reference_evaluator.arm(one))
        real.append(sorted(hit.armed.arming for hit in hits))
    return real, reference


def random_steps(seed: int, step_count: int = 120) -> list[ScenarioStep]:
    """A random walk with jumps and pauses, during which rules are armed again and again."""
    rng, price = random.Random(seed), 100.0
    pauses = rng.choice([PAUSE_SECONDS[:7], PAUSE_SECONDS[:12], PAUSE_SECONDS])
    steps: list[ScenarioStep] = []
    for _ in range(step_count):
        if rng.random() < 0.3:
            steps.append(ArmStep(rng.randrange(40), rng.choice([0.0, rng.choice(pauses)])))
            continue
        price = min(max(price + rng.choice([-4, -1, -0.5, 0, 0, 0.5, 1, 4]), 90), 110)
        steps.append(QuoteStep(rng.choice(pauses), str(price)))
    return steps
