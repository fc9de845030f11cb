"""The common behaviour of all streams: opening, refusal, idle frames and closing.

The tests run on every stream (C1, C2, C3, C5, C12, C13, C17).
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.publishers import EventLogDriver, hidden_event
from tests.harness.sse import Frame
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal
from tests.harness.waiting import wait_until
from tests.integration.edge.stream_cases import (
    UNIQUE_STREAM_CASES,
    StreamCase,
    open_stream,
    read_initial_frames,
)
from tests.integration.edge.user_scenario import UserScenario

VALUES = ("/api/stream/prices", "/api/stream/metrics", "/sse/prices")
"""Streams without ids."""
PUBLIC = ("/api/stream/prices", "/api/stream/metrics", "/api/v2/stream")
"""Streams that need no session, and outlive it."""


@pytest.fixture
async def cast(journal: EventLogDriver, fresh: Callable[[str], str]) -> UserScenario:
    made = UserScenario(journal, fresh("cast"))
    await made.create_strategy_and_configuration()
    return made


@pytest.fixture
def paths(cast: UserScenario) -> list[str]:
    """The paths of all streams."""
    return [*(row.path_for(cast) for row in UNIQUE_STREAM_CASES), *VALUES]


@pytest.fixture
def private_paths(paths: list[str]) -> list[str]:
    """The paths of all streams that need a session."""
    return [path for path in paths if path not in PUBLIC]


@pytest.fixture
async def cookie(edge: EdgeProcess, cast: UserScenario) -> str:
    return await edge.sign_in(cast.user)


def snake(path: str) -> bool:
    return not path.startswith("/api/stream")


def assert_control_frame(path: str, frame: Frame, name: str, **expected: Any) -> None:
    """Assert a frame about the connection itself, in the format of its API family."""
    assert (frame.event, frame.id) == (name, None), path
    data = dict(frame.data)
    if snake(path):
        assert data.pop("type") == name
        assert datetime.fromisoformat(data.pop("timestamp")).tzinfo is not None
    assert data == expected, path


async def test_every_stream_opens_with_its_headers_retry_and_greeting(
    edge: EdgeProcess, cast: UserScenario, cookie: str, paths: list[str]
) -> None:
    for path in paths:
        headers = {"X-Correlation-ID": "every-1"}
        async with await edge.connect(path, cookie, headers=headers) as stream:
            assert stream.status == 200
            assert {
                name: stream.header(name)
                for name in (
                    "content-type", "cache-control", "connection", "x-accel-buffering",
                    "x-correlation-id", "vary",
                )
            } == {
                "content-type": "text/event-stream",
                "cache-control": "no-cache, no-transform",
                "connection": "keep-alive",
                "x-accel-buffering": "no",
                "x-correlation-id": "every-1",
                "vary": "Accept-Encoding",
            }  # fmt: skip
            assert (await stream.read()).raw == b"retry: 5000"
            hello = await stream.read()
            keys = ("client_id", "user_id", "server_time") if snake(path) else (
                "clientId", "userId", "serverTime",
            )  # fmt: skip
            client, user, at = (hello.data[key] for key in keys)
            assert hello.event == ("CONNECTED" if path.startswith("/sse/") else "connected")
            assert (hello.id, user) == (None, cast.user)
            assert re.fullmatch(rf"{cast.user}-[a-z-]+-\d+", client)
            server_time = datetime.fromisoformat(at)
            assert abs((server_time - datetime.now(UTC)).total_seconds()) < 60


async def test_every_stream_requires_a_session_and_answers_preflights(
    edge: EdgeProcess, paths: list[str]
) -> None:
    for path in paths:
        if path not in PUBLIC:
            for cookie in (None, "nobody"):
                status, body = await read_refusal(await edge.connect(path, cookie))
                # A selection that is public in part says which topics need a session.
                assert (status, body.pop("path", "topics")) == (401, "topics")
                assert {name: body[name] for name in UNAUTHORIZED} == UNAUTHORIZED
        headers = {"X-Correlation-ID": "every-2"}
        async with await edge.connect(path, method="OPTIONS", headers=headers) as answer:
            assert (answer.status, answer.header("x-correlation-id")) == (200, "every-2")
            assert answer.header("access-control-allow-methods") == "GET, OPTIONS"
            assert answer.header("access-control-allow-headers") == (
                "Content-Type, Authorization, Last-Event-ID, X-Correlation-ID, Idempotency-Key, "
                "X-Tapewire-User, Cache-Control, traceparent, tracestate, baggage"
            )
        async with await edge.connect(path, method="POST") as answer:
            assert (answer.status, answer.header("allow")) == (405, "GET, OPTIONS")


async def test_internal_error_is_500_without_details(
    edge: EdgeProcess, cast: UserScenario, cookie: str, journal: EventLogDriver
) -> None:
    """The last event of the strategy cannot be decoded."""
    subject = f"ev.{cast.user}.strategies.broken"
    await journal.connection.request(subject, b"{nonsense", {"Tw-Type": "strategy.started.v1"})
    answer = await edge.connect("/sse/strategy/broken", cookie)
    assert await read_refusal(answer) == (
        500,
        {
            "error": "Internal Server Error",
            "message": "Failed to establish SSE connection",
            "statusCode": 500,
        },
    )
    assert edge.find_log_lines("stream.open_failed")


async def test_every_private_stream_ends_when_its_session_is_revoked(
    edge: EdgeProcess, cookie: str, private_paths: list[str]
) -> None:
    streams = [await open_stream(edge, path, cookie) for path in private_paths]
    async with edge.client(cookie) as http:
        assert (await http.delete("/api/session")).status_code == 204
    for path, stream in zip(private_paths, streams, strict=True):
        assert_control_frame(
            path, (await stream.read_to_end())[-1], "auth:expired", reason="revoked"
        )
        await stream.close()


async def test_every_private_stream_ends_when_its_token_expires(
    harness: Harness, cast: UserScenario, private_paths: list[str]
) -> None:
    edge = harness.shared_edge(TAPEWIRE_TICKET_SECONDS=1, TAPEWIRE_JWT_SECRET=HS256_SECRET)
    for seconds in (2, 8, 32):  # retry on a slow machine, until all streams open in time
        ends = time.time() + seconds
        token = JwtIssuer().token(cast.user, "HS256", exp=ends)
        streams = [
            await edge.connect(path, headers={"Authorization": f"Bearer {token}"})
            for path in private_paths
        ]
        if time.time() < ends:
            break
        await asyncio.gather(*(stream.close() for stream in streams))
    for path, stream in zip(private_paths, streams, strict=True):
        assert stream.status == 200
        last = (await stream.read_to_end(seconds=seconds + 10))[-1]
        assert_control_frame(path, last, "auth:expired", reason="expired")
        await stream.close()
    assert time.time() >= ends


async def test_every_stream_is_closed_as_the_oldest_above_the_connection_limit(
    harness: Harness, cast: UserScenario, paths: list[str]
) -> None:
    edge = harness.shared_edge(SSE_MAX_CONNECTIONS_PER_USER=1)
    cookie = await edge.sign_in(cast.user)
    oldest = None
    for path in [*paths, "/api/stream/orders"]:
        newest = await open_stream(edge, path, cookie)
        if oldest is not None:
            before, stream = oldest
            assert_control_frame(
                before,
                (await stream.read_to_end())[-1],
                "connection:limit",
                reason="limit",
                limit=1,
            )
            await stream.close()
        oldest = path, newest
    await newest.close()


async def test_every_stream_sends_idle_frames_and_checkpoints(
    harness: Harness, cast: UserScenario, journal: EventLogDriver, paths: list[str]
) -> None:
    edge = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3)
    cookie = await edge.sign_in(cast.user)
    streams = [await open_stream(edge, path, cookie) for path in paths]
    for path, stream in zip(paths, streams, strict=True):
        if path not in VALUES:
            await read_initial_frames(stream)
    last = await journal.append(cast.user, hidden_event(), domain="notes")
    for path, stream in zip(paths, streams, strict=True):
        if path not in VALUES:
            moved = await stream.read_until("checkpoint")
            assert (moved.data, moved.sequence) == ({}, last)
        idle = await stream.read_until("idle", lambda frame: _idle(frame) and frame.id is None)
        if path.startswith("/sse/strategy/"):
            assert (idle.event, idle.data["strategy_id"]) == ("state_update", cast.strategy)
        elif path.startswith("/sse/"):
            assert (idle.event, idle.data["type"]) == ("PING", "PING")
            assert idle.data["timestamp"]
        elif snake(path):
            assert (idle.event, idle.data["status"]) == ("heartbeat", "connected")
            assert idle.data["timestamp"]
        else:
            assert idle.raw == b": keepalive"
        await stream.close()


def _idle(frame: Frame) -> Any:
    return frame.comment or frame.event in ("PING", "heartbeat", "state_update")


async def test_stream_without_writes_for_too_long_is_closed(harness: Harness) -> None:
    """The idle interval is so long that no idle frame is sent in that time."""
    edge = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=3600, SSE_QUIET_SECONDS=1)
    stream = await open_stream(edge, "/api/stream/metrics")
    client = stream.frames[-1].data["clientId"].rpartition("-")[0]  # without its key
    with contextlib.suppress(Exception):
        await stream.read_to_end()
    await stream.close()
    await wait_until(
        "the end of the stream is logged",
        lambda: edge.find_log_lines("stream.closed", client_id=client, reason="quiet"),
        describe_last=lambda: edge.find_log_lines("stream.closed", client_id=client),
    )


class TestHistoricalReplay:
    """Replays between two bounds (B9)."""

    @pytest.mark.parametrize("row", UNIQUE_STREAM_CASES, ids=repr)
    async def test_replay_between_times_and_between_ids(
        self, edge: EdgeProcess, cast: UserScenario, cookie: str, row: StreamCase
    ) -> None:
        sequences = [await cast.append_event(row.domain, number) for number in range(0, 12, 2)]
        epoch = await cast.journal.epoch()
        events = {one.sequence: one for one in await cast.visible_events()}
        wanted, join = sequences[1:4], "&" if "?" in row.path else "?"
        since = events[wanted[0]].time.isoformat(timespec="milliseconds")[:-6] + "Z"
        until_ = events[wanted[-1]].time.isoformat()[:-6] + "Z"
        path = row.path_for(cast)
        for query in (
            f"since={epoch}-{sequences[0]}&until={epoch}-{wanted[-1]}",
            f"since={since}&until={epoch}-{wanted[-1]}",
            f"lastEventId={sequences[0]}&until={epoch}-{wanted[-1]}",
            f"since={since}&until={until_}",
        ):
            async with await open_stream(edge, f"{path}{join}{query}", cookie) as stream:
                *frames, complete = await stream.read_to_end()
            assert complete.event == "replay:complete"
            key = "until_id" if row.is_snake_case else "untilId"
            assert complete.data[key] == complete.id
            received = [one.sequence for one in frames if one.id is not None]
            # A start time includes its whole millisecond. An end time may exclude the last event.
            assert set(wanted[:-1]) <= set(received) <= set(sequences[:4])
            if query.startswith("since=e"):
                assert (received, complete.sequence) == (wanted, wanted[-1])
            again = await edge.connect(
                f"{path}{join}{query}",
                cookie,
                last_event_id=complete.id,
                headers={"X-Correlation-ID": "every-3"},
            )
            assert (again.status, again.header("x-correlation-id")) == (204, "every-3")
            await again.close()

    async def test_invalid_bound_is_422_with_its_field(
        self, edge: EdgeProcess, cast: UserScenario, cookie: str, paths: list[str]
    ) -> None:
        epoch, bounds = await cast.journal.epoch(), await cast.journal.log.bounds()
        good = "2026-03-02T14:30:00Z"
        for path in paths:
            for query, field in (
                ("since=yesterday", "since"),
                ("since=5", "since"),
                ("since=", "since"),
                (f"since={good}&until=never", "until"),
                (f"until={good}", "until"),
                (f"since={good}&until=2026-03-02T14:29:59Z", "until"),
                (f"since={good}&until=e0-5", "until"),
                (f"since={good}&until={epoch}-{bounds.last + 1000}", "until"),
            ):
                url = f"{path}{'&' if '?' in path else '?'}{query}"
                async with await edge.connect(url, cookie) as answer:
                    body = json.loads(await answer.body())
                    value_field = query.partition("=")[0] if path in VALUES else field
                    assert (answer.status, body["path"]) in (
                        (422, field), (422, value_field),
                    ), (url, body)  # fmt: skip

    @pytest.mark.parametrize("path", ["/api/stream/orders", "/sse/strategies"])
    async def test_id_of_another_epoch_resets_the_stream(
        self, edge: EdgeProcess, cookie: str, path: str
    ) -> None:
        async with await open_stream(edge, f"{path}?since=e0-5", cookie) as stream:
            reset = await stream.read()
        assert (reset.event, reset.data["reason"]) == ("stream:reset", "epoch")


async def test_every_stream_rejects_an_invalid_max_rate(
    edge: EdgeProcess, cookie: str, paths: list[str]
) -> None:
    for path in paths:
        for rate in ("0", "11", "nan", "fast"):
            url = f"{path}{'&' if '?' in path else '?'}maxRate={rate}"
            async with await edge.connect(url, cookie) as answer:
                body = json.loads(await answer.body())
                assert (answer.status, body["path"], body["value"]) == (422, "maxRate", rate)
