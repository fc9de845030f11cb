"""Which request is for which stream, found before Litestar is asked.

A row of the table may have a part in its path that the request picks, ``/sse/strategy/{…}``, which
Litestar's raw handlers do not take; and a stream needs nothing of what Litestar does for a request.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from tapewire_services.edge.delivery.stream_routes import StreamRoute
from tapewire_services.edge.http.streams import StreamHandler

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


class StreamRouter:
    """An ASGI application: streams, and `rest` for everything else."""

    def __init__(
        self,
        stream_handler: StreamHandler,
        stream_routes: Sequence[StreamRoute],
        fallback_app: ASGIApp,
    ) -> None:
        self._stream_handler = stream_handler
        self._fallback_app = fallback_app
        self._static_routes = {
            feed.path: feed for feed in stream_routes if not _PATH_PARAMETER.search(feed.path)
        }
        self._parameterized_routes = [
            (_path_pattern(feed.path), feed)
            for feed in stream_routes
            if _PATH_PARAMETER.search(feed.path)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http: Any = scope
        if http["type"] == "http":
            for feed, picked in self._match_route(http["path"].rstrip("/")):
                http["path_params"] = picked
                await self._stream_handler.handle(feed, scope, receive, send)
                return
        await self._fallback_app(scope, receive, send)

    def _match_route(self, path: str) -> Iterator[tuple[StreamRoute, dict[str, str]]]:
        """The stream at `path`, if there is one."""
        exact = self._static_routes.get(path)
        if exact is not None:
            yield exact, {}
            return
        for pattern, feed in self._parameterized_routes:
            if found := pattern.fullmatch(path):
                yield feed, found.groupdict()
                return


def _path_pattern(path: str) -> re.Pattern[str]:
    """``{name}`` is one part of a path, whatever it is; the rest of our paths is plain."""
    return re.compile(_PATH_PARAMETER.sub(lambda of: f"(?P<{of[1]}>[^/]+)", path))
