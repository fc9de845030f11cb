"""Follows a stream: connects, reads, and after any end reconnects from the last event id.

It waits and retries when a problem may pass (no response, 429, 5xx, a clean end), and raises an
error when it cannot (an unknown stream, no session). `StreamFollower.run` is the loop,
`_read_stream` one connection.
"""

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent

from tapewire.cli.errors import CliError
from tapewire.cli.tail import reconnect_delay
from tapewire.cli.tail.session import EXIT_REFUSED, EdgeSession, describe_error_response
from tapewire.events import CODEC

CONNECT_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 90.0
"""Longer than any silence of a live stream: an idle stream sends something every 30 s."""


class _RetryableError(Exception):
    """The connection failed and a retry may succeed.

    `retry_after_seconds` is the wait that the server asks for, 0 for none.
    """

    def __init__(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class StreamFollower:
    """Follows the stream at `path` with the query `params`.

    Args:
        last_event_id: The id to resume after; empty: start with a snapshot.
        on_event: Called with the name, the id and the data of every event.
        on_status: Called with a line of text when the connection ends.
    """

    def __init__(
        self,
        client: httpx.Client,
        session: EdgeSession,
        path: str,
        params: Mapping[str, str],
        *,
        last_event_id: str,
        on_event: Callable[[str, str, Any], None],
        on_status: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._session = session
        self._path = path
        self._params = params
        self._last_event_id = last_event_id
        self._on_event = on_event
        self._on_status = on_status
        self._sleep = sleep
        self._jitter = jitter
        self._retry_seconds = reconnect_delay.DEFAULT_RETRY_SECONDS
        self._failure_count = 0
        self._is_signed_in = False
        self._was_accepted = False

    def run(self) -> None:
        """Follow the stream; never returns.

        Raises:
            CliError: A retry would not help.
        """
        while True:
            try:
                if not self._is_signed_in:
                    self._session.sign_in()
                    self._is_signed_in, self._was_accepted = True, False
                self._read_stream()
                reason = "the stream ended"
                wait = reconnect_delay.delay_after_end(self._retry_seconds)
            except (_RetryableError, httpx.HTTPError) as error:
                self._failure_count += 1
                retry_after = (
                    error.retry_after_seconds if isinstance(error, _RetryableError) else 0.0
                )
                wait = reconnect_delay.delay_after_failure(
                    self._failure_count, self._retry_seconds, retry_after, self._jitter()
                )
                reason = _describe_error(error)
            resuming = f" from {self._last_event_id}" if self._last_event_id else ""
            self._on_status(f"{reason}; connecting again{resuming} in {wait:.1f} s")
            self._sleep(wait)

    def _read_stream(self) -> None:
        """Read one connection until the server ends it."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        with self._client.stream(
            "GET", self._path, params=dict(self._params), headers=headers
        ) as response:
            self._check_response(response)
            self._was_accepted = True
            for event in EventSource(response).iter_sse():
                self._handle_event(event)

    def _check_response(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200 and response.headers.get("content-type", "").startswith(
            "text/event-stream"
        ):
            return
        response.read()
        if status == 401 and self._session.is_renewable and self._was_accepted:
            self._is_signed_in = False
            raise _RetryableError("the session is not known any more")
        if status == 401:
            raise self._session.build_unauthorized_error(self._path, response)
        if status == 429 or status >= 500:
            after = reconnect_delay.parse_retry_after(
                response.headers.get("retry-after"), datetime.now(UTC)
            )
            raise _RetryableError(f"refused for now: {describe_error_response(response)}", after)
        if status == 404:
            raise CliError(
                f"there is no stream {self._path} there: {describe_error_response(response)}",
                EXIT_REFUSED,
            )
        if status == 200:
            raise CliError(f"{response.url} answers, but not with a stream; is it a Tapewire edge?")
        raise CliError(f"refused: {describe_error_response(response)}", EXIT_REFUSED)

    def _handle_event(self, event: ServerSentEvent) -> None:
        if event.retry is not None:
            self._retry_seconds = event.retry / 1000
        if event.id:
            self._last_event_id = event.id
        if not event.data:
            return
        self._failure_count = 0
        if event.event == "auth:expired":
            self._is_signed_in = not self._session.is_renewable
        data: Any
        try:
            data = CODEC.decode(event.data.encode(), Any)  # decimals keep every digit
        except msgspec.DecodeError:
            data = event.data
        self._on_event(event.event, event.id, data)


def _describe_error(error: _RetryableError | httpx.HTTPError) -> str:
    if isinstance(error, _RetryableError):
        return str(error)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"cannot reach {error.request.url.host}:{error.request.url.port} ({error})"
    if isinstance(error, httpx.ReadTimeout):
        return "nothing received for too long"
    if isinstance(error, httpx.HTTPStatusError):
        return f"refused for now: {describe_error_response(error.response)}"
    return f"the connection broke ({error})"
