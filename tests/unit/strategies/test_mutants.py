"""The laws of strategies hold in any interleaving of signals, stop-losses, fills and ends, and
catch wrong results: each mutant is the domain with one mistake in it.
"""

import random
from collections.abc import Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any, cast

import msgspec
import pytest

from services.strategies import domain, holding, trading
from services.strategies.commands import Command
from services.strategies.domain import STRATEGIES, Made
from tapewire.events import OrderStatus, Side, Strategy
from tapewire.log import Decider, Refusal
from tests.mutation import mutant
from tests.unit.strategies.laws import broken
from tests.unit.strategies.spec import (
    at,
    buy,
    create,
    ended,
    fail,
    fill,
    sell,
    settings,
    start,
    stop,
    stop_loss,
    stopped_out,
    update,
)

MUTANTS: dict[str, tuple[ModuleType, str, str]] = {
    "a command counts twice": (domain, "if command.id in state.seen:", "if False:"),
    "commands are forgotten": (
        domain, "(*state.seen[1 - SEEN_COMMANDS :], command)", "state.seen"
    ),
    "fills are not folded": (domain, "if isinstance(event, StrategyTraded):", "if False:"),
    "it acts after it is completed": (
        domain, "if strategy.status is StrategyStatus.COMPLETED:", "if False:"
    ),
    "two orders under way": (
        trading,
        "if strategy.order is not None:\n        return f\"order",
        "if False:\n        return f\"order",
    ),
    "a stop-loss beside an order": (
        trading,
        "if strategy.order is not None:\n        raise",
        "if False:\n        raise",
    ),
    "decided in ignorance": (trading, "if command.orders != strategy.orders:", "if False:"),
    "it acts though stopped": (
        trading,
        "if strategy.status is not StrategyStatus.STARTED:\n        return f",
        "if False:\n        return f",
    ),
    "it adds to what it holds": (
        trading, "if action is Action.BUY and strategy.position > 0:", "if False:"
    ),
    "more trades than it is for": (trading, "if done(strategy):", "if False:"),
    "the stop-loss sells the usual quantity": (
        trading, "command.side, plain(abs(strategy.position)),", "command.side, strategy.quantity,"
    ),
    "the stop-loss that there is not": (trading, "if strategy.stop_loss is None:", "if False:"),
    "the sides changed": (
        trading,
        "Side.BUY if command.action is Action.BUY",
        "Side.SELL if command.action is Action.BUY",
    ),
    "fills of other orders": (
        trading,
        "strategy.order is None or strategy.order.order_id != id_",
        "strategy.order is None",
    ),
    "a fill counts whole again": (
        trading, "plain(command.filled_qty - order.filled_qty)", "plain(command.filled_qty)"
    ),
    "late fills counted": (trading, "if qty <= 0:", "if qty == 0:"),
    "done at the first part": (
        trading, "command.filled_qty >= order.qty", "command.filled_qty > 0"
    ),
    "parts count as trades": (trading, "(0 if order.filled_qty else 1)", "1"),
    "a stop-loss executed at its first part": (
        trading, "if whole and order.trigger_price is not", "if order.trigger_price is not"
    ),
    "an order that ended is waited for": (
        trading, "ended = after(strategy, command, order=None)", "ended = after(strategy, command)"
    ),
    "orders of one name": (
        trading, "{strategy.orders + 1}\"\n    if trigger", "1\"\n    if trigger"
    ),
    "completed with an order under way": (
        trading, "done(strategy) and strategy.order is None and", "done(strategy) and"
    ),
    "time goes back": (
        trading, "timestamp=max(strategy.timestamp, command.at)", "timestamp=command.at"
    ),
    "the wrong sign": (
        holding, "qty if side is Side.BUY else -qty", "qty if side is Side.SELL else -qty"
    ),
    "the cost of the last fill": (
        holding, "WIDE.fma(qty, price, self.cost)", "WIDE.multiply(qty, price)"
    ),
    "the average kept through zero": (
        holding, "if self.quantity * quantity < 0:", "if False:"
    ),
    "the cost kept when part is sold": (
        holding, "WIDE.divide(kept, abs(self.quantity))", "self.cost"
    ),
}  # fmt: skip


