"""Updates strategies with the outcomes of their orders, by following all order events in the log.

Each event of a strategy's order becomes a command on the strategy. The command has the id of the
event, so handling an event again, after a crash or in another process, changes nothing. Strategies
are updated concurrently, each in the order of the log. The only state is the position in the log.
"""

import asyncio
from collections.abc import Sequence

import structlog

from tapewire.events import (
    ExecutionException,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFilled,
    OrderWaiting,
    Undecodable,
    UnknownType,
)
from tapewire.log import (
    BadSubject,
    CommandHandler,
    CommandRejected,
    EventSubject,
    LogError,
    RecordedEvent,
    TooManyConflicts,
)
from tapewire.log.catch_up_subscription import EventConsumer
from tapewire.runtime.contracts.orders import NOTHING_TO_REDUCE
from tapewire_services.strategies.domain.commands import (
    ApplyFillCommand,
    Command,
    CorrectFillCommand,
    EndOrderCommand,
    NoteOrderWaitingCommand,
)
from tapewire_services.strategies.domain.strategy import State

MAX_CONCURRENT_STRATEGIES = 64
"""Strategies that are updated at the same time."""

logger = structlog.get_logger("strategies")


class OrderEventConsumer(EventConsumer):
    """Consumes ``ev.*.orders.>``."""

    def __init__(self, command_handler: CommandHandler[State, Command]) -> None:
        self._command_handler = command_handler
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_STRATEGIES)

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        """Update the strategies that `events` concern. Raises LogError; handling the same events
        again is safe."""
        commands_by_subject: dict[str, list[tuple[RecordedEvent, Command]]] = {}
        for recorded in events:
            command = _to_command(recorded)
            if command is not None:
                subject = EventSubject(command.user, "strategies", command.strategy_id)
                commands_by_subject.setdefault(str(subject), []).append((recorded, command))
        outcomes = await asyncio.gather(
            *(self._handle_commands(commands) for commands in commands_by_subject.values()),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _handle_commands(self, commands: Sequence[tuple[RecordedEvent, Command]]) -> None:
        async with self._slots:
            for recorded, command in commands:
                await self._handle_command(recorded, command)

    async def _handle_command(self, recorded: RecordedEvent, command: Command) -> None:
        subject = EventSubject(command.user, "strategies", command.strategy_id)
        try:
            await self._command_handler.handle(
                subject,
                command,
                correlation=recorded.metadata.correlation,
                traceparent=recorded.metadata.traceparent,
            )
        except CommandRejected as error:
            logger.debug("command.rejected", sequence=recorded.sequence, reason=error.message)
        except TooManyConflicts as error:
            raise LogError(str(error)) from error
        except (UnknownType, Undecodable) as error:
            logger.error("strategy.unreadable", subject=str(subject), error=str(error))


def _to_command(recorded: RecordedEvent) -> Command | None:
    """The command that the event gives to a strategy, or None."""
    try:
        event, user = recorded.event, recorded.event_subject.owner
    except (UnknownType, Undecodable, BadSubject) as error:
        logger.warning("event.skipped", sequence=recorded.sequence, error=str(error))
        return None
    if not isinstance(event, OrderEvent) or not event.order.strategy_id:
        return None
    order, strategy_id = event.order, event.order.strategy_id
    if isinstance(event, OrderFilled):
        return ApplyFillCommand(
            id=recorded.metadata.id,
            at=order.timestamp,
            user=user,
            strategy_id=strategy_id,
            order_id=order.order_id,
            trade_id=event.trade_id,
            filled_qty=order.filled_qty,
            price=event.price,
            side=order.side,
            late_qty=event.qty if ExecutionException.CLOSED_ORDER in event.exceptions else None,
        )
    if isinstance(event, OrderExecutionCorrected):
        return CorrectFillCommand(
            id=recorded.metadata.id,
            at=order.timestamp,
            user=user,
            strategy_id=strategy_id,
            order_id=order.order_id,
            trade_id=event.trade_id,
            side=order.side,
            before=event.before,
            after=event.after,
            is_order_closed=not order.status.is_open,
        )
    if isinstance(event, OrderWaiting) and order.waiting is not None:
        return NoteOrderWaitingCommand(
            id=recorded.metadata.id,
            at=order.timestamp,
            user=user,
            strategy_id=strategy_id,
            order_id=order.order_id,
            waiting=order.waiting,
        )
    if order.status.is_open:
        return None
    return EndOrderCommand(
        id=recorded.metadata.id,
        at=order.timestamp,
        user=user,
        strategy_id=strategy_id,
        order_id=order.order_id,
        status=order.status,
        reason=order.reason,
        is_position_gone=order.reduce_only and order.reason == NOTHING_TO_REDUCE,
    )
