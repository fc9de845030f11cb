"""Serves the requests of one service. Start at `serve_requests`.

nats.micro handles the requests of an endpoint one by one and replies with the text of any error.
Here each request runs in a task of its own, up to a limit, and `RequestServer.close` answers
pending requests before it stops. Besides the queue group, each server answers two subjects that
clients use when the queue group is silent: a probe (``svc.{service}.{verb}.live``), which all
servers answer, and its own (``svc.{service}.{verb}.{instance}``).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import nats.errors
import nats.micro
import structlog
from nats.aio.msg import Msg
from nats.micro.request import Request
from nats.micro.service import Service
from opentelemetry.trace import SpanKind

from tapewire.events import CODEC
from tapewire.log import CommandRejected, new_id
from tapewire.log.jetstream import NatsConnection
from tapewire.log.jetstream.gap_aware_subscription import GapAwareSubscription
from tapewire.log.request_scope import RequestScope
from tapewire.runtime import telemetry
from tapewire.runtime.correlation import ensure_correlation_id
from tapewire.runtime.logging_setup import correlated
from tapewire.runtime.requests.error_replies import run_handler, truncate
from tapewire.runtime.requests.messages import (
    ACK_HEADER,
    COMMAND_HEADER,
    CORRELATION_HEADER,
    DEADLINE_HEADER,
    INSTANCE_HEADER,
    KEY_HEADER,
    LIVE_HEADER,
    TIME_HEADER,
    Endpoint,
    ErrorReply,
    Outcome,
    RequestContext,
)
from tapewire.runtime.requests.micro_compat import stop_gracefully

MAX_CONCURRENT_REQUESTS = 256
"""Requests that one process handles at once. Further ones wait."""
MAX_WAITING_REQUESTS = 4096
"""Requests that one process holds, those that it handles included. Further ones are refused."""
DRAIN_SECONDS = 5.0
PROBE_TOKEN = "live"  # noqa: S105 - a token of a subject
VERSION = "0.1.0"

logger = structlog.get_logger("tapewire.requests")


class RequestServer:
    """Serves the endpoints of one service. `instance` names it in replies and in its subject."""

    def __init__(
        self,
        connection: NatsConnection,
        service: Service,
        name: str,
        endpoints: Mapping[str, Endpoint[Any]],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.instance = service.id
        self._connection = connection
        self._service = service
        self._name = name
        self._endpoints = dict(endpoints)
        self._wall_clock = wall_clock
        self._concurrency_limit = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[tuple[str, str, bytes], asyncio.Task[msgspec.Struct]] = {}
        self._subscriptions: list[GapAwareSubscription] = []

    async def start(self) -> None:
        """Subscribe. Requests arrive once this returns. Raises Unavailable, OutcomeUnknown."""
        for verb in self._endpoints:
            await self._service.add_endpoint(
                name=verb, subject=f"svc.{self._name}.{verb}", handler=self._receive
            )
        for token, receive in ((PROBE_TOKEN, self._answer_probe), (self.instance, self._redirect)):
            self._subscriptions.append(
                await self._connection.subscribe(
                    f"svc.{self._name}.*.{token}", receive, lambda _: None
                )
            )
        # The subscriptions are on their way to the server. A reply to the process's own request
        # proves that they have arrived. (nats-py's flush does not: its PING may overtake pending
        # data.)
        await self._connection.request(f"$SRV.PING.{self._name}.{self.instance}")

    async def close(self) -> None:
        """Accept no more requests, and finish pending ones within `DRAIN_SECONDS`."""
        with contextlib.suppress(TimeoutError, nats.errors.Error):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(
                    stop_gracefully(self._service),
                    *[one.drain(DRAIN_SECONDS) for one in self._subscriptions],
                )
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)

    async def _answer_probe(self, message: Msg) -> None:
        if message.subject.split(".")[2] in self._endpoints:
            await self._respond(Request(message), b"", {LIVE_HEADER: self.instance})

    async def _redirect(self, message: Msg) -> None:
        """Receive a request that a client has sent to this instance."""
        await self._receive(Request(message))

    async def _receive(self, request: Request) -> None:
        verb = request.subject.split(".")[2]
        endpoint = self._endpoints.get(verb)
        headers = request.headers or {}
        try:
            if endpoint is None:
                raise CommandRejected("not_found", f"{self._name} has no {truncate(verb)}")
            scope = self._open_scope(headers)
        except CommandRejected as error:
            rejection = ErrorReply(code=error.code, message=error.message, path=error.path)
            await self._reply(request, rejection)
            return
        if len(self._tasks) >= MAX_WAITING_REQUESTS:
            message = f"{self._name} holds {MAX_WAITING_REQUESTS} requests already"
            overload = ErrorReply(code="unavailable", message=message, outcome=Outcome.NOT_DONE)
            await self._reply(request, overload)
            return
        if ACK_HEADER in headers:
            await self._respond(request, b"", {ACK_HEADER: self.instance})
        task = asyncio.create_task(self._handle(verb, endpoint, request, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open_scope(self, headers: Mapping[str, str]) -> RequestScope:
        """The scope with the request's deadline. Raises CommandRejected if that is malformed."""
        text = headers.get(DEADLINE_HEADER)
        if text is None:
            return RequestScope(None)
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            message = f"{DEADLINE_HEADER} must be milliseconds since 1970, not {truncate(text)}"
            raise CommandRejected("invalid", message, DEADLINE_HEADER)
        return RequestScope(int(text) / 1000 - self._wall_clock(), wall_clock=self._wall_clock)

    async def _handle(
        self, verb: str, endpoint: Endpoint[Any], request: Request, scope: RequestScope
    ) -> None:
        headers = request.headers or {}
        context = RequestContext(
            correlation=ensure_correlation_id(headers.get(CORRELATION_HEADER)),
            command_id=headers.get(COMMAND_HEADER) or new_id(),
            traceparent=headers.get("traceparent"),
            idempotency_key=headers.get(KEY_HEADER),
        )
        with (
            correlated(context.correlation),
            telemetry.span(
                f"{self._name}.{verb}",
                kind=SpanKind.SERVER,
                parent=context.traceparent,
                attributes={"tapewire.correlation": context.correlation},
            ),
        ):
            # What the request causes belongs to this span, or to the caller's span without tracing.
            parent = telemetry.traceparent() or context.traceparent
            context = msgspec.structs.replace(context, traceparent=parent)
            async with self._concurrency_limit:
                reply = await self._run_once(verb, endpoint, request.data, context, scope)
            await self._reply(request, reply)

    async def _run_once(
        self,
        verb: str,
        endpoint: Endpoint[Any],
        data: bytes,
        context: RequestContext,
        scope: RequestScope,
    ) -> msgspec.Struct:
        """The reply to the request. A request that a client has sent again while the first one is
        being handled gets the first one's reply."""
        name = (verb, context.command_id, data)
        running = self._running.get(name)
        if running is None:
            running = asyncio.create_task(run_handler(verb, endpoint, data, context, scope))
            self._running[name] = running
            running.add_done_callback(lambda _: self._running.pop(name))
        return await asyncio.shield(running)

    async def _reply(self, request: Request, reply: msgspec.Struct) -> None:
        if not isinstance(reply, ErrorReply):
            await self._respond(request, CODEC.encode(reply), {})
            return
        error_headers = {
            "Nats-Service-Error": _one_line(reply.message),
            "Nats-Service-Error-Code": reply.code,
        }
        await self._respond(request, CODEC.encode(reply), error_headers)

    async def _respond(self, request: Request, data: bytes, headers: dict[str, str]) -> None:
        clock = {INSTANCE_HEADER: self.instance, TIME_HEADER: str(int(self._wall_clock() * 1000))}
        try:
            await request.respond(data, headers={**headers, **clock})
        except Exception as error:
            verb = request.subject.split(".")[2]
            logger.warning("requests.reply_failed", verb=verb, error=repr(error))


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
    server = RequestServer(connection, micro, service, endpoints)
    await server.start()
    return server


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
