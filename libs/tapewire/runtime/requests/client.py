"""`RequestClient`: sends requests to services. `exchange` has the attempts of one request."""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
from opentelemetry.trace import SpanKind

from tapewire.events import CODEC
from tapewire.log import CommandRejected, new_id
from tapewire.log.jetstream import NatsConnection
from tapewire.runtime import telemetry
from tapewire.runtime.requests.exchange import Exchange
from tapewire.runtime.requests.instances import RespondingInstances
from tapewire.runtime.requests.messages import (
    COMMAND_HEADER,
    CORRELATION_HEADER,
    KEY_HEADER,
    REQUEST_TIMEOUT_SECONDS,
    ErrorReply,
)

R = TypeVar("R", bound=msgspec.Struct)


class RequestClient:
    """Sends requests to services. One serves a whole process, and remembers who responds."""

    def __init__(
        self, connection: NatsConnection, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._connection = connection
        self._instances = RespondingInstances()
        self._wall_clock = wall_clock

    async def request(
        self,
        service: str,
        verb: str,
        request: msgspec.Struct,
        reply: type[R],
        *,
        correlation: str,
        command_id: str | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> R:
        """Send a request and return the service's reply.

        Args:
            command_id: the same for every repetition of a command; the default is a new one.
            idempotency_key: the user's key, from which `command_id` was made. The service then
                rejects another request with that key.
            traceparent: the parent of the request if there is no current span.
            timeout_seconds: how long to wait. A service that receives the request later does
                nothing.

        Raises:
            CommandRejected: the service rejected the request; `code` and `path` say why.
            RequestTimeout: no service answered in time, or the service could not handle it now.
                `outcome` tells whether nothing was done.
        """
        headers = {CORRELATION_HEADER: correlation, COMMAND_HEADER: command_id or new_id()}
        if idempotency_key is not None:
            headers[KEY_HEADER] = idempotency_key
        with telemetry.span(f"ask {service}.{verb}", kind=SpanKind.CLIENT, parent=traceparent):
            parent = telemetry.traceparent() or traceparent
            if parent is not None:
                headers["traceparent"] = parent
            exchange = Exchange(
                self._connection,
                self._instances,
                f"svc.{service}.{verb}",
                CODEC.encode(request),
                headers,
                timeout_seconds=timeout_seconds,
                wall_clock=self._wall_clock,
            )
            message = await exchange.run()
        if (message.headers or {}).get("Nats-Service-Error-Code") is None:
            return CODEC.decode(message.data, reply)
        rejection = CODEC.decode(message.data, ErrorReply)
        raise CommandRejected(rejection.code, rejection.message, rejection.path)
