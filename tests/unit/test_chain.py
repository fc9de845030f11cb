"""Orders, trades, positions and strategies together: shares and cash are conserved along the whole
chain, in whatever order orders race each other, and however their fills are split.
"""

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from services.orders.commands import Accept, Cancel, Command, Fill, Place
from services.orders.domain import ORDERS, Unplaced
from services.orders.domain import State as OrderState
from services.positions.domain import POSITIONS, Traded, taking
from services.positions.domain import State as PositionState
from services.strategies.holding import Holding
from tapewire.events import Event, OrderFilled, OrderType, Side, TradeExecuted
from tapewire.log import Refusal
from tests.unit.orders.laws import cash
from tests.unit.orders.spec import at

ORDERS_RACING = 6
STEPS = 60


class Desk:
    """Some orders of one user in one symbol, and everything that their commands made."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.log: list[Event] = []
        self.states: list[OrderState] = [ORDERS.initial] * ORDERS_RACING
        self.sides = [chance.choice([*Side]) for _ in self.states]

    def step(self, number: int) -> None:
        which = self._chance.randrange(ORDERS_RACING)
        command = self._command(which, number)
        for _ in range(self._chance.choice([1, 1, 2])):  # the broker's word may come again
            try:
                happened = ORDERS.decide(self.states[which], command)
            except Refusal:
                return
            for happening in happened:
                self.log.append(happening.event)
                self.states[which] = ORDERS.evolve(self.states[which], happening.event)

    def _command(self, which: int, number: int) -> Command:
        state, chance = self.states[which], self._chance
        if isinstance(state, Unplaced):
            return Place(id=f"p{which}", at=at(0), user="alice", symbol="IBM",
                         side=self.sides[which], type=OrderType.MARKET, qty=Decimal(10),
                         limit_price=None, client_order_id=f"c{which}")  # fmt: skip
        kind = chance.choice(["fill"] * 10 + ["accept", "cancel"])
        if kind == "accept":
            return Accept(id=f"a{number}", at=at(1), user="alice")
        if kind == "cancel":
            return Cancel(id=f"x{number}", at=at(1), user="alice", reason="enough")
        return Fill(id=f"f{number}", at=at(1), user="alice",
                    qty=Decimal(chance.choice(["1", "2.5", "0.000001", "10"])),
                    price=Decimal(chance.choice(["99.37", "100", "101.00000001"])),
                    filled_before=state.order.filled_qty)  # fmt: skip


def positions(log: list[Event]) -> PositionState:
    """Each trade taken in the order of the log, and taken again."""
    state: PositionState = POSITIONS.initial
    for sequence, event in enumerate(log, 1):
        if isinstance(event, TradeExecuted):
            command = taking(f"t{sequence}", "alice", sequence, event)
            for happening in [*POSITIONS.decide(state, command)]:
                state = POSITIONS.evolve(state, happening.event)
            assert not POSITIONS.decide(state, command)
    return state


@pytest.mark.parametrize("seed", range(60))
def test_shares_and_cash_are_conserved_from_orders_to_positions(seed: int) -> None:
    desk = Desk(random.Random(seed))
    for number in range(STEPS):
        desk.step(number)
    orders = [state.order for state in desk.states if not isinstance(state, Unplaced)]
    signed = [order.filled_qty * (1 if order.side is Side.BUY else -1) for order in orders]
    taken = positions(desk.log)
    assert isinstance(taken, Traded)
    position = taken.position
    assert position.quantity == sum(signed)
    assert all(order.filled_qty <= order.qty for order in orders)
    kept = Fraction(position.realized_pnl) - Fraction(position.cost_basis)
    assert kept == cash(desk.log)
    filled = sum(
        (
            Fraction(one.qty) * Fraction(one.price) * (-1 if one.order.side is Side.BUY else 1)
            for one in desk.log
            if isinstance(one, OrderFilled)
        ),
        Fraction(0),
    )
    assert kept == filled
    assert holding(desk.log).quantity == position.quantity


def holding(log: list[Event]) -> Holding:
    """What a strategy would know of the same trades."""
    held = Holding()
    for event in log:
        if isinstance(event, TradeExecuted):
            held = held.after(event.side, event.qty, event.price)
    return held
