"""One order as Tapewire wants it and as its venue has it, and what to send next. Pure.

After each logon the venue is asked for the status of every order (`doubt`), because messages may
have been lost. One request on an order is open at a time: the next one waits for its answer.
"""

import enum
from collections.abc import Callable
from datetime import datetime

import msgspec

from fix_broker.execution_reports import REQUEST_SEPARATOR, ExecutionReport, OrdStatus
from fix_broker.messages import Message
from fix_broker.order_messages import (
    make_cancel_request,
    make_new_order,
    make_replace_request,
    make_status_request,
)
from tapewire.brokers import OpenOrder
from tapewire.events import OrderStatus


class Phase(enum.Enum):
    """What the venue knows of an order."""

    NOT_SENT = "not_sent"
    IN_DOUBT = "in_doubt"
    ASKED = "asked"
    NOT_RECEIVED = "not_received"
    SENT = "sent"


class RequestKind(enum.Enum):
    CANCEL = "c"
    REPLACE = "r"


class OrderRequest(msgspec.Struct, frozen=True):
    """A request that the venue has not answered. `asked` is the order that asked for it."""

    kind: RequestKind
    id: str
    asked: OpenOrder


class VenueOrder:
    """An order. `latest` is its newest known state in Tapewire.

    Args:
        is_new: whether it cannot have been sent before.
        clock: the UTC time, for the venue.
    """

    def __init__(
        self,
        order: OpenOrder,
        account: str | None,
        clock: Callable[[], datetime],
        *,
        is_new: bool,
    ) -> None:
        self.latest = order
        self.request: OrderRequest | None = None
        self.filled_qty = order.order.filled_qty
        self.is_closed_at_venue = False
        self.is_reporting = False
        """Whether an answer is being reported, so that `latest` does not have it yet."""
        self._account = account
        self._clock = clock
        self._phase = Phase.NOT_SENT if is_new else Phase.IN_DOUBT
        self._current_id = order.order.order_id
        self._question = ""

    @property
    def order_id(self) -> str:
        return self.latest.order.order_id

    @property
    def is_done(self) -> bool:
        """Whether neither side has anything to say on the order any more."""
        order = self.latest.order
        return not order.status.is_open and (
            self.is_closed_at_venue or order.status is OrderStatus.FILLED
        )

    def update(self, order: OpenOrder) -> None:
        """Take over a state in Tapewire unless it is older than the known one."""
        if order.sequence > self.latest.sequence:
            if order.corrections > self.latest.corrections:
                self.filled_qty = order.order.filled_qty
            self.latest = order
            self.filled_qty = max(self.filled_qty, order.order.filled_qty)

    def doubt(self) -> None:
        """Messages on the order may have been lost: ask the venue."""
        self._phase = Phase.IN_DOUBT
        self.request = None

    def note_current_id(self, report: ExecutionReport) -> None:
        """The venue knows the order under the id of `report`."""
        self._current_id = report.current_id or self._current_id

    def note_answer(self, report: ExecutionReport) -> None:
        """The venue answered the question for the status, and has the order."""
        self._phase = Phase.SENT
        self.note_current_id(report)
        if report.request_id is not None:
            is_cancel = report.status is OrdStatus.PENDING_CANCEL
            kind = RequestKind.CANCEL if is_cancel else RequestKind.REPLACE
            self.request = OrderRequest(kind, report.request_id, self.latest)

    def assume_received(self) -> None:
        """The venue does not answer questions: it accepted the order, and may have it still."""
        self._phase = Phase.SENT

    def has_terms_wanted(self, report: ExecutionReport) -> bool:
        """Whether `report` has the terms that a replacement asks for."""
        wanted = self.latest.order.replacement
        return wanted is not None and report.terms(self.latest.order) == wanted

    def take_request(self, id_: str) -> OrderRequest | None:
        """The open request `id_`, which is answered now; None if it is not the open one."""
        request = self.request
        if request is None or request.id != id_:
            return None
        self.request = None
        return request

    def note_not_received(self) -> None:
        """The venue does not have the order, which must be sent again."""
        self._phase = Phase.NOT_RECEIVED

    def is_answer(self, question: str | None) -> bool:
        """Whether an answer to `question` answers the last one. Venues may leave it out."""
        return self._phase is Phase.ASKED and question in (None, self._question)

    def next_message(self) -> Message | None:
        """What must be sent now, which counts as sent; None if there is nothing."""
        if self.is_done or self.is_reporting:
            return None
        order, at = self.latest.order, self._clock()
        match self._phase:
            case Phase.ASKED:
                return None
            case Phase.IN_DOUBT:
                self._phase = Phase.ASKED
                milliseconds = int(at.timestamp() * 1000)
                self._question = f"{self.order_id}{REQUEST_SEPARATOR}s{milliseconds}"
                return make_status_request(order, self._current_id, self._question)
            case Phase.NOT_SENT | Phase.NOT_RECEIVED:
                is_possible_resend = self._phase is Phase.NOT_RECEIVED
                self._phase = Phase.SENT
                return make_new_order(
                    order, at, self._account, is_possible_resend=is_possible_resend
                )
        return self._next_request(at)

    def _next_request(self, at: datetime) -> Message | None:
        order = self.latest.order
        if self.request is not None or self.is_closed_at_venue:
            return None
        if order.status is OrderStatus.PENDING_CANCEL or not order.status.is_open:
            request = self._make_request(RequestKind.CANCEL)
            return make_cancel_request(order, at, request.id, self._current_id)
        if order.replacement is not None:
            request = self._make_request(RequestKind.REPLACE)
            return make_replace_request(
                order,
                order.replacement,
                at,
                self._account,
                request_id=request.id,
                current_id=self._current_id,
            )
        return None

    def _make_request(self, kind: RequestKind) -> OrderRequest:
        """The request has an id made of the state that asks for it, which no other request has."""
        id_ = f"{self.order_id}{REQUEST_SEPARATOR}{kind.value}{self.latest.sequence}"
        self.request = OrderRequest(kind, id_, self.latest)
        return self.request
