"""Alert rules and alerts: `/api/alerts`."""

from decimal import Decimal

import msgspec
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler

from tapewire.events import AlertLevel, AlertRaised, AlertRule, RuleKind
from tapewire.runtime.contracts import alerts as asked
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    ReplyT,
    read_body,
)
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation


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


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    async def call_service(
        verb: str, payload: msgspec.Struct, reply_type: type[ReplyT], request: HttpRequest
    ) -> ReplyT:
        return await context.call_service(asked.SERVICE, verb, payload, reply_type, request)

    @post(
        "/api/alerts/rules",
        operation_class=operation(RuleBody, is_command=True, error_statuses=(409,)),
        tags=["alerts"],
    )
    async def create(request: HttpRequest) -> JsonResponse[AlertRule]:
        """Be told once when this comes to pass. The same `Idempotency-Key` makes the rule once."""
        session = await context.require_session(request)
        wanted = await read_body(request, RuleBody, "price", "percent")
        creating = asked.CreateRule(user_id=session.user_id, **msgspec.structs.asdict(wanted))
        reply = await call_service(asked.CREATE, creating, asked.RuleReply, request)
        return JsonResponse(reply.rule, status_code=201)

    @get("/api/alerts/rules", operation_class=operation(), tags=["alerts"])
    async def list_rules(request: HttpRequest) -> RuleList:
        """The user's rules."""
        session = await context.require_session(request)
        asking = asked.ListRules(user_id=session.user_id)
        reply = await call_service(asked.RULES, asking, asked.RulesReply, request)
        return RuleList(rules=reply.rules, as_of=str(Cursor(reply.epoch, reply.as_of)))

    @post(
        "/api/alerts/rules/{rule_id:str}/arm",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
        tags=["alerts"],
    )
    async def arm(request: HttpRequest, rule_id: str) -> AlertRule:
        """Let a rule that was triggered trigger again."""
        session = await context.require_session(request)
        arming = asked.ArmRule(user_id=session.user_id, rule_id=rule_id)
        return (await call_service(asked.ARM, arming, asked.RuleReply, request)).rule

    @delete(
        "/api/alerts/rules/{rule_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
        tags=["alerts"],
    )
    async def forget(request: HttpRequest, rule_id: str) -> AlertRule:
        """Forget a rule; answered with the rule as it was last."""
        session = await context.require_session(request)
        deleting = asked.DeleteRule(user_id=session.user_id, rule_id=rule_id)
        return (await call_service(asked.DELETE, deleting, asked.RuleReply, request)).rule

    @get("/api/alerts", operation_class=operation(), tags=["alerts"])
    async def list_alerts(request: HttpRequest) -> AlertList:
        """The user's last alerts, 100 at the most."""
        session = await context.require_session(request)
        asking = asked.ListAlerts(user_id=session.user_id)
        reply = await call_service(asked.LIST, asking, asked.AlertsReply, request)
        return AlertList(alerts=reply.alerts, as_of=str(Cursor(reply.epoch, reply.as_of)))

    return [create, list_rules, arm, forget, list_alerts]
