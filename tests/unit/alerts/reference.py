"""A naive judge of prices: it keeps every price for ever and looks at all of them, in fractions.

`play` gives the same story to it and to the real judge, with both telling what they hit.
"""

import random
from decimal import Decimal
from fractions import Fraction

import msgspec

from services.alerts.domain.armed import Armed
from services.alerts.domain.extremes import TIERS
from services.alerts.domain.prices import PriceJudge
from tapewire.events import RuleKind
from tests.unit.alerts.spec import armed, at, quote

WINDOWS = (1, 2, 60, 120, 121, 600, 960, 961, 7200, 7201, 86_400)
PERCENTS = ("0.5", "1", "2.5", "5", "10")
PAUSES = (0.0, 0.3, 0.7, 1.0, 2.0, 5.0, 31.0, 59.0, 60.0, 61.0, 119.0, 240.0, 1000.0, 7199.0, 8e4)


class Quoted(msgspec.Struct, frozen=True):
    """After a pause in seconds, a price in dollars."""

    pause: float
    price: str


class Rearmed(msgspec.Struct, frozen=True):
    """A rule is armed, anew or again, after a pause in seconds."""

    number: int
    pause: float = 0.0


Step = Quoted | Rearmed


def rule(number: int, second: float, arming: str) -> Armed:
    """Rule `number`: always the same conditions under the same number."""
    chance = random.Random(number)
    kind = chance.choice([RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW, RuleKind.PERCENT_MOVE])
    if kind is not RuleKind.PERCENT_MOVE:
        price = Decimal(chance.randrange(95, 106))
        return armed(f"r{number}", kind, price=price, second=second, arming=arming)
    return armed(
        f"r{number}",
        kind,
        percent=chance.choice(PERCENTS),
        window=chance.choice(WINDOWS),
        second=second,
        arming=arming,
    )


class Naive:
    """`slack` is how much further than its window a move looks back; None: to whole buckets, as
    the real judge does."""

    def __init__(self, slack: int | None = None) -> None:
        self._slack = slack
        self._prices: list[tuple[int, Fraction]] = []
        self._armed: dict[str, Armed] = {}

    def arm(self, one: Armed) -> list[str]:
        self._armed[one.rule.rule_id] = one
        return self._judge(int(one.rule.timestamp.timestamp()))

    def quote(self, second: float, price: str) -> list[str]:
        now = int(at(second).timestamp())
        self._prices.append((now, Fraction(price)))
        return self._judge(now)

    def _judge(self, now: int) -> list[str]:
        hits = [one.arming for one in self._armed.values() if self._holds(one, now)]
        self._armed = {id_: one for id_, one in self._armed.items() if one.arming not in hits}
        return sorted(hits)

    def _holds(self, one: Armed, now: int) -> bool:
        if not self._prices:
            return False
        price, wanted = self._prices[-1][1], one.rule
        if wanted.kind is RuleKind.PRICE_ABOVE:
            return price > Fraction(wanted.price or 0)
        if wanted.kind is RuleKind.PRICE_BELOW:
            return price < Fraction(wanted.price or 0)
        since, share = self._since(now, wanted.window_seconds or 0), Fraction(wanted.percent or 0)
        past = [seen for when, seen in self._prices if when >= since]
        return any(abs(price - seen) * 100 >= share * seen for seen in past)

    def _since(self, now: int, window: int) -> int:
        if self._slack is not None:
            return now - window - self._slack
        width = next(seconds for seconds, buckets in TIERS if window <= seconds * buckets)
        return (now - window) // width * width


def play(steps: list[Step], naive: Naive) -> tuple[list[list[str]], list[list[str]]]:
    """What the real judge hits at each step, and what the naive one does."""
    judge, second = PriceJudge(), 0.0
    real, reference = [], []
    for number, step in enumerate(steps):
        second += step.pause
        if isinstance(step, Quoted):
            hits = judge.quote(quote(step.price, second))
            reference.append(naive.quote(second, step.price))
        else:
            one = rule(step.number, second, f"r{step.number} at {number}")
            hits = judge.arm(one)
            reference.append(naive.arm(one))
        real.append(sorted(hit.armed.arming for hit in hits))
    return real, reference


def story(seed: int, length: int = 120) -> list[Step]:
    """A walk with jumps and pauses, and rules that come and come again."""
    chance, price = random.Random(seed), 100.0
    pauses = chance.choice([PAUSES[:7], PAUSES[:12], PAUSES])
    steps: list[Step] = []
    for _ in range(length):
        if chance.random() < 0.3:
            steps.append(Rearmed(chance.randrange(40), chance.choice([0.0, chance.choice(pauses)])))
            continue
        price = min(max(price + chance.choice([-4, -1, -0.5, 0, 0, 0.5, 1, 4]), 90), 110)
        steps.append(Quoted(chance.choice(pauses), str(price)))
    return steps
