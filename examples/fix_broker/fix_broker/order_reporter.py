"""Reports to Tapewire what the venue says of one order. Start at `OrderReporter.handle`."""

from collections.abc import Callable
from datetime import datetime, timedelta

from structlog.typing import FilteringBoundLogger

from fix_broker.execution_reports import (
    ExecType,
    ExecutionReport,
    OrdStatus,
    read_execution_report,
)
from fix_broker.messages import Message, MsgType, Tag
from fix_broker.session_events import ReceivedMessage
from fix_broker.venue_order import RequestKind, VenueOrder
from tapewire.brokers import BrokerReports, OpenOrder
from tapewire.events import OrderStatus

TOO_LATE = "the venue did not receive it in time"
UNKNOWN_AT_VENUE = "the venue does not know the order any more"
CANCELED_UNSENT = "canceled before the venue received it"
REJECTED, REFUSED = "the venue rejected it", "the venue refused it"


class OrderReporter:
    """Turns messages on an order into reports, one message on an order at a time."""

    def __init__(
        self,
        logger: FilteringBoundLogger,
        clock: Callable[[], datetime],
        reports: BrokerReports,
        max_order_age: timedelta,
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._reports = reports
        self._max_order_age = max_order_age

    async def handle(self, order: VenueOrder, received: ReceivedMessage) -> None:
        """Report what a message says of `order`.

        Raises:
            BadField: the message cannot be read. Nothing was reported.
        """
        message = received.message
        match message.type:
            case MsgType.EXECUTION_REPORT:
                await self._handle_report(order, read_execution_report(message))
            case MsgType.ORDER_CANCEL_REJECT:
                await self._handle_cancel_reject(order, message)
            case MsgType.REJECT | MsgType.BUSINESS_MESSAGE_REJECT:
                if received.rejected is not None:
                    await self._handle_reject(order, received.rejected, message)

    async def handle_without_order(self, message: Message) -> None:
        """Report an execution of an order that is closed in Tapewire, or not of Tapewire.

        Raises:
            BadField: the message cannot be read. Nothing was reported.
        """
        if message.type == MsgType.EXECUTION_REPORT:
            report = read_execution_report(message)
            if report.exec_type is ExecType.TRADE:
                await self._reports.executed(report.execution(user=None))
            elif report.exec_type in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT):
                await self._reports.execution_corrected(report.correction(user=None))
        elif message.type != MsgType.ORDER_CANCEL_REJECT:
            self._logger.error(
                "fix.message_ignored", type=message.type, reason=message.get(Tag.TEXT)
            )

    async def _handle_report(self, order: VenueOrder, report: ExecutionReport) -> None:
        match report.exec_type:
            case ExecType.ORDER_STATUS:
                await self._handle_status(order, report)
            case ExecType.NEW:
                order.note_current_id(report)
                order.update(
                    await self._reports.accepted(order.latest, report.storable_venue_order_id)
                )
            case ExecType.TRADE | ExecType.TRADE_CANCEL | ExecType.TRADE_CORRECT:
                await self._handle_execution(order, report)
            case ExecType.REPLACED:
                await self._report_replaced(order, report)
            case ExecType.CANCELED | ExecType.EXPIRED:
                await self._report_canceled(order, report)
            case ExecType.REJECTED:
                await self._handle_rejected_order(order, report)
            case ExecType.TRIGGERED:
                order.update(await self._reports.triggered(order.latest))
            case _:  # pending, suspended, done for the day: the order is what it was
                self._logger.info(
                    "fix.order_noted", order_id=order.order_id, exec_type=report.exec_type.name
                )

    async def _handle_execution(self, order: VenueOrder, report: ExecutionReport) -> None:
        user = order.latest.user
        if report.exec_type is ExecType.TRADE:
            booked = await self._reports.executed(report.execution(user))
            if booked is not None:
                order.filled_qty = max(order.filled_qty, booked.filled_qty)
            return
        await self._reports.execution_corrected(report.correction(user))
        if report.status in (OrdStatus.CANCELED, OrdStatus.EXPIRED):
            # It was filled, has more to execute now, and is not worked again.
            await self._report_canceled(order, report)

    async def _handle_status(self, order: VenueOrder, report: ExecutionReport) -> None:
        if not order.is_answer(report.message.get(Tag.ORD_STATUS_REQ_ID)):
            return
        if report.is_unknown_order:
            await self._handle_unknown(order)
            return
        order.note_answer(report)
        if report.status is OrdStatus.REJECTED:
            await self._report_rejected(order, report.text)
        elif report.status is not OrdStatus.PENDING_NEW:
            await self._handle_known(order, report)

    async def _handle_known(self, order: VenueOrder, report: ExecutionReport) -> None:
        """The venue accepted the order at some time."""
        order.update(await self._reports.accepted(order.latest, report.storable_venue_order_id))
        if report.cum_qty > order.filled_qty:
            self._logger.error(
                "fix.executions_missing",
                order_id=order.order_id,
                executed=str(report.cum_qty),
                booked=str(order.filled_qty),
            )
        if report.status in (OrdStatus.CANCELED, OrdStatus.EXPIRED):
            await self._report_canceled(order, report)
        elif report.request_id is None and order.has_terms_wanted(report):
            # It replaced the order while nobody listened.
            order.update(await self._reports.replaced(order.latest))

    async def _handle_unknown(self, order: VenueOrder) -> None:
        """The venue does not have the order: it is sent again if it was never accepted."""
        latest, status = order.latest, order.latest.order.status
        if latest.accepted and status.is_open:
            self._logger.error("fix.order_lost", order_id=order.order_id)
            order.update(await self._reports.failed(latest, UNKNOWN_AT_VENUE))
        elif status is OrderStatus.PENDING_CANCEL:
            order.update(await self._reports.canceled(latest, CANCELED_UNSENT))
        elif status.is_open and self._is_too_old(latest):
            order.update(await self._reports.rejected(latest, TOO_LATE))
        elif status.is_open:
            order.note_not_received()
            return
        order.is_closed_at_venue = True

    async def _handle_rejected_order(self, order: VenueOrder, report: ExecutionReport) -> None:
        if report.is_duplicate_order:
            self._logger.info("fix.order_was_received", order_id=order.order_id)
        else:
            await self._report_rejected(order, report.text)

    async def _report_rejected(self, order: VenueOrder, reason: str) -> None:
        order.is_closed_at_venue = True
        order.update(await self._reports.rejected(order.latest, reason or REJECTED))

    async def _report_canceled(self, order: VenueOrder, report: ExecutionReport) -> None:
        is_expired = ExecType.EXPIRED in (report.exec_type, report.status)
        is_asked = order.latest.order.status is OrderStatus.PENDING_CANCEL
        reason = report.text or (
            "expired at the venue"
            if is_expired
            else "canceled by the user"
            if is_asked
            else "canceled by the venue"
        )
        order.is_closed_at_venue, order.request = True, None
        order.update(await self._reports.canceled(order.latest, reason))

    async def _report_replaced(self, order: VenueOrder, report: ExecutionReport) -> None:
        """The answer to an earlier request, which is sent again after a crash, confirms nothing."""
        order.note_current_id(report)
        request = order.take_request(report.current_id)
        if request is not None:
            terms = report.terms(request.asked.order)
            order.update(await self._reports.replaced(request.asked, terms))
        elif order.has_terms_wanted(report):
            order.update(await self._reports.replaced(order.latest))

    async def _handle_cancel_reject(self, order: VenueOrder, message: Message) -> None:
        await self._report_refused(order, message.require(Tag.CL_ORD_ID), message)

    async def _handle_reject(self, order: VenueOrder, rejected: Message, message: Message) -> None:
        """The venue could not read what was sent, or does not support it."""
        reason = message.get(Tag.TEXT) or "the venue cannot read the message"
        self._logger.error(
            "fix.message_rejected", order_id=order.order_id, type=rejected.type, reason=reason
        )
        if rejected.type == MsgType.NEW_ORDER_SINGLE:
            await self._report_rejected(order, reason)
        elif rejected.type == MsgType.ORDER_STATUS_REQUEST:
            if order.latest.accepted:
                order.assume_received()
            else:
                await self._handle_unknown(order)
        else:
            await self._report_refused(order, rejected.require(Tag.CL_ORD_ID), message)

    async def _report_refused(self, order: VenueOrder, request_id: str, message: Message) -> None:
        """The venue does not do what was asked for. A refusal of an earlier request says nothing:
        after a crash the venue is asked for the status, and then again for what is still wanted."""
        request = order.take_request(request_id)
        if request is None:
            return
        reason = message.get(Tag.TEXT) or REFUSED
        if not order.latest.order.status.is_open:
            # Tapewire closed the order on its own, so there is nobody left to tell.
            self._logger.error("fix.cancel_refused", order_id=order.order_id, reason=reason)
            order.is_closed_at_venue = True
        elif request.kind is RequestKind.CANCEL:
            order.update(await self._reports.cancel_rejected(request.asked, reason))
        else:
            order.update(await self._reports.replace_rejected(request.asked, reason))

    def _is_too_old(self, order: OpenOrder) -> bool:
        placed_at = order.placed_at
        return placed_at is not None and self._clock() - placed_at > self._max_order_age
