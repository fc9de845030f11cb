"""A user's strategies: all of them but the completed ones that were completed long ago.

Every strategy event carries the strategy as it is afterwards, so the fold keeps the newest of each
and forgets the oldest completed one beyond `COMPLETED_KEPT`.
"""

from typing import ClassVar, Self

from tapewire.events import CODEC, Event, Strategy, StrategyEvent, StrategyStatus

COMPLETED_KEPT = 200
"""Completed strategies that a view still shows."""


class StrategiesView:
    """The fold. `StrategiesView()` has seen no event."""

    domain: ClassVar[str] = "strategies"

    def __init__(self) -> None:
        self._going: dict[str, tuple[int, Strategy]] = {}
        self._completed: dict[str, tuple[int, Strategy]] = {}
        self._changes = 0

    def apply(self, event: Event) -> None:
        """Fold one event of the user's strategies, in the order of the log."""
        if isinstance(event, StrategyEvent):
            self._keep(event.strategy)

    def strategies(self) -> list[Strategy]:
        """By the place of their last change in the log: the one changed most recently is last."""
        kept = [*self._completed.values(), *self._going.values()]
        return [strategy for _, strategy in sorted(kept, key=_at)]

    def encode(self) -> bytes:
        return CODEC.encode(self.strategies())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        view = cls()
        for strategy in CODEC.decode(data, list[Strategy]):
            view._keep(strategy)
        return view

    def _keep(self, strategy: Strategy) -> None:
        self._changes += 1
        self._going.pop(strategy.strategy_id, None)
        self._completed.pop(strategy.strategy_id, None)
        if strategy.status is not StrategyStatus.COMPLETED:
            self._going[strategy.strategy_id] = (self._changes, strategy)
            return
        self._completed[strategy.strategy_id] = (self._changes, strategy)
        if len(self._completed) > COMPLETED_KEPT:
            del self._completed[next(iter(self._completed))]


def _at(kept: tuple[int, Strategy]) -> int:
    return kept[0]
