"""Alerts and the rules that raise them: `/api/alerts` and `/api/alerts/rules`."""

from decimal import Decimal

import msgspec
from litestar import Controller, delete, get, post

from tapewire.events import AlertLevel, AlertRaised, AlertRule, RuleKind
from tapewire.runtime.contracts import alerts as contract
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
    read_body,
)
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation, page_parameters

DEFAULT_ALERT_LIMIT = 100
DEFAULT_RULE_LIMIT = 1000
"""Alerts and rules that are listed without a `limit`."""


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
    """The oldest first. `next` is the `cursor` of the page that follows, absent after the last."""

    rules: list[AlertRule]
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


class AlertList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The newest first. `next` is the `cursor` of the page that follows, absent after the last."""

    alerts: list[AlertRaised]
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


class AlertRuleController(Controller):
    path = "/api/alerts/rules"
    tags = ["alerts"]  # noqa: RUF012 - Litestar's attribute

    @post(operation_class=operation(RuleBody, is_command=True))
    async def create(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> JsonResponse[AlertRule]:
        """Create a rule, which raises one alert when its condition is met."""
        body = await read_body(request, RuleBody, "price", "percent")
        payload = contract.CreateRule(user_id=session.user_id, **msgspec.structs.asdict(body))
        rule = await _call_for_rule(context, contract.CREATE, payload, request)
        return JsonResponse(rule, status_code=201)

    @get(operation_class=operation(query_parameters=page_parameters(DEFAULT_RULE_LIMIT)))
    async def list_rules(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> RuleList:
        """The user's rules."""
        limit, cursor = page_query(request, DEFAULT_RULE_LIMIT)
        payload = contract.ListRules(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            contract.SERVICE, contract.RULES, payload, contract.RulesReply, request
        )
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return RuleList(rules=reply.rules, as_of=as_of, next=reply.next or msgspec.UNSET)

    @post(
        "/{rule_id:str}/arm",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
    )
    async def arm(
        self, request: HttpRequest, context: ControllerContext, session: Session, rule_id: str
    ) -> AlertRule:
        """Let a rule that has triggered trigger again."""
        payload = contract.ArmRule(user_id=session.user_id, rule_id=rule_id)
        return await _call_for_rule(context, contract.ARM, payload, request)

    @delete(
        "/{rule_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
    )
    async def forget(
        self, request: HttpRequest, context: ControllerContext, session: Session, rule_id: str
    ) -> AlertRule:
        """Delete a rule. The response is the last state of the rule."""
        payload = contract.DeleteRule(user_id=session.user_id, rule_id=rule_id)
        return await _call_for_rule(context, contract.DELETE, payload, request)


class AlertController(Controller):
    path = "/api/alerts"
    tags = ["alerts"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_class=operation(query_parameters=page_parameters(DEFAULT_ALERT_LIMIT)))
    async def list_alerts(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> AlertList:
        """All alerts of the user, the newest first."""
        limit, cursor = page_query(request, DEFAULT_ALERT_LIMIT)
        payload = contract.ListAlerts(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            contract.SERVICE, contract.LIST, payload, contract.AlertsReply, request
        )
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return AlertList(alerts=reply.alerts, as_of=as_of, next=reply.next or msgspec.UNSET)


async def _call_for_rule(
    context: ControllerContext, verb: str, payload: msgspec.Struct, request: HttpRequest
) -> AlertRule:
    """The rule that the service answers with."""
    reply = await context.call_service(contract.SERVICE, verb, payload, contract.RuleReply, request)
    return reply.rule
