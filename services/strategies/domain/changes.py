"""What all changes of a strategy share: its next version, its completion, its failure. Pure."""

from typing import Any

import msgspec

from tapewire.events import (
    Event,
    Strategy,
    StrategyCompleted,
    StrategyFailed,
    StrategyStatus,
)
from tapewire.log import CommandRejected
from tapewire_services.strategies.domain.commands import Command


def update_strategy(strategy: Strategy, command: Command, **changes: Any) -> Strategy:
    """The strategy with `changes`. Its time never goes back, even when the clocks of processes
    differ; whether it is protected is written down from the first change on."""
    return msgspec.structs.replace(
        strategy,
        timestamp=max(strategy.timestamp, command.at),
        **{"is_protected": strategy.has_protection, **changes},
    )


def has_reached_max_trades(strategy: Strategy) -> bool:
    """Whether the strategy has made its maximum number of trades."""
    return strategy.max_trades is not None and strategy.trades >= strategy.max_trades


def is_finished(strategy: Strategy) -> bool:
    """Whether all trades are done, and no order, no exit and no guarded position is left."""
    is_idle = strategy.order is None and strategy.exit is None
    return has_reached_max_trades(strategy) and is_idle and not strategy.guards_position


def complete_if_finished(strategy: Strategy, command: Command) -> list[Event]:
    """The completion of a finished strategy. A strategy in error stays so until its user acts."""
    if strategy.status is StrategyStatus.ERROR or not is_finished(strategy):
        return []
    message = f"{strategy.trades} trades done"
    completed = update_strategy(strategy, command, status=StrategyStatus.COMPLETED, message=message)
    return [StrategyCompleted(strategy=completed, command_id=command.id)]


def fail_strategy(
    strategy: Strategy, command: Command, error_code: str, details: str
) -> StrategyFailed:
    """Build the event that puts the strategy into error."""
    failed = update_strategy(strategy, command, status=StrategyStatus.ERROR, message=details)
    return StrategyFailed(
        strategy=failed, command_id=command.id, error_code=error_code, details=details
    )


def reject_stale_command(strategy: Strategy, expected_order_count: int) -> None:
    """Reject a command that was decided before the strategy's latest order began. Two runners at
    once may both decide; the later one has not seen the order of the other."""
    if expected_order_count != strategy.orders:
        message = (
            f"the strategy has begun {strategy.orders} orders, "
            f"the decision knew of {expected_order_count}"
        )
        raise CommandRejected("conflict", message)
