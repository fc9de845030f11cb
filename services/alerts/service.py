"""What the alerts service answers: rules and alerts.

Each handler makes a command (the only place where a clock is read) and has it decided, or reads.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from services.alerts.domain.commands import LEVELS, PRICES, Arm, Command, Create, Delete, checked
from services.alerts.domain.figures import show
from services.alerts.domain.rules import Absent, State, rule_id
from tapewire.events import AlertRule
from tapewire.log import Entities, EventLog, Known, Refusal, Subject, Values, views
from tapewire.log.market import Market
from tapewire.runtime import Context
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
from tapewire.views import AlertsView, RulesView

RULES_A_USER = 200
"""Rules that a user may have at the same time."""
ID_CHARACTERS = 64


def utc_now() -> datetime:
    return datetime.now(UTC)


class AlertsService:
    """The handlers of `svc.alerts.*` about rules and alerts."""

    def __init__(
        self,
        log: EventLog,
        values: Values,
        rules: Entities[State, Command],
        market: Market,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._rules = rules
        self._market = market
        self._clock = clock

    async def create(self, request: CreateRule, context: Context) -> RuleReply:
        """Keep a new rule, or answer with the one that this very command made."""
        command = checked(self._creating(request, context))
        if command.kind in PRICES:
            await self._quoted(command.symbol or "")
        await self._room(command)
        subject = Subject(command.user, "rules", command.rule_id)
        return _reply(await self._decide(subject, command, context, new=True))

    async def arm(self, request: ArmRule, context: Context) -> RuleReply:
        """Let the rule trigger again."""
        command = Arm(id=context.command_id, at=self._clock(), user=request.user_id)
        return await self._change(request, command, context)

    async def delete(self, request: DeleteRule, context: Context) -> RuleReply:
        """Forget the rule."""
        command = Delete(id=context.command_id, at=self._clock(), user=request.user_id)
        return await self._change(request, command, context)

    async def rules(self, request: ListRules, _: Context) -> RulesReply:
        """The user's rules, exactly as of the end of the log."""
        view, bounds = await views.load(self._log, self._values, RulesView, request.user_id)
        return RulesReply(rules=view.rules(), as_of=bounds.last, epoch=bounds.epoch)

    async def list(self, request: ListAlerts, _: Context) -> AlertsReply:
        """The user's alerts, exactly as of the end of the log."""
        view, bounds = await views.load(self._log, self._values, AlertsView, request.user_id)
        alerts = view.alerts()[::-1]
        return AlertsReply(alerts=alerts, as_of=bounds.last, epoch=bounds.epoch)

    def _creating(self, request: CreateRule, context: Context) -> Create:
        return Create(
            id=context.command_id,
            at=self._clock(),
            user=request.user_id,
            rule_id=rule_id(request.user_id, context.command_id),
            kind=request.kind,
            level=request.level or LEVELS[request.kind],
            symbol=request.symbol,
            price=request.price,
            percent=request.percent,
            window_seconds=request.window_seconds,
        )

    async def _quoted(self, symbol: str) -> None:
        if not await self._market.knows(symbol):
            raise Refusal("invalid", f"unknown symbol {show(symbol)!r}", "symbol")

    async def _room(self, command: Create) -> None:
        """Requests at the same moment may go a little over; the bound is for memory's sake."""
        view, _ = await views.load(self._log, self._values, RulesView, command.user)
        rules = view.rules()
        if len(rules) >= RULES_A_USER and all(r.rule_id != command.rule_id for r in rules):
            message = f"there are {len(rules)} rules, at most {RULES_A_USER}: delete one first"
            raise Refusal("conflict", message)

    async def _change(
        self, request: ArmRule | DeleteRule, command: Arm | Delete, context: Context
    ) -> RuleReply:
        """Decided on the rule as it is: what is remembered may be older, and an old state can make
        a command look like one that changes nothing."""
        if not 1 <= len(request.rule_id) <= ID_CHARACTERS:
            raise Refusal("not_found", f"there is no rule {show(request.rule_id)}")
        subject = Subject(request.user_id, "rules", request.rule_id)
        await self._rules.fresh(subject)
        return _reply(await self._decide(subject, command, context))

    async def _decide(
        self, subject: Subject, command: Command, context: Context, *, new: bool = False
    ) -> Known[State]:
        return await self._rules.handle(
            subject,
            command,
            correlation=context.correlation,
            traceparent=context.traceparent,
            new=new,
        )


def _reply(known: Known[State]) -> RuleReply:
    return RuleReply(rule=_rule(known.state))


def _rule(state: State) -> AlertRule:
    if isinstance(state, Absent):
        raise Refusal("not_found", "there is no such rule")
    return state.rule
