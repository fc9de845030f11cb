"""Turns a broker's reports into order events, and retries until they are stored.

`BrokerReporter.report` has one command decided on an order and retries until the log holds the
result.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from tapewire.events import Order, ReportedExecution, Undecodable, UnknownType
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventSubject,
    LogError,
    TooManyConflicts,
    Versioned,
)
from tapewire.log.backoff import Backoff, new_rng
from tapewire_services.orders.broker import MAX_CONCURRENT_REPORTS
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.open_orders import OpenOrder, loses_priority
from tapewire_services.orders.domain.order_state import State, UnplacedState, WorkingState
from tapewire_services.orders.execution_booking import ExecutionBooking

logger = structlog.get_logger("orders.broker")


class BrokerReporter:
    """Appends what a broker did to the log.

    `report` waits while `holds_lease` returns False: another broker may then execute orders, and
    the quotes that this one executed against may be out of date. What a venue executed is a fact
    whoever holds the lease, and `report_execution` does not wait.
    """

    def __init__(
        self,
        command_handler: CommandHandler[State, Command],
        booking: ExecutionBooking,
        rng: random.Random | None = None,
        holds_lease: Callable[[], bool] = lambda: True,
    ) -> None:
        self._command_handler = command_handler
        self._booking = booking
        self._rng = rng or new_rng()
        self._holds_lease = holds_lease
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REPORTS)

    async def report(self, open_order: OpenOrder, command: Command) -> OpenOrder:
        """Decide `command` and return the order as the log then holds it, whether the command was
        accepted or rejected. Retries while the log cannot be reached or read.

        Await one report on an order before the next one.
        """
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

    async def report_execution(self, execution: ReportedExecution) -> Order | None:
        """Book what a venue executed, whatever the state of the order, once for each execution id.
        Returns the order; None if the execution fits none and is kept for operators.

        Retries until the log has it: the venue may then be told that it was received. Await the
        report of one execution of an order before the next one.
        """
        backoff = Backoff(self._rng)
        while True:
            try:
                async with self._slots:
                    return await self._booking.report(execution)
            except (LogError, TooManyConflicts, UnknownType, Undecodable) as error:
                logger.warning("report.failed", command_id=execution.execution_id, error=str(error))
                await backoff.wait()

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
    )
