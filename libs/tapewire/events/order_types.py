"""The types of orders, and how long they work."""

import enum


class OrderType(enum.Enum):
    """`STOP` becomes a market order, and `STOP_LIMIT` a limit order, once the market has reached
    the stop price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"

    @property
    def has_limit_price(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def has_stop_price(self) -> bool:
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)


class TimeInForce(enum.Enum):
    """How long an order works: until the end of the `DAY`; until it is canceled (`GTC`); only at
    once, in part (`IOC`, immediate or cancel) or in full (`FOK`, fill or kill)."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"

    @property
    def is_immediate(self) -> bool:
        """Whether the order never rests."""
        return self in (TimeInForce.IOC, TimeInForce.FOK)
