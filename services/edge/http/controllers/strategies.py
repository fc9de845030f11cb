"""Strategies: `/api/strategies`."""

from decimal import Decimal

import msgspec
from litestar import Controller, delete, get, patch, post

from tapewire.events import StopLoss, Strategy, StrategyRule, TakeProfit
from tapewire.runtime.contracts import strategies as contract
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
    read_body,
    read_optional_body,
)
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation, page_parameters

DEFAULT_LIMIT = 1000
"""Strategies that are listed without a `limit`."""

_DECIMAL_PATHS = (
    "quantity",
    "rule.marginPercent",
    "rule.deviations",
    "stopLoss.percent",
    "takeProfit.percent",
)


class StrategyBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A strategy to create. `quantity` is in shares."""

    symbol: str
    rule: StrategyRule
    quantity: Decimal
    stop_loss: StopLoss | None = None
    take_profit: TakeProfit | None = None
    max_trades: int | None = None
    name: str | None = None


class StrategyChange(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The fields to change. A null removes the stop-loss, the take-profit or the limit of trades. A
    given stop-loss or take-profit protects the position again where that was switched off."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: StrategyRule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    take_profit: TakeProfit | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET


class StrategyStop(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What happens to the position of the strategy: ``protect`` watches its stop-loss and
    take-profit on, ``leave`` leaves it alone, ``close`` closes it and cancels a pending order."""

    position: contract.StopPosition = contract.StopPosition.PROTECT


class StrategyList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Strategies as of `as_of`, an event id that a stream can resume from. `next` is the `cursor`
    of the page that follows, absent after the last one."""

    strategies: list[Strategy]
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


class StrategyController(Controller):
    path = "/api/strategies"
    tags = ["strategies"]  # noqa: RUF012 - Litestar's attribute

    @post(operation_class=operation(StrategyBody, is_command=True))
    async def create(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> JsonResponse[Strategy]:
        """Create a strategy. It trades once it is started."""
        body = await read_body(request, StrategyBody, *_DECIMAL_PATHS)
        payload = contract.CreateStrategy(user_id=session.user_id, **msgspec.structs.asdict(body))
        reply = await context.call_service(
            contract.SERVICE, contract.CREATE, payload, contract.StrategyReply, request
        )
        return JsonResponse(reply.strategy, status_code=201)

    @get(operation_class=operation(query_parameters=page_parameters(DEFAULT_LIMIT)))
    async def list_strategies(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> StrategyList:
        """All strategies that the user ever created, the one created last first."""
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        payload = contract.ListStrategies(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            contract.SERVICE, contract.LIST, payload, contract.StrategiesReply, request
        )
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return StrategyList(
            strategies=reply.strategies, as_of=as_of, next=reply.next or msgspec.UNSET
        )

    @get("/{strategy_id:str}", operation_class=operation(error_statuses=(404,)))
    async def get_strategy(
        self, request: HttpRequest, context: ControllerContext, session: Session, strategy_id: str
    ) -> Strategy:
        """One strategy."""
        payload = contract.GetStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return await _call(context, contract.GET, payload, request)

    @patch(
        "/{strategy_id:str}",
        operation_class=operation(StrategyChange, is_command=True, error_statuses=(404,)),
    )
    async def change(
        self, request: HttpRequest, context: ControllerContext, session: Session, strategy_id: str
    ) -> Strategy:
        """Change the given fields. A started strategy whose rule changes warms up again."""
        body = await read_body(request, StrategyChange, *_DECIMAL_PATHS)
        payload = contract.UpdateStrategy(
            user_id=session.user_id, strategy_id=strategy_id, **msgspec.structs.asdict(body)
        )
        return await _call(context, contract.UPDATE, payload, request)

    @post(
        "/{strategy_id:str}/start",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
    )
    async def start(
        self, request: HttpRequest, context: ControllerContext, session: Session, strategy_id: str
    ) -> Strategy:
        """Start a strategy: it follows prices from now on."""
        payload = contract.StartStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return await _call(context, contract.START, payload, request)

    @post(
        "/{strategy_id:str}/stop",
        status_code=200,
        operation_class=operation(
            StrategyStop, is_command=True, is_body_required=False, error_statuses=(404,)
        ),
    )
    async def stop(
        self, request: HttpRequest, context: ControllerContext, session: Session, strategy_id: str
    ) -> Strategy:
        """Stop a strategy's rule. Its position is protected on, left alone or closed; without a
        body it is protected."""
        body = await read_optional_body(request, StrategyStop)
        payload = contract.StopStrategy(
            user_id=session.user_id, strategy_id=strategy_id, position=body.position
        )
        return await _call(context, contract.STOP, payload, request)

    @delete(
        "/{strategy_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
    )
    async def delete_strategy(
        self, request: HttpRequest, context: ControllerContext, session: Session, strategy_id: str
    ) -> Strategy:
        """Delete a strategy that is not started, holds nothing and has no pending order. The
        response is its last state."""
        payload = contract.DeleteStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return await _call(context, contract.DELETE, payload, request)


async def _call(
    context: ControllerContext, verb: str, payload: msgspec.Struct, request: HttpRequest
) -> Strategy:
    """The strategy that the service answers with."""
    reply = await context.call_service(
        contract.SERVICE, verb, payload, contract.StrategyReply, request
    )
    return reply.strategy
