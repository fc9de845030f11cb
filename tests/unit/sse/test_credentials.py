"""Tokens and headers that are asked for again: after a 401, before they end, after an expiry."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import tapewire
from tests.unit.sse.scripted_edge import (
    CONNECTED,
    LIVE,
    Answer,
    ScriptedStream,
    open_stream,
    order,
    refusal,
)

pytestmark = pytest.mark.virtual_time


def make_token(seconds: float, number: int = 0) -> str:
    """A JWT that ends in `seconds`."""
    claims = json.dumps({"exp": time.time() + seconds, "n": number}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode()}.signature"


class TokenSource:
    """Returns one token after the other; an exception is raised."""

    def __init__(self, *tokens: str | Exception) -> None:
        self._tokens: Iterator[str | Exception] = iter(tokens)
        self.call_count = 0

    async def __call__(self) -> str:
        self.call_count += 1
        await asyncio.sleep(0)
        token = next(self._tokens)
        if isinstance(token, Exception):
            raise token
        return token


async def test_a_fixed_token_is_sent_and_its_refusal_is_final() -> None:
    async with open_stream("stream", refusal(401), token="t-1") as made:
        assert made.last.headers["authorization"] == "Bearer t-1"
        await made.last.end()
        await made.advance(3)
        assert (type(made.error), made.edge.request_count) == (tapewire.SignedOut, 2)


async def test_a_token_that_is_refused_is_asked_for_again_at_once() -> None:
    token = TokenSource("t-1", "t-2")
    async with open_stream("stream", refusal(401), "stream", token=token) as made:
        await made.last.send(order(7))
        await made.last.end()
        await made.advance(3)
        sent = [one.headers["authorization"] for one in made.exchanges]
        assert sent == ["Bearer t-1", "Bearer t-1", "Bearer t-2"]
        assert made.last.last_event_id == "e-7"
        assert made.stream.state.name == "live"


async def test_a_new_token_that_is_refused_too_is_final() -> None:
    async with open_stream(refusal(401), token=TokenSource("t-1", "t-2")) as made:
        assert (type(made.error), made.edge.request_count) == (tapewire.SignedOut, 1)


async def test_after_an_expired_session_it_goes_on_with_new_credentials() -> None:
    token = TokenSource("t-1", "t-2")
    async with open_stream("stream", token=token) as made:
        await made.last.send(f"{order(7)}event: auth:expired\ndata: {{}}\n\n")
        await made.last.end()
        await made.advance(3)
        assert made.last.headers["authorization"] == "Bearer t-2"
        assert made.last.last_event_id == "e-7"
        assert made.error is None


async def test_before_a_token_ends_the_next_connection_is_opened_with_a_new_one() -> None:
    tokens = [make_token(3600, 1), make_token(7200, 2)]
    async with open_stream("stream", "buffered", token=TokenSource(*tokens)) as made:
        old = made.last
        await old.send(CONNECTED + order(7))
        for _ in range(120):
            await made.advance(29.7)
            await old.send(": keepalive\n\n")
        assert made.edge.request_count == 1
        await made.advance(7)
        assert made.last.headers["authorization"] == f"Bearer {tokens[1]}"
        assert not old.is_aborted
        await made.last.send(CONNECTED + order(8) + LIVE)
        assert (old.is_aborted, made.numbers) == (True, [7, 8])
        assert made.state_names == ["connecting", "live"]


async def test_a_source_that_returns_the_same_token_is_not_asked_all_the_time() -> None:
    same = make_token(60)
    token = TokenSource(*[same] * 50)
    async with open_stream("stream", token=token) as made:
        for _ in range(60):
            await made.last.send(CONNECTED + LIVE)
            await made.advance(1)
        assert token.call_count <= 3


async def test_a_fixed_jwt_opens_no_next_connection() -> None:
    async with open_stream("stream", token=make_token(10)) as made:
        await made.advance(60)
        assert made.edge.request_count == 1


@pytest.mark.parametrize(
    "error", [OSError("no route"), httpx.ConnectError("no"), TimeoutError("slow")]
)
async def test_a_source_that_cannot_be_reached_is_a_failed_connection(error: Exception) -> None:
    async with open_stream("stream", token=TokenSource(error, "t-2")) as made:
        assert (made.states[-1].name, made.states[-1].tries) == ("reconnecting", 1)
        await made.advance(5)
        assert made.last.headers["authorization"] == "Bearer t-2"


async def test_a_slow_source_is_no_proxy_that_holds_the_stream_back() -> None:
    async def fetch_token() -> str:
        await asyncio.sleep(20)
        return "t-1"

    async with open_stream("stream", refusal(401), "stream", token=fetch_token) as made:
        await made.advance(21)
        await made.last.end()
        await made.advance(3)  # refused, and asked for again
        await made.advance(20)
        assert made.state_names == ["connecting", "live", "reconnecting", "connecting", "live"]
        assert "wait=" not in "".join(one.url for one in made.exchanges)


async def test_a_poll_with_a_token_that_has_ended_is_repeated_with_a_new_one() -> None:
    empty = httpx.Response(200, json={"events": [], "lastEventId": "e-1", "retry": 0})
    answers: list[Answer] = ["buffered", lambda: empty, refusal(401), "hang"]
    async with open_stream(*answers, token=TokenSource("t-1", "t-2")) as made:
        await made.advance(2.5)
        sent = [one.headers["authorization"] for one in made.exchanges]
        assert sent == ["Bearer t-1"] * 3 + ["Bearer t-2"]
        assert made.error is None


async def test_a_source_that_is_busy_says_when_to_ask_again() -> None:
    request = httpx.Request("POST", "http://issuer/token")
    busy = httpx.Response(503, headers={"retry-after": "20"}, request=request)
    error = httpx.HTTPStatusError("busy", request=request, response=busy)
    async with open_stream("stream", token=TokenSource(error, "t-2")) as made:
        assert made.states[-1].retry_in_seconds == 25
        assert made.states[-1].reason == "503 Service Unavailable"


@pytest.mark.parametrize(
    ("name", "source", "kind"),
    [
        ("token", lambda: 7, tapewire.InvalidArgument),
        ("headers", lambda: "X: 1", tapewire.InvalidArgument),
        ("token", lambda: 1 / 0, ZeroDivisionError),
    ],
)
async def test_another_error_of_a_source_reaches_the_caller(
    name: str, source: Callable[[], Any], kind: type[Exception]
) -> None:
    options: dict[str, Any] = {name: source}
    made = ScriptedStream(["stream"], **options).stream
    with pytest.raises(kind):
        await anext(made)
    with pytest.raises(StopAsyncIteration):
        await anext(made)


async def test_headers_may_be_a_function_too() -> None:
    sessions = iter(["s-1", "s-2"])
    async with open_stream(
        "stream", refusal(401), "stream", headers=lambda: {"Cookie": f"session={next(sessions)}"}
    ) as made:
        await made.last.end()
        await made.advance(3)
        assert [one.headers["cookie"] for one in made.exchanges] == [
            "session=s-1", "session=s-1", "session=s-2"
        ]  # fmt: skip