def copy(module: ModuleType, old: str, new: str) -> Decider[Any, Any]:
    """The decider with `module` mutated beneath it."""
    made = mutant(module, old, new)
    if module is domain:
        return cast("Decider[Any, Any]", made.STRATEGIES)
    above = mutant(domain, "SEEN_COMMANDS = 64", "SEEN_COMMANDS = 64  #")
    if module is trading:
        above.trading = made
    else:
        above.Holding = made.Holding
    return cast("Decider[Any, Any]", above.STRATEGIES)


def histories() -> Iterator[list[Command]]:
    """Lives of strategies, the same every time: fills in parts, of other orders, late and twice,
    cancels that race them, stop-losses, and decisions in ignorance."""
    chance = random.Random(11)
    for _ in range(150):
        guarded = stop_loss() if chance.random() < 0.7 else None
        most = chance.choice([None, None, 1, 2, 3])
        state: Any = STRATEGIES.initial
        history = list[Command]()
        begun = [create(settings(quantity="10", stop=guarded, max_trades=most)), start()]
        for number in range(30):
            command = begun[number] if number < 2 else _any(chance, state, number)
            history.append(command)
            state = _after(state, command)
        yield history


def _any(chance: random.Random, state: Any, number: int) -> Command:
    assert isinstance(state, Made)
    strategy = state.strategy
    knows = strategy.orders - (chance.random() < 0.1)
    kind = chance.choice(["fill"] * 8 + ["act"] * 5 + ["stop"] * 3 + ["end", "other"])
    if kind == "fill" and strategy.order is not None:
        return _fill(chance, strategy)
    if kind == "stop":
        side = chance.choice([Side.SELL, Side.SELL, Side.BUY])
        return _as(stopped_out(side, orders=knows), f"sl{number}")
    if kind == "end" and strategy.order is not None:
        status = chance.choice([OrderStatus.CANCELED, OrderStatus.REJECTED, None])
        suffix = strategy.order.client_order_id.removeprefix("s1-")
        return _as(ended(chance.choice([suffix, "77"]), status), f"end{number}")
    if kind == "other":
        made = chance.choice([start(), stop(), fail(), update(quantity=Decimal(7)), update()])
        return _as(made, f"other{number}")
    wanted = chance.choice([buy, sell])(str(chance.choice([90, 100, 110])), knows)
    return _as(wanted, f"act{number}")


def _fill(chance: random.Random, strategy: Strategy) -> Command:
    order = strategy.order
    assert order is not None
    suffix = order.client_order_id.removeprefix("s1-")
    filled = chance.choice([order.qty, order.qty, order.qty / 2, Decimal(1), order.filled_qty])
    price = chance.choice(["90", "99.37", "110"])
    return fill(chance.choice([suffix, suffix, suffix, suffix, "77"]), str(filled), price)


def _as(command: Command, id_: str) -> Command:
    return msgspec.structs.replace(command, id=id_, at=at(len(id_) - 3))


def _after(state: Any, command: Command) -> Any:
    try:
        happened = STRATEGIES.decide(state, command)
    except Refusal:
        return state
    for happening in happened:
        state = STRATEGIES.evolve(state, happening.event)
    return state


HISTORIES = list(histories())


def test_the_domain_itself_breaks_no_law() -> None:
    assert [laws for history in HISTORIES if (laws := broken(history))] == []


def test_the_histories_are_worth_playing() -> None:
    kinds = set[str]()
    for history in HISTORIES:
        state: Any = STRATEGIES.initial
        for command in history:
            try:
                happened = STRATEGIES.decide(state, command)
            except Refusal as refusal:
                kinds.add(refusal.code)
                continue
            for happening in happened:
                kinds.add(type(happening.event).__name__)
                state = STRATEGIES.evolve(state, happening.event)
    assert {"StopLossExecuted", "StrategyCompleted", "StrategyFailed", "StrategyStopped",
            "DecisionMade", "conflict"} <= kinds  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_result_is_caught(name: str) -> None:
    decider = copy(*MUTANTS[name])
    assert any(_caught(history, decider) for history in HISTORIES)


def _caught(history: list[Command], decider: Decider[Any, Any]) -> bool:
    try:
        return bool(broken(history, decider))
    except (ArithmeticError, ValueError):  # an impossible state cannot be gone on from
        return True
