"""Requests between services over NATS: nats.micro underneath, so operators can discover them.

nats.micro handles an endpoint's requests one by one and answers with the text of any error. Here
each request is a task of its own, a bounded number at a time, errors are typed on both sides, and
`close` answers what is under way before it leaves. An answer is a JSON struct; a refusal is an
`Error` struct beside the headers that nats.micro prescribes.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
import nats.errors
import nats.micro
import structlog
from nats.micro.request import Request
from nats.micro.service import Service
from opentelemetry.trace import SpanKind

from tapewire.events import CODEC
from tapewire.events.decode_errors import split_error_path, value_at
from tapewire.log import (
    BadSubject,
    CommandRejected,
    LogError,
    OutcomeUnknown,
    TooManyConflicts,
    Unavailable,
    new_id,
)
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import telemetry
from tapewire.runtime.correlation import ensure_correlation_id
from tapewire.runtime.logging_setup import correlated
from tapewire.runtime.micro_compat import stop_gracefully

MAX_CONCURRENT_REQUESTS = 256
"""Requests that one process works on at once; further ones wait in NATS's own queue."""
REQUEST_TIMEOUT_SECONDS = 5.0
DRAIN_SECONDS = 5.0
MAX_QUOTED_CHARACTERS = 60
"""Of a bad value that a refusal repeats."""
_COMMAND_ID = re.compile(r"[!-~]{1,128}")
VERSION = "0.1.0"

logger = structlog.get_logger("tapewire.requests")

Q = TypeVar("Q", bound=msgspec.Struct)


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What comes with a request. A `command_id` repeats when a caller tries again."""

    correlation: str
    command_id: str
    traceparent: str | None


class Endpoint(msgspec.Struct, Generic[Q], frozen=True):
    """What is asked, and who answers. The handler may raise Refusal."""

    request: type[Q]
    handler: Callable[[Q, RequestContext], Awaitable[msgspec.Struct]]


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A refusal on the wire."""

    code: str
    message: str
    path: str | None = None


class RequestTimeout(Exception):
    """The owning service is away, overloaded or too slow. Asking again is safe for a command whose
    id is repeated."""


