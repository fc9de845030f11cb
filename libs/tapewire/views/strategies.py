"""A user's strategies, except those that were deleted, or completed long ago.

Every strategy event carries the strategy after it. The view retains the newest state of each
strategy and drops the oldest completed one beyond `MAX_COMPLETED_STRATEGIES`.
"""

from typing import ClassVar, Self

from tapewire.events import CODEC, Event, Strategy, StrategyEvent, StrategyStatus

MAX_COMPLETED_STRATEGIES = 200
"""Completed strategies that the view retains."""


class StrategiesView:
    """The strategies of one user."""

    domain: ClassVar[str] = "strategies"

    def __init__(self) -> None:
        self._active: dict[str, tuple[int, Strategy]] = {}
        self._completed: dict[str, tuple[int, Strategy]] = {}
        self._change_count = 0

    def apply(self, event: Event) -> None:
        """Apply one event of the user's strategies."""
        if isinstance(event, StrategyEvent):
            self._upsert(event.strategy)

    def strategies(self) -> list[Strategy]:
        """The strategies, the most recently changed last."""
        kept = [*self._completed.values(), *self._active.values()]
        return [strategy for _, strategy in sorted(kept, key=_change_number)]

    def encode(self) -> bytes:
        return CODEC.encode(self.strategies())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        view = cls()
        for strategy in CODEC.decode(data, list[Strategy]):
            view._upsert(strategy)
        return view

    def _upsert(self, strategy: Strategy) -> None:
        self._change_count += 1
        self._active.pop(strategy.strategy_id, None)
        self._completed.pop(strategy.strategy_id, None)
        if strategy.status is StrategyStatus.DELETED:
            return
        if strategy.status is not StrategyStatus.COMPLETED:
            self._active[strategy.strategy_id] = (self._change_count, strategy)
            return
        self._completed[strategy.strategy_id] = (self._change_count, strategy)
        if len(self._completed) > MAX_COMPLETED_STRATEGIES:
            del self._completed[next(iter(self._completed))]


def _change_number(entry: tuple[int, Strategy]) -> int:
    return entry[0]
