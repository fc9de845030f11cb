"""Commands on orders: `Orders` decides them, and `Reporter` is how a broker's word gets into the
log whatever happens on the way.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from services.orders.commands import Command
from services.orders.domain import ORDERS, State, Unplaced, Working
from services.orders.openorders import OpenOrder
from tapewire.events import Undecodable, UnknownType
from tapewire.log import (
    Entities,
    EventLog,
    Known,
    LogError,
    Overloaded,
    Refusal,
    Subject,
)
from tapewire.log.patience import Patience

REPORTS_AT_ONCE = 64
"""Commands of one broker under way at the same time, each on another order."""
logger = structlog.get_logger("orders.broker")


class Orders(Entities[State, Command]):
    """All orders, behind their decider."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log, ORDERS)


class Reporter:
    """Appends what a broker did, while it is surely the only one (`held`): one that stood still
    would execute at quotes that are over. One report an order at a time; see `broker.Report`."""

    def __init__(
        self, orders: Orders, chance: random.Random, held: Callable[[], bool] = lambda: True
    ) -> None:
        self._orders = orders
        self._chance = chance
        self._held = held
        self._slots = asyncio.Semaphore(REPORTS_AT_ONCE)

    async def report(self, open_: OpenOrder, command: Command) -> OpenOrder:
        """Decide `command` and return the order as it is in the log afterwards, whether the command
        was taken or refused. A log that cannot be reached, or read, is tried until it can."""
        patience = Patience(self._chance)
        while True:
            while not self._held():
                await patience.wait()
            try:
                async with self._slots:
                    return _now(open_, await self._decide(open_, command))
            except (LogError, Overloaded, UnknownType, Undecodable) as error:
                logger.warning("cannot report now", command=command.id, error=str(error))
            await patience.wait()

    async def _decide(self, open_: OpenOrder, command: Command) -> Known[State]:
        subject = Subject(open_.user, "orders", open_.order.order_id)
        try:
            return await self._orders.handle(
                subject,
                command,
                correlation=open_.correlation,
                traceparent=open_.traceparent,
            )
        except Refusal as refusal:
            logger.info("the order went another way", command=command.id, why=refusal.message)
            return await self._orders.fresh(subject)


def _now(open_: OpenOrder, known: Known[State]) -> OpenOrder:
    state = known.state
    if isinstance(state, Unplaced) or known.sequence <= open_.sequence:
        return open_
    accepted = open_.accepted or isinstance(state, Working)
    return msgspec.structs.replace(
        open_, order=state.order, sequence=known.sequence, accepted=accepted
    )
