"""The laws catch wrong results: each mutant is the domain with one mistake in it.

A mutant is the source with one piece replaced, run as a module of its own. Where a piece is no
longer in the source, the test says so: mutate what stands there now.
"""

import random
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.positions import domain
from services.positions.domain import State, TakeTrade
from tapewire.events import Side, TradeExecuted
from tapewire.log import Decider
from tests.unit.positions.laws import broken
from tests.unit.positions.spec import trade

MUTANTS = {
    "wrong side": ("if trade.side is Side.BUY else", "if trade.side is Side.SELL else"),
    "average not reset through zero": (
        "beyond = Lot(left, EXACT.multiply(left, trade.price))",
        "beyond = Lot(left, EXACT.multiply(left, before.entry_price))",
    ),
    "through zero as if it were a reduction": (
        "if left and _same_side(held, Lot(left, NOTHING)):",
        "if left:",
    ),
    "fees dropped": ("fees=plain(EXACT.add(before.fees, trade.fee))", "fees=before.fees"),
    "fees not taken off when opening": (
        "_after(before, trade, traded, trade.fee.copy_negate())",
        "_after(before, trade, traded, NOTHING)",
    ),
    "fees not taken off when adding": (
        "_sum(held, traded), trade.fee.copy_negate())",
        "_sum(held, traded), NOTHING)",
    ),
    "fees added to the gain": ("EXACT.subtract(gain, trade.fee)", "EXACT.add(gain, trade.fee)"),
    "the fee of a trade through zero twice": (
        "_after(closed, msgspec.structs.replace(trade, fee=NOTHING), beyond",
        "_after(closed, trade, beyond",
    ),
    "reducing at the average of what was traded": (
        "return Lot(left, EXACT.subtract(held.cost, cost)), gain",
        "return Lot(left, EXACT.multiply(left, price)), gain",
    ),
    "the gain of all instead of the part": (
        "gain = EXACT.subtract(EXACT.multiply(gone, price), cost)",
        "gain = EXACT.subtract(EXACT.multiply(held.quantity, price), held.cost)",
    ),
    "the sign of a short one's gain": (
        "gain = EXACT.subtract(EXACT.multiply(gone, price), cost)",
        "gain = abs(EXACT.multiply(gone, price)) - abs(cost)",
    ),
    "cost rounded to cents": ("COST_PLACES = 18", "COST_PLACES = 2"),
    "the rest of the cost forgotten": (
        "return Lot(left, EXACT.subtract(held.cost, cost)), gain",
        "return Lot(left, rounded(EXACT.subtract(held.cost, cost), 6)), gain",
    ),
    "average of averages": (
        "EXACT.add(one.cost, other.cost))",
        "(one.cost / one.quantity + other.cost / other.quantity) * (one[0] + other[0]) / 2)",
    ),
    "realized forgotten": (
        "realized_pnl=plain(EXACT.add(before.realized_pnl, realized))",
        "realized_pnl=plain(realized)",
    ),
    "a closing that tells its gain without the fee": (
        "trade_sequence=sequence, realized=realized",
        "trade_sequence=sequence, realized=gain",
    ),
    "trades taken twice": ("command.sequence <= state.trade_sequence", "False"),
    "the last trade taken twice": (
        "command.sequence <= state.trade_sequence",
        "command.sequence < state.trade_sequence",
    ),
    "opened where it changed": ("[PositionChanged(position=more", "[PositionOpened(position=more"),
    "not opened beyond zero": ("    if not left:\n", "    if True:\n"),
}


def mutant(name: str) -> Decider[State, TakeTrade]:
    old, new = MUTANTS[name]
    source = Path(domain.__file__).read_text()
    assert old in source, f"the domain no longer has {old!r}: mutate what stands there now"
    module = types.ModuleType(f"mutant {name}")
    sys.modules[module.__name__] = module  # msgspec looks annotations up there
    try:
        exec(compile(source.replace(old, new), name, "exec"), module.__dict__)  # noqa: S102
    finally:
        del sys.modules[module.__name__]
    made: Decider[State, TakeTrade] = module.POSITIONS
    return made


def histories() -> Iterator[list[TradeExecuted]]:
    """Small and broken numbers, on both sides, often through zero and often to it."""
    chance = random.Random(1)
    for _ in range(60):
        yield [
            trade(
                chance.choice([Side.BUY, Side.SELL]),
                chance.choice(["1", "2", "3", "0.7"]),
                chance.choice(["3", "5", "7.01", "11"]),
                chance.choice(["0", "0.25"]),
            )
            for _ in range(12)
        ]


def test_the_domain_itself_breaks_no_law() -> None:
    assert [laws for history in histories() if (laws := broken(history))] == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_result_is_caught(name: str) -> None:
    decider = mutant(name)
    assert any(caught(history, decider) for history in histories())


def caught(history: list[TradeExecuted], decider: Decider[State, TakeTrade]) -> bool:
    try:
        return bool(broken(history, decider))
    except ArithmeticError:  # an inexact result, which the contexts refuse
        return True
