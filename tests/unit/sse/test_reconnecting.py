"""How a stream goes on after ends, failures and refusals, and when it stops."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

import tapewire
from tests.unit.sse.scripted_edge import (
    CONNECTED,
    DRAINING,
    EVENT_STREAM,
    LIVE,
    PATH,
    Answer,
    open_stream,
    order,
    refusal,
)

pytestmark = pytest.mark.virtual_time


async def test_events_are_delivered_decoded_with_type_and_id() -> None:
    async with open_stream("stream") as made:
        await made.last.send('retry: 5000\n\nevent: order:update\nid: e-7\ndata: {"qty":1.10}\n\n')
        await made.last.send("data: not json\n\n")
        assert [(one.type, one.data, one.id, one.text) for one in made.events] == [
            ("order:update", {"qty": Decimal("1.10")}, "e-7", '{"qty":1.10}'),
            ("message", "not json", None, "not json"),
        ]
        assert made.state_names == ["connecting", "live"]
        assert made.stream.last_event_id == "e-7"
        assert made.last.url == f"{PATH}?handover=1"


async def test_after_a_clean_end_it_reconnects_after_exactly_retry_and_resumes_by_id() -> None:
    async with open_stream("stream") as made:
        await made.last.send("retry: 5000\nid: e-7\ndata: 1\n\n")
        await made.last.end()
        state = made.states[-1]
        assert (state.name, state.retry_in_seconds, state.last_event_id) == (
            "reconnecting", 5.0, "e-7"
        )  # fmt: skip
        await made.advance(4.999)
        assert len(made.exchanges) == 1
        await made.advance(0.001)
        assert [one.last_event_id for one in made.exchanges] == [None, "e-7"]
        assert made.last.url == f"{PATH}?handover=1&lastEventId=e-7"


async def test_the_delay_grows_with_each_failure_until_an_event_arrives() -> None:
    async with open_stream("down", "down", "down", "down", "down", "stream") as made:
        for _ in range(5):
            await made.advance(30)
        waits = [one.retry_in_seconds for one in made.states if one.name == "reconnecting"]
        assert waits == [3.75, 7.5, 15, 25, 25]  # with a quarter of jitter
        assert made.states[1].reason == "cannot reach edge:8000 (refused)"
        await made.last.send("retry: 1000\ndata: 1\n\n")
        await made.last.fail()
        assert (made.states[-1].retry_in_seconds, made.states[-1].tries) == (1.25, 1)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, "Unauthorized", tapewire.SignedOut),
        (403, "Forbidden", tapewire.StreamRejected),
        (404, "Not Found", tapewire.StreamRejected),
        (409, "account_changed", tapewire.AnotherUserSignedIn),
        (409, "Conflict", tapewire.StreamRejected),
        (422, "Unprocessable", tapewire.StreamRejected),
    ],
)
async def test_a_refusal_for_good_is_raised_with_the_id_to_resume_from(
    status: int, error: str, kind: type[tapewire.StreamEnded]
) -> None:
    async with open_stream("stream", refusal(status, error)) as made:
        await made.last.send(order(7))
        await made.last.end()
        await made.advance(600)
        assert type(made.error) is kind
        assert made.error.last_event_id == "e-7"
        assert (made.edge.request_count, made.states[-1].name) == (2, "closed")
        with pytest.raises(StopAsyncIteration):
            await anext(made.stream)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_temporary_refusal_waits_at_least_as_long_as_retry_after(status: int) -> None:
    async with open_stream(refusal(status, retry_after="12"), "stream") as made:
        assert made.states[-1].retry_in_seconds == 15
        assert made.states[-1].reason == f"{status} not now"
        await made.advance(11.999)
        assert made.edge.request_count == 1
        await made.advance(3.001)
        assert made.stream.state.name == "live"


async def test_a_document_is_a_failure_even_if_it_never_ends() -> None:
    async with open_stream(lambda: httpx.Response(200, html="<p>")) as made:
        assert made.states[-1].reason == "the answer is text/html; charset=utf-8, no stream"


async def test_a_connection_without_bytes_for_two_and_a_half_keepalives_is_dropped() -> None:
    async with open_stream("stream") as made:
        await made.last.send("id: e-1\ndata: 1\n\n")
        await made.advance(70)
        await made.last.send(": keepalive\n\n")
        await made.advance(74.999)
        assert made.stream.state.name == "live"
        await made.advance(0.002)
        assert made.states[-1].reason == "the server went silent"
        assert made.exchanges[0].is_aborted
        await made.advance(30)
        assert made.last.last_event_id == "e-1"


@pytest.mark.parametrize("greeting", ['{"keepaliveMs":120000}', '{"keepalive_ms":120000}'])
async def test_the_announced_keepalive_determines_the_silence(greeting: str) -> None:
    async with open_stream("stream") as made:
        await made.last.send(f"event: connected\ndata: {greeting}\n\n")
        await made.advance(299.999)
        assert made.state_names[-1] == "live"
        await made.advance(0.002)
        assert made.state_names[-1] == "reconnecting"


async def test_a_silent_stream_with_prices_is_no_longer_live_until_it_speaks() -> None:
    async with open_stream("stream") as made:
        greeting = '{"keepaliveMs":30000,"pricesKeepaliveMs":1000}'
        await made.last.send(f"event: connected\ndata: {greeting}\n\n")
        await made.last.send('event: price:update\ndata: {"symbol":"IBM"}\n\n')
        await made.advance(2.9)
        await made.last.send(": prices\n\n")
        await made.advance(2.9)
        seen = [made.stream.is_silent]
        await made.advance(0.2)
        seen.append(made.stream.is_silent)
        await made.last.send(": prices\n\n")
        seen.append(made.stream.is_silent)
        await made.advance(3.1)
        assert seen == [False, True, False]
        assert [one.is_silent for one in made.states] == [False, False, True, False, True]
        await made.last.fail()
        assert made.stream.is_silent  # and not live
        assert not made.states[-1].is_silent


async def test_a_stream_without_prices_may_be_silent() -> None:
    async with open_stream("stream") as made:
        await made.last.send('event: connected\ndata: {"pricesKeepaliveMs":1000}\n\n')
        await made.last.send(order(1))
        await made.advance(20)
        assert not made.stream.is_silent


async def test_delivered_events_are_dropped_and_events_without_an_id_never() -> None:
    async with open_stream("stream", last_event_id="e-7") as made:
        assert made.last.last_event_id == "e-7"
        for number in (6, 7, 8, 8, 10, 9):
            await made.last.send(order(number))
        await made.last.send("event: price:update\ndata: 1\n\n" * 2)
        assert made.event_ids == ["e-8", "e-10", None, None]
        assert made.stream.last_event_id == "e-10"


async def test_a_checkpoint_moves_the_position_and_is_no_event() -> None:
    async with open_stream("stream") as made:
        await made.last.send(order(7) + "event: checkpoint\nid: e-40\ndata: {}\n\n")
        assert (made.event_ids, made.stream.last_event_id) == (["e-7"], "e-40")
        await made.last.send("event: checkpoint\nid: e-3\ndata: {}\n\nid: e-4\n\n")
        assert made.stream.last_event_id == "e-40"
        await made.last.send("id: e-41\n\n")
        assert made.stream.last_event_id == "e-41"
        await made.last.end()
        await made.advance(3)
        assert made.last.last_event_id == "e-41"


async def test_a_reset_is_delivered_and_accepts_a_snapshot_with_an_earlier_id() -> None:
    async with open_stream("stream", last_event_id="e-900") as made:
        await made.last.send('event: stream:reset\nid: e-900\ndata: {"reason":"ahead"}\n\n')
        assert made.stream.last_event_id == ""
        await made.last.send(order(5))
        assert made.event_types == ["stream:reset", "order:update"]
        assert made.stream.last_event_id == "e-5"


async def test_a_connection_lost_between_reset_and_snapshot_begins_without_an_id() -> None:
    async with open_stream("stream", last_event_id="e-900") as made:
        await made.last.send('event: stream:reset\ndata: {"reason":"ahead"}\n\n')
        await made.last.fail()
        await made.advance(10)
        assert made.last.last_event_id is None
        assert "lastEventId" not in made.last.url


@pytest.mark.parametrize("end", ["end", "fail"])
@pytest.mark.parametrize("cut", range(1, 6))
async def test_an_event_that_was_cut_is_not_delivered(cut: int, end: str) -> None:
    """The end of a response that a proxy cut may look clean."""
    frame = order(8)
    at = (len(frame) * cut) // 6 if cut < 5 else len(frame) - 1
    async with open_stream("stream") as made:
        await made.last.send(order(7) + frame[:at])
        await getattr(made.last, end)()
        assert made.numbers == [7]
        await made.advance(30)
        assert made.last.last_event_id == "e-7"
        await made.last.send(order(8))
        assert made.numbers == [7, 8]


@pytest.mark.parametrize(
    ("event", "kind"),
    [("auth:expired", tapewire.SignedOut), ("connection:limit", tapewire.StreamLimitReached)],
)
async def test_after_a_final_event_nothing_more_is_delivered(event: str, kind: type) -> None:
    async with open_stream("stream") as made:
        await made.last.send(f'event: {event}\ndata: {{"limit":10}}\n\n{order(9)}')
        assert (made.event_types, made.is_over) == ([event], True)
        assert type(made.error) is kind
        await made.advance(600)
        assert made.edge.request_count == 1
        assert made.last.is_aborted


async def test_a_replay_ends_after_its_last_event() -> None:
    async with open_stream("stream", since="e-1", until="2026-03-02T14:30:00Z") as made:
        query = "since=e-1&until=2026-03-02T14%3A30%3A00Z&handover=1"
        assert made.last.url == f"{PATH}?{query}"
        # With the id of the last event.
        end = 'event: replay:complete\nid: e-7\ndata: {"untilId":"e-9"}\n\n'
        await made.last.send(order(7) + end)
        assert (made.is_over, made.error) == (True, None)
        assert made.event_types == ["order:update", "replay:complete"]
        await made.advance(600)
        assert made.edge.request_count == 1


async def test_a_replay_that_is_cut_goes_on_and_may_have_been_complete() -> None:
    async with open_stream("stream", lambda: httpx.Response(204), since="e-1", until="e-9") as made:
        await made.last.send(order(7))
        await made.last.fail()
        await made.advance(30)
        assert (made.is_over, made.error, made.edge.request_count) == (True, None, 2)
        assert made.last.url.endswith("&lastEventId=e-7")


async def test_the_user_of_a_stream_is_sent_with_each_request_percent_encoded() -> None:
    async with open_stream("stream", user="Zoë 50%") as made:
        await made.last.send("retry: 1000\ndata: 1\n\n")
        await made.last.end()
        await made.advance(1)
        users = [one.headers["x-tapewire-user"] for one in made.exchanges]
        assert users == ["Zo%C3%AB%2050%25"] * 2


async def test_a_stream_of_nobody_names_no_user() -> None:
    async with open_stream("stream") as made:
        assert "x-tapewire-user" not in made.last.headers


async def test_headers_and_cookies_are_sent_and_a_cookie_of_the_answer_is_kept() -> None:
    """A ticket in the query is valid once; its answer sets the session."""
    answer = httpx.Response(200, headers={**EVENT_STREAM, "set-cookie": "session=s-2; Path=/"})
    options: dict[str, Any] = {"headers": {"X-Desk": "7"}, "cookies": {"other": "1"}}
    async with open_stream(lambda: answer, "stream", **options) as made:
        await made.advance(3)
        assert [one.headers["x-desk"] for one in made.exchanges] == ["7", "7"]
        assert made.exchanges[0].headers["cookie"] == "other=1"
        assert "session=s-2" in made.exchanges[1].headers["cookie"]


async def test_a_changed_stream_reconnects_to_its_new_content() -> None:
    async with open_stream("stream", url="http://edge:8000/api/stream?topics=orders") as made:
        content = '{"topics":["alerts"],"symbols":null,"maxRate":10}'
        await made.last.send(f"retry: 100\nevent: stream:updated\ndata: {content}\n\n")
        await made.last.end()
        await made.advance(1)
        assert made.last.url == "/api/stream?topics=alerts&maxRate=10&handover=1"
        assert made.event_types == ["stream:updated"]


@pytest.mark.parametrize("answer", ["stream", "hang", "down", "buffered"])
async def test_close_ends_the_iterator_and_leaves_nothing_behind(answer: Answer) -> None:
    async with open_stream(answer) as made:
        requests = made.edge.request_count
        await made.stream.close()
        await made.stream.close()
        await made.advance(600)
        assert (made.is_over, made.error, made.events) == (True, None, [])
        assert made.edge.request_count == requests
        assert all(one.is_aborted for one in made.exchanges)
        assert made.state_names.count("closed") == 1


async def test_retry_now_ends_the_wait() -> None:
    async with open_stream("down", "stream") as made:
        made.stream.retry_now()
        await made.advance(0)
        assert made.stream.state.name == "live"


async def test_an_error_of_on_state_does_not_stop_the_stream() -> None:
    def fail(_: tapewire.StreamState) -> None:
        raise RuntimeError("no")

    async with open_stream("stream", on_state=fail) as made:
        await made.last.send(order(7))
        assert made.numbers == [7]


@pytest.mark.parametrize(
    ("name", "value"),
    [("last_event_id", "e 7"), ("last_event_id", None), ("user", ""), ("poll_after_seconds", 0)],
)
def test_a_malformed_argument_is_named(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(tapewire.InvalidArgument, match=f"{name}=") as error:
        tapewire.stream("http://edge:8000/s", **options)
    assert (error.value.field, error.value.value) == (name, value)


async def test_a_notice_or_comment_alone_is_no_event() -> None:
    async with open_stream("stream") as made:
        await made.last.send(f"{LIVE}{CONNECTED}{DRAINING}")
        assert made.event_types == ["connected"]
