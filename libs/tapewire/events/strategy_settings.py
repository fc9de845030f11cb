"""The settings of a strategy: its rule, its stop-loss and its take-profit."""

import enum
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.fields import PERCENT, about


class StopLossKind(enum.Enum):
    FIXED = "fixed"
    TRAILING = "trailing"


class _StrategyRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind"):
    """The parameters of a rule. Windows are numbers of prices."""


class MovingAverageCrossover(
    _StrategyRule, frozen=True, kw_only=True, tag="moving_average_crossover"
):
    """Buy when the average of the last `fast` prices rises above that of the last `slow`, sell when
    it falls below."""

    fast: Annotated[int, about("prices in the short average")]
    slow: Annotated[int, about("prices in the long average")]


class Breakout(_StrategyRule, frozen=True, kw_only=True, tag="breakout"):
    """Buy `margin_percent` above the highest of the last `window` prices, sell as much below the
    lowest."""

    window: Annotated[int, about("prices looked back at")]
    margin_percent: Annotated[Decimal, about("how far beyond them", PERCENT)] = Decimal(0)


class MeanReversion(_StrategyRule, frozen=True, kw_only=True, tag="mean_reversion"):
    """Buy `deviations` standard deviations below the mean of the last `window` prices, sell as far
    above it."""

    window: Annotated[int, about("prices in the mean")]
    deviations: Annotated[Decimal, about("standard deviations away from it")]


StrategyRule = MovingAverageCrossover | Breakout | MeanReversion


class StopLoss(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Close the position when the price is `percent` worse than the entry (fixed) or than the best
    price since the entry (trailing)."""

    kind: Annotated[
        StopLossKind, about("fixed: from the entry; trailing: from the best price since")
    ]
    percent: Annotated[Decimal, about("how much worse closes the position", PERCENT)]


class TakeProfit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Close the position when the price is `percent` better than the entry."""

    percent: Annotated[Decimal, about("how much better closes the position", PERCENT)]
