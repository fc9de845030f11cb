"""Strategies and orders in one process on the log in memory: workers that die, and what is left.

A `Worker` is what `services.strategies.__main__` wires, without NATS. The orders service beside it
is the real one with its paper broker; `Counter` is the way there, on which answers get lost.
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from services.strategies.commands import Command
from services.strategies.domain import STRATEGIES, State
from services.strategies.hand import Desk
from services.strategies.maker import DecisionMaker, Hire, RuleMaker, Situation
from services.strategies.rules import Signal
from services.strategies.runner import run_strategies
from services.strategies.service import StrategiesService
from tapewire.events import (
    Action,
    DecisionMade,
    Order,
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    Rule,
    Side,
    StopLoss,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyEvent,
    StrategySignaled,
    StrategyStatus,
    StrategyTraded,
)
from tapewire.log import Entities, LogError, Overloaded, Recorded, Refusal, Unavailable, new_id
from tapewire.log.grouping import GroupedLog
from tapewire.log.market import Market
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.runtime import Context, Unanswered
from tapewire.runtime.contracts import orders as asked
from tapewire.runtime.contracts.strategies import CreateStrategy, StartStrategy
from tests.unit.orders.house import Process, clock, context, tally
from tests.unit.strategies.spec import USER

ALWAYS_FILLED = "100000"


class Counter:
    """The orders service as strategies reach it. `trouble` is the chance that a request gets lost,
    and as often its answer."""

    def __init__(self, orders: Process, trouble: float = 0.0, seed: int = 0) -> None:
        self.orders = orders
        self.open = True
        self._trouble = trouble
        self._chance = random.Random(seed)
        self.placed: list[asked.PlaceOrder] = []
        """Every request that arrived."""

    async def place(self, request: asked.PlaceOrder, correlation: str, command_id: str) -> None:
        self._lose("the request")
        self.placed.append(request)
        with self._answering():
            await self.orders.service.place(request, _context(correlation, command_id))
        self._lose("the answer")

    async def get(self, request: asked.GetOrder, correlation: str) -> None:
        self._lose("the request")
        with self._answering():
            await self.orders.service.get(request, _context(correlation, new_id()))

    def _lose(self, what: str) -> None:
        if not self.open or self._chance.random() < self._trouble:
            raise Unanswered(f"{what} got lost")

    @contextlib.contextmanager
    def _answering(self):  # type: ignore[no-untyped-def]
        try:
            yield
        except (LogError, Overloaded) as error:
            raise Unanswered(str(error)) from error


def _context(correlation: str, command_id: str) -> Context:
    return Context(correlation=correlation, command_id=command_id, traceparent=None)


class Worker:
    """One process of the service. It holds the runner's lease when the test says so."""

    def __init__(
        self,
        server: MemoryServer,
        counter: Counter,
        faults: Faults | None = None,
        hire: Hire = RuleMaker,
    ) -> None:
        self.log = MemoryLog(server, faults)
        self.views = MemoryValues(server, faults, stream="VIEWS", prefix="view")
        self.market = MemoryValues(server, faults)
        self.chance = random.Random(faults.seed if faults is not None else 0)
        self.board = Market(self.market, self.chance)
        grouped = GroupedLog(self.log)
        self.entities: Entities[State, Command] = Entities(grouped, STRATEGIES)
        self.desk = Desk(grouped, self.entities, counter, hire, clock, self.chance)
        self.service = StrategiesService(self.log, self.views, self.entities, self.board, clock)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *, runner: bool = True) -> "Worker":
        while True:
            with contextlib.suppress(LogError):
                await self.board.start()
                break
            await asyncio.sleep(0.1)
        self.tasks = [asyncio.create_task(self.board.follow())]
        if runner:
            work = run_strategies(self.desk, self.views, self.board)
            self.tasks.append(asyncio.create_task(work))
        return self

    async def kill(self) -> None:
        """The process is gone, whatever it was at."""
        for connection in (self.log, self.views, self.market):
            connection.kill()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what a task died of."""
        for task in self.tasks:
            if task.done():
                task.result()

    async def make(
        self,
        rule: Rule,
        *,
        quantity: str = "10",
        stop: StopLoss | None = None,
        max_trades: int | None = None,
        user: str = USER,
        symbol: str = "IBM",
        start: bool = True,
    ) -> str:
        """The id of a new strategy, which is started."""
        create = CreateStrategy(
            user_id=user,
            symbol=symbol,
            rule=rule,
            quantity=Decimal(quantity),
            stop_loss=stop,
            max_trades=max_trades,
        )
        id_ = (await self.insist(self.service.create, create)).strategy.strategy_id
        if start:
            await self.insist(self.service.start, StartStrategy(user_id=user, strategy_id=id_))
        return str(id_)

    async def insist(self, handler, request):  # type: ignore[no-untyped-def]
        """Ask until it is answered, under one command id, as a gateway does."""
        command_id = new_id()
        while True:
            with contextlib.suppress(LogError, Overloaded):
                return await handler(request, context(command_id))
            await asyncio.sleep(0.2)


class Scripted:
    """Decides what it is told to, one action a question, and then holds."""

    def __init__(self, *actions: Action) -> None:
        self._actions = list(actions)
        self.situations: list[Situation] = []

    async def decide(self, situation: Situation) -> Signal:
        self.situations.append(situation)
        action = self._actions.pop(0) if self._actions else Action.HOLD
        return Signal(action, Decimal("0.5"), "as the script says")


def scripted(*actions: Action) -> Hire:
    """Everybody follows the script from its beginning, in every process anew."""
    return lambda _: Scripted(*actions)


class BuyWhenFlat:
    """Buys once, when it holds nothing and was never in the market."""

    async def decide(self, situation: Situation) -> Signal:
        action = Action.BUY if situation.strategy.trades == 0 else Action.HOLD
        return Signal(action, Decimal(1), "nothing is held")


def buys_when_flat(_: Strategy) -> DecisionMaker:
    return BuyWhenFlat()


class Ledger:
    """What the log says in the end of each strategy, and of its orders."""

    def __init__(self, stored: list[Recorded]) -> None:
        self.stored = stored
        self.strategies: dict[str, Strategy] = {}
        self.events: defaultdict[str, list[StrategyEvent]] = defaultdict(list)
        self.decisions: defaultdict[str, list[DecisionMade]] = defaultdict(list)
        self.placed: defaultdict[str, list[Order]] = defaultdict(list)
        self.orders: dict[str, Order] = {}
        self.filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        for recorded in stored:
            self._take(recorded)

    def _take(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, StrategyEvent):
            self.strategies[event.strategy.strategy_id] = event.strategy
            self.events[event.strategy.strategy_id].append(event)
        if isinstance(event, DecisionMade):
            self.decisions[event.strategy_id].append(event)
        if isinstance(event, OrderEvent) and event.order.strategy_id is not None:
            self.orders[event.order.order_id] = event.order
            if isinstance(event, OrderPlaced):
                self.placed[event.order.strategy_id].append(event.order)
            if isinstance(event, OrderFilled):
                signed = event.qty if event.order.side is Side.BUY else -event.qty
                self.filled[event.order.strategy_id] += signed

    def of(self, id_: str, kind: type[StrategyEvent]) -> list[StrategyEvent]:
        return [event for event in self.events[id_] if isinstance(event, kind)]

    def settled(self) -> bool:
        """Whether no order is open, and every strategy knows what became of its orders."""
        return not any(order.status.open for order in self.orders.values()) and all(
            strategy.order is None and strategy.position == self.filled[id_]
            for id_, strategy in self.strategies.items()
        )

    def check(self) -> None:
        """Nothing was placed twice, beside another, or for nothing; all adds up."""
        for id_, strategy in self.strategies.items():
            wanted = self._begun(id_)
            placed = {order.client_order_id: order for order in self.placed[id_]}
            assert len(placed) == len(self.placed[id_]), f"placed twice: {self.placed[id_]}"
            assert set(placed) <= set(wanted), f"placed for nothing: {set(placed) - set(wanted)}"
            for name, (side, qty) in wanted.items():
                if name in placed:
                    assert (placed[name].side, placed[name].qty) == (side, qty)
            if strategy.status is not StrategyStatus.ERROR:
                assert set(placed) == set(wanted), f"never placed: {set(wanted) - set(placed)}"
            assert strategy.position == self.filled[id_], (strategy, self.filled[id_])
            self._check_stop_losses(id_)
            self._check_decisions(id_)

    def _begun(self, id_: str) -> dict[str, tuple[Side, Decimal]]:
        """The orders that were begun, each while none was under way."""
        begun: dict[str, tuple[Side, Decimal]] = {}
        before: Strategy | None = None
        for event in self.events[id_]:
            if isinstance(event, StrategySignaled | StopLossTriggered):
                assert before is not None
                assert before.order is None, f"{before.order} was under way"
                order = event.strategy.order
                assert order is not None
                assert order.client_order_id not in begun
                if isinstance(event, StopLossTriggered):
                    assert order.qty == abs(before.position), "closes exactly the position"
                begun[order.client_order_id] = (order.side, order.qty)
            before = event.strategy
        assert len(begun) == self.strategies[id_].orders
        return begun

    def _check_stop_losses(self, id_: str) -> None:
        triggered = [event.order_id for event in self.of(id_, StopLossTriggered)]
        executed = [event.order_id for event in self.of(id_, StopLossExecuted)]
        assert len(set(triggered)) == len(triggered)
        assert executed == [one for one in triggered if one in set(executed)]
        assert set(triggered) <= self.orders.keys(), "each order to close was placed"
        filled = [one for one in triggered if self.orders[one].status.value == "filled"]
        assert executed == filled[: len(executed)]

    def _check_decisions(self, id_: str) -> None:
        taken = [one.decision_id for one in self.decisions[id_] if one.taken]
        assert len(set(taken)) == len(taken) == len(self.of(id_, StrategySignaled))

    def story(self, id_: str) -> list[str]:
        """The strategy's events in words."""
        return [_word(event) for event in self.events[id_]]


def _word(event: StrategyEvent) -> str:
    name = type(event).__name__.removeprefix("Strategy").removeprefix("StopLoss").lower()
    if isinstance(event, StrategyTraded):
        return f"{name} {event.side.value} {event.qty}"
    return name


async def ledger(server: MemoryServer) -> Ledger:
    return Ledger((await tally(server)).stored)


async def in_ledger(
    server: MemoryServer,
    what: str,
    holds: Callable[[Ledger], object],
    *,
    every: float = 0.05,
    looks: int = 2000,
) -> Ledger:
    """Wait until the log holds what is waited for, looking `every` so many seconds."""
    seen: Ledger | None = None
    for _ in range(looks):
        with contextlib.suppress(Unavailable):
            seen = await ledger(server)
            if holds(seen):
                return seen
        await asyncio.sleep(every)
    told = seen and {id_: (seen.story(id_)[-5:], one) for id_, one in seen.strategies.items()}
    raise AssertionError(f"never: {what}; last seen: {told}")


async def refusal(answer) -> tuple[str, str | None]:  # type: ignore[no-untyped-def]
    """Code and path that `answer` is refused with."""
    try:
        await answer
    except Refusal as refused:
        return refused.code, refused.path
    raise AssertionError("it was not refused")
