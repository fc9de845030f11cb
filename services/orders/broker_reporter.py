"""Turns a broker's reports into order events, and retries until they are stored.

Each report has one command decided on an order, under an id that depends only on what is reported.
Start at `BrokerReporter`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import structlog

from tapewire.brokers import (
    MAX_CONCURRENT_REPORTS,
    MAX_REASON_LENGTH,
    MAX_VENUE_ID_LENGTH,
    BrokerReports,
    OpenOrder,
)
from tapewire.decimals import normalize
from tapewire.events import (
    NO_FEE,
    Order,
    OrderTerms,
    QuotedOffer,
    ReportedCorrection,
    ReportedExecution,
    SplitExecuted,
    Undecodable,
    UnknownType,
    WaitingReason,
)
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventSubject,
    LogError,
    TooManyConflicts,
    Versioned,
)
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.ids import derive_id
from tapewire_services.field_validation import validate_text_field
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    CancelOrderCommand,
    Command,
    ConfirmReplaceCommand,
    FailOrderCommand,
    FillOrderCommand,
    NoteWaitingCommand,
    RejectCancelCommand,
    RejectOrderCommand,
    RejectReplaceCommand,
    SplitOrderCommand,
    TriggerOrderCommand,
    validate_terms,
)
from tapewire_services.orders.domain.open_orders import loses_priority
from tapewire_services.orders.domain.order_state import State, UnplacedState, WorkingState
from tapewire_services.orders.execution_booking import ExecutionBooking

logger = structlog.get_logger("orders.broker")


class BrokerReporter(BrokerReports):
    """Appends what a broker did to the log.

    A report waits while `holds_lease` returns False: another broker may then execute orders, and
    the quotes that this one executed against may be out of date. What a venue executed is a fact
    whoever holds the lease: `executed` and `execution_corrected` do not wait.
    """

    def __init__(
        self,
        command_handler: CommandHandler[State, Command],
        booking: ExecutionBooking,
        rng: random.Random | None = None,
        holds_lease: Callable[[], bool] = lambda: True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._command_handler = command_handler
        self._booking = booking
        self._rng = rng or new_rng()
        self._holds_lease = holds_lease
        self._clock = clock
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REPORTS)

    async def accepted(self, order: OpenOrder, venue_order_id: str | None = None) -> OpenOrder:
        if venue_order_id is not None:
            _validate_venue_id(venue_order_id)
        id_ = f"{order.order.order_id}:accept"
        at, user = self._clock(), order.user
        return await self._report(
            order, AcceptOrderCommand(id=id_, at=at, user=user, venue_order_id=venue_order_id)
        )

    async def rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        id_, reason = f"{order.order.order_id}:reject", _make_storable(reason)
        after = await self._report(
            order, RejectOrderCommand(id=id_, at=self._clock(), user=order.user, reason=reason)
        )
        return await self.failed(after, reason) if after.order.status.is_open else after

    async def executed(self, execution: ReportedExecution) -> Order | None:
        return await self._book(execution)

    async def execution_corrected(self, correction: ReportedCorrection) -> Order | None:
        return await self._book(correction)

    async def _book(self, reported: ReportedExecution | ReportedCorrection) -> Order | None:
        backoff = Backoff(self._rng)
        while True:
            try:
                async with self._slots:
                    return await self._booking.report(reported)
            except (LogError, TooManyConflicts, UnknownType, Undecodable) as error:
                logger.warning("report.failed", command_id=reported.execution_id, error=str(error))
                await backoff.wait()

    async def split_order(self, order: OpenOrder, split: SplitExecuted) -> OpenOrder:
        """Give an open order the terms of the new shares."""
        id_ = f"{order.order.order_id}:split:{split.number}"
        return await self._report(
            order, SplitOrderCommand(id=id_, at=self._clock(), user=order.user, split=split)
        )

    async def canceled(self, order: OpenOrder, reason: str) -> OpenOrder:
        id_, reason = f"{order.order.order_id}:cancel", _make_storable(reason)
        return await self._report(
            order, CancelOrderCommand(id=id_, at=self._clock(), user=order.user, reason=reason)
        )

    async def cancel_rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        id_, reason = _request_id(order, "cancel-rejected"), _make_storable(reason)
        return await self._report(
            order, RejectCancelCommand(id=id_, at=self._clock(), user=order.user, reason=reason)
        )

    async def replaced(self, order: OpenOrder, terms: OrderTerms | None = None) -> OpenOrder:
        id_ = _request_id(order, "replaced")
        if terms is not None:
            with _invalid_as_value_error():
                terms = validate_terms(order.order.type, terms)
            id_ += f":{derive_id(str(msgspec.structs.astuple(terms)))}"
        return await self._report(
            order, ConfirmReplaceCommand(id=id_, at=self._clock(), user=order.user, terms=terms)
        )

    async def replace_rejected(self, order: OpenOrder, reason: str) -> OpenOrder:
        id_, reason = _request_id(order, "replace-rejected"), _make_storable(reason)
        return await self._report(
            order, RejectReplaceCommand(id=id_, at=self._clock(), user=order.user, reason=reason)
        )

    async def triggered(self, order: OpenOrder) -> OpenOrder:
        id_ = f"{order.order.order_id}:trigger"
        return await self._report(
            order, TriggerOrderCommand(id=id_, at=self._clock(), user=order.user)
        )

    async def failed(self, order: OpenOrder, reason: str) -> OpenOrder:
        id_, reason = f"{order.order.order_id}:fail", _make_storable(reason)
        return await self._report(
            order, FailOrderCommand(id=id_, at=self._clock(), user=order.user, reason=reason)
        )

    async def waiting(self, order: OpenOrder, waiting: WaitingReason | None) -> OpenOrder:
        command = NoteWaitingCommand(
            id=_request_id(order, "waiting"),
            at=self._clock(),
            user=order.user,
            waiting=waiting,
            filled_before=order.order.filled_qty,
        )
        return await self._report(order, command)

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
        filled_before = order.order.filled_qty
        # After a correction the same quantity may be filled before another part.
        suffix = f":{order.corrections}" if order.corrections else ""
        command = FillOrderCommand(
            # Equal for two brokers that propose the same part, so only one of them fills it.
            id=f"{order.order.order_id}:fill:{normalize(filled_before)}{suffix}",
            at=self._clock(),
            user=order.user,
            qty=qty,
            price=price,
            filled_before=filled_before,
            quoted_at=quoted_at,
            offer=offer,
            fee=fee,
            splits=order.order.splits,
        )
        return await self._report(order, command)

    async def _report(self, open_order: OpenOrder, command: Command) -> OpenOrder:
        """Decide `command` and return the order as the log then holds it, whether the command was
        accepted or rejected. Retries while the log cannot be reached or read."""
        backoff = Backoff(self._rng)
        while True:
            while not self._holds_lease():
                await backoff.wait()
            try:
                async with self._slots:
                    decided = await self._decide(open_order, command)
            except (LogError, TooManyConflicts, UnknownType, Undecodable) as error:
                logger.warning("report.failed", command_id=command.id, error=str(error))
                await backoff.wait()
            else:
                return _updated_open_order(open_order, decided)

    async def _decide(self, open_order: OpenOrder, command: Command) -> Versioned[State]:
        subject = EventSubject(open_order.user, "orders", open_order.order.order_id)
        try:
            return await self._command_handler.handle(
                subject,
                command,
                correlation=open_order.correlation,
                traceparent=open_order.traceparent,
            )
        except CommandRejected as rejection:
            logger.info("report.rejected", command_id=command.id, reason=rejection.message)
            return await self._command_handler.load_latest(subject)


def _request_id(order: OpenOrder, name: str) -> str:
    """The id of a report that concerns one state of the order."""
    return f"{order.order.order_id}:{name}:{order.sequence}"


def _make_storable(reason: str) -> str:
    text = reason.encode(errors="replace").decode()
    return text if len(text) <= MAX_REASON_LENGTH else f"{text[: MAX_REASON_LENGTH - 1]}…"


def _validate_venue_id(venue_order_id: str) -> None:
    with _invalid_as_value_error():
        validate_text_field("venue_order_id", venue_order_id, max_length=MAX_VENUE_ID_LENGTH)


@contextlib.contextmanager
def _invalid_as_value_error() -> Iterator[None]:
    """What an adapter passes is no command of a user."""
    try:
        yield
    except CommandRejected as rejection:
        raise ValueError(rejection.message) from None


def _updated_open_order(open_order: OpenOrder, versioned: Versioned[State]) -> OpenOrder:
    state = versioned.state
    if isinstance(state, UnplacedState) or versioned.sequence <= open_order.sequence:
        return open_order
    is_accepted = open_order.accepted or isinstance(state, WorkingState)
    since = open_order.since
    if loses_priority(open_order.order, state.order):
        since = versioned.sequence
    return msgspec.structs.replace(
        open_order,
        order=state.order,
        since=since,
        sequence=versioned.sequence,
        accepted=is_accepted,
        corrections=state.executions.correction_count,
    )
