"""What users do in a day: who trades by which strategies, who by hand, and who wants to be told.

Every user has one strategy or a hand in each symbol, never both, so that the trades of a position
have one order; what strategies of a symbol can want of one quote together is less than was ever on
offer. That, and nothing else, keeps luck out: which of two orders of the same instant comes first
is not for anybody to say. One strategy wants much more than there is (`WHALE`), in the first half
of the day, when nobody else's order rests in its symbol: its own are filled in parts. Made from a
seed and the recording; nothing here knows a run.
"""

import random
from datetime import date
from decimal import Decimal

import msgspec

from tapewire.events import (
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    OrderType,
    Rule,
    RuleKind,
    Side,
    StopLoss,
    StopLossKind,
)
from tapewire.runtime.contracts.alerts import ArmRule, CreateRule
from tapewire.runtime.contracts.orders import PlaceOrder
from tapewire.runtime.contracts.strategies import CreateStrategy
from tests.day.market import Step, steps

SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
USERS = tuple(f"user-{number}" for number in range(10))
STRATEGIES_A_SYMBOL = 6
WHALE = "AIG"
WHALE_QTY = Decimal(6000)
QUANTITIES = {"AIG": 5, "BAC": 200, "IBM": 5, "SPY": 10}
"""Of one strategy, at the most; times the strategies of a symbol below 100 (BAC: 6,800), the least
that was ever on offer at the end of a step."""
RULES: tuple[Rule, ...] = (
    MovingAverageCrossover(fast=2, slow=4),
    Breakout(window=3),
    MeanReversion(window=5, deviations=Decimal("1.2")),
    MovingAverageCrossover(fast=3, slow=7),
    Breakout(window=5, margin_percent=Decimal("0.01")),
    MeanReversion(window=8, deviations=Decimal("1.5")),
)
PERCENTS = ("0.03", "0.05", "0.08", "0.12", "0.2")
"""How far stop-losses are, per cent: about what a minute moves."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of `every_ms` of market time, and how many kills there are in them."""

    every_ms: int
    steps: int
    kills: int
    replica_kills: int


SHORT = Size(every_ms=60_000, steps=24, kills=6, replica_kills=5)
FULL = Size(every_ms=60_000, steps=390, kills=60, replica_kills=20)


class Cell(msgspec.Struct, frozen=True):
    """A user in a symbol, by hand: places an order, or cancels the one that is open."""

    user: str
    symbol: str


class ByHand(msgspec.Struct, frozen=True, kw_only=True):
    """Unless an order of the cell is open: place this; if one is, cancel it when `cancel` says so.
    `keep` False: what is not filled at once is canceled at once."""

    cell: Cell
    order: PlaceOrder
    cancel: bool
    keep: bool


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy, by the command that makes it, and the steps after which it is started and
    stopped."""

    command: str
    make: CreateStrategy
    starts: tuple[int, ...]
    stops: tuple[int, ...]


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """Kill `who` (a service, or the message server) so many seconds after a step was asked for."""

    who: str
    seconds: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A day. Lists by step are of what is done when the step's consequences are done."""

    size: Size
    day: date
    market: list[Step]
    seats: list[Seat]
    rules: list[tuple[str, CreateRule]]
    by_hand: list[list[ByHand]]
    arms: list[int]
    """Steps after which every rule is armed again."""
    kills: dict[int, list[Kill]]
    """Before the consequences of a step are done."""

    @classmethod
    def of(cls, seed: int, size: Size, day: date) -> "Plan":
        """The plan of `seed`."""
        chance = random.Random(f"day {seed}")
        market = steps(size.every_ms, size.steps)
        users = {symbol: chance.sample(USERS, len(USERS)) for symbol in SYMBOLS}
        seats = [
            _seat(chance, size, symbol, number, user)
            for symbol in SYMBOLS
            for number, user in enumerate(users[symbol][:STRATEGIES_A_SYMBOL])
        ]
        cells = [
            Cell(user, symbol) for symbol in SYMBOLS for user in users[symbol][STRATEGIES_A_SYMBOL:]
        ]
        return cls(
            size=size,
            day=day,
            market=market,
            seats=seats,
            rules=_rules(chance, market, seats),
            by_hand=[_by_hand(chance, cells, market, step) for step in range(size.steps)],
            arms=list(range(4, size.steps, 5)),
            kills={},
        )