class RequestServer:
    """One service's endpoints, answering."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._concurrency_limit = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def add_endpoint(self, service: str, verb: str, endpoint: Endpoint[Any]) -> None:
        async def take(request: Request) -> None:
            await self._concurrency_limit.acquire()
            task = asyncio.create_task(_handle_request(service, verb, endpoint, request))
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)

        await self._service.add_endpoint(name=verb, subject=f"svc.{service}.{verb}", handler=take)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._concurrency_limit.release()

    async def close(self) -> None:
        """Take nothing new, and finish what is under way."""
        with contextlib.suppress(TimeoutError, nats.errors.Error):
            async with asyncio.timeout(DRAIN_SECONDS):
                await stop_gracefully(self._service)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)


async def serve_requests(
    connection: NatsConnection, service: str, endpoints: Mapping[str, Endpoint[Any]]
) -> RequestServer:
    """Answer ``svc.{service}.{verb}`` for every verb, sharing the load with other processes.

    Requests arrive once this returns.

    Raises:
        Unavailable, OutcomeUnknown: the connection is lost.
    """
    micro = await nats.micro.add_service(
        connection.client, name=service, version=VERSION, description=f"Tapewire {service}"
    )
    answering = RequestServer(micro)
    for verb, endpoint in endpoints.items():
        await answering.add_endpoint(service, verb, endpoint)
    # What was subscribed is on its way to the server; an answer to ourselves proves that it has
    # arrived. (nats-py's flush does not: its ping can overtake what is pending.)
    await connection.request(f"$SRV.PING.{service}.{micro.id}")
    return answering


async def _handle_request(
    service: str, verb: str, endpoint: Endpoint[Any], request: Request
) -> None:
    headers = request.headers or {}
    context = RequestContext(
        correlation=ensure_correlation_id(headers.get("Tw-Correlation")),
        command_id=headers.get("Tw-Command") or new_id(),
        traceparent=headers.get("traceparent"),
    )
    with (
        correlated(context.correlation),
        telemetry.span(
            f"{service}.{verb}",
            kind=SpanKind.SERVER,
            parent=context.traceparent,
            attributes={"tapewire.correlation": context.correlation},
        ),
    ):
        # What the request causes hangs below this span, or below the asker's when none is made.
        own = telemetry.traceparent() or context.traceparent
        context = msgspec.structs.replace(context, traceparent=own)
        answered = await _run_handler(endpoint, request.data, context)
        try:
            await _respond(request, answered)
        except Exception as error:
            logger.warning("could not answer", verb=verb, error=repr(error))


def _check_command_id(command_id: str) -> str:
    """Raises Refusal: event ids and headers are made of it."""
    if not _COMMAND_ID.fullmatch(command_id):
        message = (
            f"Tw-Command must be 1 to 128 printable ASCII characters, not {_truncate(command_id)}"
        )
        raise CommandRejected("invalid", message, "Tw-Command")
    return command_id


async def _run_handler(
    endpoint: Endpoint[Any], data: bytes, context: RequestContext
) -> msgspec.Struct:
    try:
        _check_command_id(context.command_id)
        return await endpoint.handler(CODEC.decode(data, endpoint.request), context)
    except CommandRejected as refusal:
        return ErrorReply(code=refusal.code, message=refusal.message, path=refusal.path)
    except msgspec.ValidationError as error:
        return _validation_error(str(error), data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return ErrorReply(code="invalid", message=f"the request is not JSON: {error}")
    except BadSubject as error:
        return ErrorReply(code="invalid", message=str(error))
    except (Unavailable, OutcomeUnknown, TooManyConflicts) as error:
        logger.warning("request could not be done now", error=str(error))
        return ErrorReply(code="unavailable", message=str(error))
    except LogError as error:
        logger.warning("the log refused", error=str(error))
        return ErrorReply(code="invalid", message=str(error))
    except Exception:
        logger.exception("request failed")
        return ErrorReply(code="internal", message="the service failed; its log has the reason")


class _RawNumber(str):
    """A number as it was sent: an int of a thousand digits costs nothing to show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _validation_error(message: str, data: bytes) -> ErrorReply:
    """What does not fit, where, and the value that is there."""
    message, path = split_error_path(message)
    try:
        value = value_at(json.loads(data, parse_int=_RawNumber, parse_float=_RawNumber), path)
    except (ValueError, RecursionError):  # a syntax error behind the misfit, a deep nest
        value = msgspec.UNSET
    if path and value is not msgspec.UNSET:
        message = f"{path} does not fit: {message}, not {_truncate(value)}"
    return ErrorReply(code="invalid", message=message, path=path or None)


def _truncate(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= MAX_QUOTED_CHARACTERS else f"{text[:MAX_QUOTED_CHARACTERS]}…"


async def _respond(request: Request, reply: msgspec.Struct) -> None:
    data = CODEC.encode(reply)
    if isinstance(reply, ErrorReply):
        await request.respond_error(reply.code, _one_line(reply.message), data=data)
    else:
        await request.respond(data)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


R = TypeVar("R", bound=msgspec.Struct)


class RequestClient:
    """Asks services."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def request(
        self,
        service: str,
        verb: str,
        request: msgspec.Struct,
        reply: type[R],
        *,
        correlation: str,
        command_id: str | None = None,
        traceparent: str | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> R:
        """What `service` answers to `verb`. `traceparent` is what asking belongs to, where that is
        no current span.

        Raises:
            Refusal: it answered no; `code` and `path` say why.
            Unanswered: nobody answered, or the service could not do it now.
        """
        headers = {"Tw-Correlation": correlation, "Tw-Command": command_id or new_id()}
        with telemetry.span(f"ask {service}.{verb}", kind=SpanKind.CLIENT, parent=traceparent):
            parent = telemetry.traceparent() or traceparent
            if parent is not None:
                headers["traceparent"] = parent
            try:
                message = await self._connection.request(
                    f"svc.{service}.{verb}",
                    CODEC.encode(request),
                    headers,
                    timeout_seconds=timeout_seconds,
                )
            except (Unavailable, OutcomeUnknown) as error:
                raise RequestTimeout(f"{service} does not answer {verb}: {error}") from error
        if (message.headers or {}).get("Nats-Service-Error-Code") is None:
            return CODEC.decode(message.data, reply)
        error_ = CODEC.decode(message.data, ErrorReply)
        if error_.code in ("unavailable", "internal"):
            raise RequestTimeout(f"{service} could not {verb}: {error_.message}")
        raise CommandRejected(error_.code, error_.message, error_.path)
