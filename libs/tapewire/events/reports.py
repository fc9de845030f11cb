"""Reports of programs that trade by themselves: their strategies, orders, stop-losses and errors.

Reports have the subjects ``ev.{user}.reports.{source/strategyId}``, apart from the strategies and
orders that Tapewire runs: they cause no orders, fills or positions (decision record 0006). `source`
is the name of the program's connection.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import PER_SHARE, SHARES, UTC_TIME, about
from tapewire.events.orders import OrderStatus, Side
from tapewire.events.strategies import StrategyStatus

REPORT_SUBJECT = "ev.{user}.reports.{source/strategyId}"


class ReportedStrategy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A strategy of another program, as that program sees it."""

    source: Annotated[str, about("the program that runs it")]
    strategy_id: Annotated[str, about("what that program calls it")]
    name: Annotated[str | None, about("what people call it")]
    symbol: Annotated[str | None, about("what it trades, null when that is more than one")]
    status: Annotated[StrategyStatus, about("what it does")]
    position: Annotated[Decimal, about("what it holds, below 0 when short", SHARES)]
    message: Annotated[str | None, about("why its status is what it is")]
    timestamp: Annotated[datetime, about("when it was so", UTC_TIME)]


class ReportedOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order that another program placed elsewhere."""

    source: Annotated[str, about("the program that placed it")]
    order_id: Annotated[str, about("what that program calls it")]
    strategy_id: Annotated[str | None, about("the strategy it is for, if one")]
    symbol: Annotated[str, about("what is traded")]
    side: Annotated[Side, about("buy or sell")]
    stop_loss: Annotated[bool, about("whether it closes a position for a stop-loss")]
    quantity: Annotated[Decimal, about("what was asked for, or executed", SHARES)]
    price: Annotated[Decimal | None, about("its limit, or what it was executed at", PER_SHARE)]
    status: Annotated[OrderStatus, about("where it is in its life")]
    reason: Annotated[str | None, about("why it is so, in words")]
    timestamp: Annotated[datetime, about("when it became so", UTC_TIME)]


class StrategyReport(Event, frozen=True, kw_only=True):
    """The reported strategy after the event."""

    strategy: Annotated[ReportedStrategy, about("the strategy as it is afterwards")]


@event("report.strategy_started", subject=REPORT_SUBJECT)
class StrategyReportedStarted(StrategyReport, frozen=True, kw_only=True):
    """The strategy trades from now on."""


@event("report.strategy_updated", subject=REPORT_SUBJECT)
class StrategyReportedUpdated(StrategyReport, frozen=True, kw_only=True):
    """Its settings or its holding changed."""


@event("report.strategy_stopped", subject=REPORT_SUBJECT)
class StrategyReportedStopped(StrategyReport, frozen=True, kw_only=True):
    """The strategy trades no more."""


@event("report.strategy_completed", subject=REPORT_SUBJECT)
class StrategyReportedCompleted(StrategyReport, frozen=True, kw_only=True):
    """The strategy has reached its goal."""


@event("report.strategy_failed", subject=REPORT_SUBJECT)
class StrategyReportedFailed(StrategyReport, frozen=True, kw_only=True):
    """The strategy cannot continue."""

    error_code: Annotated[str, about("a word for programs")]
    details: Annotated[str, about("the same for people")]


class OrderReport(Event, frozen=True, kw_only=True):
    """The reported order after the event."""

    order: Annotated[ReportedOrder, about("the order as it is afterwards")]


@event("report.order_placed", subject=REPORT_SUBJECT)
class OrderReportedPlaced(OrderReport, frozen=True, kw_only=True):
    """The order was sent to its broker."""


@event("report.order_executed", subject=REPORT_SUBJECT)
class OrderReportedExecuted(OrderReport, frozen=True, kw_only=True):
    """The order was executed, in part or completely, as its status says."""


@event("report.order_rejected", subject=REPORT_SUBJECT)
class OrderReportedRejected(OrderReport, frozen=True, kw_only=True):
    """The broker rejected the order."""


@event("report.order_cancelled", subject=REPORT_SUBJECT)
class OrderReportedCancelled(OrderReport, frozen=True, kw_only=True):
    """Nothing more of the order will be executed."""


@event("report.order_failed", subject=REPORT_SUBJECT)
class OrderReportedFailed(OrderReport, frozen=True, kw_only=True):
    """The order could not be executed, and is not at fault."""


class StopLossReport(Event, frozen=True, kw_only=True):
    """A stop-loss of a strategy in another program."""

    source: Annotated[str, about("the program that runs the strategy")]
    strategy_id: Annotated[str, about("what that program calls the strategy")]
    symbol: Annotated[str | None, about("what it trades")]
    trigger_price: Annotated[Decimal, about("where it gives the position up", PER_SHARE)]
    current_price: Annotated[Decimal, about("the price by then", PER_SHARE)]
    order_id: Annotated[str | None, about("the order that closes the position")]
    timestamp: Annotated[datetime, about("when it came to pass", UTC_TIME)]


@event("report.stop_loss_triggered", subject=REPORT_SUBJECT)
class StopLossReportedTriggered(StopLossReport, frozen=True, kw_only=True):
    """The price reached the stop-loss."""


@event("report.stop_loss_executed", subject=REPORT_SUBJECT)
class StopLossReportedExecuted(StopLossReport, frozen=True, kw_only=True):
    """The closing order of the stop-loss is filled."""


@event("report.error", subject=REPORT_SUBJECT)
class ErrorReported(Event, frozen=True, kw_only=True):
    """An error in another program, of one strategy or of none."""

    source: Annotated[str, about("the program")]
    strategy_id: Annotated[str | None, about("the strategy concerned, if one")]
    error_code: Annotated[str, about("a word for programs")]
    error_message: Annotated[str, about("the same for people")]
    details: Annotated[str | None, about("what helps to find the cause")]
    timestamp: Annotated[datetime, about("when", UTC_TIME)]
