"""Does what the orders of one strategy need: places and cancels the pending one, begins exits.

What is needed follows from the strategy in the log and from what its prices have touched, so
another process does the same after a takeover. Start at `StrategyOrders.advance`.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from tapewire.events import Strategy, StrategyOrder
from tapewire_services.strategies.domain import command_builders as builders
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.exits import (
    closing_side,
    order_to_cancel,
    retry_delay_seconds,
)
from tapewire_services.strategies.domain.protection import ProtectionState
from tapewire_services.strategies.order_placement import (
    OrderClient,
    cancel_until_answered,
    place_until_answered,
)


class OrderedStrategy(Protocol):
    """The strategy whose orders are looked after. Its version is newer after `execute`."""

    @property
    def tracked(self) -> TrackedStrategy: ...

    @property
    def protection(self) -> ProtectionState: ...

    @property
    def split_count(self) -> int: ...

    async def execute(self, command: Command, correlation: str) -> str | None: ...

    def wake_after(self, seconds: float) -> None: ...


class StrategyOrders:
    """The orders of one strategy in one process."""

    def __init__(
        self,
        ordered: OrderedStrategy,
        order_client: OrderClient,
        *,
        clock: Callable[[], datetime],
        rng: random.Random,
    ) -> None:
        self._ordered = ordered
        self._order_client = order_client
        self._clock = clock
        self._rng = rng
        self._last_placed_client_order_id: str | None = None
        self._last_canceled_client_order_id: str | None = None

    @property
    def _strategy(self) -> Strategy:
        return self._ordered.tracked.strategy

    async def advance(self) -> None:
        """Place or cancel the pending order; begin an exit, or its next closing order. Do nothing
        while the strategy waits for the terms of a split."""
        if self._ordered.tracked.pending_split is not None:
            return
        await self._place_order()
        await self._cancel_order()
        await self._trigger_exit()
        await self._continue_exit()

    async def _place_order(self) -> None:
        tracked, order = self._ordered.tracked, self._strategy.order
        if order is None or order.client_order_id == self._last_placed_client_order_id:
            return
        rejection = await place_until_answered(
            self._order_client, tracked, order, self._rng, self._ordered.split_count
        )
        self._last_placed_client_order_id = order.client_order_id
        if rejection is not None:
            command = builders.build_end_rejected_order(
                self._ordered.tracked, order.order_id, rejection, self._clock()
            )
            await self._ordered.execute(command, self._ordered.tracked.correlation)

    async def _cancel_order(self) -> None:
        order = order_to_cancel(self._strategy)
        if order is None or order.client_order_id == self._last_canceled_client_order_id:
            return
        await cancel_until_answered(self._order_client, self._ordered.tracked, order, self._rng)
        self._last_canceled_client_order_id = order.client_order_id

    async def _trigger_exit(self) -> None:
        tracked, state = self._ordered.tracked, self._ordered.protection
        side = closing_side(tracked.strategy)
        if state.touch is None or side is None or not tracked.is_guarding:
            return
        if tracked.strategy.exit is not None or _is_closing(tracked.strategy.order):
            return
        if state.side is side and state.position_since == tracked.position_since:
            command = builders.build_trigger_exit(tracked, state.touch, side, self._clock())
            await self._ordered.execute(command, command.id)

    async def _continue_exit(self) -> None:
        """Begin the next closing order once its time has come."""
        exit_ = self._strategy.exit
        if exit_ is None or self._strategy.order is not None:
            return
        now = self._clock()
        due = self._strategy.timestamp + timedelta(seconds=retry_delay_seconds(exit_.attempts))
        if now < due:
            self._ordered.wake_after((due - now).total_seconds())
            return
        command = builders.build_continue_exit(self._ordered.tracked, now)
        await self._ordered.execute(command, command.id)


def _is_closing(order: StrategyOrder | None) -> bool:
    return order is not None and order.closing_reason is not None
