"""Commands on orders: `Orders` decides them, and `Reporter` is how a broker's word gets into the
log whatever happens on the way.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from tapewire.events import Undecodable, UnknownType
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventLog,
    EventSubject,
    LogError,
    TooManyConflicts,
    Versioned,
)
from tapewire.log.backoff import Backoff
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.open_orders import OpenOrder
from tapewire_services.orders.domain.order import ORDER_DECIDER, State, UnplacedState, WorkingState

MAX_CONCURRENT_REPORTS = 64
"""Commands of one broker under way at the same time, each on another order."""
logger = structlog.get_logger("orders.broker")


class OrderCommandHandler(CommandHandler[State, Command]):
    """All orders, behind their decider."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log, ORDER_DECIDER)


class BrokerReporter:
    """Appends what a broker did, while it is surely the only one (`held`): one that stood still
    would execute at quotes that are over. One report an order at a time; see `broker.Report`."""

    def __init__(
        self,
        orders: OrderCommandHandler,
        rng: random.Random,
        holds_lease: Callable[[], bool] = lambda: True,
    ) -> None:
        self._orders = orders
        self._rng = rng
        self._holds_lease = holds_lease
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REPORTS)

    async def report(self, open_order: OpenOrder, command: Command) -> OpenOrder:
        """Decide `command` and return the order as it is in the log afterwards, whether the command
        was taken or refused. A log that cannot be reached, or read, is tried until it can."""
        patience = Backoff(self._rng)
        while True:
            while not self._holds_lease():
                await patience.wait()
            try:
                async with self._slots:
                    return _updated_open_order(
                        open_order, await self._handle_command(open_order, command)
                    )
            except (LogError, TooManyConflicts, UnknownType, Undecodable) as error:
                logger.warning("cannot report now", command=command.id, error=str(error))
            await patience.wait()

    async def _handle_command(self, open_order: OpenOrder, command: Command) -> Versioned[State]:
        subject = EventSubject(open_order.user, "orders", open_order.order.order_id)
        try:
            return await self._orders.handle(
                subject,
                command,
                correlation=open_order.correlation,
                traceparent=open_order.traceparent,
            )
        except CommandRejected as refusal:
            logger.info("the order went another way", command=command.id, why=refusal.message)
            return await self._orders.load_latest(subject)


def _updated_open_order(open_order: OpenOrder, versioned: Versioned[State]) -> OpenOrder:
    state = versioned.state
    if isinstance(state, UnplacedState) or versioned.sequence <= open_order.sequence:
        return open_order
    accepted = open_order.accepted or isinstance(state, WorkingState)
    return msgspec.structs.replace(
        open_order, order=state.order, sequence=versioned.sequence, accepted=accepted
    )
