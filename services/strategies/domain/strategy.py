"""A strategy: its states, and what is decided. Pure.

A strategy is Absent or Made; the status says what a made one does. At most one order of it is under
way at a time (`strategy.order`), and only what comes of that order changes what it holds: whatever
is told twice, late or of another order changes nothing. Start reading at `decide`; `STRATEGIES` is
the decider for `tapewire.log.Entities`.

What does not fit the state is refused rather than passed over, even where nobody is to blame (a
fill of an order that this is not waiting for): a refusal counts only on the strategy as the leader
of the log has it, so nothing is dropped because a process knew less than the log.
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
    StartStrategyCommand,
    StopStrategyCommand,
    StrategySettings,
    TriggerStopLossCommand,
    UpdateStrategyCommand,
    validate_settings,
)
from tapewire_services.strategies.domain.holding import Holding

MAX_SEEN_COMMAND_IDS = 64
"""Command ids a strategy remembers: far more than retry at the same time."""
STARTED_MESSAGE = "started by the user"
STOPPED_MESSAGE = "stopped by the user"


class AbsentStrategyState(msgspec.Struct, frozen=True):
    """No event yet."""


class CreatedStrategyState(msgspec.Struct, frozen=True):
    """There is one, made by command `made_by`; `holding` is what it holds at its exact cost."""

    strategy: Strategy
    created_by_command_id: str
    holding: Holding
    seen_command_ids: tuple[str, ...]


State = AbsentStrategyState | CreatedStrategyState


def derive_strategy_id(user: str, command_id: str) -> str:
    """The id of the strategy that `user` makes by `command_id`: 16 hexadecimal digits."""
    named = f"{len(user)}:{user}:{command_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """What `command` makes happen; nothing when it was decided before or changes nothing.

    Raises:
        Refusal: invalid (with a path), conflict, not_found.
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
        case ApplyFillCommand():
            return trading.apply_fill(strategy, state.holding, command)
        case EndOrderCommand():
            return trading.end_order(strategy, command)
        case CreateStrategyCommand():
            return []
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
    most = settings.max_trades
    if most is not None and most <= strategy.trades and most != before.max_trades:
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
    """What its user chose."""
    fields = StrategySettings.__struct_fields__
    return StrategySettings(**{name: getattr(strategy, name) for name in fields})


def _reject_completed(strategy: Strategy) -> None:
    if strategy.status is StrategyStatus.COMPLETED:
        raise CommandRejected("conflict", "the strategy is completed")


def _describe_status(strategy: Strategy) -> str:
    return "in error" if strategy.status is StrategyStatus.ERROR else strategy.status.value


def _to_new_events(command: Command, events: Sequence[Event]) -> list[NewEvent]:
    """Strategies' events on the strategy's subject, decisions on that of its decisions."""
    return [
        NewEvent(
            EventSubject(
                command.user,
                "decisions" if isinstance(event, DecisionMade) else "strategies",
                command.strategy_id,
            ),
            event,
        )
        for event in events
    ]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the strategy's own subject."""
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
