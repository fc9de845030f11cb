"""What a venue reports on an order: execution reports and rejected cancels, as typed values."""

import enum
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from fix_broker.messages import BadField, Message, Tag
from tapewire.brokers import MAX_VENUE_ID_LENGTH
from tapewire.events import NO_FEE, OrderTerms, ReportedCorrection, ReportedExecution, Side
from tapewire.events import Order as TapewireOrder

REQUEST_SEPARATOR = "-"
"""Between the order's id and what tells its cancel and replace requests apart, in a ClOrdID."""
UNKNOWN_ORDER, DUPLICATE_ORDER = "5", "6"
"""Values of OrdRejReason."""


Choice = TypeVar("Choice", bound=enum.StrEnum)


class ExecType(enum.StrEnum):
    """What an execution report is about."""

    NEW = "0"
    DONE_FOR_DAY = "3"
    CANCELED = "4"
    REPLACED = "5"
    PENDING_CANCEL = "6"
    STOPPED = "7"
    REJECTED = "8"
    SUSPENDED = "9"
    PENDING_NEW = "A"
    CALCULATED = "B"
    EXPIRED = "C"
    RESTATED = "D"
    PENDING_REPLACE = "E"
    TRADE = "F"
    TRADE_CORRECT = "G"
    TRADE_CANCEL = "H"
    ORDER_STATUS = "I"
    TRIGGERED = "L"


class OrdStatus(enum.StrEnum):
    """Where an order is in its life at the venue."""

    NEW = "0"
    PARTIALLY_FILLED = "1"
    FILLED = "2"
    DONE_FOR_DAY = "3"
    CANCELED = "4"
    REPLACED = "5"
    PENDING_CANCEL = "6"
    STOPPED = "7"
    REJECTED = "8"
    SUSPENDED = "9"
    PENDING_NEW = "A"
    CALCULATED = "B"
    EXPIRED = "C"
    ACCEPTED_FOR_BIDDING = "D"
    PENDING_REPLACE = "E"


