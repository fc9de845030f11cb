"""The requests that the strategies service answers: create, update, start, stop, delete, get, list.

A handler builds a command and executes it, or reads. It is the only place that reads a clock. A
strategy also changes in the process of the runner, so a command is decided on the newest state in
the log and not on this process's cached state.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from tapewire.decimals import abbreviate
from tapewire.events import StrategyStatus
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventLog,
    EventSubject,
    LatestValueStore,
    Versioned,
)
from tapewire.log.history import HistoryReader
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.rejection import JOURNAL_FULL
from tapewire.runtime import RequestContext
from tapewire.runtime.commands import handle_command
from tapewire.runtime.contracts.strategies import (
    CreateStrategy,
    DeleteStrategy,
    GetStrategy,
    ListStrategies,
    StartStrategy,
    StopStrategy,
    StrategiesReply,
    StrategyReply,
    UpdateStrategy,
)
from tapewire.views import StrategyHistory
from tapewire_services.strategies.domain.commands import (
    MAX_ID_LENGTH,
    Command,
    CreateStrategyCommand,
    DeleteStrategyCommand,
    StartStrategyCommand,
    StopStrategyCommand,
    StrategySettings,
    UpdateStrategyCommand,
    validate_settings,
)
from tapewire_services.strategies.domain.exposure import JOURNAL_NEARLY_FULL
from tapewire_services.strategies.domain.rules import describe_rule
from tapewire_services.strategies.domain.strategy import (
    AbsentStrategyState,
    CreatedStrategyState,
    State,
    derive_strategy_id,
)


class StrategiesService:
    """The handlers of `svc.strategies.*`."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        command_handler: CommandHandler[State, Command],
        quote_cache: QuoteCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        is_journal_nearly_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_journal_nearly_full = is_journal_nearly_full
        self._command_handler = command_handler
        self._quote_cache = quote_cache
        self._history = HistoryReader(log, checkpoint_store, StrategyHistory)
        self._clock = clock

    async def create(self, request: CreateStrategy, context: RequestContext) -> StrategyReply:
        """Create the strategy, or return the one that this command created before."""
        settings = validate_settings(
            StrategySettings(
                name=request.name or f"{request.symbol} {describe_rule(request.rule)}",
                symbol=request.symbol,
                rule=request.rule,
                quantity=request.quantity,
                stop_loss=request.stop_loss,
                max_trades=request.max_trades,
                take_profit=request.take_profit,
            )
        )
        if not await self._quote_cache.has_symbol(settings.symbol):
            raise CommandRejected(
                "invalid", f"unknown symbol {abbreviate(settings.symbol)!r}", "symbol"
            )
        command = CreateStrategyCommand(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=derive_strategy_id(request.user_id, context.command_id),
            settings=settings,
        )
        subject = EventSubject(request.user_id, "strategies", command.strategy_id)
        latest = await handle_command(self._command_handler, subject, command, context, is_new=True)
        return StrategyReply(strategy=_require_created(latest, command.strategy_id).strategy)

    async def update(self, request: UpdateStrategy, context: RequestContext) -> StrategyReply:
        """Change the given settings."""
        command = UpdateStrategyCommand(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=request.strategy_id,
            name=request.name,
            rule=request.rule,
            quantity=request.quantity,
            stop_loss=request.stop_loss,
            max_trades=request.max_trades,
            take_profit=request.take_profit,
        )
        return await self._handle_command(request, command, context)

    async def start(self, request: StartStrategy, context: RequestContext) -> StrategyReply:
        """Start the strategy, unless the journal is nearly full."""
        if self._is_journal_nearly_full():
            await self._require_started(request)
        command = StartStrategyCommand(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=request.strategy_id,
        )
        return await self._handle_command(request, command, context)

    async def stop(self, request: StopStrategy, context: RequestContext) -> StrategyReply:
        """Stop the strategy, and protect, leave or close its position."""
        command = StopStrategyCommand(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=request.strategy_id,
            position=request.position,
        )
        return await self._handle_command(request, command, context)

    async def delete(self, request: DeleteStrategy, context: RequestContext) -> StrategyReply:
        """Delete the strategy. Repeating the command is answered like the first time."""
        command = DeleteStrategyCommand(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            strategy_id=request.strategy_id,
        )
        return await self._handle_command(request, command, context)

    async def get(self, request: GetStrategy, _: RequestContext) -> StrategyReply:
        """The strategy as the log has it. Another user's strategy is not found."""
        latest = await self._command_handler.load_latest(_strategy_subject(request))
        strategy = _require_created(latest, request.strategy_id).strategy
        if strategy.status is StrategyStatus.DELETED:
            raise _strategy_not_found(request.strategy_id)
        return StrategyReply(strategy=strategy)

    async def list(self, request: ListStrategies, _: RequestContext) -> StrategiesReply:
        """A page of the user's strategies, as they are now. Deleted ones are left out, so a page
        may have fewer rows than `limit`."""
        page = await self._history.read_page(request.user_id, request.limit, request.cursor)
        existing = [row for row in page.rows if row.status is not StrategyStatus.DELETED]
        return StrategiesReply(
            strategies=existing, next=page.next, as_of=page.bounds.last, epoch=page.bounds.epoch
        )

    async def _require_started(self, request: StartStrategy) -> None:
        """Raises CommandRejected unless the strategy is started already."""
        latest = await self._command_handler.load_latest(_strategy_subject(request))
        strategy = _require_created(latest, request.strategy_id).strategy
        if strategy.status is not StrategyStatus.STARTED:
            raise CommandRejected(
                JOURNAL_FULL, f"{JOURNAL_NEARLY_FULL} until an operator makes room"
            )

    async def _handle_command(
        self,
        request: UpdateStrategy | StartStrategy | StopStrategy | DeleteStrategy,
        command: Command,
        context: RequestContext,
    ) -> StrategyReply:
        subject = _strategy_subject(request)
        latest = await handle_command(self._command_handler, subject, command, context)
        return StrategyReply(strategy=_require_created(latest, request.strategy_id).strategy)


def _strategy_subject(
    request: UpdateStrategy | StartStrategy | StopStrategy | DeleteStrategy | GetStrategy,
) -> EventSubject:
    if not 1 <= len(request.strategy_id) <= MAX_ID_LENGTH:
        raise _strategy_not_found(request.strategy_id)
    return EventSubject(request.user_id, "strategies", request.strategy_id)


def _require_created(versioned: Versioned[State], requested_id: str) -> CreatedStrategyState:
    if isinstance(versioned.state, AbsentStrategyState):
        raise _strategy_not_found(requested_id)
    return versioned.state


def _strategy_not_found(requested_id: str) -> CommandRejected:
    return CommandRejected("not_found", f"there is no strategy {abbreviate(requested_id)}")
