"""Updates strategies with the outcomes of their orders, by following all order events in the log.

Each event of a strategy's order becomes a command on the strategy. The command has the id of the
event, so handling an event again, after a crash or in another process, changes nothing. Strategies
are updated concurrently, each in the order of the log. The only state is the position in the log.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import structlog

from tapewire.events import (
    Event,
    ExecutionException,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFilled,
    OrderWaiting,
    SplitExecuted,
    Strategy,
    StrategyEvent,
    StrategyStatus,
    Undecodable,
    UnknownType,
)
from tapewire.log import (
    BadSubject,
    CommandHandler,
    CommandRejected,
    EventLog,
    EventSubject,
    LogError,
    RecordedEvent,
    TooManyConflicts,
    pattern,
)
from tapewire.log.catch_up_subscription import EventConsumer
from tapewire.log.page_reader import read_pages
from tapewire.log.splits import split_of
from tapewire.runtime.contracts.orders import NOTHING_TO_REDUCE
from tapewire_services.strategies.domain.commands import (
    ApplyFillCommand,
    Command,
    CorrectFillCommand,
    EndOrderCommand,
    NoteOrderWaitingCommand,
    SplitStrategyCommand,
)
from tapewire_services.strategies.domain.strategy import State

MAX_CONCURRENT_STRATEGIES = 64
"""Strategies that are updated at the same time."""

logger = structlog.get_logger("strategies")


class OrderEventConsumer(EventConsumer):
    """Consumes ``ev.*.orders.>``."""

    def __init__(self, command_handler: CommandHandler[State, Command], log: EventLog) -> None:
        self._command_handler = command_handler
        self._log = log
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_STRATEGIES)

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        """Update the strategies that `events` concern. Raises LogError; handling the same events
        again is safe. A split comes after everything that was executed of the old shares, and
        before anything of the new ones."""
        start = 0
        for index, recorded in enumerate(events):
            split = split_of(recorded)
            if split is not None:
                await self._handle_part(events[start:index])
                await self._split_strategies(recorded.sequence, split)
                start = index + 1
        await self._handle_part(events[start:])

    async def _split_strategies(self, sequence: int, split: SplitExecuted) -> None:
        """Give every strategy of the symbol, active or not, the terms of the new shares."""
        strategies: dict[str, tuple[RecordedEvent, Strategy]] = {}
        filter_ = pattern(domain="strategies")
        async for events in read_pages(self._log, filter_, after=0, up_to=sequence):
            for recorded in events:
                event = _decode(recorded)
                if isinstance(event, StrategyEvent) and event.strategy.symbol == split.symbol:
                    strategies[recorded.subject] = recorded, event.strategy
        commands = [
            (recorded, _to_split_command(recorded, strategy, split))
            for recorded, strategy in strategies.values()
            if strategy.status is not StrategyStatus.DELETED
        ]
        await _gather(self._handle_commands([one]) for one in commands)
        logger.info("strategies.split", symbol=split.symbol, count=len(commands))

    async def _handle_part(self, events: Sequence[RecordedEvent]) -> None:
        commands_by_subject: dict[str, list[tuple[RecordedEvent, Command]]] = {}
        for recorded in events:
            command = _to_command(recorded)
            if command is not None:
                subject = EventSubject(command.user, "strategies", command.strategy_id)
                commands_by_subject.setdefault(str(subject), []).append((recorded, command))
        await _gather(self._handle_commands(commands) for commands in commands_by_subject.values())

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


async def _gather(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all to their end, then raise the first error."""
    for outcome in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _decode(recorded: RecordedEvent) -> Event | None:
    try:
        return recorded.event
    except (UnknownType, Undecodable):
        return None


def _to_split_command(recorded: RecordedEvent, strategy: Strategy, split: SplitExecuted) -> Command:
    return SplitStrategyCommand(
        id=f"{strategy.strategy_id}:split:{split.number}",
        at=split.timestamp,
        user=recorded.event_subject.owner,
        strategy_id=strategy.strategy_id,
        split=split,
    )


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
