"""A user's account: cash, equity, exposure, profits and buying power, derived from positions. Pure.

Nothing of it is stored. An account begins with a starting balance. Since ``realized_pnl -
cost_basis`` of a position is exactly what was received less what was paid, fees included, the cash
is the starting balance plus that of all positions. Start at `value_account`.

Buying power is what is left of the exposure that an account may have: its equity times the maximal
leverage, less its potential exposure (`potential_exposure`), which counts open orders too.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Protocol

import msgspec

from tapewire.decimals import WIDE_CONTEXT, normalize, round_half_even
from tapewire.events import Order, Position, Side
from tapewire.views.positions import MONEY_PLACES, PositionsView, sum_exact

ZERO = Decimal(0)

PriceOf = Callable[[str], Decimal | None]
"""The newest price of a symbol in dollars a share; None without one."""


class AccountTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What all accounts begin with, in dollars, and the exposure that they may have as a multiple
    of their equity; None for no limit."""

    starting_balance: Decimal
    max_leverage: Decimal | None = None

    @classmethod
    def from_settings(cls, starting_balance: float, max_leverage: float) -> "AccountTerms":
        """The terms that the settings state; a leverage of 0 is no limit."""
        return cls(
            starting_balance=normalize(Decimal(str(starting_balance))),
            max_leverage=Decimal(str(max_leverage)) if max_leverage else None,
        )


class AccountValue(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars. `cash`, `realized_pnl` and `fees` are exact; what depends on prices is rounded to
    six places. `fees` is None as in `PositionsView.fees`.

    `unpriced` counts the open positions without a price, which are valued at their cost.
    `is_stale` says that a price is missing, or too old to rely on.
    """

    cash: Decimal
    equity: Decimal
    gross_exposure: Decimal
    net_exposure: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal | None
    unpriced: int
    is_stale: bool


class PositionTotals(Protocol):
    """What an account is derived from; `PositionsView` is one. `realized_pnl` and `fees` are those
    of all positions, open or not."""

    @property
    def realized_pnl(self) -> Decimal: ...

    @property
    def fees(self) -> Decimal | None: ...

    def open_positions(self) -> Collection[Position]: ...


def value_account(
    view: PositionTotals,
    terms: AccountTerms,
    price: PriceOf,
    is_stale_price: Callable[[str], bool],
) -> AccountValue:
    """The account of the user of `view` at the newest prices."""
    net = gross = costs = ZERO
    unpriced, is_stale = 0, False
    for position in view.open_positions():
        quoted = price(position.symbol)
        if quoted is None:
            value = position.cost_basis
            unpriced += 1
        else:
            value = WIDE_CONTEXT.multiply(position.quantity, quoted)
            is_stale = is_stale or is_stale_price(position.symbol)
        net = WIDE_CONTEXT.add(net, value)
        gross = WIDE_CONTEXT.add(gross, value.copy_abs())
        costs = WIDE_CONTEXT.add(costs, position.cost_basis)
    cash = WIDE_CONTEXT.subtract(WIDE_CONTEXT.add(terms.starting_balance, view.realized_pnl), costs)
    return AccountValue(
        cash=normalize(cash),
        equity=_round(WIDE_CONTEXT.add(cash, net)),
        gross_exposure=_round(gross),
        net_exposure=_round(net),
        realized_pnl=view.realized_pnl,
        unrealized_pnl=_round(WIDE_CONTEXT.subtract(net, costs)),
        fees=view.fees,
        unpriced=unpriced,
        is_stale=is_stale or unpriced > 0,
    )


def available_power(
    view: PositionsView,
    orders: Iterable[Order],
    equity: Decimal,
    terms: AccountTerms,
    price: PriceOf,
) -> Decimal | None:
    """The dollars that further orders may add to the potential exposure, at least 0; None without a
    limit."""
    if terms.max_leverage is None:
        return None
    exposure = potential_exposure(holdings_of(view), orders, price)
    left = WIDE_CONTEXT.subtract(exposure_limit(equity, terms.max_leverage), exposure)
    return _round(max(ZERO, left))


def exposure_limit(equity: Decimal, max_leverage: Decimal) -> Decimal:
    """The exposure in dollars that an account may have; none without equity."""
    return WIDE_CONTEXT.multiply(max(equity, ZERO), max_leverage)


class HeldQuantity(msgspec.Struct, frozen=True):
    """`qty` shares, below 0 when short, that count `cost` dollars where they have no price."""

    qty: Decimal
    cost: Decimal


def holdings_of(view: PositionsView) -> dict[str, HeldQuantity]:
    """The open positions of `view` by symbol."""
    return {
        position.symbol: HeldQuantity(position.quantity, position.cost_basis)
        for position in view.open_positions()
    }


def potential_exposure(
    holdings: Mapping[str, HeldQuantity], orders: Iterable[Order], price: PriceOf
) -> Decimal:
    """The most that the gross exposure can become by executions of `orders`, in dollars.

    Of each symbol, that is what is held with all orders that add to it, or what the orders of the
    other side open beyond closing it, whichever is more. The cheapest orders close first. A buy
    order counts at its limit, and any other order at the highest of its prices and the newest one.
    Orders that are closed or reduce-only count nothing.
    """
    by_symbol: dict[str, list[Order]] = {symbol: [] for symbol in holdings}
    for order in orders:
        if order.status.is_open and not order.reduce_only:
            by_symbol.setdefault(order.symbol, []).append(order)
    return sum_exact(
        [
            _symbol_exposure(holdings.get(symbol, HeldQuantity(ZERO, ZERO)), some, price(symbol))
            for symbol, some in by_symbol.items()
        ]
    )


def _symbol_exposure(held: HeldQuantity, orders: list[Order], price: Decimal | None) -> Decimal:
    value = held.cost if price is None else WIDE_CONTEXT.multiply(held.qty, price)
    adding_side = Side.BUY if held.qty >= 0 else Side.SELL
    adding = [order for order in orders if order.side is adding_side]
    closing = [order for order in orders if order.side is not adding_side]
    added = sum_exact([abs(value), *_notionals(adding, ZERO, price)])
    return max(added, sum_exact([*_notionals(closing, abs(held.qty), price)]))


def _notionals(
    orders: list[Order], closed_qty: Decimal, price: Decimal | None
) -> Iterator[Decimal]:
    """What each order opens, in dollars, after `closed_qty` shares that they close together."""
    for each, order in sorted(
        ((_order_price(order, price), order) for order in orders), key=lambda pair: pair[0]
    ):
        qty = WIDE_CONTEXT.subtract(_largest_qty(order), order.filled_qty)
        closes = min(qty, closed_qty)
        closed_qty = WIDE_CONTEXT.subtract(closed_qty, closes)
        yield WIDE_CONTEXT.multiply(WIDE_CONTEXT.subtract(qty, closes), each)


def _largest_qty(order: Order) -> Decimal:
    """The quantity, or the larger one that was asked for and is not confirmed."""
    return order.qty if order.replacement is None else max(order.qty, order.replacement.qty)


def _order_price(order: Order, price: Decimal | None) -> Decimal:
    new = order.replacement
    limits = _sizes(order.limit_price, None if new is None else new.limit_price)
    if limits and order.side is Side.BUY:
        return max(limits)
    stops = _sizes(order.stop_price, None if new is None else new.stop_price)
    return max([*limits, *stops, *_sizes(price), ZERO])


def _sizes(*prices: Decimal | None) -> list[Decimal]:
    return [abs(price) for price in prices if price is not None]


def _round(value: Decimal) -> Decimal:
    return round_half_even(value, MONEY_PLACES)
