"""Changes what an open stream shows, wherever it is open: ``PATCH /api/stream/{clientId}``.

The request is validated where the stream is, because that depends on what it shows now. Start
reading at `StreamChanger.change`.
"""

import asyncio
import hmac

import msgspec

from tapewire.log import new_id
from tapewire_services.edge.auth import Session
from tapewire_services.edge.cluster.presence import Presence
from tapewire_services.edge.cluster.stream_changes import (
    ChangeFailure,
    ChangeReply,
    ChangeRequest,
    ShownContent,
    StreamChange,
    StreamChangeExchange,
)
from tapewire_services.edge.delivery.conflation import (
    MAX_UPDATES_PER_SECOND,
    ValueSubscription,
)
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.connection_info import (
    ANONYMOUS,
    CHANGE_KEY_BYTES,
    StreamContent,
)
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.stream_routes import RouteParameter
from tapewire_services.edge.delivery.topics import PRICES, Access, LiveValue
from tapewire_services.edge.http.content_request import select_topics, without_session
from tapewire_services.edge.http.errors import (
    HttpError,
    to_http_error,
    unauthorized,
    unavailable,
)
from tapewire_services.edge.http.stream_request import (
    MIN_RATE_PER_SECOND,
    needed_session,
    parse_symbol,
)
from tapewire_services.edge.ingest.quote_feed import QuoteFeed

CHANGE_TIMEOUT_SECONDS = 5.0
"""A stream that does not take what is sent to it for so long is not waited for."""
SEARCH_TIMEOUT_SECONDS = 1.0
"""How long another process may take to say that it has a stream of which nothing is known here. A
stream that has just opened may not be known everywhere."""


class StreamChanger:
    """Changes the streams of all processes for clients of this one."""

    def __init__(
        self, hub: Hub, quotes: QuoteFeed, presence: Presence, exchange: StreamChangeExchange
    ) -> None:
        self._hub = hub
        self._quotes = quotes
        self._presence = presence
        self._exchange = exchange

    async def run(self) -> None:
        """Change the streams of this process for clients of others, until cancelled."""
        await self._exchange.run(self._change_for_other_process, self._has_stream)

    async def change(
        self, client_id: str, session: Session | None, change: StreamChange
    ) -> ShownContent:
        """Change the stream `client_id` of the session's user, or without a session one that was
        opened without a session, and return what it shows from then on. By then the client was
        sent all of the change.

        Raises:
            HttpError: 401, it needs a session; 404, there is no such stream of the caller's; 422,
                the stream cannot show that; 503, the change is not confirmed.
        """
        request = _request_of(client_id, session, change)
        connection = self._find(request)
        if connection is not None:
            return await self._change_connection(connection, request)
        user_id, client_id = request.user_id, request.client_id
        if self._has_stream(client_id):
            raise _not_found()
        is_known = self._presence.has_connection(user_id, client_id)
        timeout_seconds = CHANGE_TIMEOUT_SECONDS + 1 if is_known else SEARCH_TIMEOUT_SECONDS
        reply = await self._exchange.request(request, timeout_seconds)
        if reply is not None and reply.content is not None:
            return reply.content
        if reply is not None and reply.failure is not None:
            failure = reply.failure
            raise HttpError(failure.status, failure.message, path=failure.path, value=failure.value)
        if self._presence.has_connection(user_id, client_id):
            raise unavailable("The process that has this stream does not answer; try again")
        raise _not_found()

    async def _change_for_other_process(self, request: ChangeRequest) -> ChangeReply:
        try:
            connection = self._find(request)
            if connection is None:
                raise _not_found()
            content = await self._change_connection(connection, request)
        except Exception as error:
            reason = to_http_error(error)
            failure = ChangeFailure(
                status=reason.status, message=reason.message, path=reason.path, value=reason.value
            )
            return ChangeReply(request_id=request.request_id, failure=failure)
        return ChangeReply(request_id=request.request_id, content=content)

    async def _change_connection(
        self, connection: Connection, request: ChangeRequest
    ) -> ShownContent:
        """Raises HttpError."""
        content = resolve_change(connection, request.change)
        if request.user_id is None:
            content = without_session(content)
            needed_session(connection.route, content.topics, None)
        needs_session = any(
            topic.access is Access.USER
            or (request.is_admin and topic.live_value is LiveValue.COUNTS)
            for topic in content.topics
        )
        if needs_session and request.expires_at is not None and connection.info.expires_at is None:
            # It was opened for public topics, which outlive the session.
            connection.bind_session(
                request.session_id, request.expires_at, is_admin=request.is_admin
            )
        if content != connection.content or connection.has_pending_change:
            try:
                async with asyncio.timeout(CHANGE_TIMEOUT_SECONDS):
                    is_changed = await asyncio.shield(connection.request_content(content))
            except TimeoutError:
                message = "The stream takes nothing now, and changes when it does; try again"
                raise unavailable(message) from None
            if not is_changed:
                raise _not_found()
        symbols = self._quotes.request(content.values.symbols)
        unknown = [] if symbols is None else symbols.find_unknown()
        return ShownContent(
            client_id=connection.info.told_client_id,
            topics=content.topic_names,
            symbols=None if symbols is None else symbols.names(),
            max_rate=content.values.max_rate,
            unknown=unknown or msgspec.UNSET,
        )

    def _has_stream(self, client_id: str) -> bool:
        """Whether the stream is open at this process, whosever it is."""
        return self._hub.find_by_client(client_id) is not None

    def _find(self, request: ChangeRequest) -> Connection | None:
        """The open stream of the user, or the one without a session that has the key. A long-poll
        cannot be changed."""
        connection = self._hub.find_by_client(request.client_id)
        if connection is None or connection.info.poll:
            return None
        user_id, change_key = connection.info.user_id, connection.info.change_key
        if request.user_id is not None or user_id is not None:
            return connection if user_id == request.user_id else None
        known, given = change_key or "", request.change_key or ""
        return connection if known and hmac.compare_digest(known, given) else None


