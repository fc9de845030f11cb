"""Routes requests to streams in front of Litestar.

A stream's path may have a parameter, such as ``/sse/strategy/{id}``, which Litestar's raw ASGI
handlers do not support. A stream also needs nothing of what Litestar does for a request.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs

from litestar.types import ASGIApp, Receive, Scope, Send

from tapewire_services.edge.delivery.stream_routes import StreamRoute
from tapewire_services.edge.http.streams import StreamHandler

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


class StreamRouter:
    """An ASGI application: stream routes, and `fallback_app` for everything else."""

    def __init__(
        self,
        stream_handler: StreamHandler,
        stream_routes: Sequence[StreamRoute],
        fallback_app: ASGIApp,
    ) -> None:
        self._stream_handler = stream_handler
        self._fallback_app = fallback_app
        self._static_routes = {
            route.path: route for route in stream_routes if not _PATH_PARAMETER.search(route.path)
        }
        self._parameterized_routes = [
            (_path_pattern(route.path), route)
            for route in stream_routes
            if _PATH_PARAMETER.search(route.path)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http: Any = scope
        if http["type"] == "http":
            for route, parameters in self._match_route(http["path"].rstrip("/")):
                if route.has_document and _asks_for_document(http):
                    break
                http["path_params"] = parameters
                await self._stream_handler.handle(route, scope, receive, send)
                return
        await self._fallback_app(scope, receive, send)

    def _match_route(self, path: str) -> Iterator[tuple[StreamRoute, dict[str, str]]]:
        """The stream route at `path` and its path parameters, if there is one."""
        exact = self._static_routes.get(path)
        if exact is not None:
            yield exact, {}
            return
        for pattern, route in self._parameterized_routes:
            if found := pattern.fullmatch(path):
                yield route, found.groupdict()
                return


def _asks_for_document(http: Any) -> bool:
    """Whether a request is for a document: its client does not name event streams, as an
    EventSource does, and does not wait for events."""
    accepted = (value.lower() for name, value in http["headers"] if name == b"accept")
    return http["method"] in ("GET", "HEAD") and not (
        any(b"text/event-stream" in value for value in accepted)
        or "wait" in parse_qs(http["query_string"].decode("latin-1"), keep_blank_values=True)
    )


def _path_pattern(path: str) -> re.Pattern[str]:
    """A pattern in which ``{name}`` matches one path segment."""
    return re.compile(_PATH_PARAMETER.sub(lambda of: f"(?P<{of[1]}>[^/]+)", path))
