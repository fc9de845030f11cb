"""Alert rules and alerts: `/api/alerts`."""

from decimal import Decimal

import msgspec
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler

from services.edge.cursor import Cursor
from services.edge.gateway.shared import Ask, Gateway, R, body
from services.edge.http.responses import Json
from services.edge.http.schema import call
from tapewire.events import AlertLevel, AlertRaised, AlertRule, RuleKind
from tapewire.runtime.contracts import alerts as asked


class RuleBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """When to raise an alert: `price` (dollars a share) for the price kinds, `percent` and
    `windowSeconds` for a move."""

    kind: RuleKind
    symbol: str | None = None
    price: Decimal | None = None
    percent: Decimal | None = None
    window_seconds: int | None = None
    level: AlertLevel | None = None


class RuleList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The oldest first."""

    rules: list[AlertRule]
    as_of: str


class AlertList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The newest first."""

    alerts: list[AlertRaised]
    as_of: str


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    async def ask(verb: str, asking: msgspec.Struct, reply: type[R], request: Ask) -> R:
        return await gateway.ask(asked.SERVICE, verb, asking, reply, request)

    @post(
        "/api/alerts/rules",
        operation_class=call(RuleBody, command=True, refuses=(409,)),
        tags=["alerts"],
    )
    async def create(request: Ask) -> Json[AlertRule]:
        """Be told once when this comes to pass. The same `Idempotency-Key` makes the rule once."""
        session = await gateway.session(request)
        wanted = await body(request, RuleBody, "price", "percent")
        creating = asked.CreateRule(user_id=session.user_id, **msgspec.structs.asdict(wanted))
        reply = await ask(asked.CREATE, creating, asked.RuleReply, request)
        return Json(reply.rule, status_code=201)

    @get("/api/alerts/rules", operation_class=call(), tags=["alerts"])
    async def list_rules(request: Ask) -> RuleList:
        """The user's rules."""
        session = await gateway.session(request)
        asking = asked.ListRules(user_id=session.user_id)
        reply = await ask(asked.RULES, asking, asked.RulesReply, request)
        return RuleList(rules=reply.rules, as_of=str(Cursor(reply.epoch, reply.as_of)))

    @post(
        "/api/alerts/rules/{rule_id:str}/arm",
        status_code=200,
        operation_class=call(command=True, refuses=(404,)),
        tags=["alerts"],
    )
    async def arm(request: Ask, rule_id: str) -> AlertRule:
        """Let a rule that was triggered trigger again."""
        session = await gateway.session(request)
        arming = asked.ArmRule(user_id=session.user_id, rule_id=rule_id)
        return (await ask(asked.ARM, arming, asked.RuleReply, request)).rule

    @delete(
        "/api/alerts/rules/{rule_id:str}",
        status_code=200,
        operation_class=call(command=True, refuses=(404,)),
        tags=["alerts"],
    )
    async def forget(request: Ask, rule_id: str) -> AlertRule:
        """Forget a rule; answered with the rule as it was last."""
        session = await gateway.session(request)
        deleting = asked.DeleteRule(user_id=session.user_id, rule_id=rule_id)
        return (await ask(asked.DELETE, deleting, asked.RuleReply, request)).rule

    @get("/api/alerts", operation_class=call(), tags=["alerts"])
    async def list_alerts(request: Ask) -> AlertList:
        """The user's last alerts, 100 at the most."""
        session = await gateway.session(request)
        asking = asked.ListAlerts(user_id=session.user_id)
        reply = await ask(asked.LIST, asking, asked.AlertsReply, request)
        return AlertList(alerts=reply.alerts, as_of=str(Cursor(reply.epoch, reply.as_of)))

    return [create, list_rules, arm, forget, list_alerts]
