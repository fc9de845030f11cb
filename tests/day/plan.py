"""The plan of a day: the users' strategies, manual orders and alert rules.

In each symbol a user has either a strategy or manual orders, and at most one open order, so the
trades of a position have one order. All orders that rest in a symbol are together for less than the
smallest size ever quoted. These two rules make the day deterministic, because the order of two
simultaneous orders is undefined. One strategy orders much more than is offered (`LARGE_ORDER_QTY`)
in the first half of the day, when no other order rests in its symbol; its orders are filled in
parts. The plan is made from a seed and the recording, and does not depend on a run.
"""

import random
from datetime import date
from decimal import Decimal

import msgspec

from tapewire.events import (
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    RuleKind,
    StopLoss,
    StopLossKind,
    StrategyRule,
    TakeProfit,
)
from tapewire.runtime.contracts.alerts import ArmRule, CreateRule
from tapewire.runtime.contracts.strategies import CreateStrategy, StopPosition
from tests.day.manual_orders import ManualOrder, UserSymbol, plan_manual_orders
from tests.day.recorded_quotes import QuotesBySymbol, read_steps

SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
USERS = tuple(f"user-{number}" for number in range(10))
STRATEGIES_PER_SYMBOL = 6
LARGE_ORDER_SYMBOL = "AIG"
LARGE_ORDER_QTY = Decimal(6000)
MAX_QUANTITIES = {"AIG": 5, "BAC": 200, "IBM": 5, "SPY": 10}
"""The largest order of one strategy. The sum over the strategies of a symbol is below 100 (BAC:
6,800), the smallest size quoted at the end of any step."""
STRATEGY_RULES: tuple[StrategyRule, ...] = (
    MovingAverageCrossover(fast=2, slow=4),
    Breakout(window=3),
    MeanReversion(window=5, deviations=Decimal("1.2")),
    MovingAverageCrossover(fast=3, slow=7),
    Breakout(window=5, margin_percent=Decimal("0.01")),
    MeanReversion(window=8, deviations=Decimal("1.5")),
)
STOP_LOSS_PERCENTS = ("0.03", "0.05", "0.08", "0.12", "0.2")
"""Distances of stop-losses and take-profits in per cent: about the price change of a minute."""
FEE_PER_SHARE = Decimal("0.005")
"""Dollars."""


