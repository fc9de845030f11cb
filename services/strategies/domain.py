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

from services.strategies import trading
from services.strategies.commands import (
    Act,
    Command,
    Create,
    EndOrder,
    Fail,
    Fill,
    Settings,
    Start,
    Stop,
    TriggerStopLoss,
    Update,
    checked,
)
from services.strategies.holding import Holding
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
from tapewire.log import Decider, Happening, Refusal, Subject

SEEN_COMMANDS = 64
"""Command ids a strategy remembers: far more than retry at the same time."""
STARTED_BY_USER = "started by the user"
STOPPED_BY_USER = "stopped by the user"


class Absent(msgspec.Struct, frozen=True):
    """No event yet."""


class Made(msgspec.Struct, frozen=True):
    """There is one, made by command `made_by`; `holding` is what it holds at its exact cost."""

    strategy: Strategy
    made_by: str
    holding: Holding
    seen: tuple[str, ...]


State = Absent | Made


def strategy_id(user: str, command_id: str) -> str:
    """The id of the strategy that `user` makes by `command_id`: 16 hexadecimal digits."""
    named = f"{len(user)}:{user}:{command_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def decide(state: State, command: Command) -> Sequence[Happening]:
    """What `command` makes happen; nothing when it was decided before or changes nothing.

    Raises:
        Refusal: invalid (with a path), conflict, not_found.
    """
    if isinstance(command, Create):
        return [] if isinstance(state, Made) else _happen(command, [_created(command)])
    if isinstance(state, Absent):
        raise Refusal("not_found", "there is no such strategy")
    if command.id in state.seen:
        return []
    return _happen(command, _change(state, command))


def _change(state: Made, command: Command) -> Sequence[Event]:
    strategy = state.strategy
    match command:
        case Start():
            return _start(strategy, command)
        case Stop():
            return _stop(strategy, command)
        case Update():
            return _update(strategy, command)
        case Fail():
            return _fail(strategy, command)
        case Act():
            return trading.act(strategy, command)
        case TriggerStopLoss():
            return trading.trigger_stop_loss(strategy, command)
        case Fill():
            return trading.fill(strategy, state.holding, command)
        case EndOrder():
            return trading.end_order(strategy, command)
        case Create():
            return []
        case _:
            assert_never(command)


def _created(command: Create) -> Event:
    settings = checked(command.settings)
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


def _start(strategy: Strategy, command: Start) -> Sequence[Event]:
    if strategy.status is StrategyStatus.STARTED:
        return []
    _refuse_completed(strategy)
    if trading.finished(strategy):
        message = f"it did all of its {strategy.max_trades} trades: raise maxTrades"
        raise Refusal("conflict", message, "maxTrades")
    after = trading.after(strategy, command, status=StrategyStatus.STARTED, message=STARTED_BY_USER)
    return [StrategyStarted(strategy=after, command_id=command.id)]


def _stop(strategy: Strategy, command: Stop) -> Sequence[Event]:
    if strategy.status is StrategyStatus.STOPPED:
        return []
    if strategy.status is not StrategyStatus.STARTED:
        raise Refusal("conflict", f"the strategy is not started: it is {_status(strategy)}")
    after = trading.after(strategy, command, status=StrategyStatus.STOPPED, message=STOPPED_BY_USER)
    return [StrategyStopped(strategy=after, command_id=command.id)]


def _update(strategy: Strategy, command: Update) -> Sequence[Event]:
    _refuse_completed(strategy)
    before = settings_of(strategy)
    settings = checked(command.apply(before))
    most = settings.max_trades
    if most is not None and most <= strategy.trades and most != before.max_trades:
        message = f"maxTrades must be above the {strategy.trades} trades that are done"
        raise Refusal("invalid", message, "maxTrades")
    if settings == before:
        return []
    after = trading.after(strategy, command, **msgspec.structs.asdict(settings))
    updated = StrategyUpdated(strategy=after, command_id=command.id)
    return [updated, *trading.completed(after, command)]


def _fail(strategy: Strategy, command: Fail) -> Sequence[Event]:
    if strategy.status is not StrategyStatus.STARTED:
        raise Refusal("conflict", f"the strategy is not started: it is {_status(strategy)}")
    return [trading.failed(strategy, command, command.error_code, command.details)]


def settings_of(strategy: Strategy) -> Settings:
    """What its user chose."""
    fields = Settings.__struct_fields__
    return Settings(**{name: getattr(strategy, name) for name in fields})


def _refuse_completed(strategy: Strategy) -> None:
    if strategy.status is StrategyStatus.COMPLETED:
        raise Refusal("conflict", "the strategy is completed")


def _status(strategy: Strategy) -> str:
    return "in error" if strategy.status is StrategyStatus.ERROR else strategy.status.value


def _happen(command: Command, events: Sequence[Event]) -> list[Happening]:
    """Strategies' events on the strategy's subject, decisions on that of its decisions."""
    return [
        Happening(
            Subject(
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
    if isinstance(state, Absent):
        return Made(strategy, command, Holding(), (command,))
    seen = state.seen if command == state.seen[-1] else (*state.seen[1 - SEEN_COMMANDS :], command)
    holding = state.holding
    if isinstance(event, StrategyTraded):
        holding = holding.after(event.side, event.qty, event.price)
    return Made(strategy, state.made_by, holding, seen)


STRATEGIES: Decider[State, Command] = Decider(initial=Absent(), decide=decide, evolve=evolve)
