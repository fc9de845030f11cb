"""What becomes of the strategies' orders: follows all orders in the log, tells their strategies.

Each order event of a strategy becomes a command on it, whose id is the event's: taking an event
again, after a crash or by another process, changes nothing. Strategies are told concurrently, each
of its own orders in the order of the log. It keeps no state but its place in the log.
"""

import asyncio
from collections.abc import Sequence

import structlog

from services.strategies.commands import Command, EndOrder, Fill
from services.strategies.domain import State
from tapewire.events import OrderEvent, OrderFilled, Undecodable, UnknownType
from tapewire.log import BadSubject, Entities, LogError, Overloaded, Recorded, Refusal, Subject

STRATEGIES_AT_ONCE = 64
"""Strategies that are told at the same time."""

logger = structlog.get_logger("strategies.fills")


class Fills:
    """A `tapewire.log.follower.Consumer` of ``ev.*.orders.>``."""

    def __init__(self, entities: Entities[State, Command]) -> None:
        self._entities = entities
        self._slots = asyncio.Semaphore(STRATEGIES_AT_ONCE)

    def restore(self, state: bytes) -> None:
        """There is nothing to restore."""

    def save(self) -> bytes:
        return b"{}"

    async def caught_up(self) -> None:
        """Nothing begins then."""

    async def take(self, events: Sequence[Recorded]) -> None:
        """Tell what of `events` concerns strategies. Raises LogError: once more, later."""
        told: dict[str, list[tuple[Recorded, Command]]] = {}
        for recorded in events:
            command = _command(recorded)
            if command is not None:
                subject = Subject(command.user, "strategies", command.strategy_id)
                told.setdefault(str(subject), []).append((recorded, command))
        done = await asyncio.gather(
            *(self._tell(commands) for commands in told.values()), return_exceptions=True
        )
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _tell(self, commands: Sequence[tuple[Recorded, Command]]) -> None:
        async with self._slots:
            for recorded, command in commands:
                await self._have(recorded, command)

    async def _have(self, recorded: Recorded, command: Command) -> None:
        subject = Subject(command.user, "strategies", command.strategy_id)
        try:
            await self._entities.handle(
                subject,
                command,
                correlation=recorded.meta.correlation,
                traceparent=recorded.meta.traceparent,
            )
        except Refusal as refusal:
            logger.debug("nothing to do", sequence=recorded.sequence, why=refusal.message)
        except Overloaded as error:
            raise LogError(str(error)) from error
        except (UnknownType, Undecodable) as error:
            logger.error("cannot read a strategy", subject=str(subject), error=str(error))


def _command(recorded: Recorded) -> Command | None:
    """What the event means to a strategy; None when nothing."""
    try:
        event, user = recorded.event, recorded.place.owner
    except (UnknownType, Undecodable, BadSubject) as error:
        logger.warning("passes over an event", sequence=recorded.sequence, error=str(error))
        return None
    if not isinstance(event, OrderEvent) or not event.order.strategy_id:
        return None
    order, strategy_id = event.order, event.order.strategy_id
    if isinstance(event, OrderFilled):
        return Fill(
            id=recorded.meta.id,
            at=order.timestamp,
            user=user,
            strategy_id=strategy_id,
            order_id=order.order_id,
            trade_id=event.trade_id,
            filled_qty=order.filled_qty,
            price=event.price,
        )
    if order.status.open:
        return None
    return EndOrder(
        id=recorded.meta.id,
        at=order.timestamp,
        user=user,
        strategy_id=strategy_id,
        order_id=order.order_id,
        status=order.status,
        reason=order.reason,
    )