def split_anonymous_id(client_id: str) -> tuple[str, str]:
    """The public part and the key of the id that a client without a session was told.

    Raises:
        HttpError: 401, it is no such id: only a session can change that stream.
    """
    public_id, _, key = client_id.rpartition("-")
    is_anonymous = public_id.startswith(f"{ANONYMOUS}-")
    if not is_anonymous or len(key) != 2 * CHANGE_KEY_BYTES or not key.isascii():
        raise unauthorized()
    return public_id, key


def _request_of(client_id: str, session: Session | None, change: StreamChange) -> ChangeRequest:
    """The request of a caller. Raises HttpError (401)."""
    if session is not None:
        return ChangeRequest(
            request_id=new_id(),
            client_id=client_id,
            user_id=session.user_id,
            session_id=session.key,
            expires_at=session.expires_at,
            change=change,
            is_admin=session.is_admin,
        )
    public_id, key = split_anonymous_id(client_id)
    return ChangeRequest(
        request_id=new_id(),
        client_id=public_id,
        user_id=None,
        session_id=None,
        expires_at=None,
        change=change,
        change_key=key,
    )


def resolve_change(connection: Connection, change: StreamChange) -> StreamContent:
    """What `connection` shows after `change`. Raises HttpError (422)."""
    current = connection.requested_content
    topics, symbols, bars = current.topics, current.values.symbols, current.values.bars
    if change.topics is not msgspec.UNSET:
        if connection.route.parameter is not RouteParameter.TOPICS:
            raise HttpError(422, "The topics of this stream are fixed", path="topics")
        selected = select_topics(
            (f"topics[{number}]", text) for number, text in enumerate(change.topics)
        )
        topics, symbols, bars = selected.topics, selected.symbols, selected.bars
    content = StreamContent(topics=topics, values=current.values)
    if change.symbols is not msgspec.UNSET:
        _check_symbols_apply(connection, change, content)
        symbols = None if change.symbols is None else _parse_symbols(change.symbols)
    max_rate = current.values.max_rate
    if change.max_rate is not msgspec.UNSET:
        max_rate = change.max_rate
        if not MIN_RATE_PER_SECOND <= max_rate <= MAX_UPDATES_PER_SECOND:
            message = (
                f"a number from {MIN_RATE_PER_SECOND:g} to {MAX_UPDATES_PER_SECOND:g} updates a "
                "second"
            )
            raise HttpError(422, message, path="maxRate", value=max_rate)
    return StreamContent(topics=topics, values=ValueSubscription(symbols, max_rate, bars))


def _check_symbols_apply(
    connection: Connection, change: StreamChange, content: StreamContent
) -> None:
    """Raises HttpError (422) when the stream has no symbols to choose."""
    message = None
    if LiveValue.PRICES not in content.interest.live_values:
        message = "This stream shows no prices"
    elif connection.selection is not None:
        message = "The symbol of this stream is that of its strategy"
    elif change.topics is not msgspec.UNSET and any(
        text.strip().startswith(f"{PRICES.name}:") for text in change.topics
    ):
        message = "The topics name symbols already"
    if message is not None:
        raise HttpError(422, message, path="symbols")


def _parse_symbols(texts: list[str]) -> frozenset[str]:
    """Raises HttpError (422)."""
    return frozenset(parse_symbol(f"symbols[{number}]", text) for number, text in enumerate(texts))


def _not_found() -> HttpError:
    return HttpError(404, "The caller has no such open stream")
