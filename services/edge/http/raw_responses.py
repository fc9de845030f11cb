"""Responses of streams, sent over raw ASGI: streams are served before Litestar is asked."""

from litestar.types import Send

from tapewire_services.edge.http.errors import HttpError

Headers = list[tuple[bytes, bytes]]


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
