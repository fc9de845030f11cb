"""Follows a stream for ever: connect, read, and after any end connect again from the last id.

What can pass by itself (no answer, 429, 5xx, a clean end) is waited out; what cannot (unknown
stream, no session) ends it. `run` is the loop; `_read` is one connection.
"""

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent

from tapewire.cli.tail import delay
from tapewire.cli.tail.session import EXIT_REFUSED, Session, told
from tapewire.cli.trouble import Trouble
from tapewire.events import CODEC

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 90.0
"""A stream is never this silent: an idle one sends something every 30 s."""


class _Again(Exception):
    """This connection is over, or never came to be; another try may do. `after`: seconds that the
    server asks to wait."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Follow:
    """One stream at `path` with `params`. Every event goes to `show` (name, id, data); what happens
    to the connection, to `say`."""

    def __init__(
        self,
        client: httpx.Client,
        session: Session,
        path: str,
        params: Mapping[str, str],
        *,
        since: str,
        show: Callable[[str, str, Any], None],
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._session = session
        self._path = path
        self._params = params
        self._last_id = since
        self._show = show
        self._say = say
        self._sleep = sleep
        self._retry = delay.DEFAULT_RETRY
        self._failures = 0
        self._signed_in = False
        self._welcome = False

    def run(self) -> None:
        """Never returns.

        Raises:
            Trouble: trying again would not help.
        """
        while True:
            try:
                if not self._signed_in:
                    self._session.begin()
                    self._signed_in, self._welcome = True, False
                self._read()
                why, wait = "the stream ended", delay.after_end(self._retry)
            except (_Again, httpx.HTTPError) as error:
                self._failures += 1
                asked = error.after if isinstance(error, _Again) else 0.0
                wait = delay.after_failure(self._failures, self._retry, asked, random.random())  # noqa: S311
                why = str(error) if isinstance(error, _Again) else _words(error)
            resuming = f" from {self._last_id}" if self._last_id else ""
            self._say(f"{why}; connecting again{resuming} in {wait:.1f} s")
            self._sleep(wait)

    def _read(self) -> None:
        """One connection, to its clean end."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        with self._client.stream(
            "GET", self._path, params=dict(self._params), headers=headers
        ) as response:
            self._check(response)
            self._welcome = True
            for event in EventSource(response).iter_sse():
                self._take(event)

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200 and response.headers.get("content-type", "").startswith(
            "text/event-stream"
        ):
            return
        response.read()
        if status == 401 and self._session.renewable and self._welcome:
            self._signed_in = False
            raise _Again("the session is not known any more")
        if status == 401:
            raise self._session.refused(self._path, response)
        if status == 429 or status >= 500:
            after = delay.retry_after(response.headers.get("retry-after"), datetime.now(UTC))
            raise _Again(f"refused for now: {told(response)}", after)
        if status == 404:
            raise Trouble(f"there is no stream {self._path} there: {told(response)}", EXIT_REFUSED)
        if status == 200:
            raise Trouble(f"{response.url} answers, but not with a stream; is it a Tapewire edge?")
        raise Trouble(f"refused: {told(response)}", EXIT_REFUSED)

    def _take(self, event: ServerSentEvent) -> None:
        if event.retry is not None:
            self._retry = event.retry / 1000
        if event.id:
            self._last_id = event.id
        if not event.data:
            return
        self._failures = 0
        if event.event == "auth:expired":
            self._signed_in = not self._session.renewable
        data: Any
        try:
            data = CODEC.decode(event.data.encode(), Any)  # exact: no number loses a digit
        except msgspec.DecodeError:
            data = event.data
        self._show(event.event, event.id, data)


def _words(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"cannot reach {error.request.url.host}:{error.request.url.port} ({error})"
    if isinstance(error, httpx.ReadTimeout):
        return "nothing heard for too long"
    if isinstance(error, httpx.HTTPStatusError):
        return f"refused for now: {told(error.response)}"
    return f"the connection broke ({error})"
