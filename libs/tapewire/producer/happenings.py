"""One call for each happening that a trading program tells of: what it was, and to whom.

Arguments are named (`reporting` says what each may be given); times are now unless said, numbers
may be floats and are stored as the decimals that they read as. What is told of strategies, orders
and stop-losses here is a report: it is shown and notified, and neither trades nor counts as a
position (docs/adr/0006). A call returns when the event is stored, tried again where need be.
"""

from abc import ABC, abstractmethod
from typing import Any, Unpack

from tapewire.events import (
    Event,
    OrderReport,
    OrderReportedCancelled,
    OrderReportedExecuted,
    OrderReportedFailed,
    OrderReportedPlaced,
    OrderReportedRejected,
    OrderStatus,
    StopLossReport,
    StopLossReportedExecuted,
    StopLossReportedTriggered,
    StrategyReportedCompleted,
    StrategyReportedFailed,
    StrategyReportedStarted,
    StrategyReportedStopped,
    StrategyReportedUpdated,
    StrategyStatus,
)
from tapewire.producer import figures, reporting
from tapewire.producer.figures import Number
from tapewire.producer.publishing import Receipt
from tapewire.producer.reporting import (
    AlertFacts,
    DecisionFacts,
    ErrorFacts,
    OrderFacts,
    PriceFacts,
    StopLossFacts,
    StrategyFacts,
    given,
)


