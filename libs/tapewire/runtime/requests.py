"""Requests between services over NATS, discoverable through nats.micro.

nats.micro handles the requests of an endpoint one by one and replies with the text of any error.
Here each request runs in a task of its own, up to a limit; errors have types on both sides; and
`RequestServer.close` answers pending requests before it stops. A reply is a JSON struct. A
rejection is an `ErrorReply` beside the headers that nats.micro prescribes. Start at `RequestClient`
or `serve_requests`.
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
"""Requests that one process handles at once. Further ones wait in the subscription's queue."""
REQUEST_TIMEOUT_SECONDS = 5.0
DRAIN_SECONDS = 5.0
MAX_QUOTED_CHARACTERS = 60
"""Characters of a bad value that a rejection quotes."""
_COMMAND_ID = re.compile(r"[!-~]{1,128}")
VERSION = "0.1.0"

logger = structlog.get_logger("tapewire.requests")

Q = TypeVar("Q", bound=msgspec.Struct)


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What arrives with a request. `command_id` is the same when a caller repeats a request."""

    correlation: str
    command_id: str
    traceparent: str | None


class Endpoint(msgspec.Struct, Generic[Q], frozen=True):
    """The type of a request and its handler, which may raise CommandRejected."""

    request: type[Q]
    handler: Callable[[Q, RequestContext], Awaitable[msgspec.Struct]]


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rejection on the wire."""

    code: str
    message: str
    path: str | None = None


class RequestTimeout(Exception):
    """The service is down, overloaded or too slow. A command may be repeated with the same id."""


class RequestServer:
    """Serves the endpoints of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._concurrency_limit = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def add_endpoint(self, service: str, verb: str, endpoint: Endpoint[Any]) -> None:
        async def receive(request: Request) -> None:
            await self._concurrency_limit.acquire()
            task = asyncio.create_task(_handle_request(service, verb, endpoint, request))
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)

        await self._service.add_endpoint(
            name=verb, subject=f"svc.{service}.{verb}", handler=receive
        )

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._concurrency_limit.release()

    async def close(self) -> None:
        """Accept no more requests, and finish pending ones within `DRAIN_SECONDS`."""
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
    server = RequestServer(micro)
    for verb, endpoint in endpoints.items():
        await server.add_endpoint(service, verb, endpoint)
    # The subscriptions are on their way to the server. A reply to the process's own request proves
    # that they have arrived. (nats-py's flush does not: its PING may overtake pending data.)
    await connection.request(f"$SRV.PING.{service}.{micro.id}")
    return server


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
        # What the request causes belongs to this span, or to the caller's span without tracing.
        parent = telemetry.traceparent() or context.traceparent
        context = msgspec.structs.replace(context, traceparent=parent)
        reply = await _run_handler(endpoint, request.data, context)
        try:
            await _respond(request, reply)
        except Exception as error:
            logger.warning("requests.reply_failed", verb=verb, error=repr(error))


def _check_command_id(command_id: str) -> str:
    """Raises CommandRejected: event ids and headers are made from the command id."""
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
    except CommandRejected as rejection:
        return ErrorReply(code=rejection.code, message=rejection.message, path=rejection.path)
    except msgspec.ValidationError as error:
        return _validation_error(str(error), data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return ErrorReply(code="invalid", message=f"the request is not JSON: {error}")
    except BadSubject as error:
        return ErrorReply(code="invalid", message=str(error))
    except (Unavailable, OutcomeUnknown, TooManyConflicts) as error:
        logger.warning("requests.unavailable", error=str(error))
        return ErrorReply(code="unavailable", message=str(error))
    except LogError as error:
        logger.warning("requests.append_rejected", error=str(error))
        return ErrorReply(code="invalid", message=str(error))
    except Exception:
        logger.exception("requests.handler_failed")
        return ErrorReply(code="internal", message="the service failed; its log has the reason")


class _RawNumber(str):
    """A number as it was sent. Showing an integer of a thousand digits costs nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _validation_error(message: str, data: bytes) -> ErrorReply:
    """The field that does not fit, its value, and why."""
    message, path = split_error_path(message)
    try:
        value = value_at(json.loads(data, parse_int=_RawNumber, parse_float=_RawNumber), path)
    except (ValueError, RecursionError):  # a syntax error after the mismatch, or deep nesting
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
    """Sends requests to services."""

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
        """Send a request and return the service's reply.

        `traceparent` is the parent of the request if there is no current span.

        Raises:
            CommandRejected: the service rejected the request; `code` and `path` say why.
            RequestTimeout: no service answered, or the service could not handle it now.
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
