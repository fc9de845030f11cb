"""What its user decides about a strategy: start, stop, change, delete; and its failure. Pure.

All raise CommandRejected: ``conflict`` when the command does not fit the state, ``invalid`` with
the path of a setting that is not valid.
"""

from collections.abc import Sequence

import msgspec

from tapewire.events import (
    Event,
    Strategy,
    StrategyDeleted,
    StrategyStarted,
    StrategyStatus,
    StrategyStopped,
    StrategyUpdated,
)
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.strategies import StopPosition
from tapewire_services.strategies.domain import exits
from tapewire_services.strategies.domain.changes import (
    complete_if_finished,
    fail_strategy,
    is_finished,
    update_strategy,
)
from tapewire_services.strategies.domain.commands import (
    DeleteStrategyCommand,
    FailStrategyCommand,
    StartStrategyCommand,
    StopStrategyCommand,
    StrategySettings,
    UpdateStrategyCommand,
    validate_settings,
)
from tapewire_services.strategies.domain.waiting import STARTED_MESSAGE

STOPPED_MESSAGES = {
    StopPosition.PROTECT: "stopped by the user",
    StopPosition.LEAVE: "stopped by the user; its position is not protected",
    StopPosition.CLOSE: "stopped by the user; its position is closed",
}
DELETED_MESSAGE = "deleted by the user"


def decide_start(strategy: Strategy, command: StartStrategyCommand) -> Sequence[Event]:
    """Let the rule follow prices, and protect the position. Nothing for a started strategy."""
    if strategy.status is StrategyStatus.STARTED:
        return []
    _reject_completed(strategy)
    if is_finished(strategy):
        message = f"it did all of its {strategy.max_trades} trades: raise maxTrades"
        raise CommandRejected("conflict", message, "maxTrades")
    after = update_strategy(
        strategy,
        command,
        status=StrategyStatus.STARTED,
        message=STARTED_MESSAGE,
        is_protected=True,
    )
    return [StrategyStarted(strategy=after, command_id=command.id)]


def decide_stop(strategy: Strategy, command: StopStrategyCommand) -> Sequence[Event]:
    """Stop the rule, and do with the position what the command says.

    Who stops a strategy twice may say something else about its position the second time.
    """
    is_protected = command.position is not StopPosition.LEAVE
    changes_position = command.position is not StopPosition.PROTECT
    if strategy.status is StrategyStatus.STOPPED:
        is_known = strategy.has_protection is is_protected and strategy.exit is None
        if is_known and command.position is not StopPosition.CLOSE:
            return []
    elif strategy.status is not StrategyStatus.STARTED and not (
        strategy.status is StrategyStatus.ERROR and changes_position
    ):
        raise CommandRejected(
            "conflict", f"the strategy is not started: it is {_describe_status(strategy)}"
        )
    after = update_strategy(
        strategy,
        command,
        status=StrategyStatus.STOPPED,
        message=STOPPED_MESSAGES[command.position],
        is_protected=is_protected,
        exit=None if command.position is StopPosition.LEAVE else strategy.exit,
    )
    if command.position is StopPosition.CLOSE:
        after = exits.begin_flattening(after, command)
        if after.exit is None and strategy.status is StrategyStatus.STOPPED:
            return []
    return [StrategyStopped(strategy=after, command_id=command.id), *exits.proceed(after, command)]


def decide_delete(strategy: Strategy, command: DeleteStrategyCommand) -> Sequence[Event]:
    """Delete a strategy that holds nothing, or nothing that is not left alone."""
    if strategy.status is StrategyStatus.STARTED:
        raise CommandRejected("conflict", "the strategy is started: stop it first")
    if strategy.order is not None:
        raise CommandRejected("conflict", f"order {strategy.order.client_order_id} is under way")
    is_left = strategy.status is StrategyStatus.COMPLETED or not strategy.has_protection
    if strategy.position and not is_left:
        message = f"the strategy holds {strategy.position}: stop it with position close or leave"
        raise CommandRejected("conflict", message, "position")
    after = update_strategy(
        strategy, command, status=StrategyStatus.DELETED, message=DELETED_MESSAGE
    )
    return [StrategyDeleted(strategy=after, command_id=command.id)]


def decide_update(strategy: Strategy, command: UpdateStrategyCommand) -> Sequence[Event]:
    """Change the settings. A new stop-loss or take-profit protects the position again."""
    _reject_completed(strategy)
    before = settings_of(strategy)
    settings = validate_settings(command.apply(before))
    limit = settings.max_trades
    if limit is not None and limit <= strategy.trades and limit != before.max_trades:
        message = f"maxTrades must be above the {strategy.trades} trades that are done"
        raise CommandRejected("invalid", message, "maxTrades")
    if settings == before:
        return []
    sets_exit = settings.stop_loss not in (None, before.stop_loss)
    sets_exit = sets_exit or settings.take_profit not in (None, before.take_profit)
    after = update_strategy(
        strategy,
        command,
        **msgspec.structs.asdict(settings),
        is_protected=sets_exit or strategy.has_protection,
    )
    updated = StrategyUpdated(strategy=after, command_id=command.id)
    return [updated, *complete_if_finished(after, command)]


def decide_fail(strategy: Strategy, command: FailStrategyCommand) -> Sequence[Event]:
    """Put a started strategy into error."""
    if strategy.status is not StrategyStatus.STARTED:
        raise CommandRejected(
            "conflict", f"the strategy is not started: it is {_describe_status(strategy)}"
        )
    return [fail_strategy(strategy, command, command.error_code, command.details)]


def settings_of(strategy: Strategy) -> StrategySettings:
    """The settings that the user chose."""
    fields = StrategySettings.__struct_fields__
    return StrategySettings(**{name: getattr(strategy, name) for name in fields})


def _reject_completed(strategy: Strategy) -> None:
    if strategy.status is StrategyStatus.COMPLETED:
        raise CommandRejected("conflict", "the strategy is completed")


def _describe_status(strategy: Strategy) -> str:
    return "in error" if strategy.status is StrategyStatus.ERROR else strategy.status.value
