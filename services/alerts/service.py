"""The requests that the alerts service answers about rules and alerts.

A handler builds a command and executes it, or reads. It is the only place that reads a clock.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from tapewire.decimals import abbreviate
from tapewire.events import AlertRule
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventLog,
    EventSubject,
    LatestValueStore,
    Versioned,
    view_checkpoints,
)
from tapewire.log.history import HistoryReader
from tapewire.log.list_cursor import page_by_id
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import RequestContext
from tapewire.runtime.commands import handle_command
from tapewire.runtime.contracts.alerts import (
    AlertsReply,
    ArmRule,
    CreateRule,
    DeleteRule,
    ListAlerts,
    ListRules,
    RuleReply,
    RulesReply,
)
from tapewire.views import AlertHistory, RulesView
from tapewire_services.alerts.domain.commands import (
    DEFAULT_LEVELS,
    PRICE_RULE_KINDS,
    ArmRuleCommand,
    Command,
    CreateRuleCommand,
    DeleteRuleCommand,
    validate_create_rule,
)
from tapewire_services.alerts.domain.rules import AbsentRuleState, State, derive_rule_id

MAX_RULES_PER_USER = 200
"""Rules that one user may have."""
MAX_ID_CHARACTERS = 64


def utc_now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


class AlertsService:
    """The handlers of `svc.alerts.*` about rules and alerts."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        command_handler: CommandHandler[State, Command],
        quote_cache: QuoteCache,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._command_handler = command_handler
        self._quote_cache = quote_cache
        self._alert_history = HistoryReader(log, checkpoint_store, AlertHistory)
        self._clock = clock

    async def create_rule(self, request: CreateRule, context: RequestContext) -> RuleReply:
        """Create a rule, or return the one that this command created before."""
        command = validate_create_rule(self._build_create_command(request, context))
        if command.kind in PRICE_RULE_KINDS:
            await self._require_known_symbol(command.symbol or "")
        await self._check_rule_limit(command)
        subject = EventSubject(command.user, "rules", command.rule_id)
        return _build_reply(
            await handle_command(self._command_handler, subject, command, context, is_new=True)
        )

    async def arm_rule(self, request: ArmRule, context: RequestContext) -> RuleReply:
        """Arm the rule again."""
        command = ArmRuleCommand(id=context.command_id, at=self._clock(), user=request.user_id)
        return await self._handle_change(request, command, context)

    async def delete_rule(self, request: DeleteRule, context: RequestContext) -> RuleReply:
        """Delete the rule."""
        command = DeleteRuleCommand(id=context.command_id, at=self._clock(), user=request.user_id)
        return await self._handle_change(request, command, context)

    async def list_rules(self, request: ListRules, _: RequestContext) -> RulesReply:
        """A page of the user's rules as of the end of the log."""
        view, bounds = await view_checkpoints.load(
            self._log, self._checkpoint_store, RulesView, request.user_id
        )
        rules, following = page_by_id(
            view.rules(), lambda rule: rule.rule_id, request.limit, request.cursor, "rules"
        )
        return RulesReply(rules=rules, next=following, as_of=bounds.last, epoch=bounds.epoch)

    async def list_alerts(self, request: ListAlerts, _: RequestContext) -> AlertsReply:
        """A page of the user's alerts."""
        page = await self._alert_history.read_page(request.user_id, request.limit, request.cursor)
        return AlertsReply(
            alerts=page.rows, next=page.next, as_of=page.bounds.last, epoch=page.bounds.epoch
        )

    def _build_create_command(
        self, request: CreateRule, context: RequestContext
    ) -> CreateRuleCommand:
        return CreateRuleCommand(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            rule_id=derive_rule_id(request.user_id, context.command_id),
            kind=request.kind,
            level=request.level or DEFAULT_LEVELS[request.kind],
            symbol=request.symbol,
            price=request.price,
            percent=request.percent,
            window_seconds=request.window_seconds,
        )

    async def _require_known_symbol(self, symbol: str) -> None:
        if not await self._quote_cache.has_symbol(symbol):
            raise CommandRejected("invalid", f"unknown symbol {abbreviate(symbol)!r}", "symbol")

    async def _check_rule_limit(self, command: CreateRuleCommand) -> None:
        """Reject a rule beyond the limit, which only bounds memory. Concurrent requests may exceed
        it a little."""
        view, _ = await view_checkpoints.load(
            self._log, self._checkpoint_store, RulesView, command.user
        )
        rules = view.rules()
        if len(rules) >= MAX_RULES_PER_USER and all(r.rule_id != command.rule_id for r in rules):
            message = (
                f"there are {len(rules)} rules, at most {MAX_RULES_PER_USER}: delete one first"
            )
            raise CommandRejected("conflict", message)

    async def _handle_change(
        self,
        request: ArmRule | DeleteRule,
        command: ArmRuleCommand | DeleteRuleCommand,
        context: RequestContext,
    ) -> RuleReply:
        if not 1 <= len(request.rule_id) <= MAX_ID_CHARACTERS:
            raise CommandRejected("not_found", f"there is no rule {abbreviate(request.rule_id)}")
        subject = EventSubject(request.user_id, "rules", request.rule_id)
        return _build_reply(await handle_command(self._command_handler, subject, command, context))


def _build_reply(versioned: Versioned[State]) -> RuleReply:
    return RuleReply(rule=_require_rule(versioned.state))


def _require_rule(state: State) -> AlertRule:
    if isinstance(state, AbsentRuleState):
        raise CommandRejected("not_found", "there is no such rule")
    return state.rule
