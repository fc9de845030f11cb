"""Strategies: `/api/strategies`."""

from decimal import Decimal

import msgspec
from litestar import get, patch, post
from litestar.handlers import HTTPRouteHandler

from tapewire.events import StopLoss, Strategy, StrategyRule
from tapewire.runtime.contracts import strategies as asked
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    ReplyT,
    read_body,
)
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation

_DECIMAL_PATHS = ("quantity", "rule.marginPercent", "rule.deviations", "stopLoss.percent")


class StrategyBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A strategy to make. `quantity` is in shares."""

    symbol: str
    rule: StrategyRule
    quantity: Decimal
    stop_loss: StopLoss | None = None
    max_trades: int | None = None
    name: str | None = None


class StrategyChange(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What to change; a null takes the stop-loss, or the limit of trades, away."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: StrategyRule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET


class StrategyList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Strategies as of a place in the log, which a stream can be resumed from."""

    strategies: list[Strategy]
    as_of: str


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    async def call_service(
        verb: str, payload: msgspec.Struct, reply_type: type[ReplyT], request: HttpRequest
    ) -> ReplyT:
        return await context.call_service(asked.SERVICE, verb, payload, reply_type, request)

    @post(
        "/api/strategies",
        operation_class=operation(StrategyBody, is_command=True),
        tags=["strategies"],
    )
    async def create(request: HttpRequest) -> JsonResponse[Strategy]:
        """Make a strategy, which does nothing until it is started. The same `Idempotency-Key`
        makes it once."""
        session = await context.require_session(request)
        wanted = await read_body(request, StrategyBody, *_DECIMAL_PATHS)
        creating = asked.CreateStrategy(user_id=session.user_id, **msgspec.structs.asdict(wanted))
        reply = await call_service(asked.CREATE, creating, asked.StrategyReply, request)
        return JsonResponse(reply.strategy, status_code=201)

    @get("/api/strategies", operation_class=operation(), tags=["strategies"])
    async def list_strategies(request: HttpRequest) -> StrategyList:
        """All strategies but the oldest completed ones, the most recently changed one last."""
        session = await context.require_session(request)
        asking = asked.ListStrategies(user_id=session.user_id)
        reply = await call_service(asked.LIST, asking, asked.StrategiesReply, request)
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return StrategyList(strategies=reply.strategies, as_of=as_of)

    @get(
        "/api/strategies/{strategy_id:str}",
        operation_class=operation(error_statuses=(404,)),
        tags=["strategies"],
    )
    async def get_strategy(request: HttpRequest, strategy_id: str) -> Strategy:
        """One strategy."""
        session = await context.require_session(request)
        asking = asked.GetStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return (await call_service(asked.GET, asking, asked.StrategyReply, request)).strategy

    @patch(
        "/api/strategies/{strategy_id:str}",
        operation_class=operation(StrategyChange, is_command=True, error_statuses=(404, 409)),
        tags=["strategies"],
    )
    async def change(request: HttpRequest, strategy_id: str) -> Strategy:
        """Change what is given; a changed rule of a started strategy warms up anew."""
        session = await context.require_session(request)
        wanted = await read_body(request, StrategyChange, *_DECIMAL_PATHS)
        updating = asked.UpdateStrategy(
            user_id=session.user_id, strategy_id=strategy_id, **msgspec.structs.asdict(wanted)
        )
        return (await call_service(asked.UPDATE, updating, asked.StrategyReply, request)).strategy

    @post(
        "/api/strategies/{strategy_id:str}/start",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404, 409)),
        tags=["strategies"],
    )
    async def start(request: HttpRequest, strategy_id: str) -> Strategy:
        """Have it follow prices."""
        session = await context.require_session(request)
        asking = asked.StartStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return (await call_service(asked.START, asking, asked.StrategyReply, request)).strategy

    @post(
        "/api/strategies/{strategy_id:str}/stop",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404, 409)),
        tags=["strategies"],
    )
    async def stop(request: HttpRequest, strategy_id: str) -> Strategy:
        """Have it follow prices no more. What it holds stays, and its stop-loss is watched no
        more."""
        session = await context.require_session(request)
        asking = asked.StopStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return (await call_service(asked.STOP, asking, asked.StrategyReply, request)).strategy

    return [create, list_strategies, get_strategy, change, start, stop]
