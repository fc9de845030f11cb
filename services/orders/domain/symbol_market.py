"""The market of one symbol: its ask and its bid, and the orders that rest for each. Pure.

Buys execute at the ask and sells at the bid. An offer that does not change is the same offer,
whatever its timestamp: what was executed against it is gone. It is a new offer when its price or
its size changes, or when a trade at its price is reported and its size stays: others took from it,
and it was filled up again.

A side with price 0 and size 0 is no offer. Nothing executes against a side without a size or with a
price out of bounds. A market is crossed when the bid is above the ask; nothing executes in it. A
locked market, with the bid at the ask, trades.

A stop is reached by the price of the last trade: at or above it for a buy, at or below it for a
sell. Where nothing was traded yet, the ask counts for a buy and the bid for a sell. Start at
`SymbolMarket.update_quote` and `SymbolMarket.waiting_reason`.
"""

from decimal import ROUND_DOWN, Decimal

from tapewire.brokers import OpenOrder
from tapewire.decimals import WIDE_CONTEXT
from tapewire.events import Order, PriceUpdated, QuotedOffer, Side, WaitingReason
from tapewire.values import is_price
from tapewire_services.orders.domain.commands import QTY_PLACES
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity

ZERO = Decimal(0)
_QTY_STEP = Decimal((0, (1,), -QTY_PLACES))
_MAX_SIZE = Decimal(10**12)
"""Shares; a larger quoted size counts as this."""

PriorityKey = tuple[int, Decimal, int, str]


class QuoteSide:
    """The best ask or the best bid, and the orders that execute against it, by priority.

    `price` is None if nothing can be executed at the quoted price, and before the first quote.
    `remaining_size` is the part of the offer that was not executed yet.
    """

    __slots__ = ("_consumed", "_quoted", "offer", "price", "priority_keys", "remaining_size")

    def __init__(self) -> None:
        self.priority_keys: list[PriorityKey] = []
        self.price: Decimal | None = None
        self.offer = QuotedOffer(number=0, size=ZERO, volume=ZERO)
        self.remaining_size = ZERO
        self._quoted: tuple[Decimal, Decimal] | None = None
        self._consumed: ConsumedLiquidity | None = None

    @property
    def is_consumed(self) -> bool:
        """Whether a part of the offer was executed, or is in flight."""
        return self.remaining_size < self.offer.size or self._consumed is not None

    def has_traded_since(self, volume: Decimal) -> bool:
        """Whether others have traded since the offer began. They took it if that was at its
        price."""
        return self.price is not None and volume != self.offer.volume

    def restore_consumed(self, consumed: ConsumedLiquidity) -> None:
        """Say what was executed before the first quote arrived here."""
        self._consumed = consumed

    def update(self, price: Decimal, size: Decimal, volume: Decimal) -> None:
        """Take a quote, and the day's volume at that time. Nothing changes if it repeats price and
        size."""
        if (price, size) != self._quoted:
            self._quoted = (price, size)
            self.price = price if (price or size) and is_price(price) else None
            self._begin_offer(ZERO if self.price is None else _executable_size(size), volume)

    def renew(self, volume: Decimal) -> None:
        """Begin another offer of the same price and size."""
        self._begin_offer(self.offer.size, volume)

    def _begin_offer(self, size: Decimal, volume: Decimal) -> None:
        consumed, self._consumed = self._consumed, None
        number = self.offer.number if consumed is None else consumed.offer_number
        self.offer = QuotedOffer(number=number + 1, size=size, volume=volume)
        self.remaining_size = size
        if consumed is not None and self.price is not None and consumed.is_of(self.price, size):
            self.offer = consumed.offer or self.offer
            self.remaining_size = max(ZERO, WIDE_CONTEXT.subtract(size, consumed.qty))


