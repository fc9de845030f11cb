"""Orders, trades, positions and strategies together: shares and cash are conserved along the whole
chain, in whatever order orders race each other, and however their fills are split.
"""

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from tapewire.events import Event, OrderFilled, OrderType, Side, TradeExecuted
from tapewire.log import CommandRejected
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    CancelOrderCommand,
    Command,
    FillOrderCommand,
    PlaceOrderCommand,
)
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import State as OrderState
from tapewire_services.orders.domain.order_state import UnplacedState
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    TradedState,
    build_trade_command,
)
from tapewire_services.positions.domain.position import State as PositionState
from tapewire_services.strategies.domain.holding import Holding
from tests.harness.order_builders import at
from tests.harness.verification import net_cash

RACING_ORDER_COUNT = 6
STEP_COUNT = 60


class OrderFlow:
    """Some orders of one user in one symbol, and everything that their commands made."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.events: list[Event] = []
        self.order_states: list[OrderState] = [ORDER_DECIDER.initial_state] * RACING_ORDER_COUNT
        self.sides = [rng.choice([*Side]) for _ in self.order_states]

    def step(self, number: int) -> None:
        which = self._rng.randrange(RACING_ORDER_COUNT)
        command = self._command(which, number)
        for _ in range(self._rng.choice([1, 1, 2])):  # the broker's word may come again
            try:
                new_events = ORDER_DECIDER.decide(self.order_states[which], command)
            except CommandRejected:
                return
            for new_event in new_events:
                self.events.append(new_event.event)
                self.order_states[which] = ORDER_DECIDER.evolve(
                    self.order_states[which], new_event.event
                )

    def _command(self, which: int, number: int) -> Command:
        state, rng = self.order_states[which], self._rng
        if isinstance(state, UnplacedState):
            return PlaceOrderCommand(id=f"p{which}", at=at(0), user="alice", symbol="IBM",
                         side=self.sides[which], type=OrderType.MARKET, qty=Decimal(10),
                         limit_price=None, client_order_id=f"c{which}")  # fmt: skip
        kind = rng.choice(["fill"] * 10 + ["accept", "cancel"])
        if kind == "accept":
            return AcceptOrderCommand(id=f"a{number}", at=at(1), user="alice")
        if kind == "cancel":
            return CancelOrderCommand(id=f"x{number}", at=at(1), user="alice", reason="enough")
        return FillOrderCommand(id=f"f{number}", at=at(1), user="alice",
                    qty=Decimal(rng.choice(["1", "2.5", "0.000001", "10"])),
                    price=Decimal(rng.choice(["99.37", "100", "101.00000001"])),
                    filled_before=state.order.filled_qty)  # fmt: skip


def fold_positions(events: list[Event]) -> PositionState:
    """Each trade taken in the order of the log, and taken again."""
    state: PositionState = POSITION_DECIDER.initial_state
    for sequence, event in enumerate(events, 1):
        if isinstance(event, TradeExecuted):
            command = build_trade_command(f"t{sequence}", "alice", sequence, event)
            for new_event in [*POSITION_DECIDER.decide(state, command)]:
                state = POSITION_DECIDER.evolve(state, new_event.event)
            assert not POSITION_DECIDER.decide(state, command)
    return state


@pytest.mark.parametrize("seed", range(60))
def test_shares_and_cash_are_conserved_from_orders_to_positions(seed: int) -> None:
    order_flow = OrderFlow(random.Random(seed))
    for number in range(STEP_COUNT):
        order_flow.step(number)
    orders = [
        state.order for state in order_flow.order_states if not isinstance(state, UnplacedState)
    ]
    signed = [order.filled_qty * (1 if order.side is Side.BUY else -1) for order in orders]
    position_state = fold_positions(order_flow.events)
    assert isinstance(position_state, TradedState)
    position = position_state.position
    assert position.quantity == sum(signed)
    assert all(order.filled_qty <= order.qty for order in orders)
    net_result = Fraction(position.realized_pnl) - Fraction(position.cost_basis)
    assert net_result == net_cash(order_flow.events)
    filled = sum(
        (
            Fraction(one.qty) * Fraction(one.price) * (-1 if one.order.side is Side.BUY else 1)
            for one in order_flow.events
            if isinstance(one, OrderFilled)
        ),
        Fraction(0),
    )
    assert net_result == filled
    assert fold_holding(order_flow.events).quantity == position.quantity


def fold_holding(events: list[Event]) -> Holding:
    """What a strategy would know of the same trades."""
    held = Holding()
    for event in events:
        if isinstance(event, TradeExecuted):
            held = held.after_trade(event.side, event.qty, event.price)
    return held
