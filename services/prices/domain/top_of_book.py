"""The best bid and ask of one symbol, folded from its ticks since the feed's day began.

`apply_tick` folds one tick and `build_price_updated` builds the quote to publish. A quote needs
both sides of the market, of which each may have no offer: its price and its size are 0 then. A side
is not derived from the last trade: orders fill at the quote, and would be filled against an offer
that does not exist. Trades before the first quote count towards the volume.
"""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from tapewire.decimals import HUNDRED, PERCENT_STEP, round_half_even
from tapewire.events import PriceUpdated
from tapewire.feeds.ticks import ValidTick
from tapewire.values import MAX_PLACES

ZERO = Decimal(0)


class TopOfBook(msgspec.Struct, frozen=True, kw_only=True):
    """The market in `symbol` today, in dollars a share and shares. None means not known yet.

    `opening_price` is the price that changes are measured from: the first trade, or the middle of
    the first two-sided quote if that came earlier.
    """

    symbol: str
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal = ZERO
    ask_size: Decimal = ZERO
    last: Decimal | None = None
    volume: Decimal = ZERO
    opening_price: Decimal | None = None

    @property
    def price(self) -> Decimal | None:
        """The last trade; before the first one, the middle of the quote, or the side that has an
        offer; None without any."""
        if self.last is not None:
            return self.last
        if self.bid is None or self.ask is None:
            return None
        if not (self.has_bid and self.has_ask):
            return self.bid if self.has_bid else self.ask if self.has_ask else None
        middle = (self.bid + self.ask) / 2
        exponent = int(middle.as_tuple().exponent)
        return middle if -exponent <= MAX_PLACES else round_half_even(middle, MAX_PLACES)

    @property
    def has_bid(self) -> bool:
        """Whether somebody offers to buy: a bid of 0 without a size is none."""
        return bool(self.bid) or (self.bid is not None and bool(self.bid_size))

    @property
    def has_ask(self) -> bool:
        """Whether somebody offers to sell."""
        return bool(self.ask) or (self.ask is not None and bool(self.ask_size))


def apply_tick(book: TopOfBook, tick: ValidTick) -> TopOfBook:
    """Return `book` after `tick`, a tick of the same symbol."""
    after = TopOfBook(
        symbol=book.symbol,
        bid=book.bid if tick.bid is None else tick.bid,
        ask=book.ask if tick.ask is None else tick.ask,
        bid_size=book.bid_size if tick.bid_size is None else tick.bid_size,
        ask_size=book.ask_size if tick.ask_size is None else tick.ask_size,
        last=book.last if tick.last is None else tick.last,
        volume=book.volume if tick.last_size is None else book.volume + tick.last_size,
        opening_price=book.opening_price if tick.day_open is None else tick.day_open,
    )
    if tick.volume is not None:
        after = msgspec.structs.replace(after, volume=tick.volume)
    if after.opening_price is None and (
        after.last is not None or (after.has_bid and after.has_ask)
    ):
        return msgspec.structs.replace(after, opening_price=after.price)
    return after


def forget_quote(book: TopOfBook) -> TopOfBook:
    """Return `book` without its sides: what they are now is not known."""
    return TopOfBook(
        symbol=book.symbol, last=book.last, volume=book.volume, opening_price=book.opening_price
    )


def build_price_updated(
    book: TopOfBook,
    at: datetime,
    follows: datetime | None = None,
    *,
    day: int | None = None,
    trades: tuple[tuple[Decimal, Decimal], ...] | None = None,
) -> PriceUpdated | None:
    """Return the quote to publish at the time `at`, or None until both sides are known.

    `follows` is the timestamp of the symbol's previous quote; `day` and `trades` are as in
    `PriceUpdated`.
    """
    price = book.price
    if book.bid is None or book.ask is None or price is None:
        return None
    first = price if book.opening_price is None else book.opening_price
    change = price - first
    return PriceUpdated(
        symbol=book.symbol,
        price=price,
        bid=book.bid,
        ask=book.ask,
        bid_size=book.bid_size,
        ask_size=book.ask_size,
        volume=book.volume,
        change=change,
        change_percent=_to_percent(change, first),
        timestamp=at,
        follows=follows,
        day=day,
        trades=trades,
    )


def _to_percent(change: Decimal, first: Decimal) -> Decimal:
    """The same as `tapewire.decimals.percent_change`, in half the time: every quote has one."""
    percent = change * HUNDRED / abs(first) if first else ZERO
    return percent.quantize(PERCENT_STEP, ROUND_HALF_EVEN)
