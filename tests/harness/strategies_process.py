"""The strategies service and the orders service in one process, on the log in memory.

A `StrategiesProcess` is wired as in `tapewire_services.strategies.__main__`, without NATS, and can
be killed. The orders service is the real one with its paper broker; `UnreliableOrderClient` reaches
it and may lose requests and answers.
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import TypeVar

from tapewire.events import (
    Action,
    DecisionMade,
    Order,
    OrderEvent,
    OrderFilled,
    OrderPlaced,
    Side,
    StopLoss,
    StopLossTriggered,
    Strategy,
    StrategyClosing,
    StrategyEvent,
    StrategyRule,
    StrategySignaled,
    StrategyStatus,
    StrategyTraded,
    TakeProfit,
    TakeProfitTriggered,
)
from tapewire.log import (
    CommandHandler,
    LogError,
    RecordedEvent,
    TooManyConflicts,
    Unavailable,
)
from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime import RequestContext, RequestTimeout
from tapewire.runtime.contracts import orders as order_contracts
from tapewire.runtime.contracts.strategies import CreateStrategy, StartStrategy
from tapewire_services.strategies.command_execution import WorkerDependencies
from tapewire_services.strategies.decision_maker import (
    DecisionInput,
    DecisionMaker,
    DecisionMakerFactory,
    RuleDecisionMaker,
)
from tapewire_services.strategies.domain.commands import Command
from tapewire_services.strategies.domain.rules import Signal
from tapewire_services.strategies.domain.strategy import STRATEGY_DECIDER, State
from tapewire_services.strategies.order_placement import OrderClient
from tapewire_services.strategies.runner import StrategiesRunner
from tapewire_services.strategies.service import StrategiesService
from tests.harness.memory_process import MemoryProcess, make_context, retry_until_answered
from tests.harness.order_builders import USER
from tests.harness.orders_process import OrdersProcess, clock, read_log_summary

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class UnreliableOrderClient:
    """The requests to the orders service. A request, and as often its answer, is lost with the
    probability `loss_rate`."""

    def __init__(
        self, orders_process: OrdersProcess, loss_rate: float = 0.0, seed: int = 0
    ) -> None:
        self.orders_process = orders_process
        self.is_open = True
        self._loss_rate = loss_rate
        self._rng = random.Random(seed)
        self.received_requests: list[order_contracts.PlaceOrder] = []
        """Every request that arrived."""

    async def place_order(
        self, request: order_contracts.PlaceOrder, correlation: str, command_id: str
    ) -> None:
        self._maybe_lose("the request")
        self.received_requests.append(request)
        with self._map_errors():
            await self.orders_process.service.place(request, make_context(command_id, correlation))
        self._maybe_lose("the answer")

    async def cancel_order(
        self, request: order_contracts.CancelOrder, correlation: str, command_id: str
    ) -> None:
        self._maybe_lose("the request")
        with self._map_errors():
            await self.orders_process.service.cancel(request, make_context(command_id, correlation))
        self._maybe_lose("the answer")

    async def get_order(self, request: order_contracts.GetOrder, correlation: str) -> None:
        self._maybe_lose("the request")
        with self._map_errors():
            await self.orders_process.service.get(request, make_context(None, correlation))

    def _maybe_lose(self, what: str) -> None:
        if not self.is_open or self._rng.random() < self._loss_rate:
            raise RequestTimeout(f"{what} was lost")

    @contextlib.contextmanager
    def _map_errors(self) -> Iterator[None]:
        try:
            yield
        except (LogError, TooManyConflicts) as error:
            raise RequestTimeout(str(error)) from error


class StrategiesProcess(MemoryProcess):
    """One process of the strategies service; it runs the runner when the test says so."""

    def __init__(
        self,
        server: MemoryServer,
        order_client: OrderClient,
        faults: Faults | None = None,
        make_decision_maker: DecisionMakerFactory = RuleDecisionMaker,
    ) -> None:
        super().__init__(server, faults)
        grouped = GroupCommitLog(self.log)
        self.command_handler: CommandHandler[State, Command] = CommandHandler(
            grouped, STRATEGY_DECIDER
        )
        self.is_journal_nearly_full = False
        self.dependencies = WorkerDependencies(
            grouped,
            self.command_handler,
            order_client,
            make_decision_maker,
            clock,
            self.rng,
            lambda quote: quote.timestamp,
            is_journal_nearly_full=lambda: self.is_journal_nearly_full,
        )
        self.service = StrategiesService(
            self.log,
            self.views,
            self.command_handler,
            self.quote_cache,
            clock,
            is_journal_nearly_full=lambda: self.is_journal_nearly_full,
        )

    async def start(self, *, with_runner: bool = True) -> "StrategiesProcess":
        await self.start_quotes()
        if with_runner:
            runner = StrategiesRunner(self.dependencies, self.views, self.quote_cache)
            self.spawn(runner.run())
        return self

    async def create_strategy(
        self,
        rule: StrategyRule,
        *,
        quantity: str = "10",
        stop_loss: StopLoss | None = None,
        take_profit: TakeProfit | None = None,
        max_trades: int | None = None,
        user: str = USER,
        symbol: str = "IBM",
        is_started: bool = True,
    ) -> str:
        """Create a strategy and start it if `is_started`. Return its id."""
        create = CreateStrategy(
            user_id=user,
            symbol=symbol,
            rule=rule,
            quantity=Decimal(quantity),
            stop_loss=stop_loss,
            max_trades=max_trades,
            take_profit=take_profit,
        )
        id_ = (await self.request(self.service.create, create)).strategy.strategy_id
        if is_started:
            await self.request(self.service.start, StartStrategy(user_id=user, strategy_id=id_))
        return id_

    async def request(
        self, handler: Callable[[RequestT, RequestContext], Awaitable[ReplyT]], request: RequestT
    ) -> ReplyT:
        """Repeat the request under one command id until it is answered."""
        context = make_context()
        return await retry_until_answered(lambda: handler(request, context))


class ScriptedDecisionMaker:
    """Decides on one of `actions` after the other, and then holds."""

    def __init__(self, *actions: Action) -> None:
        self._actions = list(actions)
        self.decision_inputs: list[DecisionInput] = []

    async def decide(self, decision_input: DecisionInput) -> Signal:
        self.decision_inputs.append(decision_input)
        action = self._actions.pop(0) if self._actions else Action.HOLD
        return Signal(action, Decimal("0.5"), "the next action of the script")


def scripted_factory(*actions: Action) -> DecisionMakerFactory:
    """Make decision makers that follow the script from its beginning, anew in every process."""
    return lambda _: ScriptedDecisionMaker(*actions)


class BuyWhenFlatDecisionMaker:
    """Buys once, when the strategy has never traded."""

    async def decide(self, decision_input: DecisionInput) -> Signal:
        action = Action.BUY if decision_input.strategy.trades == 0 else Action.HOLD
        return Signal(action, Decimal(1), "there is no position")


def make_buy_when_flat(_: Strategy) -> DecisionMaker:
    return BuyWhenFlatDecisionMaker()


class StrategiesLogSummary:
    """The strategies in the log, with their events and orders."""

    def __init__(self, recorded_events: list[RecordedEvent]) -> None:
        self.recorded_events = recorded_events
        self.strategies: dict[str, Strategy] = {}
        self.events_by_strategy: defaultdict[str, list[StrategyEvent]] = defaultdict(list)
        self.decisions_by_strategy: defaultdict[str, list[DecisionMade]] = defaultdict(list)
        self.placed_orders_by_strategy: defaultdict[str, list[Order]] = defaultdict(list)
        self.orders_by_id: dict[str, Order] = {}
        self.filled_qty_by_strategy: defaultdict[str, Decimal] = defaultdict(Decimal)
        for recorded in recorded_events:
            self._apply(recorded)

    def _apply(self, recorded: RecordedEvent) -> None:
        event = recorded.event
        if isinstance(event, StrategyEvent):
            self.strategies[event.strategy.strategy_id] = event.strategy
            self.events_by_strategy[event.strategy.strategy_id].append(event)
        if isinstance(event, DecisionMade):
            self.decisions_by_strategy[event.strategy_id].append(event)
        if isinstance(event, OrderEvent) and event.order.strategy_id is not None:
            self.orders_by_id[event.order.order_id] = event.order
            if isinstance(event, OrderPlaced):
                self.placed_orders_by_strategy[event.order.strategy_id].append(event.order)
            if isinstance(event, OrderFilled):
                signed = event.qty if event.order.side is Side.BUY else -event.qty
                self.filled_qty_by_strategy[event.order.strategy_id] += signed

    def events_of_type(
        self, strategy_id: str, event_type: type[StrategyEvent]
    ) -> list[StrategyEvent]:
        return [
            event for event in self.events_by_strategy[strategy_id] if isinstance(event, event_type)
        ]

    def is_settled(self) -> bool:
        """Whether no order is open, and every strategy knows what became of its orders."""
        return not any(order.status.is_open for order in self.orders_by_id.values()) and all(
            strategy.order is None and strategy.position == self.filled_qty_by_strategy[id_]
            for id_, strategy in self.strategies.items()
        )

    def assert_consistent(self) -> None:
        """Assert that each order which a strategy has begun was placed once and as begun, and that
        each strategy knows its fills. The strategies' own events are for `tapewire.verify`."""
        for id_, strategy in self.strategies.items():
            begun = self._begun_orders(id_)
            placed = [
                (order.client_order_id, order.side, order.qty)
                for order in self.placed_orders_by_strategy[id_]
            ]
            assert len(set(placed)) == len(placed), f"placed twice: {placed}"
            assert set(placed) <= set(begun), f"placed but not started: {set(placed) - set(begun)}"
            if strategy.status is not StrategyStatus.ERROR:
                assert len(placed) == len(begun), f"never placed: {set(begun) - set(placed)}"
            assert strategy.position == self.filled_qty_by_strategy[id_], strategy

    def _begun_orders(self, id_: str) -> list[tuple[str, Side, Decimal]]:
        orders = [
            event.strategy.order
            for event in self.events_by_strategy[id_]
            if isinstance(
                event,
                StrategySignaled | StopLossTriggered | TakeProfitTriggered | StrategyClosing,
            )
        ]
        begun = [(one.client_order_id, one.side, one.qty) for one in orders if one is not None]
        return list(dict.fromkeys(begun))

    def describe_events(self, id_: str) -> list[str]:
        """The strategy's events, one word each."""
        return [_describe_event(event) for event in self.events_by_strategy[id_]]


def _describe_event(event: StrategyEvent) -> str:
    name = type(event).__name__.removeprefix("Strategy").removeprefix("StopLoss").lower()
    if isinstance(event, StrategyTraded):
        return f"{name} {event.side.value} {event.qty}"
    return name


async def read_strategies_log(server: MemoryServer) -> StrategiesLogSummary:
    return StrategiesLogSummary((await read_log_summary(server)).events)


async def wait_for_strategies_log(
    server: MemoryServer,
    description: str,
    condition: Callable[[StrategiesLogSummary], object],
    *,
    poll_seconds: float = 0.05,
    max_polls: int = 2000,
) -> StrategiesLogSummary:
    """Wait until `condition` holds for the log; fail with `description` after `max_polls`."""
    seen: StrategiesLogSummary | None = None
    for _ in range(max_polls):
        with contextlib.suppress(Unavailable):
            seen = await read_strategies_log(server)
            if condition(seen):
                return seen
        await asyncio.sleep(poll_seconds)
    last_seen = seen and {
        id_: (seen.describe_events(id_)[-5:], one) for id_, one in seen.strategies.items()
    }
    raise AssertionError(f"never: {description}; last seen: {last_seen}")
