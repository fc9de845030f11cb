"""Strategies: `/api/strategies`."""

from decimal import Decimal

import msgspec
from litestar import get, patch, post
from litestar.handlers import HTTPRouteHandler

from services.edge.cursor import Cursor
from services.edge.gateway.shared import Ask, Gateway, R, body
from services.edge.http.responses import Json
from services.edge.http.schema import call
from tapewire.events import Rule, StopLoss, Strategy
from tapewire.runtime.contracts import strategies as asked

_NUMBERS = ("quantity", "rule.marginPercent", "rule.deviations", "stopLoss.percent")


class StrategyBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A strategy to make. `quantity` is in shares."""

    symbol: str
    rule: Rule
    quantity: Decimal
    stop_loss: StopLoss | None = None
    max_trades: int | None = None
    name: str | None = None


class StrategyChange(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What to change; a null takes the stop-loss, or the limit of trades, away."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: Rule | msgspec.UnsetType = msgspec.UNSET
    quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stop_loss: StopLoss | msgspec.UnsetType | None = msgspec.UNSET
    max_trades: int | msgspec.UnsetType | None = msgspec.UNSET


class StrategyList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Strategies as of a place in the log, which a stream can be resumed from."""

    strategies: list[Strategy]
    as_of: str


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    async def ask(verb: str, asking: msgspec.Struct, reply: type[R], request: Ask) -> R:
        return await gateway.ask(asked.SERVICE, verb, asking, reply, request)

    @post("/api/strategies", operation_class=call(StrategyBody, command=True), tags=["strategies"])
    async def create(request: Ask) -> Json[Strategy]:
        """Make a strategy, which does nothing until it is started. The same `Idempotency-Key`
        makes it once."""
        session = await gateway.session(request)
        wanted = await body(request, StrategyBody, *_NUMBERS)
        creating = asked.CreateStrategy(user_id=session.user_id, **msgspec.structs.asdict(wanted))
        reply = await ask(asked.CREATE, creating, asked.StrategyReply, request)
        return Json(reply.strategy, status_code=201)

    @get("/api/strategies", operation_class=call(), tags=["strategies"])
    async def list_strategies(request: Ask) -> StrategyList:
        """All strategies but the oldest completed ones, the most recently changed one last."""
        session = await gateway.session(request)
        asking = asked.ListStrategies(user_id=session.user_id)
        reply = await ask(asked.LIST, asking, asked.StrategiesReply, request)
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return StrategyList(strategies=reply.strategies, as_of=as_of)

    @get(
        "/api/strategies/{strategy_id:str}",
        operation_class=call(refuses=(404,)),
        tags=["strategies"],
    )
    async def get_strategy(request: Ask, strategy_id: str) -> Strategy:
        """One strategy."""
        session = await gateway.session(request)
        asking = asked.GetStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return (await ask(asked.GET, asking, asked.StrategyReply, request)).strategy

    @patch(
        "/api/strategies/{strategy_id:str}",
        operation_class=call(StrategyChange, command=True, refuses=(404, 409)),
        tags=["strategies"],
    )
    async def change(request: Ask, strategy_id: str) -> Strategy:
        """Change what is given; a changed rule of a started strategy warms up anew."""
        session = await gateway.session(request)
        wanted = await body(request, StrategyChange, *_NUMBERS)
        updating = asked.UpdateStrategy(
            user_id=session.user_id, strategy_id=strategy_id, **msgspec.structs.asdict(wanted)
        )
        return (await ask(asked.UPDATE, updating, asked.StrategyReply, request)).strategy

    @post(
        "/api/strategies/{strategy_id:str}/start",
        status_code=200,
        operation_class=call(command=True, refuses=(404, 409)),
        tags=["strategies"],
    )
    async def start(request: Ask, strategy_id: str) -> Strategy:
        """Have it follow prices."""
        session = await gateway.session(request)
        asking = asked.StartStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return (await ask(asked.START, asking, asked.StrategyReply, request)).strategy

    @post(
        "/api/strategies/{strategy_id:str}/stop",
        status_code=200,
        operation_class=call(command=True, refuses=(404, 409)),
        tags=["strategies"],
    )
    async def stop(request: Ask, strategy_id: str) -> Strategy:
        """Have it follow prices no more. What it holds stays, and its stop-loss is watched no
        more."""
        session = await gateway.session(request)
        asking = asked.StopStrategy(user_id=session.user_id, strategy_id=strategy_id)
        return (await ask(asked.STOP, asking, asked.StrategyReply, request)).strategy

    return [create, list_strategies, get_strategy, change, start, stop]
