"""CORS: the pages of other origins that may read responses."""

from collections.abc import Sequence

from tapewire_services.edge.auth.expected_user import USER_HEADER

Headers = list[tuple[bytes, bytes]]

ALLOWED_HEADERS = (
    "Content-Type", "Authorization", "Last-Event-ID", "X-Correlation-ID", "Idempotency-Key",
    USER_HEADER, "Cache-Control", "traceparent", "tracestate", "baggage",
)  # fmt: skip
"""The request headers that the API and trace contexts use. ``traceparent`` and ``tracestate`` are
those of W3C Trace Context, ``baggage`` is that of W3C Baggage."""


def cors_headers(origin: str | None, allowed_origins: Sequence[str]) -> Headers:
    """The headers that let `origin` read a response: a listed origin with credentials, any other
    one only if ``*`` is allowed, and without credentials."""
    if origin is None:
        return []
    if origin in allowed_origins and origin != "*":
        return [
            (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", b"X-Correlation-ID, Retry-After"),
            (b"vary", b"Origin"),
        ]
    if "*" in allowed_origins:
        return [(b"access-control-allow-origin", b"*")]
    return [(b"vary", b"Origin")]


def _preflight_headers(methods: bytes) -> Sequence[tuple[bytes, bytes]]:
    return (
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", ", ".join(ALLOWED_HEADERS).encode()),
        (b"access-control-max-age", b"600"),
        (b"content-length", b"0"),
    )


STREAM_PREFLIGHT_HEADERS = _preflight_headers(b"GET, OPTIONS")
"""The response headers of a stream's preflight, in addition to `cors_headers`."""
API_PREFLIGHT_HEADERS = _preflight_headers(b"GET, POST, PUT, PATCH, DELETE, OPTIONS")
"""The same for an API call."""
