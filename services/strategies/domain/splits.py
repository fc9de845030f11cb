"""What a split of its symbol makes of a strategy. Pure.

Its position, its orders and the quantity of each order count the new shares, and its entry price is
that of a new share, so its stop-loss and its take-profit are where they were. Start at
`split_strategy`.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tapewire.decimals import average_price, scale
from tapewire.events import (
    Event,
    SplitRatio,
    Strategy,
    StrategyExit,
    StrategyOrder,
    StrategySplit,
    StrategyStatus,
)
from tapewire.values import MAX_PLACES
from tapewire_services.strategies.domain.changes import update_strategy
from tapewire_services.strategies.domain.commands import SplitStrategyCommand
from tapewire_services.strategies.domain.holding import Holding

QTY_PLACES = 6
"""Decimal places of the quantity of an order, as at the orders service."""
POSITION_PLACES = 9
MIN_QTY = Decimal("0.000001")


def split_strategy(
    strategy: Strategy, holding: Holding, command: SplitStrategyCommand
) -> Sequence[Event]:
    """The strategy in the new shares. A completed one without a position stays as it is."""
    if strategy.status is StrategyStatus.COMPLETED and not strategy.position:
        return []
    split = command.split
    position = scale(strategy.position, split.ratio.shares, split.ratio.for_shares, POSITION_PLACES)
    after = update_strategy(
        strategy,
        command,
        quantity=max(MIN_QTY, scale_qty(strategy.quantity, split.ratio)),
        position=position,
        entry_price=average_price(holding.cost, abs(position)) if position else None,
        order=_split_order(strategy.order, split.ratio),
        exit=_split_exit(strategy.exit, split.ratio),
    )
    return [
        StrategySplit(
            strategy=after, command_id=command.id, split_id=split.split_id, ratio=split.ratio
        )
    ]


def scale_qty(qty: Decimal, ratio: SplitRatio) -> Decimal:
    """What `qty` shares of an order are after the split."""
    return scale(qty, ratio.shares, ratio.for_shares, QTY_PLACES)


def scale_price(price: Decimal, ratio: SplitRatio) -> Decimal:
    """What a price is after the split."""
    return scale(price, ratio.for_shares, ratio.shares, MAX_PLACES)


def _split_order(order: StrategyOrder | None, ratio: SplitRatio) -> StrategyOrder | None:
    if order is None:
        return None
    trigger = order.trigger_price
    return msgspec.structs.replace(
        order,
        qty=scale_qty(order.qty, ratio),
        filled_qty=scale_qty(order.filled_qty, ratio),
        trigger_price=None if trigger is None else scale_price(trigger, ratio),
    )


def _split_exit(exit_: StrategyExit | None, ratio: SplitRatio) -> StrategyExit | None:
    if exit_ is None or exit_.trigger_price is None:
        return exit_
    price = scale_price(exit_.trigger_price, ratio)
    return msgspec.structs.replace(exit_, trigger_price=price)
