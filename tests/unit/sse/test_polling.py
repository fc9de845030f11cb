"""A stream that something on the way holds back is read by long-polling, with the same ids."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

import tapewire
from tapewire.sse.handover import STREAM_AGAIN_SECONDS
from tapewire.sse.polling_connection import POLL_WAIT_SECONDS
from tests.unit.sse.scripted_edge import (
    CONNECTED,
    LIVE,
    PATH,
    Answer,
    ScriptedStream,
    open_stream,
    order,
    refusal,
)

pytestmark = pytest.mark.virtual_time

POLL_AFTER_SECONDS = 2.5


def polled(
    last_event_id: str | None, *events: dict[str, Any], retry: float = 0
) -> Callable[[], httpx.Response]:
    body = {"events": events, "lastEventId": last_event_id, "retry": retry}
    return lambda: httpx.Response(200, json=body)


def polled_order(number: int, epoch: str = "e") -> dict[str, Any]:
    return {"id": f"{epoch}-{number}", "event": "order:update", "data": {"n": number}}


@contextlib.asynccontextmanager
async def polling(*answers: Answer, **options: Any) -> AsyncIterator[ScriptedStream]:
    """A stream that is held back until it polls; `answers` are those to the later requests."""
    async with open_stream("buffered", *answers, **options) as made:
        await made.advance(POLL_AFTER_SECONDS)
        yield made


async def test_a_response_that_brings_nothing_is_replaced_by_polls() -> None:
    greeting: dict[str, Any] = {"id": None, "event": "connected", "data": {}}
    async with polling(polled("e-7", greeting, polled_order(7)), "hang") as made:
        assert made.exchanges[0].is_aborted
        assert made.exchanges[1].url == f"{PATH}?wait=0"
        assert made.exchanges[1].headers["accept"] == "application/json"
        assert [(one.type, one.id) for one in made.events] == [
            ("connected", None), ("order:update", "e-7")
        ]  # fmt: skip
        assert (made.state_names, made.states[-1].is_polling) == (
            ["connecting", "live", "live"],
            True,
        )


async def test_a_response_that_does_not_begin_is_replaced_by_polls_too() -> None:
    async with open_stream("hang", polled("e-1"), "hang") as made:
        await made.advance(POLL_AFTER_SECONDS)
        assert made.exchanges[1].url == f"{PATH}?wait=0"
        assert made.stream.last_event_id == "e-1"


async def test_polls_go_on_by_the_id_of_a_stream_that_stopped_before_it_had_caught_up() -> None:
    async with open_stream("buffered", polled("e-9", polled_order(9)), "hang") as made:
        await made.last.send(f"retry: 5000\n\n{CONNECTED}{order(8)}")
        await made.advance(POLL_AFTER_SECONDS)
        assert made.exchanges[1].last_event_id == "e-8"
        assert made.event_ids == [None, "e-8", "e-9"]


async def test_a_stream_that_begins_slowly_but_steadily_is_not_given_up() -> None:
    async with open_stream("buffered") as made:
        for number in range(1, 9):
            await made.advance(POLL_AFTER_SECONDS - 0.01)
            await made.last.send(order(number))
        await made.last.send(LIVE)
        await made.advance(POLL_AFTER_SECONDS * 3)
        assert (made.edge.request_count, made.stream.last_event_id) == (1, "e-8")


@pytest.mark.parametrize("seconds", [None, 20.0])
async def test_polling_can_be_switched_off_or_put_off(seconds: float | None) -> None:
    async with open_stream("buffered", poll_after_seconds=seconds) as made:
        await made.advance(19)
        assert made.edge.request_count == 1
        assert made.stream.state.name == "live"


async def test_each_poll_continues_from_the_last_id_and_waits() -> None:
    answers = polled("e-7", polled_order(7)), polled("e-12", polled_order(9)), polled("e-12")
    async with polling(*answers, "hang") as made:
        wait = f"{PATH}?wait={POLL_WAIT_SECONDS}"
        assert [(one.url, one.last_event_id) for one in made.exchanges[1:]] == [
            (f"{PATH}?wait=0", None),
            (f"{wait}&lastEventId=e-7", "e-7"),
            (f"{wait}&lastEventId=e-12", "e-12"),
            (f"{wait}&lastEventId=e-12", "e-12"),
        ]
        assert (made.numbers, made.stream.last_event_id) == ([7, 9], "e-12")


async def test_polls_are_as_far_apart_as_the_server_asks() -> None:
    async with polling(polled("e-1", retry=1500), "hang") as made:
        await made.advance(1.49)
        assert made.edge.request_count == 2
        await made.advance(0.02)
        assert made.edge.request_count == 3


async def test_numbers_in_an_answer_are_exact() -> None:
    text = '{"events":[{"id":"e-1","event":"a","data":{"p":0.10}}],"lastEventId":"e-1","retry":0}'
    answer = httpx.Response(200, text=text, headers={"content-type": "application/json"})
    async with polling(lambda: answer, "hang") as made:
        assert str(made.events[0].data["p"]) == "0.10"
        assert json.loads(made.events[0].text) == {"p": 0.1}


async def test_a_reset_in_an_answer_starts_again_with_the_snapshot() -> None:
    reset = {"id": None, "event": "stream:reset", "data": {"reason": "trimmed"}}
    answer = polled("f-3", reset, polled_order(3, "f"))
    async with polling(answer, "hang", last_event_id="e-900") as made:
        assert made.event_types == ["stream:reset", "order:update"]
        assert made.stream.last_event_id == "f-3"


@pytest.mark.parametrize(
    ("event", "kind"),
    [("auth:expired", tapewire.SignedOut), ("connection:limit", tapewire.StreamLimitReached)],
)
async def test_a_final_event_in_an_answer_ends_the_stream(event: str, kind: type) -> None:
    async with polling(polled("e-1", {"id": None, "event": event, "data": {}})) as made:
        await made.advance(600)
        assert (type(made.error), made.edge.request_count) == (kind, 2)


async def test_a_poll_that_is_refused_for_good_ends_the_stream() -> None:
    async with polling(refusal(401)) as made:
        assert type(made.error) is tapewire.SignedOut


@pytest.mark.parametrize(
    "failure",
    ["down", lambda: httpx.Response(200, text="{", headers={"content-type": "application/json"})],
)
async def test_after_a_poll_that_fails_it_streams_if_it_can(failure: Answer) -> None:
    async with polling(failure, "stream") as made:
        assert made.states[-1].name == "reconnecting"
        await made.advance(made.states[-1].retry_in_seconds)
        assert (made.states[-1].name, made.states[-1].is_polling) == ("live", False)
        await made.last.send(order(1))
        assert made.numbers == [1]


async def test_a_poll_without_an_answer_is_a_failure() -> None:
    async with polling("hang") as made:
        await made.advance(7)
        assert made.states[-1].reason == "the server went silent"


async def test_it_returns_to_a_stream_that_flows_without_a_loss() -> None:
    rest = polled("e-7", retry=STREAM_AGAIN_SECONDS * 2000)
    async with polling(polled("e-7", polled_order(7)), rest, "buffered") as made:
        await made.advance(STREAM_AGAIN_SECONDS * 1.5)
        assert made.last.url == f"{PATH}?handover=1&lastEventId=e-7"
        await made.last.send(CONNECTED + order(8))
        assert (made.numbers, made.states[-1].is_polling) == ([7], True)
        await made.last.send(LIVE + order(9))
        assert (made.numbers, made.states[-1].is_polling) == ([7, 8, 9], False)


async def test_a_trial_stream_that_is_held_back_leaves_the_polling_as_it_is() -> None:
    rest = polled("e-7", retry=STREAM_AGAIN_SECONDS * 2000)
    async with polling(rest, "buffered", polled("e-8", polled_order(8)), "hang") as made:
        await made.advance(STREAM_AGAIN_SECONDS * 1.5 + POLL_AFTER_SECONDS)
        assert (made.edge.request_count, made.exchanges[2].is_aborted) == (3, True)
        assert made.states[-1].is_polling
        await made.advance(STREAM_AGAIN_SECONDS / 2)
        assert made.numbers == [8]


async def test_the_notice_of_a_stopping_server_is_no_event() -> None:
    notice = {"id": None, "event": "stream:draining", "data": {"closesInMs": 5000}}
    async with polling(polled("e-1", notice), "hang") as made:
        assert (made.events, made.edge.request_count) == ([], 3)