class Happenings(ABC):
    """The calls. `source` is the name that the program connected by."""

    source: str

    @abstractmethod
    async def _store(
        self, owner: str, domain: str, entity: str, event: Event, event_id: str, *, once: bool
    ) -> Receipt: ...

    @abstractmethod
    async def _quote(self, symbol: str, event: Event) -> None: ...

    @abstractmethod
    def _id(self, given: str | None) -> str: ...

    async def strategy_started(self, **facts: Unpack[StrategyFacts]) -> Receipt:
        """A strategy of yours trades from now on."""
        given("strategy_started", StrategyFacts, facts)
        strategy = reporting.strategy(self.source, StrategyStatus.STARTED, facts)
        return await self._report(StrategyReportedStarted(strategy=strategy), facts)

    async def strategy_updated(self, **facts: Unpack[StrategyFacts]) -> Receipt:
        """The settings of a strategy that trades, or what it holds, changed."""
        given("strategy_updated", StrategyFacts, facts)
        strategy = reporting.strategy(self.source, StrategyStatus.STARTED, facts)
        return await self._report(StrategyReportedUpdated(strategy=strategy), facts)

    async def strategy_stopped(self, **facts: Unpack[StrategyFacts]) -> Receipt:
        """A strategy of yours trades no more."""
        given("strategy_stopped", StrategyFacts, facts)
        strategy = reporting.strategy(self.source, StrategyStatus.STOPPED, facts)
        return await self._report(StrategyReportedStopped(strategy=strategy), facts)

    async def strategy_completed(self, **facts: Unpack[StrategyFacts]) -> Receipt:
        """A strategy of yours did all that it was for."""
        given("strategy_completed", StrategyFacts, facts)
        strategy = reporting.strategy(self.source, StrategyStatus.COMPLETED, facts)
        return await self._report(StrategyReportedCompleted(strategy=strategy), facts)

    async def strategy_errored(
        self, *, error_code: str, details: str, **facts: Unpack[StrategyFacts]
    ) -> Receipt:
        """A strategy of yours cannot go on: a word for programs, and the same for people."""
        given("strategy_errored", StrategyFacts, facts)
        event = StrategyReportedFailed(
            strategy=reporting.strategy(self.source, StrategyStatus.ERROR, facts),
            error_code=figures.name("error_code", error_code),
            details=figures.words("details", details),
        )
        return await self._report(event, facts)

    async def order_placed(self, **facts: Unpack[OrderFacts]) -> Receipt:
        """Your program sent an order to its broker; `price` is its limit."""
        return await self._order("order_placed", OrderReportedPlaced, OrderStatus.NEW, facts)

    async def order_executed(self, *, partly: bool = False, **facts: Unpack[OrderFacts]) -> Receipt:
        """`quantity` of your program's order was executed at `price`: all of it, or partly."""
        status = OrderStatus.PARTIALLY_FILLED if partly else OrderStatus.FILLED
        return await self._order("order_executed", OrderReportedExecuted, status, facts)

    async def order_rejected(self, **facts: Unpack[OrderFacts]) -> Receipt:
        """The broker of your program refused an order; `reason` says why."""
        status = OrderStatus.REJECTED
        return await self._order("order_rejected", OrderReportedRejected, status, facts)

    async def order_cancelled(self, **facts: Unpack[OrderFacts]) -> Receipt:
        """Nothing more of your program's order will be executed."""
        status = OrderStatus.CANCELED
        return await self._order("order_cancelled", OrderReportedCancelled, status, facts)

    async def order_failed(self, **facts: Unpack[OrderFacts]) -> Receipt:
        """Your program's order could not be done, through no fault of the order."""
        return await self._order("order_failed", OrderReportedFailed, OrderStatus.FAILED, facts)

    async def stop_loss_triggered(self, **facts: Unpack[StopLossFacts]) -> Receipt:
        """The price reached the stop-loss of a strategy of yours."""
        return await self._stop("stop_loss_triggered", StopLossReportedTriggered, facts)

    async def stop_loss_executed(self, **facts: Unpack[StopLossFacts]) -> Receipt:
        """The closing order of a stop-loss is filled, at `current_price`."""
        return await self._stop("stop_loss_executed", StopLossReportedExecuted, facts)

    async def error(self, **facts: Unpack[ErrorFacts]) -> Receipt:
        """Something went wrong that the user should see, of one strategy or of none."""
        given("error", ErrorFacts, facts)
        return await self._report(reporting.error(self.source, facts), facts)

    async def decision(self, **facts: Unpack[DecisionFacts]) -> Receipt:
        """A strategy or model of yours decided, and perhaps acted (``ai:decision``)."""
        given("decision", DecisionFacts, facts)
        user, id_ = figures.user("user", facts["user"]), self._id(facts.get("event_id"))
        event = reporting.decision(id_, facts)
        entity = f"{self.source}/{event.strategy_id}"
        return await self._store(user, "decisions", entity, event, id_, once=False)

    async def alert(self, **facts: Unpack[AlertFacts]) -> Receipt:
        """Alert the user (``alert:new``), who is notified too; ``error`` is shown at once."""
        given("alert", AlertFacts, facts)
        user, id_ = figures.user("user", facts["user"]), self._id(facts.get("event_id"))
        return await self._store(user, "alerts", id_, reporting.alert(id_, facts), id_, once=True)

    async def price(self, symbol: str, price: Number, **facts: Unpack[PriceFacts]) -> None:
        """`symbol` is worth `price` dollars a share now: a value, of which the newest wins. Where
        `bid`, `ask` are not said, they are the price."""
        given("price", PriceFacts, facts)
        await self._quote(symbol, reporting.quote(symbol, price, facts))

    async def _order(
        self, call: str, kind: type[OrderReport], status: OrderStatus, facts: OrderFacts
    ) -> Receipt:
        given(call, OrderFacts, facts)
        return await self._report(kind(order=reporting.order(self.source, status, facts)), facts)

    async def _stop(self, call: str, kind: type[StopLossReport], facts: StopLossFacts) -> Receipt:
        given(call, StopLossFacts, facts)
        return await self._report(reporting.stop_loss(kind, self.source, facts), facts)

    async def _report(self, event: Event, facts: Any) -> Receipt:
        """Reports on one strategy are one entity; those on none have the source's own."""
        user, strategy = figures.user("user", facts["user"]), facts.get("strategy_id")
        entity = self.source if strategy is None else f"{self.source}/{strategy}"
        id_ = self._id(facts.get("event_id"))
        return await self._store(user, "reports", entity, event, id_, once=False)
