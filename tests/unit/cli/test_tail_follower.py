"""How `tail` follows a stream: signing in, what it says on the way, and the errors it ends with.

`ScriptedEdge` answers each request with the next response of its script. A stream of a script that
is exhausted stays open, and the test ends it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tapewire.cli.errors import CliError
from tapewire.cli.tail.follower import StatusReporter, follow
from tapewire.cli.tail.session import EdgeSession
from tapewire.sse import StreamEvent, StreamState

Answer = httpx.Response | Exception
URL = "http://edge:8000/api/stream/orders"
STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8"}


class LastEvent(Exception):
    """The event that the test waits for has arrived."""


def stream(text: str) -> httpx.Response:
    return httpx.Response(200, headers=STREAM_HEADERS, text=f"retry: 100\n\n: live\n\n{text}")


def error_response(status: int, message: str = "no") -> httpx.Response:
    return httpx.Response(status, json={"error": "E", "message": message, "statusCode": status})


def signed_in(cookie: str = "s-1") -> httpx.Response:
    headers = {"set-cookie": f"session={cookie}; HttpOnly; Path=/"}
    return httpx.Response(201, json={}, headers=headers)


class _LastBody(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": live\n\nevent: last\ndata: {}\n\n"
        await asyncio.Event().wait()


class ScriptedEdge:
    """Answers stream and sign-in requests from their scripts."""

    def __init__(self, *streams: Answer, sign_ins: tuple[Answer, ...] = ()) -> None:
        self.streams = list(streams)
        self.sign_ins = list(sign_ins)
        self.requests: list[httpx.Request] = []
        self.events: list[StreamEvent] = []
        self.status_messages: list[str] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        script = self.sign_ins if request.url.path == "/api/session" else self.streams
        if script is self.streams:
            self.requests.append(request)
            if not script:
                return httpx.Response(200, headers=STREAM_HEADERS, stream=_LastBody())
        answer = script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _receive(self, event: StreamEvent) -> None:
        if event.type == "last":
            raise LastEvent
        self.events.append(event)

    def follow(self, *, user: str | None = None, cookie: str | None = None, **options: Any) -> None:
        transport = httpx.MockTransport(self._answer)
        with httpx.Client(base_url="http://edge:8000", transport=transport) as client:
            follow(
                URL,
                EdgeSession(client, user, cookie),
                on_event=self._receive,
                on_status=self.status_messages.append,
                transport=transport,
                trust_env=False,
                **options,
            )

    def follow_to_last_event(self, **options: Any) -> None:
        with pytest.raises(LastEvent):
            self.follow(**options)

    def follow_to_error(self, **options: Any) -> str:
        with pytest.raises(CliError) as error:
            self.follow(**options)
        assert error.value.exit_code == 1
        return error.value.message

    def cookies(self) -> list[str | None]:
        return [request.headers.get("cookie") for request in self.requests]


def test_it_resumes_after_an_end_and_reports_that() -> None:
    edge = ScriptedEdge(stream('id: e-1\nevent: a\ndata: {"p":1.10}\n\nevent: b\ndata: x\n\n'))
    edge.follow_to_last_event(last_event_id="e-0")
    assert [(one.type, one.id, str(one.data)) for one in edge.events] == [
        ("a", "e-1", "{'p': Decimal('1.10')}"),
        ("b", None, "x"),
    ]
    assert [one.headers["last-event-id"] for one in edge.requests] == ["e-0", "e-1"]
    assert edge.status_messages == [
        "the server ended the stream; connecting again from e-1 in 0.1 s",
        "connected again",
    ]


def test_it_ends_when_a_replay_is_complete() -> None:
    edge = ScriptedEdge(stream("event: replay:complete\ndata: {}\n\n"))
    edge.follow(since="e-1", until="e-9")
    assert [one.type for one in edge.events] == ["replay:complete"]


def test_a_refusal_by_the_edge_for_good_is_an_error() -> None:
    assert ScriptedEdge(error_response(404, "Not Found")).follow_to_error() == (
        f"there is no stream {URL}: 404 Not Found"
    )
    assert ScriptedEdge(error_response(422, "bad symbols")).follow_to_error() == (
        "refused: 422 bad symbols"
    )


def test_a_stream_that_was_closed_for_another_one_is_an_error() -> None:
    edge = ScriptedEdge(stream('event: connection:limit\ndata: {"limit":10}\n\n'))
    assert "(10 are allowed)" in edge.follow_to_error()


def test_a_protected_stream_without_a_session_is_an_error() -> None:
    message = ScriptedEdge(error_response(401)).follow_to_error()
    assert message.startswith(f"{URL} needs a session; sign in with --user NAME")


def test_an_invalid_session_is_an_error() -> None:
    edge = ScriptedEdge(error_response(401))
    assert edge.follow_to_error(cookie="session=old").startswith("the session given is not valid")
    assert edge.cookies() == ["session=old"]


def test_it_signs_in_before_it_connects() -> None:
    edge = ScriptedEdge(sign_ins=(signed_in(),))
    edge.follow_to_last_event(user="alice")
    assert edge.cookies() == ["session=s-1"]


@pytest.mark.parametrize(
    "answers",
    [
        (stream("id: e-1\nevent: auth:expired\ndata: {}\n\n"),),
        (stream("id: e-1\nevent: a\ndata: {}\n\n"), error_response(401)),
    ],
)
def test_a_session_that_has_ended_is_renewed_and_the_stream_resumed(
    answers: tuple[Answer, ...],
) -> None:
    edge = ScriptedEdge(*answers, sign_ins=(signed_in("s-1"), signed_in("s-2")))
    edge.follow_to_last_event(user="alice")
    assert edge.cookies()[-1] == "session=s-2"
    assert edge.requests[-1].headers["last-event-id"] == "e-1"


def test_a_refused_new_session_is_an_error() -> None:
    edge = ScriptedEdge(error_response(401, "strange"), sign_ins=(signed_in(),))
    assert edge.follow_to_error(user="alice").startswith(
        "a fresh session of 'alice' is refused (strange)"
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (error_response(404), "the development sign-in is off there"),
        (error_response(422, "too long"), "cannot sign in as 'alice': 422 too long"),
    ],
)
def test_a_sign_in_that_is_refused_for_good_is_an_error(answer: Answer, message: str) -> None:
    assert ScriptedEdge(sign_ins=(answer,)).follow_to_error(user="alice").startswith(message)


def test_a_temporary_failure_of_the_sign_in_is_retried() -> None:
    answers = stream("id: e-1\nevent: a\ndata: {}\n\n"), error_response(401)
    sign_ins = signed_in(), error_response(503), httpx.ConnectError("refused"), signed_in("s-2")
    edge = ScriptedEdge(*answers, sign_ins=sign_ins)
    edge.follow_to_last_event(user="alice")
    assert edge.cookies()[-1] == "session=s-2"
    reasons = [one.partition(";")[0] for one in edge.status_messages]
    assert reasons[1] == "503 Service Unavailable"
    assert reasons[2].startswith("cannot reach ")


def test_each_change_of_the_state_is_reported_once() -> None:
    messages: list[str] = []
    reporter = StatusReporter(messages.append)
    live = StreamState("live")
    lost = StreamState("reconnecting", 1, 2.5, "the connection broke (cut)", "e-7")
    polling = StreamState("live", is_polling=True)
    silent = StreamState("live", is_silent=True)
    states = [
        StreamState("connecting"), live, silent, live, lost, StreamState("connecting", 1), polling,
        polling, live, silent, lost, live, StreamState("closed"),
    ]  # fmt: skip
    for state in states:
        reporter.report(state)
    assert messages == [
        "nothing received for seconds: the prices may be old",
        "the stream is no longer silent",
        "the connection broke (cut); connecting again from e-7 in 2.5 s",
        "connected again; something on the way holds the stream back: polling",
        "the stream is no longer held back",
        "nothing received for seconds: the prices may be old",
        "the connection broke (cut); connecting again from e-7 in 2.5 s",
        "connected again",
    ]


def test_a_lost_stream_without_an_id_begins_again() -> None:
    messages: list[str] = []
    StatusReporter(messages.append).report(StreamState("reconnecting", 1, 3.0, "no"))
    assert messages == ["no; connecting again in 3.0 s"]