class DaySize(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of `step_ms` of market time, and the number of kills. At the end of the day day orders
    expire if it `expires_day_orders`, which takes up to a minute."""

    step_ms: int
    step_count: int
    kill_count: int
    replica_kill_count: int
    expires_day_orders: bool


SHORT = DaySize(
    step_ms=60_000, step_count=24, kill_count=6, replica_kill_count=5, expires_day_orders=False
)
FULL = DaySize(
    step_ms=60_000, step_count=390, kill_count=60, replica_kill_count=20, expires_day_orders=True
)


class PlannedStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy: the command that creates it, and the steps after which it is started and
    stopped. `stop_position` is what happens to its position then."""

    command_name: str
    create: CreateStrategy
    start_steps: tuple[int, ...]
    stop_steps: tuple[int, ...]
    stop_position: StopPosition


class PlannedKill(msgspec.Struct, frozen=True, kw_only=True):
    """Kill a process (a service or the NATS server) `delay_seconds` after a step is requested."""

    process_name: str
    delay_seconds: float


class DayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A day. Lists by step hold the actions after the step's consequences are handled."""

    size: DaySize
    day: date
    quotes_by_step: list[QuotesBySymbol]
    strategies: list[PlannedStrategy]
    alert_rules: list[tuple[str, CreateRule]]
    manual_orders_by_step: list[list[ManualOrder]]
    rearm_steps: list[int]
    """Steps after which every rule is armed again."""
    kills: dict[int, list[PlannedKill]]
    """Kills by step, which may happen before the step's consequences are handled."""

    @classmethod
    def from_seed(cls, seed: int, size: DaySize, day: date) -> "DayPlan":
        """The plan of `seed`."""
        rng = random.Random(f"day {seed}")
        market = read_steps(size.step_ms, size.step_count)
        users = {symbol: rng.sample(USERS, len(USERS)) for symbol in SYMBOLS}
        strategies = [
            _plan_strategy(rng, size, symbol, number, user)
            for symbol in SYMBOLS
            for number, user in enumerate(users[symbol][:STRATEGIES_PER_SYMBOL])
        ]
        cells = [
            UserSymbol(user, symbol)
            for symbol in SYMBOLS
            for user in users[symbol][STRATEGIES_PER_SYMBOL:]
        ]
        return cls(
            size=size,
            day=day,
            quotes_by_step=market,
            strategies=strategies,
            alert_rules=_plan_alert_rules(rng, market, strategies),
            manual_orders_by_step=[
                plan_manual_orders(
                    rng,
                    cells,
                    market,
                    step,
                    symbols_without_resting=(LARGE_ORDER_SYMBOL,) * (2 * step <= size.step_count),
                )
                for step in range(size.step_count)
            ],
            rearm_steps=list(range(4, size.step_count, 5)),
            kills={},
        )


def _plan_strategy(
    rng: random.Random, size: DaySize, symbol: str, number: int, user: str
) -> PlannedStrategy:
    half, whale = size.step_count // 2, symbol == LARGE_ORDER_SYMBOL and number == 0
    stop = profit = None
    if number % 2 == 1:
        profit = TakeProfit(percent=Decimal(rng.choice(STOP_LOSS_PERCENTS)))
    if number != STRATEGIES_PER_SYMBOL - 1:
        kind = (StopLossKind.FIXED, StopLossKind.TRAILING)[number % 2]
        stop = StopLoss(kind=kind, percent=Decimal(rng.choice(STOP_LOSS_PERCENTS)))
    quantity = Decimal(rng.randrange(1, MAX_QUANTITIES[symbol] + 1))
    make = CreateStrategy(
        user_id=user,
        symbol=symbol,
        rule=STRATEGY_RULES[number],
        quantity=LARGE_ORDER_QTY if whale else quantity,
        stop_loss=stop,
        take_profit=profit,
        max_trades=None if stop is not None else 2 + size.step_count // 40,
    )
    begin = half + 1 if symbol == LARGE_ORDER_SYMBOL and not whale else 0
    pause = begin + rng.randrange(size.step_count // 4, size.step_count // 3)
    starts: tuple[int, ...] = (begin, pause + 2)
    stops = (pause,)
    if whale:
        starts, stops = (0,), (half,)
    return PlannedStrategy(
        command_name=f"make-{symbol}-{number}",
        create=make,
        start_steps=starts,
        stop_steps=stops,
        stop_position=StopPosition.CLOSE if number in (1, 4) else StopPosition.PROTECT,
    )


def _plan_alert_rules(
    rng: random.Random, quotes_by_step: list[QuotesBySymbol], strategies: list[PlannedStrategy]
) -> list[tuple[str, CreateRule]]:
    """Plan rules for every user: price levels near the opening, price moves, and events."""
    rules: list[CreateRule] = []
    for user in USERS:
        for symbol in SYMBOLS:
            price = quotes_by_step[0][symbol].price
            near = price * Decimal(rng.randrange(-30, 31)) / 10_000
            level = (price + near).quantize(Decimal("0.01"))
            kind = rng.choice((RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW))
            rules.append(CreateRule(user_id=user, kind=kind, symbol=symbol, price=level))
            rules.append(
                CreateRule(
                    user_id=user,
                    kind=RuleKind.PERCENT_MOVE,
                    symbol=symbol,
                    percent=Decimal(rng.randrange(5, 30)) / 100,
                    window_seconds=rng.choice((120, 300, 900)),
                )
            )
        rules.append(CreateRule(user_id=user, kind=RuleKind.ORDER_REJECTED))
    for strategy in strategies:
        make = strategy.create
        rules.append(CreateRule(user_id=make.user_id, kind=RuleKind.STOP_LOSS, symbol=make.symbol))
    return [(f"rule-{number}", rule) for number, rule in enumerate(rules)]


def arm_rule_command(user: str, rule_id: str) -> ArmRule:
    """Return the command that arms the rule again."""
    return ArmRule(user_id=user, rule_id=rule_id)


def plan_kills(
    seed: int, size: DaySize, kill_count: int, process_names: tuple[str, ...]
) -> dict[int, list[PlannedKill]]:
    """Spread `kill_count` kills over the steps, equally often for each process.

    A step sometimes has two kills."""
    rng = random.Random(f"kills {seed}")
    victims = [process_names[index % len(process_names)] for index in range(kill_count)]
    rng.shuffle(victims)
    found: dict[int, list[PlannedKill]] = {}
    for victim in victims:
        step = rng.randrange(2, size.step_count)
        kill = PlannedKill(process_name=victim, delay_seconds=round(rng.uniform(0, 0.4), 3))
        if victim not in [one.process_name for one in found.get(step, [])]:
            found.setdefault(step, []).append(kill)
    return found
