"""What becomes of the strategies' orders: follows all orders in the log, tells their strategies.

Each order event of a strategy becomes a command on it, whose id is the event's: taking an event
again, after a crash or by another process, changes nothing. Strategies are told concurrently, each
of its own orders in the order of the log. It keeps no state but its place in the log.
"""

import asyncio
from collections.abc import Sequence

import structlog

from tapewire.events import OrderEvent, OrderFilled, Undecodable, UnknownType
from tapewire.log import (
    BadSubject,
    CommandHandler,
    CommandRejected,
    EventSubject,
    LogError,
    RecordedEvent,
    TooManyConflicts,
)
from tapewire_services.strategies.domain.commands import ApplyFillCommand, Command, EndOrderCommand
from tapewire_services.strategies.domain.strategy import State

MAX_CONCURRENT_STRATEGIES = 64
"""Strategies that are told at the same time."""

logger = structlog.get_logger("strategies.fills")


class OrderEventConsumer:
    """A `tapewire.log.follower.Consumer` of ``ev.*.orders.>``."""

    def __init__(self, command_handler: CommandHandler[State, Command]) -> None:
        self._command_handler = command_handler
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_STRATEGIES)

    def restore_state(self, state: bytes) -> None:
        """There is nothing to restore."""

    def serialize_state(self) -> bytes:
        return b"{}"

    async def on_caught_up(self) -> None:
        """Nothing begins then."""

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        """Tell what of `events` concerns strategies. Raises LogError: once more, later."""
        told: dict[str, list[tuple[RecordedEvent, Command]]] = {}
        for recorded in events:
            command = _to_command(recorded)
            if command is not None:
                subject = EventSubject(command.user, "strategies", command.strategy_id)
                told.setdefault(str(subject), []).append((recorded, command))
        done = await asyncio.gather(
            *(self._handle_commands(commands) for commands in told.values()), return_exceptions=True
        )
        for outcome in done:
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
        except CommandRejected as refusal:
            logger.debug("nothing to do", sequence=recorded.sequence, why=refusal.message)
        except TooManyConflicts as error:
            raise LogError(str(error)) from error
        except (UnknownType, Undecodable) as error:
            logger.error("cannot read a strategy", subject=str(subject), error=str(error))


def _to_command(recorded: RecordedEvent) -> Command | None:
    """What the event means to a strategy; None when nothing."""
    try:
        event, user = recorded.event, recorded.event_subject.owner
    except (UnknownType, Undecodable, BadSubject) as error:
        logger.warning("passes over an event", sequence=recorded.sequence, error=str(error))
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
    )
