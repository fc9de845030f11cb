"""`Broker`: what executes orders; `BrokerReports`: what it reports to; `OpenOrder`: an order."""

import abc
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from tapewire.brokers.context import BrokerContext
from tapewire.events import (
    NO_FEE,
    Order,
    OrderTerms,
    QuotedOffer,
    ReportedCorrection,
    ReportedExecution,
    SplitExecuted,
    WaitingReason,
)

MAX_CONCURRENT_REPORTS = 64
"""Reports of one broker that are in progress at the same time; more wait."""
MAX_VENUE_ID_LENGTH = 128
"""Characters of the ids that a venue gives to orders and executions."""
MAX_REASON_LENGTH = 500
"""Characters of a reason; a longer one is abbreviated."""


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order of `user` as of the event at `sequence`.

    `since` is its time priority: the sequence of its placing, or that of the event that gave it
    another price or a larger quantity, or that triggered it. `accepted` says whether a broker has
    accepted it. Reports carry the `correlation` and `traceparent` of the placing. `is_late` says
    that it was stored so long after it was placed that it must not be executed; a broker receives
    no such order. `corrections` counts those of its executions: when it grows, what is filled may
    have become less.
    """

    user: str
    order: Order
    since: int
    sequence: int
    accepted: bool
    correlation: str
    traceparent: str | None = None
    is_late: bool = False
    placed_at: datetime | None = None
    corrections: int = 0

    @property
    def remaining_qty(self) -> Decimal:
        """Shares that are not filled yet."""
        return self.order.qty - self.order.filled_qty


class BrokerReports(Protocol):
    """What a broker reports to.

    A report returns when the journal holds its result. It is repeated while the journal is away,
    and waits while this process does not hold the broker's lease. The same report again has no
    further effect, and one that no longer fits the order changes nothing: each returns the order as
    the journal then holds it. Await one report on an order before the next one.

    A `reason` is for people; it is stored in at most `MAX_REASON_LENGTH` characters.
    """

    async def accepted(self, order: OpenOrder, venue_order_id: str | None = None) -> OpenOrder:
        """The venue works the order, which it calls `venue_order_id`. Raises ValueError if that is
        longer than `MAX_VENUE_ID_LENGTH`."""

    async def rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        """The venue does not take the order. One that was accepted before fails instead."""

    async def executed(self, execution: ReportedExecution) -> Order | None:
        """The venue executed a part of an order. That is a fact, and is booked whatever the order's
        state and whoever holds the lease, once for each `execution_id`. Returns the order; None if
        the execution fits none and is kept for operators. In both cases it is stored, and the venue
        may be told that it was received."""

    async def execution_corrected(self, correction: ReportedCorrection) -> Order | None:
        """The venue corrected an execution, or busted it. That is a fact as an execution is, and is
        booked once for each `correction_id`. It may be reported before its execution. Returns as
        `executed`. A closed order does not work again: a venue that does work it on reports another
        order."""

    async def canceled(self, order: OpenOrder, reason: str) -> OpenOrder:
        """Nothing more is executed of the order, whether or not anybody asked for that."""

    async def cancel_rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        """The venue does not cancel the order. `order` is the one that asked for it."""

    async def replaced(self, order: OpenOrder, terms: OrderTerms | None = None) -> OpenOrder:
        """The venue works the order under `terms`; None for those that `order` asked for, which is
        the one that asked. Raises ValueError if no order can have `terms`."""

    async def replace_rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        """The venue keeps the terms of the order. `order` is the one that asked for others."""

    async def triggered(self, order: OpenOrder) -> OpenOrder:
        """The market has reached the stop price of the order."""

    async def failed(self, order: OpenOrder, reason: str) -> OpenOrder:
        """The order cannot be executed any further, which is not its fault."""

    async def waiting(self, order: OpenOrder, waiting: WaitingReason | None) -> OpenOrder:
        """The order rests although it could be executed at the last known price, for this reason;
        None if it no longer does."""

    async def propose_fill(
        self,
        order: OpenOrder,
        *,
        qty: Decimal,
        price: Decimal,
        fee: Decimal = NO_FEE,
        quoted_at: datetime | None = None,
        offer: QuotedOffer | None = None,
    ) -> OpenOrder:
        """Fill a part of the order if it still is as in `order`; otherwise nothing happens.

        Only for a broker that `confirms_at_once`: it simulates a venue, and nothing was executed
        before the journal says that it was. `quoted_at` is the timestamp of the quote that it fills
        against, `offer` the offer of that quote.
        """


class Broker(abc.ABC):
    """Executes orders. One process at a time has one, as long as it holds the broker's lease.

    A new one is made when the lease is won, when the journal was recreated, and after `run` has
    failed. It first receives every open order in the order of the journal (`add_order`), then
    `run` is called, and from there on it receives every change.
    """

    confirms_at_once: bool = False
    """Whether the broker does nothing but what the journal says. A cancel and a replacement then
    take effect when they are requested; otherwise they are pending until the broker has answered.
    Every process of the orders service reads it at its start."""

    def __init__(self, context: BrokerContext) -> None:
        """Read the settings, without I/O: every process of the orders service makes one at its
        start, to check them. Raises BadSetting, which ends the process."""
        self.context = context

    @abc.abstractmethod
    def add_order(self, order: OpenOrder) -> None:
        """Work an order that was just placed, or was open when this broker was made. Must not
        block."""

    @abc.abstractmethod
    def update_order(self, order: OpenOrder) -> None:
        """Take over a later state of an added order; the last one is closed. It may result from
        this broker's own report, and may be older than what a report returned. The last state of
        an erased user's order has a higher `sequence` than any event. Must not block."""

    def symbol_split(self, split: SplitExecuted) -> None:  # noqa: B027 - an optional hook
        """The shares of a symbol are split. Each open order of it then arrives by `update_order`
        with the terms of the new shares (`order.splits`); what the venue does with its orders is
        between the adapter and the venue. Executions are reported in the new shares from here on.
        Must not block."""

    @abc.abstractmethod
    async def run(self, reports: BrokerReports) -> None:
        """Execute orders until cancelled. If it raises or returns, another broker is made."""

    @property
    def pending_count(self) -> int:
        """The number of reports that wait or are in progress. Orders that wait for the market do
        not count."""
        return 0
