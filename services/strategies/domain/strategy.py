"""A strategy: its states, and how it decides on commands. Pure.

A strategy is absent or created; its status says what it does. It has at most one pending order
(`strategy.order`), and only executions of its orders change its position. A command that arrives
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
    StrategyPositionAdjusted,
    StrategySplit,
    StrategyStatus,
    StrategyTraded,
)
from tapewire.log import CommandRejected, Decider, EventSubject, NewEvent
from tapewire_services.strategies.domain import exits, lifecycle, trading
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ApplyFillCommand,
    Command,
    ContinueExitCommand,
    CorrectFillCommand,
    CreateStrategyCommand,
    DeleteStrategyCommand,
    EndOrderCommand,
    FailStrategyCommand,
    NoteOrderWaitingCommand,
    SplitStrategyCommand,
    StartStrategyCommand,
    StopStrategyCommand,
    TriggerExitCommand,
    UpdateStrategyCommand,
    validate_settings,
)
from tapewire_services.strategies.domain.corrections import correct_fill
from tapewire_services.strategies.domain.holding import (
    Holding,
    RecentTrades,
    StrategyTrade,
    holding_of,
)
from tapewire_services.strategies.domain.splits import split_strategy
from tapewire_services.strategies.domain.waiting import note_waiting

MAX_SEEN_COMMAND_IDS = 64
"""Command ids that a strategy remembers, far more than are retried at the same time."""


class AbsentStrategyState(msgspec.Struct, frozen=True):
    """There is no event yet."""


class CreatedStrategyState(msgspec.Struct, frozen=True):
    """The strategy exists; `holding` is its position at its exact cost, after `recent_trades`."""

    strategy: Strategy
    created_by_command_id: str
    holding: Holding
    seen_command_ids: tuple[str, ...]
    recent_trades: RecentTrades = RecentTrades()
    split_ids: tuple[str, ...] = ()


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
    if state.strategy.status is StrategyStatus.DELETED:
        raise CommandRejected("not_found", "the strategy is deleted")
    return _to_new_events(command, _decide_change(state, command))


def _decide_change(state: CreatedStrategyState, command: Command) -> Sequence[Event]:
    match command:
        case CreateStrategyCommand():
            return []
        case ApplyFillCommand() | CorrectFillCommand() | SplitStrategyCommand():
            return _decide_holding(state, command)
        case NoteOrderWaitingCommand():
            return note_waiting(state.strategy, command)
        case EndOrderCommand():
            return trading.end_order(state.strategy, command)
        case ActOnSignalCommand():
            return trading.act_on_signal(state.strategy, command)
        case TriggerExitCommand():
            return exits.trigger_exit(state.strategy, command)
        case ContinueExitCommand():
            return exits.continue_exit(state.strategy, command)
        case _:
            return _decide_status(state.strategy, command)


def _decide_holding(
    state: CreatedStrategyState,
    command: ApplyFillCommand | CorrectFillCommand | SplitStrategyCommand,
) -> Sequence[Event]:
    match command:
        case ApplyFillCommand():
            return trading.apply_fill(state.strategy, state.holding, command)
        case CorrectFillCommand():
            return correct_fill(state.strategy, state.recent_trades, command)
        case SplitStrategyCommand():
            is_done = command.split.split_id in state.split_ids
            return [] if is_done else split_strategy(state.strategy, state.holding, command)
        case _:
            assert_never(command)


def _decide_status(
    strategy: Strategy,
    command: StartStrategyCommand
    | StopStrategyCommand
    | UpdateStrategyCommand
    | DeleteStrategyCommand
    | FailStrategyCommand,
) -> Sequence[Event]:
    match command:
        case StartStrategyCommand():
            return lifecycle.decide_start(strategy, command)
        case StopStrategyCommand():
            return lifecycle.decide_stop(strategy, command)
        case UpdateStrategyCommand():
            return lifecycle.decide_update(strategy, command)
        case DeleteStrategyCommand():
            return lifecycle.decide_delete(strategy, command)
        case FailStrategyCommand():
            return lifecycle.decide_fail(strategy, command)
        case _:
            assert_never(command)


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
        take_profit=settings.take_profit,
        is_protected=True,
    )
    return StrategyCreated(strategy=strategy, command_id=command.id)


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
    holding, recent = state.holding, state.recent_trades
    if isinstance(event, StrategyTraded):
        holding = holding.after_trade(event.side, event.qty, event.price)
        recent = recent.add(StrategyTrade(event.trade_id, event.side, event.qty, event.price))
    if isinstance(event, StrategyPositionAdjusted):
        holding = holding_of(strategy)
        recent = _correct_trades(recent, event) or RecentTrades(holding)
    split_ids = state.split_ids
    if isinstance(event, StrategySplit):
        holding = holding_of(strategy)
        recent = RecentTrades(holding)
        split_ids = (*split_ids, event.split_id)
    return CreatedStrategyState(
        strategy, state.created_by_command_id, holding, seen, recent, split_ids
    )


def _correct_trades(recent: RecentTrades, event: StrategyPositionAdjusted) -> RecentTrades | None:
    """The trades after the correction of one of them; None if it is none of them."""
    if event.trade_id is None or event.terms is None:
        return None
    return recent.correct(event.trade_id, event.terms.qty, event.terms.price)


STRATEGY_DECIDER: Decider[State, Command] = Decider(
    initial_state=AbsentStrategyState(), decide=decide, evolve=evolve
)
