"""Plans the orders that users place, replace and cancel by themselves: every type, every time in
force, reduce-only.

A user who trades a symbol manually has at most one open order in it. While there is one, a planned
order is not placed, and its `if_open` happens to the open one instead. The plan is made from the
recording, and does not depend on a run. Start at `plan_manual_orders`.
"""

import enum
import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tapewire.events import OrderType, Side, TimeInForce
from tapewire.runtime.contracts.orders import PlaceOrder
from tests.day.recorded_quotes import ExpectedQuote, QuotesBySymbol

ACTION_PROBABILITY = 0.4
LARGE_QTY = Decimal(100_000)
"""More than is ever offered."""
UNAFFORDABLE_QTY, UNAFFORDABLE_LIMIT = Decimal(1_000_000), Decimal(5000)
"""More than the broker lets anybody put into one order."""
KIND_WEIGHTS = {
    "market": 10,
    "large market": 8,
    "limit": 26,
    "unaffordable": 4,
    "stop": 20,
    "stop_limit": 14,
    "immediate": 18,
}
REDUCE_ONLY_PROBABILITY = 0.2
DAY_PROBABILITY = 0.3


class UserSymbol(msgspec.Struct, frozen=True):
    """A user who trades a symbol manually."""

    user: str
    symbol: str


class OpenOrderAction(enum.Enum):
    """What happens to the open order. `RACE`: it is replaced and canceled at the same time."""

    LEAVE = "leave"
    CANCEL = "cancel"
    REPLACE = "replace"
    RACE = "race"


class PlannedReplacement(msgspec.Struct, frozen=True, kw_only=True):
    """New terms for an open order: `qty` more than what is filled, and prices on the passive side
    of the market by `offset`."""

    qty: Decimal
    offset: Decimal


class ManualOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to place unless the user has an open one in the symbol; `if_open` happens to that.

    Unless `stays_open`, the part that is not filled immediately is canceled.
    """

    user_symbol: UserSymbol
    place_order: PlaceOrder
    if_open: OpenOrderAction
    replacement: PlannedReplacement
    stays_open: bool

    @property
    def is_immediate(self) -> bool:
        """Whether the order never rests: its end depends on what the broker sees at its arrival."""
        return self.place_order.time_in_force.is_immediate


def passive_price(price: Decimal, side: Side, offset: Decimal) -> Decimal:
    """`price` moved by `offset` to where a limit of `side` rests longer."""
    return price - offset if side is Side.BUY else price + offset


def touch_price(quote: ExpectedQuote, side: Side) -> Decimal:
    """What an order of `side` executes at."""
    return quote.ask if side is Side.BUY else quote.bid


def plan_manual_orders(
    rng: random.Random,
    user_symbols: Sequence[UserSymbol],
    quotes_by_step: Sequence[QuotesBySymbol],
    step: int,
    *,
    symbols_without_resting: Sequence[str],
) -> list[ManualOrder]:
    """Plan the orders of one step. No order stays open in `symbols_without_resting`."""
    planned = []
    for number, user_symbol in enumerate(user_symbols):
        if rng.random() >= ACTION_PROBABILITY:
            continue
        symbol = user_symbol.symbol
        quote = quotes_by_step[step].get(symbol) or quotes_by_step[0][symbol]
        kind = rng.choices([*KIND_WEIGHTS], weights=[*KIND_WEIGHTS.values()])[0]
        order = _plan_order(rng, kind, user_symbol, quote, f"{symbol}-{step}-{number}")
        stays_open = symbol not in symbols_without_resting and order.type is not OrderType.MARKET
        planned.append(
            ManualOrder(
                user_symbol=user_symbol,
                place_order=order,
                if_open=rng.choice([*OpenOrderAction]),
                replacement=PlannedReplacement(
                    qty=Decimal(rng.randrange(1, 3)), offset=_random_offset(rng)
                ),
                stays_open=stays_open or order.time_in_force.is_immediate,
            )
        )
    return planned


def _plan_order(
    rng: random.Random, kind: str, user_symbol: UserSymbol, quote: ExpectedQuote, name: str
) -> PlaceOrder:
    """Plan one order: limits near the touch, stops near the last price."""
    side, qty = rng.choice([*Side]), Decimal(rng.randrange(1, 3))
    limit: Decimal | None = passive_price(touch_price(quote, side), side, _random_offset(rng))
    stop: Decimal | None = None
    time_in_force = TimeInForce.DAY if rng.random() < DAY_PROBABILITY else TimeInForce.GTC
    match kind:
        case "market" | "large market":
            limit = None
        case "unaffordable":
            qty, limit = UNAFFORDABLE_QTY, UNAFFORDABLE_LIMIT
        case "stop" | "stop_limit":
            stop = passive_price(quote.price, side, -_random_offset(rng))
            limit = None if kind == "stop" else passive_price(stop, side, -_random_offset(rng))
        case "immediate":
            time_in_force = rng.choice((TimeInForce.IOC, TimeInForce.FOK))
            limit = rng.choice((limit, None))
    if kind == "large market" or (kind == "immediate" and rng.random() < 0.3):
        qty = LARGE_QTY
    return PlaceOrder(
        user_id=user_symbol.user,
        symbol=user_symbol.symbol,
        side=side,
        type=_order_type(limit, stop),
        qty=qty,
        limit_price=limit,
        client_order_id=name,
        stop_price=stop,
        time_in_force=time_in_force,
        reduce_only=kind != "unaffordable" and rng.random() < REDUCE_ONLY_PROBABILITY,
    )


def _random_offset(rng: random.Random) -> Decimal:
    """Dollars: mostly passive, sometimes at the market or through it."""
    return Decimal(rng.randrange(-2, 6)) / 100


def _order_type(limit: Decimal | None, stop: Decimal | None) -> OrderType:
    if stop is not None:
        return OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if limit is None else OrderType.LIMIT
