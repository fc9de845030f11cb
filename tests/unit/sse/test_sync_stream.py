"""The blocking iterator: the same stream, read by ordinary threads."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

import tapewire
from tapewire.sse.sync_stream import SyncEventStream
from tests.unit.sse.scripted_edge import EVENT_STREAM, LIVE, URL, order, refusal

TIMEOUT_SECONDS = 30


class OpenBody(httpx.AsyncByteStream):
    """Sends `text`, and then nothing until it is closed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.closed = threading.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._text.encode()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed.set()


def open_response(text: str) -> httpx.Response:
    return httpx.Response(200, headers=EVENT_STREAM, stream=OpenBody(LIVE + text))


def ended_response(text: str) -> httpx.Response:
    return httpx.Response(200, headers=EVENT_STREAM, text=f"retry: 100\n\n{LIVE}{text}")


class Answers:
    """Answers each request with the next response, and the last one repeats."""

    def __init__(self, *responses: Callable[[], httpx.Response]) -> None:
        self._responses = responses
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._responses[min(len(self.requests), len(self._responses)) - 1]()

    def stream(self, **options: Any) -> SyncEventStream:
        transport = httpx.MockTransport(self)
        return tapewire.sync.stream(URL, transport=transport, trust_env=False, **options)


_earlier_threads: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _ignore_earlier_threads() -> None:
    """Other tests may have left connections of their own."""
    _earlier_threads.clear()
    _earlier_threads.update(stream_threads())


def stream_threads() -> list[threading.Thread]:
    found = [one for one in threading.enumerate() if one.name == "tapewire"]
    return [one for one in found if one not in _earlier_threads]


def wait_until_no_stream_thread() -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while stream_threads():
        assert time.monotonic() < deadline, stream_threads()
        time.sleep(0.01)


def test_it_resumes_after_a_clean_end() -> None:
    answers = Answers(
        lambda: ended_response(order(1) + order(2)), lambda: open_response(order(2) + order(3))
    )
    with answers.stream() as events:
        seen = [next(events) for _ in range(3)]
        assert [one.id for one in seen] == ["e-1", "e-2", "e-3"]
        assert events.last_event_id == "e-3"
        assert (events.state.name, events.is_silent) == ("live", False)
    assert [one.headers.get("last-event-id") for one in answers.requests] == [None, "e-2"]
    assert list(events) == []
    assert not stream_threads()


def test_the_id_to_resume_from_is_that_of_the_last_returned_event() -> None:
    text = order(1) + order(2) + "event: checkpoint\nid: e-9\ndata: {}\n\n" + order(10)
    with Answers(lambda: open_response(text)).stream() as events:
        assert events.last_event_id == ""
        assert [(next(events).id, events.last_event_id) for _ in range(3)] == [
            ("e-1", "e-1"), ("e-2", "e-2"), ("e-10", "e-10")
        ]  # fmt: skip


def test_stale_symbols_are_those_of_the_returned_events() -> None:
    text = 'event: price:stale\ndata: {"symbol":"IBM"}\n\n'
    with Answers(lambda: open_response(text)).stream() as events:
        assert events.stale_symbols == set()
        next(events)
        assert events.stale_symbols == {"IBM"}


def test_an_error_is_raised_once_and_ends_the_thread() -> None:
    events = Answers(lambda: ended_response(order(1)), refusal(404)).stream()
    assert next(events).id == "e-1"
    with pytest.raises(tapewire.StreamRejected, match="404 not now") as error:
        next(events)
    assert error.value.last_event_id == "e-1"
    assert list(events) == []
    assert not stream_threads()


def test_a_replay_ends_the_loop() -> None:
    text = order(1) + 'event: replay:complete\ndata: {"untilId":"e-1"}\n\n'
    answers = Answers(lambda: ended_response(text))
    with answers.stream(since="e-0", until="e-1") as events:
        assert [one.type for one in events] == ["order:update", "replay:complete"]
    assert not stream_threads()


def test_close_by_another_thread_ends_a_waiting_loop() -> None:
    body = OpenBody(LIVE + order(1))
    response = httpx.Response(200, headers=EVENT_STREAM, stream=body)
    events = Answers(lambda: response).stream()
    assert next(events).id == "e-1"
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, events)
        assert not rest.done()
        events.close()
        events.close()
        assert rest.result(TIMEOUT_SECONDS) == []
    assert body.closed.is_set()
    assert not stream_threads()


def test_a_stream_that_is_not_read_starts_no_thread() -> None:
    answers = Answers(lambda: open_response(""))
    with answers.stream():
        assert not stream_threads()
    assert answers.requests == []


def test_a_loop_that_is_left_by_break_leaves_no_thread_behind() -> None:
    for event in Answers(lambda: open_response(order(1))).stream():
        assert event.id == "e-1"
        break
    gc.collect()
    wait_until_no_stream_thread()


def test_a_blocking_token_function_does_not_block_the_stream() -> None:
    threads = []

    def fetch_token() -> str:
        threads.append(threading.current_thread())
        return "t-1"

    answers = Answers(lambda: open_response(order(1)))
    with answers.stream(token=fetch_token) as events:
        assert next(events).id == "e-1"
        assert threads[0] not in [threading.current_thread(), *stream_threads()]
    assert answers.requests[0].headers["authorization"] == "Bearer t-1"


def test_an_async_token_function_is_accepted() -> None:
    async def fetch_token() -> str:
        return "t-2"

    answers = Answers(lambda: open_response(order(1)))
    with answers.stream(token=fetch_token) as events:
        next(events)
    assert answers.requests[0].headers["authorization"] == "Bearer t-2"


def test_a_call_from_on_state_cannot_wait_for_itself() -> None:
    errors: list[Exception] = []

    def close(_: tapewire.StreamState) -> None:
        try:
            next(events)
        except (RuntimeError, StopIteration) as error:
            errors.append(error)

    events = Answers(lambda: open_response(order(1))).stream(on_state=close)
    with events:
        assert next(events).id == "e-1"
    assert errors
