"""The laws of orders hold in any interleaving of fills, cancels, rejections and retries, and catch
wrong results: each mutant is the domain with one mistake in it.
"""

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from services.orders import domain
from services.orders.commands import Command
from services.orders.domain import ORDERS
from tapewire.events import Side, TradeExecuted
from tapewire.log import Decider, Refusal
from tests.mutation import mutant
from tests.unit.orders.laws import at_present, broken, cash
from tests.unit.orders.spec import Fill, accept, at, cancel, fail, given, place, reject

PLACED_AGAIN = "return _happen(command, [OrderPlaced(order=order, command_id=command.id)])"
MUTANTS = {
    "filled twice under one command": ("if command.id in state.seen:", "if False:"),
    "the state forgets commands": (
        "(*state.seen[1 - SEEN_COMMANDS :], command)", "state.seen"
    ),
    "closed is not for ever": (
        "if isinstance(state, Closed):\n        raise", "if False:\n        raise"
    ),
    "closed when filled only": ("if not order.status.open:", "if order.filled_qty == order.qty:"),
    "another order of the same name": (
        "if _contents(state.order) != _contents(order):", "if False:"
    ),
    "quantity is no content of an order": (
        "        order.qty,\n        order.limit", "        order.limit"
    ),
    "placed again": (
        "return []\n\n\ndef _change",
        PLACED_AGAIN + "\n\n\ndef _change",
    ),
    "a fill in ignorance": ("if command.filled_before != order.filled_qty:", "if False:"),
    "overfilled": ("if qty > order.qty - order.filled_qty:", "if qty > order.qty:"),
    "worse than the limit": ("if _worse(order, price):", "if False:"),
    "the limit of the other side": ("if order.side is Side.BUY:", "if order.side is Side.SELL:"),
    "average of the last fill": (
        "average(_notional(notional, qty, price), filled)", "average(qty * price, qty)"
    ),
    "the money of earlier fills forgotten": (
        "notional, fills = _notional(notional, event.qty, event.price), fills + 1",
        "notional, fills = event.qty * event.price, fills + 1",
    ),
    "trades of one name": ("fills + 1}", "1}"),
    "filled by a part": (
        "OrderStatus.FILLED if filled == order.qty", "OrderStatus.FILLED if filled"
    ),
    "never filled": ("OrderStatus.FILLED if filled == order.qty", "OrderStatus.FILLED if False"),
    "a trade of the whole order": (
        "side=order.side,\n            qty=qty,", "side=order.side,\n            qty=order.qty,"
    ),
    "a trade on the other side": (
        "            side=order.side,\n            qty",
        "            side=Side.SELL if order.side is Side.BUY else Side.BUY,\n            qty",
    ),
    "rejected after it was accepted": (
        'if isinstance(state, Working):\n                raise', "if False:\n                raise"
    ),
    "accepted twice": (
        "if isinstance(state, Working):\n                return []",
        "if False:\n                return []",
    ),
    "canceled as failed": (
        "_after(state, command, OrderStatus.CANCELED,", "_after(state, command, OrderStatus.FAILED,"
    ),
    "the reason lost": ("        reason=reason,\n", "        reason=None,\n"),
    "time goes back": (
        "timestamp=max(order.timestamp, command.at),\n    )\n\n\ndef",
        "timestamp=command.at,\n    )\n\n\ndef",
    ),
}  # fmt: skip


def histories() -> Iterator[list[Command]]:
    """Two hundred short lives of orders, the same every time: whole and broken fills that race
    cancels and ends, told twice, late, too large, and under other orders' names."""
    chance = random.Random(7)
    for _ in range(200):
        side, limit = chance.choice([*Side]), chance.choice([None, "10"])
        wanted = place("10", side=side, limit=limit)
        state, history = ORDERS.initial, list[Command]()
        for command in [wanted, *(_any(chance, wanted) for _ in range(14))]:
            asked = at_present(command, state)
            history.append(asked)
            state = _after(state, asked)
        yield history


def _any(chance: random.Random, wanted: Command) -> Command:
    number = chance.randrange(12)
    kind = chance.choice(["fill"] * 12 + ["accept"] * 2 + ["cancel", "reject", "fail", "place"])
    if kind == "place":
        side, limit = chance.choice([*Side]), chance.choice([None, "10"])
        return chance.choice([wanted, place(chance.choice(["10", "7"]), side=side, limit=limit)])
    if kind != "fill":
        made = {"accept": accept, "cancel": cancel, "reject": reject, "fail": fail}
        return made[kind](f"{kind}{number}")
    return Fill(
        id=f"fill{number}",
        at=at(chance.randrange(-5, 6)),
        user="alice",
        qty=Decimal(chance.choice(["1", "2.5", "3", "0.000001", "7", "10", "11"])),
        price=Decimal(chance.choice(["9.99", "10", "10", "10.00000001", "3"])),
        filled_before=Decimal(chance.choice([-1, -1, -1, -1, 0, 1])),
    )


def _after(state: Any, command: Command) -> Any:
    try:
        happened = ORDERS.decide(state, command)
    except Refusal:
        return state
    for happening in happened:
        state = ORDERS.evolve(state, happening.event)
    return state


HISTORIES = list(histories())


def test_the_domain_itself_breaks_no_law() -> None:
    assert [laws for history in HISTORIES if (laws := broken(history))] == []


def test_the_histories_are_worth_playing() -> None:
    ends = [getattr(_end(history), "order", None) for history in HISTORIES]
    statuses = [order.status.value for order in ends if order is not None]
    assert {"filled", "canceled", "rejected", "failed", "partially_filled"} <= set(statuses)
    assert max(statuses.count(one) for one in set(statuses)) < 120


def _end(history: list[Command]) -> Any:
    state: Any = ORDERS.initial
    for command in history:
        state = _after(state, command)
    return state


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_result_is_caught(name: str) -> None:
    decider: Decider[Any, Any] = mutant(domain, *MUTANTS[name]).ORDERS
    assert any(_caught(history, decider) for history in HISTORIES)


def _caught(history: list[Command], decider: Decider[Any, Any]) -> bool:
    try:
        return bool(broken(history, decider))
    except ArithmeticError:
        return True


@pytest.mark.parametrize("seed", range(20))
def test_any_split_of_a_fill_moves_the_same_shares_and_the_same_cash(seed: int) -> None:
    chance = random.Random(seed)
    price, left, parts = "99.37", Decimal(10), list[Decimal]()
    while left and len(parts) < 5:
        parts.append(min(left, Decimal(chance.randrange(1, 5_000_000)).scaleb(-6)))
        left -= parts[-1]
    parts += [left] if left else []
    order = given(place("10"))
    for number, qty in enumerate(parts):
        state: Any = order.state
        before = state.order.filled_qty
        order.decide(Fill(id=f"f{number}", at=at(1), user="alice", qty=qty,
                          price=Decimal(price), filled_before=before))  # fmt: skip
    traded = [event for event in order.events() if isinstance(event, TradeExecuted)]
    assert cash(order.events()) == -10 * cash([TradeExecuted(
        trade_id="t", order_id="o", symbol="IBM", side=Side.SELL, qty=Decimal(1),
        price=Decimal(price), strategy_id=None, timestamp=at(0))])  # fmt: skip
    assert sum(one.qty for one in traded) == 10
    end: Any = order.state
    assert (end.order.status.value, str(end.order.filled_avg_price)) == ("filled", price)
