"""How `tail` follows a stream through failures of the connection.

`ScriptedEdge` answers each connection with the next response of its script. The test ends when the
script is exhausted.
"""

from typing import Any

import httpx
import pytest

from tapewire.cli.errors import CliError
from tapewire.cli.tail.follower import StreamFollower
from tapewire.cli.tail.session import EdgeSession

Answer = httpx.Response | Exception


class ScriptExhausted(Exception):
    """There is no further response in the script."""


def stream(text: str) -> httpx.Response:
    return httpx.Response(
        200, headers={"content-type": "text/event-stream; charset=utf-8"}, text=text
    )


def error_response(status: int, message: str = "no", **headers: str) -> httpx.Response:
    body = {"error": "E", "message": message, "statusCode": status}
    return httpx.Response(status, json=body, headers=headers)


def signed_in(cookie: str = "s-1") -> httpx.Response:
    return httpx.Response(
        201, json={}, headers={"set-cookie": f"session={cookie}; HttpOnly; Path=/"}
    )


class ScriptedEdge:
    """Answers stream and sign-in requests from their scripts."""

    def __init__(self, *streams: Answer, sign_ins: tuple[Answer, ...] = ()) -> None:
        self.streams = list(streams)
        self.sign_ins = list(sign_ins)
        self.requests: list[httpx.Request] = []
        self.events: list[tuple[str, str, Any]] = []
        self.status_messages: list[str] = []
        self.sleeps: list[float] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        script = self.sign_ins if request.url.path == "/api/session" else self.streams
        if script is self.streams:
            self.requests.append(request)
        if not script:
            raise ScriptExhausted
        answer = script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def follow(
        self, *, user: str | None = None, cookie: str | None = None, since: str = ""
    ) -> None:
        with httpx.Client(
            base_url="http://edge:8000", transport=httpx.MockTransport(self._answer)
        ) as client:
            StreamFollower(
                client,
                EdgeSession(client, user, cookie),
                "/api/stream/orders",
                {"symbols": "IBM"},
                last_event_id=since,
                on_event=lambda *event: self.events.append(event),
                on_status=self.status_messages.append,
                sleep=self.sleeps.append,
            ).run()

    def follow_to_end(self, **options: Any) -> None:
        with pytest.raises(ScriptExhausted):
            self.follow(**options)

    def follow_to_error(self, **options: Any) -> str:
        with pytest.raises(CliError) as error:
            self.follow(**options)
        assert error.value.exit_code == 1
        return error.value.message

    def last_ids(self) -> list[str | None]:
        return [request.headers.get("last-event-id") for request in self.requests]


def test_events_are_shown_with_their_ids_and_exact_numbers() -> None:
    edge = ScriptedEdge(
        stream('retry: 5000\n\nid: e-1\nevent: a\ndata: {"p":1.10}\n\nevent: b\ndata: x\n\n')
    )
    edge.follow_to_end()
    assert [(name, id_, str(data)) for name, id_, data in edge.events] == [
        ("a", "e-1", "{'p': Decimal('1.10')}"),
        ("b", "e-1", "x"),
    ]
    assert edge.requests[0].url == "http://edge:8000/api/stream/orders?symbols=IBM"
    assert edge.requests[0].headers["accept"] == "text/event-stream"


def test_after_a_clean_end_it_resumes_after_the_servers_retry_time() -> None:
    edge = ScriptedEdge(stream("retry: 250\n\nid: e-7\nevent: a\ndata: {}\n\n"), stream(""))
    edge.follow_to_end()
    assert edge.last_ids() == [None, "e-7", "e-7"]
    assert edge.sleeps == [0.25, 0.25]
    assert edge.status_messages[0] == "the stream ended; connecting again from e-7 in 0.2 s"


def test_it_starts_after_the_given_id() -> None:
    edge = ScriptedEdge()
    edge.follow_to_end(since="e-3")
    assert edge.last_ids() == ["e-3"]


def test_a_checkpoint_frame_moves_the_last_event_id() -> None:
    edge = ScriptedEdge(stream("id: e-9\nevent: checkpoint\ndata: {}\n\n"))
    edge.follow_to_end()
    assert edge.last_ids() == [None, "e-9"]


def test_an_incomplete_event_is_ignored() -> None:
    edge = ScriptedEdge(stream("id: e-1\nevent: a\ndata: {}\n\nid: e-2\nevent: a\ndata: {"))
    edge.follow_to_end()
    assert [id_ for _, id_, _ in edge.events] == ["e-1"]
    assert edge.last_ids() == [None, "e-1"]


