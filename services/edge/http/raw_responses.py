"""Responses of streams, sent over raw ASGI: streams are served before Litestar is asked."""

import random

import structlog
from litestar.types import Send

from tapewire_services.edge.delivery.frames import render_retry
from tapewire_services.edge.http.errors import HttpError

Headers = list[tuple[bytes, bytes]]

STREAM_HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)

logger = structlog.get_logger("edge.streams")


async def send_headers(send: Send, status: int, headers: Headers) -> None:
    """Send the head of a response whose body follows."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def send_response(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Send a complete response."""
    await send_headers(send, status, headers)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_error(send: Send, headers: Headers, failure: HttpError) -> None:
    """Send `failure` as JSON, with `headers` and its own."""
    body = failure.body()
    headers = [
        *headers,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in failure.headers.items()),
    ]
    await send_response(send, failure.status, headers, body)


async def send_retry(send: Send, headers: Headers, seconds: int) -> None:
    """Send a stream that only asks its client to come back, after `seconds` to twice as long."""
    retry_ms = round(seconds * 1000 * random.uniform(1, 2))  # noqa: S311 - spreads clients
    logger.info("stream.resume_delayed", retry_ms=retry_ms)
    await send_response(send, 200, [*STREAM_HEADERS, *headers], render_retry(retry_ms))
