"""Doing things: REST calls become requests to the services that own what they touch.

A body is decoded strictly, a refusal becomes a status with the field's path, and a service that is
away a 503. Every call carries its correlation id into the command it makes.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
import structlog
from litestar import Request, Response, delete, get, post
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler

from services.edge.access import (
    COOKIE,
    MOST_USER_CHARACTERS,
    USER_PATTERN,
    Entrance,
    Session,
    Sessions,
    Shown,
    Tickets,
    set_cookie,
)
from services.edge.cursor import Cursor
from services.edge.follow import Board
from services.edge.frames import PriceView
from services.edge.http.asking import symbols
from services.edge.http.errors import Failure, decode, of_refusal, refuse_odd_numbers, unauthorized
from services.edge.http.responses import Json
from services.edge.http.schema import taking
from tapewire.events import Order, OrderType, Side
from tapewire.log import Refusal
from tapewire.runtime import Requests, Settings
from tapewire.runtime.contracts import orders as asked

Ask = Request[Any, Any, Any]
R = TypeVar("R", bound=msgspec.Struct)

logger = structlog.get_logger("edge.gateway")

UserId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=MOST_USER_CHARACTERS, pattern=USER_PATTERN)
]
Role = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class SignIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The development sign-in: whoever you say you are."""

    user_id: UserId
    roles: Annotated[tuple[Role, ...], msgspec.Meta(max_length=16)] = ()


class SessionView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    roles: Sequence[str]
    expires_at: datetime


class TicketView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    ticket: str
    expires_at: datetime


class PlaceOrderBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """An order to place. Quantities are shares, prices dollars a share."""

    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    client_order_id: str | None = None


class OrderList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Orders as of a place in the log, which a stream can be resumed from."""

    orders: list[Order]
    as_of: str


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    prices: list[PriceView]
    timestamp: datetime


class Gateway:
    """What the REST handlers of a process share."""

    def __init__(
        self,
        *,
        requests: Requests,
        sessions: Sessions,
        tickets: Tickets,
        entrance: Entrance,
        board: Board,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self.requests = requests
        self.sessions = sessions
        self.tickets = tickets
        self.entrance = entrance
        self.board = board
        self.settings = settings
        self.now = now

    async def session(self, request: Ask) -> Session:
        """Who is asking. Raises Failure (401), LogError or KeysAway."""
        session = await self.entrance.who(Shown.of(request.scope))
        if session is None:
            raise unauthorized()
        return session

    async def ask_orders(
        self, verb: str, asking: msgspec.Struct, reply: type[R], request: Ask
    ) -> R:
        """What the orders service answers. Raises Failure or Unanswered."""
        try:
            return await self.requests.ask(
                asked.SERVICE, verb, asking, reply, correlation=request.state.correlation
            )
        except Refusal as refusal:
            raise of_refusal(refusal, asking) from refusal


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """Every REST handler, over `gateway`."""
    return [*_sessions(gateway), *_orders(gateway), _prices(gateway)]


def _sessions(gateway: Gateway) -> list[HTTPRouteHandler]:
    @post("/api/session", operation_class=taking(SignIn), tags=["session"])
    async def sign_in(request: Ask) -> Json[SessionView]:
        """Sign in as anybody; only where the development sign-in is switched on."""
        if not gateway.settings.sign_in:
            raise Failure(403, "The development sign-in is switched off")
        body: SignIn = decode(await _body(request), SignIn)
        token, session = await gateway.sessions.create(body.user_id, body.roles)
        response = Json(_session_view(session), status_code=201)
        response.headers["Set-Cookie"] = set_cookie(token, session, gateway.settings, gateway.now())
        return response

    @get("/api/session", tags=["session"])
    async def who(request: Ask) -> SessionView:
        """Who is signed in."""
        return _session_view(await gateway.session(request))

    @delete("/api/session", tags=["session"])
    async def sign_out(request: Ask) -> Response[None]:
        """Revoke the session, or the JWT; its open streams end within two seconds."""
        session = await gateway.session(request)
        if session.key is None:
            raise Failure(409, "A gateway answers for this user: sign out there")
        await gateway.sessions.revoke(session)
        response = Response(None, status_code=204)
        response.delete_cookie(COOKIE)
        return response

    @post("/api/stream/ticket", tags=["session"])
    async def ticket(request: Ask) -> Json[TicketView]:
        """A ticket that opens one stream, as ``?ticket=``, and gives it the session cookie: for
        an EventSource that has none. Good once, and for half a minute at the most."""
        made, until = await gateway.tickets.issue(await gateway.session(request))
        view = TicketView(ticket=made, expires_at=until)
        return Json(view, status_code=201, headers={"Cache-Control": "no-store"})

    return [sign_in, who, sign_out, ticket]


def _session_view(session: Session) -> SessionView:
    return SessionView(user_id=session.user_id, roles=session.roles, expires_at=session.expires_at)


def _orders(gateway: Gateway) -> list[HTTPRouteHandler]:
    @post("/api/orders", operation_class=taking(PlaceOrderBody), tags=["orders"])
    async def place(request: Ask) -> Json[Order]:
        """Place an order: 201, or 200 with the order that is there under this clientOrderId."""
        session = await gateway.session(request)
        data = await _body(request)
        body: PlaceOrderBody = decode(data, PlaceOrderBody)
        refuse_odd_numbers(data, "qty", "limitPrice")
        placing = asked.PlaceOrder(user_id=session.user_id, **msgspec.structs.asdict(body))
        reply = await gateway.ask_orders(asked.PLACE, placing, asked.OrderReply, request)
        return Json(reply.order, status_code=201 if reply.created else 200)

    @get("/api/orders", tags=["orders"])
    async def list_orders(request: Ask) -> OrderList:
        """All open orders and the last closed ones, the most recently changed one last."""
        session = await gateway.session(request)
        asking = asked.ListOrders(user_id=session.user_id)
        reply = await gateway.ask_orders(asked.LIST, asking, asked.OrdersReply, request)
        return OrderList(orders=reply.orders, as_of=str(Cursor(reply.epoch, reply.as_of)))

    @get("/api/orders/{order_id:str}", tags=["orders"])
    async def get_order(request: Ask, order_id: str) -> Order:
        """One order."""
        session = await gateway.session(request)
        asking = asked.GetOrder(user_id=session.user_id, order_id=order_id)
        return (await gateway.ask_orders(asked.GET, asking, asked.OrderReply, request)).order

    @delete("/api/orders/{order_id:str}", status_code=200, tags=["orders"])
    async def cancel(request: Ask, order_id: str) -> Order:
        """Cancel what is left of an order: 409 when nothing is."""
        session = await gateway.session(request)
        asking = asked.CancelOrder(user_id=session.user_id, order_id=order_id)
        return (await gateway.ask_orders(asked.CANCEL, asking, asked.OrderReply, request)).order

    return [place, list_orders, get_order, cancel]


def _prices(gateway: Gateway) -> HTTPRouteHandler:
    @get("/api/prices", tags=["prices"])
    async def prices(request: Ask) -> PriceList:
        """The newest quotes, of all symbols or of those in `symbols`."""
        wanted = symbols(request.query_params.get("symbols"))
        return PriceList(prices=gateway.board.prices(wanted), timestamp=gateway.now())

    return prices


async def _body(request: Ask) -> bytes:
    """The whole body. Raises Failure (400) when the client left before it came."""
    try:
        return await request.body()
    except InternalServerException as left:
        # Litestar takes that for a fault of the server; nobody will read the answer.
        logger.info("a request was given up", path=request.scope["path"])
        raise Failure(400, "the body did not come whole") from left