class SymbolMarket:
    """The market of one symbol. `asks` is what buys execute against, `bids` what sells do."""

    __slots__ = ("asks", "bids", "conditional_orders", "is_crossed", "quote", "stops")

    def __init__(self) -> None:
        self.asks = QuoteSide()
        self.bids = QuoteSide()
        self.quote: PriceUpdated | None = None
        self.is_crossed = False
        self.stops: dict[str, OpenOrder] = {}
        """Accepted orders whose stop price was not reached yet, by order id."""
        self.conditional_orders: dict[str, OpenOrder] = {}
        """Accepted orders that may have to be canceled: reduce-only ones, and those that never
        rest."""

    def side_for(self, side: Side) -> QuoteSide:
        """What orders of `side` execute against."""
        return self.asks if side is Side.BUY else self.bids

    @property
    def has_orders(self) -> bool:
        """Whether orders rest that no proposal concerns."""
        return bool(self.stops or self.asks.priority_keys or self.bids.priority_keys)

    @property
    def needs_quotes(self) -> bool:
        """Whether orders rest, or an offer was consumed in part: its next change must not be
        missed."""
        return self.has_orders or self.asks.is_consumed or self.bids.is_consumed

    def update_quote(self, quote: PriceUpdated) -> None:
        """Take the newest quote."""
        if self.quote is quote:
            return
        self.quote = quote
        asks, bids = self.asks, self.bids
        volume = quote.volume if quote.volume.is_finite() else ZERO
        asks.update(quote.ask, quote.ask_size, volume)
        bids.update(quote.bid, quote.bid_size, volume)
        self.is_crossed = (
            asks.price is not None and bids.price is not None and bids.price > asks.price
        )
        if not quote.price.is_finite():
            return
        if asks.has_traded_since(volume) and quote.price >= quote.ask:
            asks.renew(volume)
        if bids.has_traded_since(volume) and quote.price <= quote.bid:
            bids.renew(volume)

    def reaches(self, order: Order) -> bool:
        """Whether the newest quote has reached the stop price of `order`."""
        stop, quote = order.stop_price, self.quote
        if stop is None or quote is None:
            return False
        price: Decimal | None = quote.price
        if not (quote.volume.is_finite() and quote.volume > ZERO):
            price = self.side_for(order.side).price
        if price is None or not is_price(price):
            return False
        return price >= stop if order.side is Side.BUY else price <= stop

    def waiting_reason(self, side: Side, *, is_stale: bool) -> WaitingReason | None:
        """Why nothing can be executed for orders of `side`; None if something can."""
        if self.quote is None:
            return WaitingReason.NO_QUOTE
        if is_stale:
            return WaitingReason.STALE_QUOTE
        if self.is_crossed:
            return WaitingReason.CROSSED
        if self.side_for(side).remaining_size <= ZERO:
            return WaitingReason.NO_OFFER
        return None


def is_untriggered_stop(order: Order) -> bool:
    """Whether the order waits for its stop price."""
    return order.type.has_stop_price and order.triggered_at is None


def priority_key(open_order: OpenOrder) -> PriorityKey:
    """Sorts by priority: market before limit, then price, then time."""
    order = open_order.order
    if order.limit_price is None:
        return (0, ZERO, open_order.since, order.order_id)
    rank = -order.limit_price if order.side is Side.BUY else order.limit_price
    return (1, rank, open_order.since, order.order_id)


def is_marketable(order: Order, price: Decimal | None) -> bool:
    """Whether the order may be executed at `price`. Without one, a limit order waits for its
    price, and a market order for any."""
    if order.limit_price is None:
        return True
    if price is None:
        return False
    if order.side is Side.BUY:
        return price <= order.limit_price
    return price >= order.limit_price


def _executable_size(size: Decimal) -> Decimal:
    if not size.is_finite() or size <= ZERO:
        return ZERO
    return min(size, _MAX_SIZE).quantize(_QTY_STEP, ROUND_DOWN, context=WIDE_CONTEXT)
