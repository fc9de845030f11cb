"""Responses of streams, sent over raw ASGI: streams are served before Litestar is asked."""

import random

import structlog
from litestar.types import Send

from tapewire_services.edge.delivery.compression import GzipStream
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


async def send_json(
    send: Send, headers: Headers, body: bytes, gzip: GzipStream | None = None
) -> None:
    """Send a JSON document, compressed by `gzip`."""
    if gzip is not None:
        body = gzip.write(body) + gzip.end()
        headers = [*headers, (b"content-encoding", b"gzip")]
    length = (b"content-length", str(len(body)).encode())
    await send_response(send, 200, [*headers, (b"content-type", b"application/json"), length], body)


def spread_retry_ms(seconds: int) -> int:
    """A reconnection time from `seconds` to twice as long, in milliseconds."""
    retry_ms = round(seconds * 1000 * random.uniform(1, 2))  # noqa: S311 - spreads clients
    logger.info("stream.resume_delayed", retry_ms=retry_ms)
    return retry_ms


async def send_retry(send: Send, headers: Headers, retry_ms: int) -> None:
    """Send a stream that only asks its client to come back."""
    await send_response(send, 200, [*STREAM_HEADERS, *headers], render_retry(retry_ms))


def with_vary(headers: Headers, *names: bytes) -> Headers:
    """`headers` with one ``Vary``, of its own values and `names`: a cache must not serve a response
    to a client of another encoding or origin."""
    varies = [*names, *(value for name, value in headers if name == b"vary")]
    others = [(name, value) for name, value in headers if name != b"vary"]
    return [*others, (b"vary", b", ".join(dict.fromkeys(varies)))]
