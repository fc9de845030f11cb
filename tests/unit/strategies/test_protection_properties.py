"""Properties of the protection: whatever happens to its orders, a position ends flat or says why.

`ProtectionTrial` has the real decider, prices and `StrategyOrders`, and a venue that fills in
parts, rejects, cancels late and reports executions after an order's end, while the user trades the
same shares by hand, stops and starts the strategy, and other processes take over.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import msgspec
from hypothesis import given as examples
from hypothesis import settings as of
from hypothesis import strategies as st

from tapewire.events import CATALOGUE, CODEC, OrderStatus, Side, Strategy, StrategyEvent
from tapewire.log import CommandRejected, EventMetadata, EventSubject, RecordedEvent
from tapewire.runtime.contracts import orders as contract
from tapewire.runtime.contracts.strategies import StopPosition
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies, TrackedStrategy
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.protection import ProtectionState, apply_price
from tapewire_services.strategies.strategy_orders import StrategyOrders
from tests.unit.strategies.spec import (
    START_TIME,
    STRATEGY_ID,
    USER,
    StrategyHistory,
    buy,
    create,
    end_order,
    fail,
    fill,
    late_fill,
    make_settings,
    make_stop_loss,
    sell,
    start,
    stop,
)

STEP_COUNT = 60
SETTLING_ROUNDS = 40
ZERO = Decimal(0)


class VenueOrder:
    """An order at the venue."""

    def __init__(self, request: contract.PlaceOrder) -> None:
        self.request = request
        self.filled_qty = ZERO
        self.is_open = True
        self.is_cancel_requested = False

    @property
    def name(self) -> str:
        return str(self.request.client_order_id).removeprefix(f"{STRATEGY_ID}-")

    @property
    def remaining_qty(self) -> Decimal:
        return self.request.qty - self.filled_qty


class ProtectionTrial:
    """One strategy with its venue, its account and its user. It is the strategy's order client."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        settings = make_settings(quantity="10", stop_loss=make_stop_loss("5"), take_profit="50")
        self._history = StrategyHistory([create(settings), start()])
        self._active = ActiveStrategies()
        self._folded_count = 0
        self._orders_by_id: dict[str, VenueOrder] = {}
        self._account = ZERO
        self._price = Decimal(100)
        self._now = START_TIME
        self._command_count = 0
        self.protection = ProtectionState()
        self.split_count = 0
        self.placed: list[tuple[contract.PlaceOrder, Strategy]] = []
        """Each order, with the strategy when it was placed."""
        self._fold()
        self._take_over()

    # The strategy, as `StrategyOrders` sees it.

    @property
    def tracked(self) -> TrackedStrategy:
        return self._tracked

    async def execute(self, command: Command, correlation: str) -> str | None:  # noqa: ARG002
        return self._decide(command)

    def wake_after(self, seconds: float) -> None:
        """Time is advanced by the trial."""

    # The orders service, as `StrategyOrders` sees it.

    async def place_order(
        self,
        request: contract.PlaceOrder,
        correlation: str,  # noqa: ARG002
        command_id: str,  # noqa: ARG002
    ) -> None:
        id_ = contract.order_id(USER, str(request.client_order_id))
        if id_ in self._orders_by_id:
            return
        if self._rng.random() < 0.05:
            raise CommandRejected("invalid", "the venue is closed")
        self.placed.append((request, self.strategy))
        self._orders_by_id[id_] = VenueOrder(request)

    async def cancel_order(
        self,
        request: contract.CancelOrder,
        correlation: str,  # noqa: ARG002
        command_id: str,  # noqa: ARG002
    ) -> None:
        order = self._orders_by_id[request.order_id]
        if not order.is_open:
            raise CommandRejected("conflict", "the order is closed")
        order.is_cancel_requested = True

    async def get_order(self, request: contract.GetOrder, correlation: str) -> None:  # noqa: ARG002
        if request.order_id not in self._orders_by_id:
            raise CommandRejected("not_found", "there is no such order")

    # What happens.

    @property
    def strategy(self) -> Strategy:
        return self._history.strategy

    def _decide(self, command: Command) -> str | None:
        try:
            self._history.decide(command)
        except CommandRejected as error:
            return error.message
        finally:
            self._fold()
        return None

    def _decide_anew(self, command: Command) -> None:
        """Decide on a command that has not been given before."""
        self._command_count += 1
        id_ = f"{command.id} {self._command_count}"
        self._decide(msgspec.structs.replace(command, id=id_, at=self._now))

    def _fold(self) -> None:
        for new_event in self._history.new_events[self._folded_count :]:
            self._folded_count += 1
            if not isinstance(new_event.event, StrategyEvent):
                continue
            recorded = RecordedEvent(
                sequence=self._folded_count,
                subject=str(EventSubject(USER, "strategies", STRATEGY_ID)),
                tag=CATALOGUE.tag_of(type(new_event.event)),
                data=CODEC.encode(new_event.event),
                metadata=EventMetadata(id=f"e{self._folded_count}", correlation="c"),
                time=self._now,
            )
            tracked = self._active.apply(recorded)
            assert tracked is not None
            self._tracked = tracked

    def _take_over(self) -> None:
        self._orders = StrategyOrders(self, self, clock=lambda: self._now, rng=self._rng)

    def _move_price(self, price: Decimal) -> None:
        self._price = price
        if self._tracked.is_active:
            self.protection = apply_price(
                self.protection, self.strategy, self._tracked.position_since, price
            )

    def _execute_order(self, order: VenueOrder, qty: Decimal) -> None:
        """Execute up to `qty` shares: a reduce-only order no further than to a flat account."""
        request = order.request
        sign = 1 if request.side is Side.BUY else -1
        if request.reduce_only:
            qty = min(qty, max(ZERO, -sign * self._account))
            if not qty:
                self._end(order, OrderStatus.CANCELED, contract.NOTHING_TO_REDUCE)
                return
        self._account += sign * qty
        order.filled_qty += qty
        order.is_open = order.remaining_qty > 0
        self._decide(fill(order.name, str(order.filled_qty), str(self._price)))

    def _execute_late(self, order: VenueOrder) -> None:
        qty = min(order.remaining_qty, Decimal(2))
        self._account += qty if order.request.side is Side.BUY else -qty
        order.filled_qty += qty
        self._decide_anew(late_fill(order.name, str(qty), order.request.side, str(self._price)))

    def _end(self, order: VenueOrder, status: OrderStatus, reason: str) -> None:
        order.is_open = False
        is_gone = reason == contract.NOTHING_TO_REDUCE
        self._decide(end_order(order.name, status, reason, is_position_gone=is_gone))

    def _open_orders(self) -> list[VenueOrder]:
        return [order for order in self._orders_by_id.values() if order.is_open]

    def _disturb(self) -> None:
        """Something happens to the market, to an order, to the process, or by the user."""
        rng, orders = self._rng, self._open_orders()
        closed = [one for one in self._orders_by_id.values() if not one.is_open]
        choices: list[tuple[int, Callable[[], object]]] = [
            (8, lambda: self._move_price(self._price + rng.randrange(-4, 5))),
            (4, lambda: self._decide_anew(self._signal())),
            (1, lambda: self._trade_by_hand()),
            (1, lambda: self._decide_anew(start() if rng.random() < 0.5 else fail())),
            (1, lambda: self._decide_anew(stop(position=rng.choice(list(StopPosition))))),
            (1, self._take_over),
        ]
        if orders:
            order = rng.choice(orders)
            part = Decimal(rng.randrange(1, 11))
            cancel = order.is_cancel_requested
            choices += [
                (6, lambda: self._execute_order(order, min(part, order.remaining_qty))),
                (6 * cancel, lambda: self._end(order, OrderStatus.CANCELED, "canceled")),
                (1, lambda: self._end(order, OrderStatus.REJECTED, "the venue is closed")),
                (1, lambda: self._end(order, OrderStatus.CANCELED, contract.CANCELED_BY_USER)),
            ]
        late = [one for one in closed if one.remaining_qty and not one.request.reduce_only]
        if late:
            choices.append((1, lambda: self._execute_late(rng.choice(late))))
        weights, happen = zip(*choices, strict=True)
        rng.choices(happen, weights)[0]()

    def _signal(self) -> Command:
        return self._rng.choice([buy, sell])(str(self._price), self.strategy.orders)

    def _trade_by_hand(self) -> None:
        self._account += self._rng.randrange(-10, 11)

    async def run(self) -> None:
        """Disturb the strategy, and then let the market reach every stop and execute all."""
        for _ in range(STEP_COUNT):
            self._disturb()
            self._now += timedelta(seconds=1)
            await self._orders.advance()
        for factor in (Decimal("0.3"), Decimal(4)):
            self._move_price(Decimal(100) * factor)
            for _ in range(SETTLING_ROUNDS):
                await self._orders.advance()
                self._now += timedelta(seconds=61)
                for order in self._open_orders():
                    if order.is_cancel_requested:
                        self._end(order, OrderStatus.CANCELED, "canceled")
                    else:
                        self._execute_order(order, order.remaining_qty)
                self._move_price(self._price)


@of(deadline=None)
@examples(st.integers(0, 1 << 32))
def test_a_protected_position_ends_flat_or_says_why(seed: int) -> None:
    trial = ProtectionTrial(seed)
    asyncio.run(trial.run())
    strategy = trial.strategy
    assert strategy.exit is None
    assert strategy.order is None
    assert strategy.position == 0 or not strategy.has_protection, "or its user left it alone"


@of(deadline=None)
@examples(st.integers(0, 1 << 32))
def test_only_closing_orders_are_reduce_only(seed: int) -> None:
    trial = ProtectionTrial(seed)
    asyncio.run(trial.run())
    for request, strategy in trial.placed:
        order = strategy.order
        assert order is not None
        assert request.reduce_only is (order.closing_reason is not None)