def _seat(chance: random.Random, size: Size, symbol: str, number: int, user: str) -> Seat:
    half, whale = size.steps // 2, symbol == WHALE and number == 0
    stop = None
    if number != STRATEGIES_A_SYMBOL - 1:
        kind = (StopLossKind.FIXED, StopLossKind.TRAILING)[number % 2]
        stop = StopLoss(kind=kind, percent=Decimal(chance.choice(PERCENTS)))
    quantity = Decimal(chance.randrange(1, QUANTITIES[symbol] + 1))
    make = CreateStrategy(
        user_id=user,
        symbol=symbol,
        rule=RULES[number],
        quantity=WHALE_QTY if whale else quantity,
        stop_loss=stop,
        max_trades=None if stop is not None else 2 + size.steps // 40,
    )
    begin = half + 1 if symbol == WHALE and not whale else 0
    pause = begin + chance.randrange(size.steps // 4, size.steps // 3)
    starts, stops = (begin, pause + 2), (pause,)
    if whale:
        starts, stops = (0,), (half,)
    return Seat(command=f"make-{symbol}-{number}", make=make, starts=starts, stops=stops)


def _rules(
    chance: random.Random, market: list[Step], seats: list[Seat]
) -> list[tuple[str, CreateRule]]:
    """Of every user some: on levels near where the day begins, on moves, and on what happens."""
    rules: list[CreateRule] = []
    for user in USERS:
        for symbol in SYMBOLS:
            price = market[0][symbol].price
            near = price * Decimal(chance.randrange(-30, 31)) / 10_000
            level = (price + near).quantize(Decimal("0.01"))
            kind = chance.choice((RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW))
            rules.append(CreateRule(user_id=user, kind=kind, symbol=symbol, price=level))
            rules.append(
                CreateRule(
                    user_id=user,
                    kind=RuleKind.PERCENT_MOVE,
                    symbol=symbol,
                    percent=Decimal(chance.randrange(5, 30)) / 100,
                    window_seconds=chance.choice((120, 300, 900)),
                )
            )
        rules.append(CreateRule(user_id=user, kind=RuleKind.ORDER_REJECTED))
    for seat in seats:
        make = seat.make
        rules.append(CreateRule(user_id=make.user_id, kind=RuleKind.STOP_LOSS, symbol=make.symbol))
    return [(f"rule-{number}", rule) for number, rule in enumerate(rules)]


def _by_hand(
    chance: random.Random, cells: list[Cell], market: list[Step], step: int
) -> list[ByHand]:
    return [
        _hand(chance, cell, market, step, number)
        for number, cell in enumerate(cells)
        if chance.random() < 0.3
    ]


def _hand(chance: random.Random, cell: Cell, market: list[Step], step: int, number: int) -> ByHand:
    """Mostly a limit near the touch; now and then at the market, too much for the offer, or too
    dear for the account."""
    quote = market[step].get(cell.symbol) or market[0][cell.symbol]
    side, fate = chance.choice(list(Side)), chance.random()
    touch = quote.ask if side is Side.BUY else quote.bid
    off = Decimal(chance.randrange(-2, 6)) / 100 * (-1 if side is Side.BUY else 1)
    qty, limit, keep = Decimal(chance.randrange(1, 3)), touch + off, True
    if fate < 0.15:
        qty, limit, keep = Decimal(chance.randrange(1, 3)), None, False
    elif fate < 0.3:
        qty, limit, keep = Decimal(100_000), None, False
    elif fate < 0.36:
        qty, limit = Decimal(1_000_000), Decimal(5000)
    if cell.symbol == WHALE and step <= len(market) // 2:
        keep = False
    return ByHand(
        cell=cell,
        order=PlaceOrder(
            user_id=cell.user,
            symbol=cell.symbol,
            side=side,
            type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            qty=qty,
            limit_price=limit,
            client_order_id=f"{cell.symbol}-{step}-{number}",
        ),
        cancel=chance.random() < 0.4,
        keep=keep,
    )


def arm(user: str, rule_id: str) -> ArmRule:
    """Let it trigger again."""
    return ArmRule(user_id=user, rule_id=rule_id)


def kills(seed: int, size: Size, number: int, who: tuple[str, ...]) -> dict[int, list[Kill]]:
    """`number` kills spread over the steps, each service as often as the others; now and then two
    at once."""
    chance = random.Random(f"kills {seed}")
    victims = [who[index % len(who)] for index in range(number)]
    chance.shuffle(victims)
    found: dict[int, list[Kill]] = {}
    for victim in victims:
        step = chance.randrange(2, size.steps)
        kill = Kill(who=victim, seconds=round(chance.uniform(0, 0.4), 3))
        if victim not in [one.who for one in found.get(step, [])]:
            found.setdefault(step, []).append(kill)
    return found
