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

from tapewire.log import CommandRejected
from tapewire.runtime import RequestClient, Settings
from tapewire.runtime.broadcast import Broadcast
from tapewire_services.edge.auth import (
    Authenticator,
    Credentials,
    Session,
    SessionStore,
    TicketStore,
)
from tapewire_services.edge.engine import Engine
from tapewire_services.edge.http.app import Health
from tapewire_services.edge.http.errors import (
    HttpError,
    decode_body,
    rejection_to_http_error,
    require_json_numbers,
    unauthorized,
)
from tapewire_services.edge.http.schema import MAX_IDEMPOTENCY_KEY_CHARACTERS
from tapewire_services.edge.ingest.quote_feed import QuoteFeed

IDEMPOTENCY_KEY_HEADER = "idempotency-key"
_VALID_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_IDEMPOTENCY_KEY_CHARACTERS}}}")

HttpRequest = Request[Any, Any, Any]
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)
BodyT = TypeVar("BodyT", bound=msgspec.Struct)

logger = structlog.get_logger("edge.gateway")


class ControllerContext:
    """What the REST handlers of a process share."""

    def __init__(
        self,
        *,
        requests: RequestClient,
        sessions: SessionStore,
        tickets: TicketStore,
        authenticator: Authenticator,
        quote_feed: QuoteFeed,
        settings: Settings,
        now: Callable[[], datetime],
        engine: Engine,
        broadcast: Broadcast,
        get_health: Callable[[], Health],
    ) -> None:
        self.requests = requests
        self.sessions = sessions
        self.tickets = tickets
        self.authenticator = authenticator
        self.quote_feed = quote_feed
        self.settings = settings
        self.now = now
        self.engine = engine
        self.broadcast = broadcast
        self.get_health = get_health

    async def find_session(self, request: HttpRequest) -> Session | None:
        """Who is asking, None for nobody who signed in. Raises LogError or KeysAway."""
        return await self.authenticator.authenticate(Credentials.from_scope(request.scope))

    async def require_session(self, request: HttpRequest) -> Session:
        """Who is asking. Raises Failure (401), LogError or KeysAway."""
        session = await self.find_session(request)
        if session is None:
            raise unauthorized()
        return session

    async def call_service(
        self,
        service: str,
        verb: str,
        payload: msgspec.Struct,
        reply_type: type[ReplyT],
        request: HttpRequest,
    ) -> ReplyT:
        """What `service` answers. Raises Failure or Unanswered."""
        try:
            return await self.requests.request(
                service,
                verb,
                payload,
                reply_type,
                correlation=request.state.correlation,
                command_id=_command_id(payload, request),
            )
        except CommandRejected as refusal:
            raise rejection_to_http_error(refusal, payload) from refusal


async def read_body(request: HttpRequest, body_type: type[BodyT], *decimal_paths: str) -> BodyT:
    """The body as `into`; `numbers` are the paths of decimals. Raises Failure: 400 when it is no
    JSON or did not come whole, 422 with the path and value of what does not fit."""
    data = await _read_raw_body(request)
    decoded: BodyT = decode_body(data, body_type)
    require_json_numbers(data, *decimal_paths)
    return decoded


async def _read_raw_body(request: HttpRequest) -> bytes:
    try:
        return await request.body()
    except InternalServerException as left:
        # Litestar takes that for a fault of the server; nobody will read the answer.
        logger.info("a request was given up", path=request.scope["path"])
        raise HttpError(400, "the body did not come whole") from left


def integer_query_parameter(request: HttpRequest, name: str, default: int) -> int:
    """The query parameter `name`. Raises Failure (422); what bounds it has, its service says."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise HttpError(422, "Expected a whole number", path=name, value=text[:32])
    return int(text)


def _command_id(payload: msgspec.Struct, request: HttpRequest) -> str | None:
    """A client that gives an ``Idempotency-Key`` has its command done once, however often it asks:
    the same user and key are the same command. Raises Failure (422)."""
    key = request.headers.get(IDEMPOTENCY_KEY_HEADER)
    if key is None or request.method == "GET":
        return None
    if not _VALID_IDEMPOTENCY_KEY.fullmatch(key):
        message = (
            f"Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters"
        )
        raise HttpError(422, message, path="Idempotency-Key", value=key[:32])
    named = f"{getattr(payload, 'user_id', '')}\n{type(payload).__name__}\n{key}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]
