"""Sends the requests of one stream, and reads refusals."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import msgspec

from tapewire.sse.credentials import StreamCredentials
from tapewire.sse.protocol.addresses import add_parameter, resume_url
from tapewire.sse.protocol.delays import parse_retry_after
from tapewire.sse.protocol.outcomes import (
    EVENT_STREAM,
    JSON_DOCUMENT,
    RefusedForGood,
    RequestFailed,
    classify_response,
    is_wanted,
)
from tapewire.sse.protocol.parser import BlockTooLong

CONNECTION_ERRORS = (httpx.HTTPError, httpx.StreamError, OSError, BlockTooLong, msgspec.DecodeError)
"""Errors after which the same request may succeed later, also those of the caller's functions."""


class CredentialsOutdated(Exception):
    """The server refuses credentials that were used before and can be asked for again."""


class StreamRequestSender:
    """Requests the stream at `url`, which can change, as a stream or piece by piece."""

    def __init__(self, http: httpx.AsyncClient, url: str, credentials: StreamCredentials) -> None:
        self._http = http
        self.url = url
        self.credentials = credentials

    def open_stream(self, position: str) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        """Request the stream after the id `position`, or from its beginning for "". It sends the
        comment `live` when it has caught up."""
        return self._open(add_parameter(self.url, "handover", "1"), EVENT_STREAM, position)

    def open_poll(
        self, position: str, wait_seconds: int
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        """Request what is new on the stream as one document; wait for it for `wait_seconds`."""
        return self._open(
            add_parameter(self.url, "wait", str(wait_seconds)), JSON_DOCUMENT, position
        )

    @contextlib.asynccontextmanager
    async def _open(self, url: str, accept: str, position: str) -> AsyncIterator[httpx.Response]:
        headers = {"Accept": accept, "Cache-Control": "no-store"}
        if position:
            headers["Last-Event-ID"] = position
            url = resume_url(url, position)
        response = await self._send(url, headers)
        try:
            yield response
        finally:
            await response.aclose()

    async def _send(self, url: str, headers: dict[str, str]) -> httpx.Response:
        sign_in, is_unused = await self.credentials.get_headers()
        request = self._http.build_request("GET", url, headers={**headers, **sign_in})
        response = await self._http.send(request, stream=True)
        if response.status_code == 401 and not is_unused and self.credentials.is_renewable:
            await response.aclose()
            self.credentials.invalidate()
            raise CredentialsOutdated
        return response


async def read_refusal(
    response: httpx.Response, wanted_type: str
) -> RequestFailed | RefusedForGood | None:
    """Return the outcome of a response that is not of `wanted_type`; None for one that is."""
    content_type = response.headers.get("content-type", "")
    if is_wanted(response.status_code, content_type, wanted_type):
        return None
    # A page that answers 200 may never end.
    body = b"" if response.status_code < 300 else await response.aread()
    return classify_response(response.status_code, response.headers, body, datetime.now(UTC))


def failure_of(error: Exception) -> RequestFailed:
    """Return the outcome of a request that ended with one of `CONNECTION_ERRORS`."""
    if isinstance(error, httpx.HTTPStatusError):
        response = error.response
        wait = parse_retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        return RequestFailed(f"{response.status_code} {response.reason_phrase}", wait)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return RequestFailed(f"cannot reach {_server_of(error)} ({error})")
    return RequestFailed(f"the connection broke ({error or type(error).__name__})")


def _server_of(error: httpx.RequestError) -> str:
    try:
        url = error.request.url
    except RuntimeError:  # a function of the caller raised it
        return "the server"
    return f"{url.host}:{url.port or url.scheme}"
