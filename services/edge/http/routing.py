"""Which request is for which stream, found before Litestar is asked.

A row of the table may have a part in its path that the request picks, ``/sse/strategy/{…}``, which
Litestar's raw handlers do not take; and a stream needs nothing of what Litestar does for a request.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from services.edge.feeds import Feed
from services.edge.http.streams import Streams

_PICKED = re.compile(r"\{(\w+)\}")


class Front:
    """An ASGI application: streams, and `rest` for everything else."""

    def __init__(self, streams: Streams, feeds: Sequence[Feed], rest: ASGIApp) -> None:
        self._streams = streams
        self._rest = rest
        self._exact = {feed.path: feed for feed in feeds if not _PICKED.search(feed.path)}
        self._picking = [(_pattern(feed.path), feed) for feed in feeds if _PICKED.search(feed.path)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http: Any = scope
        if http["type"] == "http":
            for feed, picked in self._find(http["path"].rstrip("/")):
                http["path_params"] = picked
                await self._streams.handle(feed, scope, receive, send)
                return
        await self._rest(scope, receive, send)

    def _find(self, path: str) -> Iterator[tuple[Feed, dict[str, str]]]:
        """The stream at `path`, if there is one."""
        exact = self._exact.get(path)
        if exact is not None:
            yield exact, {}
            return
        for pattern, feed in self._picking:
            if found := pattern.fullmatch(path):
                yield feed, found.groupdict()
                return


def _pattern(path: str) -> re.Pattern[str]:
    """``{name}`` is one part of a path, whatever it is; the rest of our paths is plain."""
    return re.compile(_PICKED.sub(lambda of: f"(?P<{of[1]}>[^/]+)", path))
