"""The client's calls for trading events, one for each kind.

Arguments are keywords, which `event_builders` lists. Times default to now. Numbers are whatever
`tapewire.values` takes, and are rounded to eight decimal places. Events about strategies, orders
and stop-losses are reports: they are shown and notified, but neither trade nor count as positions
(docs/adr/0006). A call returns when the event is stored; it is retried if necessary.
"""

from abc import ABC, abstractmethod
from typing import Any, Unpack

from tapewire.client import event_builders, validation
from tapewire.client.clock_limit import ClockLimit
from tapewire.client.event_builders import (
    AlertArguments,
    DecisionArguments,
    ErrorArguments,
    OrderArguments,
    PriceArguments,
    StopLossArguments,
    StrategyArguments,
    check_arguments,
)
from tapewire.client.publishing import Receipt
from tapewire.events import (
    Event,
    OrderReport,
    OrderReportedCancelled,
    OrderReportedExecuted,
    OrderReportedFailed,
    OrderReportedPlaced,
    OrderReportedRejected,
    OrderStatus,
    PriceUpdated,
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
from tapewire.values import Number


class TradingEventPublisher(ABC):
    """The calls. `source` is the name under which the program is connected. `clock_limit` rejects
    times that are ahead of the clock, and counts them."""

    source: str
    clock_limit: ClockLimit

    @abstractmethod
    async def _append_event(
        self, owner: str, domain: str, entity: str, event: Event, event_id: str, *, once: bool
    ) -> Receipt: ...

    @abstractmethod
    async def _put_quote(self, quote: PriceUpdated) -> None: ...

    @abstractmethod
    def _resolve_id(self, explicit_id: str | None) -> str: ...

    async def strategy_started(self, **arguments: Unpack[StrategyArguments]) -> Receipt:
        """Report that a strategy started trading."""
        check_arguments("strategy_started", StrategyArguments, arguments)
        strategy = event_builders.build_reported_strategy(
            self.source, StrategyStatus.STARTED, arguments
        )
        return await self._report(StrategyReportedStarted(strategy=strategy), arguments)

    async def strategy_updated(self, **arguments: Unpack[StrategyArguments]) -> Receipt:
        """Report that the settings or the position of a running strategy changed."""
        check_arguments("strategy_updated", StrategyArguments, arguments)
        strategy = event_builders.build_reported_strategy(
            self.source, StrategyStatus.STARTED, arguments
        )
        return await self._report(StrategyReportedUpdated(strategy=strategy), arguments)

    async def strategy_stopped(self, **arguments: Unpack[StrategyArguments]) -> Receipt:
        """Report that a strategy stopped trading."""
        check_arguments("strategy_stopped", StrategyArguments, arguments)
        strategy = event_builders.build_reported_strategy(
            self.source, StrategyStatus.STOPPED, arguments
        )
        return await self._report(StrategyReportedStopped(strategy=strategy), arguments)

    async def strategy_completed(self, **arguments: Unpack[StrategyArguments]) -> Receipt:
        """Report that a strategy is complete."""
        check_arguments("strategy_completed", StrategyArguments, arguments)
        strategy = event_builders.build_reported_strategy(
            self.source, StrategyStatus.COMPLETED, arguments
        )
        return await self._report(StrategyReportedCompleted(strategy=strategy), arguments)

    async def strategy_errored(
        self, *, error_code: str, details: str, **arguments: Unpack[StrategyArguments]
    ) -> Receipt:
        """Report that a strategy failed, with a code for programs and details for people."""
        check_arguments("strategy_errored", StrategyArguments, arguments)
        event = StrategyReportedFailed(
            strategy=event_builders.build_reported_strategy(
                self.source, StrategyStatus.ERROR, arguments
            ),
            error_code=validation.validate_name("error_code", error_code),
            details=validation.validate_text("details", details),
        )
        return await self._report(event, arguments)

    async def order_placed(self, **arguments: Unpack[OrderArguments]) -> Receipt:
        """Report an order sent to your broker. `price` is its limit."""
        return await self._report_order(
            "order_placed", OrderReportedPlaced, OrderStatus.NEW, arguments
        )

    async def order_executed(
        self, *, partly: bool = False, **arguments: Unpack[OrderArguments]
    ) -> Receipt:
        """Report an execution of `quantity` at `price`. `partly`: the order is not filled yet."""
        status = OrderStatus.PARTIALLY_FILLED if partly else OrderStatus.FILLED
        return await self._report_order("order_executed", OrderReportedExecuted, status, arguments)

    async def order_rejected(self, **arguments: Unpack[OrderArguments]) -> Receipt:
        """Report that your broker rejected an order, for `reason`."""
        status = OrderStatus.REJECTED
        return await self._report_order("order_rejected", OrderReportedRejected, status, arguments)

    async def order_cancelled(self, **arguments: Unpack[OrderArguments]) -> Receipt:
        """Report that an order was cancelled."""
        status = OrderStatus.CANCELED
        return await self._report_order(
            "order_cancelled", OrderReportedCancelled, status, arguments
        )

    async def order_failed(self, **arguments: Unpack[OrderArguments]) -> Receipt:
        """Report that an order failed for a technical reason."""
        return await self._report_order(
            "order_failed", OrderReportedFailed, OrderStatus.FAILED, arguments
        )

    async def stop_loss_triggered(self, **arguments: Unpack[StopLossArguments]) -> Receipt:
        """Report that the price reached the stop-loss of a strategy."""
        return await self._report_stop_loss(
            "stop_loss_triggered", StopLossReportedTriggered, arguments
        )

    async def stop_loss_executed(self, **arguments: Unpack[StopLossArguments]) -> Receipt:
        """Report that the closing order of a stop-loss was filled at `current_price`."""
        return await self._report_stop_loss(
            "stop_loss_executed", StopLossReportedExecuted, arguments
        )

    async def error(self, **arguments: Unpack[ErrorArguments]) -> Receipt:
        """Report an error to the user, about one strategy or none."""
        check_arguments("error", ErrorArguments, arguments)
        return await self._report(
            event_builders.build_error_reported(self.source, arguments), arguments
        )

    async def decision(self, **arguments: Unpack[DecisionArguments]) -> Receipt:
        """Publish a decision of a strategy or model (``ai:decision``)."""
        check_arguments("decision", DecisionArguments, arguments)
        user, id_ = (
            validation.validate_user_id("user", arguments["user"]),
            self._resolve_id(arguments.get("event_id")),
        )
        event = event_builders.build_decision_made(id_, arguments)
        self.clock_limit.check(event)
        entity = f"{self.source}/{event.strategy_id}"
        return await self._append_event(user, "decisions", entity, event, id_, once=False)

    async def alert(self, **arguments: Unpack[AlertArguments]) -> Receipt:
        """Alert and notify the user (``alert:new``). The level ``error`` is delivered at once."""
        check_arguments("alert", AlertArguments, arguments)
        user, id_ = (
            validation.validate_user_id("user", arguments["user"]),
            self._resolve_id(arguments.get("event_id")),
        )
        event = event_builders.build_alert_raised(id_, arguments)
        self.clock_limit.check(event)
        return await self._append_event(user, "alerts", id_, event, id_, once=True)

    async def price(self, symbol: str, price: Number, **arguments: Unpack[PriceArguments]) -> None:
        """Publish a quote of `symbol`, in dollars a share. The newest quote wins.

        `bid` and `ask` default to `price`.
        """
        check_arguments("price", PriceArguments, arguments)
        quote = event_builders.build_price_updated(symbol, price, arguments)
        self.clock_limit.check(quote)
        await self._put_quote(quote)

    async def _report_order(
        self,
        method_name: str,
        event_type: type[OrderReport],
        status: OrderStatus,
        arguments: OrderArguments,
    ) -> Receipt:
        check_arguments(method_name, OrderArguments, arguments)
        return await self._report(
            event_type(order=event_builders.build_reported_order(self.source, status, arguments)),
            arguments,
        )

    async def _report_stop_loss(
        self, method_name: str, event_type: type[StopLossReport], arguments: StopLossArguments
    ) -> Receipt:
        check_arguments(method_name, StopLossArguments, arguments)
        return await self._report(
            event_builders.build_stop_loss_report(event_type, self.source, arguments), arguments
        )

    async def _report(self, event: Event, arguments: Any) -> Receipt:
        """Append a report. Reports about one strategy share an entity."""
        self.clock_limit.check(event)
        user = validation.validate_user_id("user", arguments["user"])
        strategy = arguments.get("strategy_id")
        entity = self.source
        if strategy is not None:
            entity += f"/{validation.validate_name('strategy_id', strategy)}"
        id_ = self._resolve_id(arguments.get("event_id"))
        return await self._append_event(user, "reports", entity, event, id_, once=False)