def test_failures_increase_the_delay_and_an_event_resets_it() -> None:
    down = httpx.ConnectError("refused", request=httpx.Request("GET", "http://edge:8000/"))
    edge = ScriptedEdge(down, down, down, stream("event: a\ndata: {}\n\n"), down)
    edge.follow_to_end()
    first, second, third, _, again = edge.sleeps
    assert 1 <= first <= 1.5
    assert 2 <= second <= 3
    assert 4 <= third <= 6
    assert 1 <= again <= 1.5
    assert edge.status_messages[0].startswith(
        "cannot reach edge:8000 (refused); connecting again in 1"
    )


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_a_temporary_refusal_is_respected(status: int) -> None:
    edge = ScriptedEdge(error_response(status, "too many", **{"retry-after": "30"}))
    edge.follow_to_end()
    assert 30 <= edge.sleeps[0] <= 45
    assert edge.status_messages[0].startswith(
        f"refused for now: {status} too many; connecting again in"
    )


def test_a_read_timeout_is_reported() -> None:
    edge = ScriptedEdge(httpx.ReadTimeout("", request=httpx.Request("GET", "http://edge:8000/")))
    edge.follow_to_end()
    assert edge.status_messages[0].startswith("nothing received for too long; connecting again")


def test_an_unknown_stream_is_an_error() -> None:
    message = ScriptedEdge(error_response(404, "Not Found")).follow_to_error()
    assert message == "there is no stream /api/stream/orders there: 404 Not Found"


def test_a_response_that_is_not_a_stream_is_an_error() -> None:
    edge = ScriptedEdge(httpx.Response(200, html="<p>hello"))
    with pytest.raises(CliError, match="is it a Tapewire edge"):
        edge.follow()


def test_a_protected_stream_without_a_session_is_an_error() -> None:
    message = ScriptedEdge(error_response(401)).follow_to_error()
    assert message.startswith("/api/stream/orders needs a session; sign in with --user NAME")


def test_an_invalid_session_is_an_error() -> None:
    edge = ScriptedEdge(error_response(401))
    assert edge.follow_to_error(cookie="session=old").startswith("the session given is not valid")
    assert edge.requests[0].headers["cookie"] == "session=old"


def test_it_signs_in_before_it_connects() -> None:
    edge = ScriptedEdge(sign_ins=(signed_in(),))
    edge.follow_to_end(user="alice")
    assert edge.requests[0].headers["cookie"] == "session=s-1"


def test_an_expired_session_is_renewed_and_the_stream_resumed() -> None:
    edge = ScriptedEdge(
        stream("id: e-1\nevent: auth:expired\ndata: {}\n\n"),
        sign_ins=(signed_in("s-1"), signed_in("s-2")),
    )
    edge.follow_to_end(user="alice")
    assert [request.headers["cookie"] for request in edge.requests] == [
        "session=s-1",
        "session=s-2",
    ]
    assert edge.last_ids() == [None, "e-1"]


def test_an_unknown_session_is_renewed() -> None:
    edge = ScriptedEdge(
        stream(""), error_response(401), sign_ins=(signed_in("s-1"), signed_in("s-2"))
    )
    edge.follow_to_end(user="alice")
    assert edge.requests[-1].headers["cookie"] == "session=s-2"


def test_a_refused_new_session_is_an_error() -> None:
    edge = ScriptedEdge(error_response(401, "strange"), sign_ins=(signed_in(),))
    assert edge.follow_to_error(user="alice").startswith(
        "a fresh session of 'alice' is refused (401 strange)"
    )


def test_a_disabled_sign_in_is_an_error() -> None:
    message = ScriptedEdge(sign_ins=(error_response(404),)).follow_to_error(user="alice")
    assert message.startswith("the development sign-in is off there")


def test_a_rejected_user_id_is_an_error() -> None:
    message = ScriptedEdge(sign_ins=(error_response(422, "too long"),)).follow_to_error(
        user="alice"
    )
    assert message == "cannot sign in as 'alice': 422 too long"


def test_a_temporary_sign_in_failure_is_retried() -> None:
    edge = ScriptedEdge(sign_ins=(error_response(503, "starting"), signed_in()))
    edge.follow_to_end(user="alice")
    assert edge.status_messages[0].startswith("refused for now: 503 starting; connecting again")
    assert edge.requests[0].headers["cookie"] == "session=s-1"
