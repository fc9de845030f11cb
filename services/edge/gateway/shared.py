"""What all REST handlers stand on: who is asking, the body, and the services that answer."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Request
from litestar.exceptions import InternalServerException

from services.edge.access import Entrance, Session, Sessions, Shown, Tickets
from services.edge.engine import Engine
from services.edge.follow import Board
from services.edge.http.app import Health
from services.edge.http.errors import Failure, decode, of_refusal, refuse_odd_numbers, unauthorized
from services.edge.http.schema import MOST_KEY_CHARACTERS
from tapewire.log import Refusal
from tapewire.runtime import Requests, Settings
from tapewire.runtime.broadcast import Broadcast

IDEMPOTENCY_KEY = "idempotency-key"
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MOST_KEY_CHARACTERS}}}")

Ask = Request[Any, Any, Any]
R = TypeVar("R", bound=msgspec.Struct)
B = TypeVar("B", bound=msgspec.Struct)

logger = structlog.get_logger("edge.gateway")


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
        engine: Engine,
        broadcast: Broadcast,
        health: Callable[[], Health],
    ) -> None:
        self.requests = requests
        self.sessions = sessions
        self.tickets = tickets
        self.entrance = entrance
        self.board = board
        self.settings = settings
        self.now = now
        self.engine = engine
        self.broadcast = broadcast
        self.health = health

    async def found(self, request: Ask) -> Session | None:
        """Who is asking, None for nobody who signed in. Raises LogError or KeysAway."""
        return await self.entrance.who(Shown.of(request.scope))

    async def session(self, request: Ask) -> Session:
        """Who is asking. Raises Failure (401), LogError or KeysAway."""
        session = await self.found(request)
        if session is None:
            raise unauthorized()
        return session

    async def ask(
        self, service: str, verb: str, asking: msgspec.Struct, reply: type[R], request: Ask
    ) -> R:
        """What `service` answers. Raises Failure or Unanswered."""
        try:
            return await self.requests.ask(
                service,
                verb,
                asking,
                reply,
                correlation=request.state.correlation,
                command_id=_command_id(asking, request),
            )
        except Refusal as refusal:
            raise of_refusal(refusal, asking) from refusal


async def body(request: Ask, into: type[B], *numbers: str) -> B:
    """The body as `into`; `numbers` are the paths of decimals. Raises Failure: 400 when it is no
    JSON or did not come whole, 422 with the path and value of what does not fit."""
    data = await _whole(request)
    decoded: B = decode(data, into)
    refuse_odd_numbers(data, *numbers)
    return decoded


async def _whole(request: Ask) -> bytes:
    try:
        return await request.body()
    except InternalServerException as left:
        # Litestar takes that for a fault of the server; nobody will read the answer.
        logger.info("a request was given up", path=request.scope["path"])
        raise Failure(400, "the body did not come whole") from left


def whole_number(request: Ask, name: str, default: int) -> int:
    """The query parameter `name`. Raises Failure (422); what bounds it has, its service says."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise Failure(422, "Expected a whole number", path=name, value=text[:32])
    return int(text)


def _command_id(asking: msgspec.Struct, request: Ask) -> str | None:
    """A client that gives an ``Idempotency-Key`` has its command done once, however often it asks:
    the same user and key are the same command. Raises Failure (422)."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None or request.method == "GET":
        return None
    if not _KEY.fullmatch(key):
        message = f"Idempotency-Key has 1 to {MOST_KEY_CHARACTERS} printable ASCII characters"
        raise Failure(422, message, path="Idempotency-Key", value=key[:32])
    named = f"{getattr(asking, 'user_id', '')}\n{type(asking).__name__}\n{key}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]