class CommType(enum.StrEnum):
    """What Commission is; an amount with any other value."""

    PER_SHARE = "1"
    PERCENT = "2"


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """An execution report. `current_id` is the ClOrdID that the venue knows the order by, and
    `request_id` that of a request which it has not decided."""

    message: Message
    order_id: str
    current_id: str
    request_id: str | None
    venue_order_id: str
    exec_type: ExecType
    status: OrdStatus
    cum_qty: Decimal
    text: str

    @property
    def is_unknown_order(self) -> bool:
        """Whether it answers the question for the status of an order that the venue does not
        have."""
        return (
            self.exec_type is ExecType.ORDER_STATUS
            and self.status is OrdStatus.REJECTED
            and self.message.get(Tag.ORD_REJ_REASON) == UNKNOWN_ORDER
        )

    @property
    def is_duplicate_order(self) -> bool:
        """Whether it refuses an order because the venue has it already."""
        return (
            self.exec_type is ExecType.REJECTED
            and self.message.get(Tag.ORD_REJ_REASON) == DUPLICATE_ORDER
        )

    @property
    def storable_venue_order_id(self) -> str | None:
        """The venue's id of the order; None if it is too long to be stored."""
        return self.venue_order_id if len(self.venue_order_id) <= MAX_VENUE_ID_LENGTH else None

    def terms(self, order: TapewireOrder) -> OrderTerms:
        """The terms of the order at the venue; those of `order` for what the report leaves out."""
        asked = order.replacement or order
        return OrderTerms(
            qty=self._number(Tag.ORDER_QTY, asked.qty) or asked.qty,
            limit_price=self._number(Tag.PRICE, asked.limit_price)
            if order.type.has_limit_price
            else None,
            stop_price=self._number(Tag.STOP_PX, asked.stop_price)
            if order.type.has_stop_price
            else None,
        )

    def execution(self, user: str | None) -> ReportedExecution:
        """The execution that it reports. Raises BadField if it reports none."""
        qty = self.message.decimal(Tag.LAST_QTY)
        price = self.message.decimal(Tag.LAST_PX)
        return ReportedExecution(
            execution_id=self._execution_id(Tag.EXEC_ID),
            order_id=self.order_id,
            qty=qty,
            price=price,
            timestamp=self._time(),
            fee=self._fee(qty, price) or NO_FEE,
            venue_order_id=self.venue_order_id,
            user=user,
            symbol=self.message.get(Tag.SYMBOL),
            side={"1": Side.BUY, "2": Side.SELL}.get(self.message.get(Tag.SIDE) or ""),
        )

    def correction(self, user: str | None) -> ReportedCorrection:
        """The correction or the bust of an execution that it reports. Raises BadField if it reports
        none."""
        is_busted = self.exec_type is ExecType.TRADE_CANCEL
        qty = price = fee = None
        if not is_busted:
            qty, price = self.message.decimal(Tag.LAST_QTY), self.message.decimal(Tag.LAST_PX)
            fee = self._fee(qty, price)
        return ReportedCorrection(
            execution_id=self._execution_id(Tag.EXEC_REF_ID),
            order_id=self.order_id,
            timestamp=self._time(),
            correction_id=self._execution_id(Tag.EXEC_ID),
            qty=qty,
            price=price,
            fee=fee,
            is_busted=is_busted,
            user=user,
        )

    def _execution_id(self, tag: Tag) -> str:
        """Venues begin anew with their execution ids every day, so the day belongs to them."""
        day = self.message.get(Tag.TRADE_DATE) or f"{self._time():%Y%m%d}"
        return f"{day}:{self.message.require(tag)}"

    def _time(self) -> datetime:
        times = (Tag.TRANSACT_TIME, Tag.ORIG_SENDING_TIME, Tag.SENDING_TIME)
        return self.message.time(next(tag for tag in times if tag in self.message.fields))

    def _number(self, tag: Tag, default: Decimal | None) -> Decimal | None:
        return default if self.message.get(tag) is None else self.message.decimal(tag)

    def _fee(self, qty: Decimal, price: Decimal) -> Decimal | None:
        """The fee; None if the report does not say."""
        if self.message.get(Tag.COMMISSION) is None:
            return None
        commission = self.message.decimal(Tag.COMMISSION)
        match self.message.get(Tag.COMM_TYPE):
            case CommType.PER_SHARE:
                return commission * qty
            case CommType.PERCENT:
                return commission * qty * price / 100
        return commission


def read_execution_report(message: Message) -> ExecutionReport:
    """The execution report in `message`.

    Raises:
        BadField: a field is missing or cannot be read.
    """
    status = _choice(OrdStatus, message, Tag.ORD_STATUS)
    cl_ord_id = message.get(Tag.CL_ORD_ID) or ""
    orig_id = message.get(Tag.ORIG_CL_ORD_ID)
    is_pending = status in (OrdStatus.PENDING_CANCEL, OrdStatus.PENDING_REPLACE)
    return ExecutionReport(
        message=message,
        order_id=order_id_of(cl_ord_id),
        current_id=orig_id if is_pending and orig_id is not None else cl_ord_id,
        request_id=cl_ord_id if is_pending else None,
        venue_order_id=message.require(Tag.ORDER_ID),
        exec_type=_choice(ExecType, message, Tag.EXEC_TYPE),
        status=status,
        cum_qty=message.decimal(Tag.CUM_QTY),
        text=message.get(Tag.TEXT) or "",
    )


def order_id_of(cl_ord_id: str) -> str:
    """The order that a ClOrdID of an order or of a request on it belongs to."""
    return cl_ord_id.partition(REQUEST_SEPARATOR)[0]


def _choice(choices: type[Choice], message: Message, tag: Tag) -> Choice:
    value = message.require(tag)
    try:
        return choices(value)
    except ValueError:
        raise BadField(tag, value) from None
