"""A strategy: its states, and how it decides on commands. Pure.

A strategy is absent or created; its status says what it does. It has at most one pending order
(`strategy.order`), and only the fills of that order change its position. A command that arrives
twice, late, or for another order changes nothing. Start at `decide`; `STRATEGY_DECIDER` is the
decider for `tapewire.log.CommandHandler`.

A command that does not fit the state is rejected rather than ignored, even when no caller is at
fault, such as a fill of an order that is not pending. The command handler reads the newest state
from the log before it rejects, so outdated state in a process causes no rejection.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from tapewire.events import (
    DecisionMade,
    Event,
    Strategy,
    StrategyCreated,
    StrategyEvent,
    StrategyStarted,
    StrategyStatus,
    StrategyStopped,
    StrategyTraded,
    StrategyUpdated,
)
from tapewire.log import CommandRejected, Decider, EventSubject, NewEvent
from tapewire_services.strategies.domain import trading
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ApplyFillCommand,
    Command,
    CreateStrategyCommand,
    EndOrderCommand,
    FailStrategyCommand,
    NoteOrderWaitingCommand,
    StartStrategyCommand,
    StopStrategyCommand,
    StrategySettings,
    TriggerStopLossCommand,
    UpdateStrategyCommand,
    validate_settings,
)
from tapewire_services.strategies.domain.holding import Holding
from tapewire_services.strategies.domain.waiting import STARTED_MESSAGE, note_waiting

MAX_SEEN_COMMAND_IDS = 64
"""Command ids that a strategy remembers, far more than are retried at the same time."""
STOPPED_MESSAGE = "stopped by the user"


class AbsentStrategyState(msgspec.Struct, frozen=True):
    """There is no event yet."""


class CreatedStrategyState(msgspec.Struct, frozen=True):
    """The strategy exists; `holding` is its position at its exact cost."""

    strategy: Strategy
    created_by_command_id: str
    holding: Holding
    seen_command_ids: tuple[str, ...]


State = AbsentStrategyState | CreatedStrategyState


def derive_strategy_id(user: str, command_id: str) -> str:
    """The id of the strategy that `user` creates by `command_id`: 16 hexadecimal digits."""
    text = f"{len(user)}:{user}:{command_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """The events of `command`; none when it was executed before or changes nothing.

    Raises:
        CommandRejected: ``invalid`` (with a path), ``conflict`` or ``not_found``.
    """
    if isinstance(command, CreateStrategyCommand):
        return (
            []
            if isinstance(state, CreatedStrategyState)
            else _to_new_events(command, [_build_created_event(command)])
        )
    if isinstance(state, AbsentStrategyState):
        raise CommandRejected("not_found", "there is no such strategy")
    if command.id in state.seen_command_ids:
        return []
    return _to_new_events(command, _decide_change(state, command))


def _decide_change(state: CreatedStrategyState, command: Command) -> Sequence[Event]:
    strategy = state.strategy
    match command:
        case StartStrategyCommand():
            return _decide_start(strategy, command)
        case StopStrategyCommand():
            return _decide_stop(strategy, command)
        case UpdateStrategyCommand():
            return _decide_update(strategy, command)
        case FailStrategyCommand():
            return _decide_fail(strategy, command)
        case ActOnSignalCommand():
            return trading.act_on_signal(strategy, command)
        case TriggerStopLossCommand():
            return trading.trigger_stop_loss(strategy, command)
        case ApplyFillCommand() | NoteOrderWaitingCommand() | EndOrderCommand():
            return _follow_order(state, command)
        case CreateStrategyCommand():
            return []
        case _:
            assert_never(command)


def _follow_order(
    state: CreatedStrategyState,
    command: ApplyFillCommand | NoteOrderWaitingCommand | EndOrderCommand,
) -> Sequence[Event]:
    match command:
        case ApplyFillCommand():
            return trading.apply_fill(state.strategy, state.holding, command)
        case NoteOrderWaitingCommand():
            return note_waiting(state.strategy, command)
        case EndOrderCommand():
            return trading.end_order(state.strategy, command)


def _build_created_event(command: CreateStrategyCommand) -> Event:
    settings = validate_settings(command.settings)
    strategy = Strategy(
        strategy_id=command.strategy_id,
        name=settings.name,
        symbol=settings.symbol,
        rule=settings.rule,
        quantity=settings.quantity,
        stop_loss=settings.stop_loss,
        max_trades=settings.max_trades,
        status=StrategyStatus.CREATED,
        position=Decimal(0),
        entry_price=None,
        order=None,
        orders=0,
        trades=0,
        message=None,
        timestamp=command.at,
    )
    return StrategyCreated(strategy=strategy, command_id=command.id)


def _decide_start(strategy: Strategy, command: StartStrategyCommand) -> Sequence[Event]:
    if strategy.status is StrategyStatus.STARTED:
        return []
    _reject_completed(strategy)
    if trading.is_finished(strategy):
        message = f"it did all of its {strategy.max_trades} trades: raise maxTrades"
        raise CommandRejected("conflict", message, "maxTrades")
    after = trading.update_strategy(
        strategy, command, status=StrategyStatus.STARTED, message=STARTED_MESSAGE
    )
    return [StrategyStarted(strategy=after, command_id=command.id)]


def _decide_stop(strategy: Strategy, command: StopStrategyCommand) -> Sequence[Event]:
    if strategy.status is StrategyStatus.STOPPED:
        return []
    if strategy.status is not StrategyStatus.STARTED:
        raise CommandRejected(
            "conflict", f"the strategy is not started: it is {_describe_status(strategy)}"
        )
    after = trading.update_strategy(
        strategy, command, status=StrategyStatus.STOPPED, message=STOPPED_MESSAGE
    )
    return [StrategyStopped(strategy=after, command_id=command.id)]


def _decide_update(strategy: Strategy, command: UpdateStrategyCommand) -> Sequence[Event]:
    _reject_completed(strategy)
    before = settings_of(strategy)
    settings = validate_settings(command.apply(before))
    limit = settings.max_trades
    if limit is not None and limit <= strategy.trades and limit != before.max_trades:
        message = f"maxTrades must be above the {strategy.trades} trades that are done"
        raise CommandRejected("invalid", message, "maxTrades")
    if settings == before:
        return []
    after = trading.update_strategy(strategy, command, **msgspec.structs.asdict(settings))
    updated = StrategyUpdated(strategy=after, command_id=command.id)
    return [updated, *trading.complete_if_finished(after, command)]


def _decide_fail(strategy: Strategy, command: FailStrategyCommand) -> Sequence[Event]:
    if strategy.status is not StrategyStatus.STARTED:
        raise CommandRejected(
            "conflict", f"the strategy is not started: it is {_describe_status(strategy)}"
        )
    return [trading.fail_strategy(strategy, command, command.error_code, command.details)]


def settings_of(strategy: Strategy) -> StrategySettings:
    """The settings that the user chose."""
    fields = StrategySettings.__struct_fields__
    return StrategySettings(**{name: getattr(strategy, name) for name in fields})


def _reject_completed(strategy: Strategy) -> None:
    if strategy.status is StrategyStatus.COMPLETED:
        raise CommandRejected("conflict", "the strategy is completed")


def _describe_status(strategy: Strategy) -> str:
    return "in error" if strategy.status is StrategyStatus.ERROR else strategy.status.value


def _to_new_events(command: Command, events: Sequence[Event]) -> list[NewEvent]:
    return [
        NewEvent(subject_of_event(command.user, command.strategy_id, event), event)
        for event in events
    ]


def subject_of_event(user: str, strategy_id: str, event: Event) -> EventSubject:
    """The subject of a strategy's event: its own, or that of its decisions."""
    domain = "decisions" if isinstance(event, DecisionMade) else "strategies"
    return EventSubject(user, domain, strategy_id)


def evolve(state: State, event: Event) -> State:
    """Fold one event of the strategy's subject."""
    if not isinstance(event, StrategyEvent):
        return state
    strategy, command = event.strategy, event.command_id
    if isinstance(state, AbsentStrategyState):
        return CreatedStrategyState(strategy, command, Holding(), (command,))
    seen = (
        state.seen_command_ids
        if command == state.seen_command_ids[-1]
        else (*state.seen_command_ids[1 - MAX_SEEN_COMMAND_IDS :], command)
    )
    holding = state.holding
    if isinstance(event, StrategyTraded):
        holding = holding.after_trade(event.side, event.qty, event.price)
    return CreatedStrategyState(strategy, state.created_by_command_id, holding, seen)


STRATEGY_DECIDER: Decider[State, Command] = Decider(
    initial_state=AbsentStrategyState(), decide=decide, evolve=evolve
)
