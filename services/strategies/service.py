"""What the strategies service answers: create, update, start, stop, get, list.

Each handler makes a command (the only place where a clock is read) and has it decided, or reads. A
strategy changes in the runner's process too, so a command is decided on the strategy as the leader
of the log has it, not as this process remembers it.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from services.strategies.commands import (
    ID_LENGTH,
    Command,
    Create,
    Settings,
    Start,
    Stop,
    Update,
    checked,
)
from services.strategies.domain import Absent, Made, State, strategy_id
from services.strategies.exact import show
from services.strategies.rules import called
from tapewire.log import Entities, EventLog, Known, Refusal, Subject, Values, views
from tapewire.log.market import Market
from tapewire.runtime import Context
from tapewire.runtime.contracts.strategies import (
    CreateStrategy,
    GetStrategy,
    ListStrategies,
    StartStrategy,
    StopStrategy,
    StrategiesReply,
    StrategyReply,
    UpdateStrategy,
)
from tapewire.views import StrategiesView


class StrategiesService:
    """The handlers of `svc.strategies.*`."""

    def __init__(
        self,
        log: EventLog,
        values: Values,
        entities: Entities[State, Command],
        market: Market,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._values = values
        self._entities = entities
        self._market = market
        self._clock = clock

    async def create(self, request: CreateStrategy, context: Context) -> StrategyReply:
        """Make the strategy, or answer with the one that this command made before."""
        settings = checked(
            Settings(
                name=request.name or f"{request.symbol} {called(request.rule)}",
                symbol=request.symbol,
                rule=request.rule,
                quantity=request.quantity,
                stop_loss=request.stop_loss,
                max_trades=request.max_trades,
            )
        )
        if not await self._market.knows(settings.symbol):
            raise Refusal("invalid", f"unknown symbol {show(settings.symbol)!r}", "symbol")
        command = Create(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=strategy_id(request.user_id, context.command_id),
            settings=settings,
        )
        subject = Subject(request.user_id, "strategies", command.strategy_id)
        known = await self._entities.handle(
            subject,
            command,
            correlation=context.correlation,
            traceparent=context.traceparent,
            new=True,
        )
        return StrategyReply(strategy=_made(known, command.strategy_id).strategy)

    async def update(self, request: UpdateStrategy, context: Context) -> StrategyReply:
        """Change what is given."""
        command = Update(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=request.strategy_id,
            name=request.name,
            rule=request.rule,
            quantity=request.quantity,
            stop_loss=request.stop_loss,
            max_trades=request.max_trades,
        )
        return await self._decide(request, command, context)

    async def start(self, request: StartStrategy, context: Context) -> StrategyReply:
        """Have it follow prices."""
        command = Start(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=request.strategy_id,
        )
        return await self._decide(request, command, context)

    async def stop(self, request: StopStrategy, context: Context) -> StrategyReply:
        """Have it follow prices no more."""
        command = Stop(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=request.strategy_id,
        )
        return await self._decide(request, command, context)

    async def get(self, request: GetStrategy, _: Context) -> StrategyReply:
        """The strategy as the log has it; another user's is not found."""
        known = await self._entities.fresh(_subject(request))
        return StrategyReply(strategy=_made(known, request.strategy_id).strategy)

    async def list(self, request: ListStrategies, _: Context) -> StrategiesReply:
        """The user's strategies, exactly as of the end of the log."""
        view, bounds = await views.load(self._log, self._values, StrategiesView, request.user_id)
        return StrategiesReply(strategies=view.strategies(), as_of=bounds.last, epoch=bounds.epoch)

    async def _decide(
        self,
        request: UpdateStrategy | StartStrategy | StopStrategy,
        command: Command,
        context: Context,
    ) -> StrategyReply:
        subject = _subject(request)
        await self._entities.fresh(subject)
        known = await self._entities.handle(
            subject, command, correlation=context.correlation, traceparent=context.traceparent
        )
        return StrategyReply(strategy=_made(known, request.strategy_id).strategy)


def _subject(request: UpdateStrategy | StartStrategy | StopStrategy | GetStrategy) -> Subject:
    if not 1 <= len(request.strategy_id) <= ID_LENGTH:
        raise _unknown(request.strategy_id)
    return Subject(request.user_id, "strategies", request.strategy_id)


def _made(known: Known[State], id_: str) -> Made:
    if isinstance(known.state, Absent):
        raise _unknown(id_)
    return known.state


def _unknown(id_: str) -> Refusal:
    return Refusal("not_found", f"there is no strategy {show(id_)}")
