"""The next connection is opened before the old one ends, and each event comes once."""

import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

import tapewire
from tapewire.sse.stream_connection import MAX_HELD_PARTS
from tests.unit.sse.scripted_edge import (
    CONNECTED,
    DRAINING,
    LIVE,
    PATH,
    Answer,
    Exchange,
    ScriptedStream,
    open_stream,
    order,
    refusal,
)

pytestmark = pytest.mark.virtual_time


def quote(price: int, second: str, symbol: str = "IBM") -> str:
    data = {"symbol": symbol, "price": price, "timestamp": f"2026-01-01T00:00:{second}Z"}
    return f"event: price:update\ndata: {json.dumps(data)}\n\n"


def prices(made: ScriptedStream) -> list[int]:
    return [one.data["price"] for one in made.events if one.type == "price:update"]


@contextlib.asynccontextmanager
async def leaving(
    *answers: Answer, **options: Any
) -> AsyncIterator[tuple[ScriptedStream, Exchange]]:
    """A stream at the event e-7 whose server has announced that it stops, and its connection.
    `answers` are those to the next requests."""
    async with open_stream("stream", *(answers or ("buffered",)), **options) as made:
        old = made.last
        await old.send(order(7) + DRAINING)
        yield made, old


async def test_the_stream_moves_when_the_next_connection_has_caught_up() -> None:
    async with leaving() as (made, old):
        next_one = made.last
        assert [one.url for one in made.exchanges] == [
            f"{PATH}?handover=1", f"{PATH}?handover=1&lastEventId=e-7"
        ]  # fmt: skip
        await next_one.send(CONNECTED + order(8) + order(9))
        assert (made.numbers, old.is_aborted) == ([7], False)
        await old.send(order(8))
        await next_one.send(LIVE + order(10))
        assert (made.numbers, old.is_aborted) == ([7, 8, 9, 10], True)
        assert made.stream.last_event_id == "e-10"
        assert made.state_names == ["connecting", "live"]


async def test_a_second_notice_opens_no_third_connection() -> None:
    async with leaving() as (made, old):
        await old.send(DRAINING)
        assert len(made.exchanges) == 2


async def test_a_comment_before_the_greeting_does_not_complete_the_handover() -> None:
    async with leaving() as (made, old):
        await made.last.send(LIVE)
        assert not old.is_aborted


async def test_the_next_connection_takes_over_if_the_old_one_ends_first() -> None:
    async with leaving() as (made, old):
        await made.last.send(CONNECTED + order(8))
        await old.send("retry: 1500\n\n")
        await old.end()
        assert made.numbers == [7, 8]
        await made.last.send(order(9))
        assert (made.numbers, made.state_names) == ([7, 8, 9], ["connecting", "live"])
        await made.advance(2)
        assert len(made.exchanges) == 2


async def test_if_the_old_connection_breaks_the_stream_waits_for_the_next_request() -> None:
    async with leaving("hang") as (made, old):
        await old.send(order(8))
        await old.fail()
        assert made.state_names == ["connecting", "live", "connecting"]
        await made.last.accept()
        await made.last.send(CONNECTED + order(8) + order(9))
        assert (made.numbers, made.state_names[-1]) == ([7, 8, 9], "live")
        assert len(made.exchanges) == 2


async def test_the_old_connection_serves_while_the_next_one_is_tried_again() -> None:
    async with leaving("down", refusal(503, retry_after="3"), "buffered") as (made, old):
        assert made.edge.request_count == 2
        await made.advance(0.624)
        assert made.edge.request_count == 2
        await made.advance(0.002)
        assert made.edge.request_count == 3
        await old.send(order(8))
        await made.advance(3.74)
        assert made.edge.request_count == 3
        await made.advance(0.02)
        assert made.last.last_event_id == "e-8"
        await made.last.send(CONNECTED + LIVE + order(9))
        assert (made.numbers, old.is_aborted) == ([7, 8, 9], True)
        assert made.state_names == ["connecting", "live"]


async def test_without_a_next_connection_it_reconnects_as_after_any_end() -> None:
    async with leaving("down") as (made, old):
        await old.send("retry: 1500\n\n")
        await old.end()
        assert made.states[-1].retry_in_seconds == 1.5
        before = made.edge.request_count
        await made.advance(1.499)
        assert made.edge.request_count == before
        await made.advance(0.002)
        assert made.edge.request_count == before + 1


async def test_a_refusal_for_good_counts_only_when_the_old_connection_ends() -> None:
    async with leaving(refusal(401)) as (made, old):
        await made.advance(60)
        assert (made.edge.request_count, made.stream.state.name) == (2, "live")
        await old.end()
        await made.advance(3)
        assert type(made.error) is tapewire.SignedOut


async def test_after_a_refusal_a_later_notice_opens_a_connection_again() -> None:
    async with leaving(refusal(404), "stream") as (made, old):
        await old.send(DRAINING)
        await made.last.send(CONNECTED + LIVE + order(8))
        assert (made.numbers, old.is_aborted) == ([7, 8], True)


async def test_a_next_connection_that_ends_before_it_is_ready_is_replaced() -> None:
    async with leaving() as (made, old):
        await made.last.send(f"retry: 7000\n\n{CONNECTED}{order(8)}")
        await made.last.end()
        assert (made.numbers, old.is_aborted) == ([7], False)
        await made.advance(0.626)
        assert len(made.exchanges) == 3
        await old.send(order(8))
        await made.last.send(CONNECTED + order(8) + LIVE)
        assert (made.numbers, old.is_aborted) == ([7, 8], True)
        await made.last.end()
        assert made.states[-1].retry_in_seconds == 3  # not that of the connection that was not used


async def test_a_held_back_next_connection_is_tried_again() -> None:
    async with leaving("hang", "buffered", "stream") as (made, old):
        for _ in range(3):
            await old.send(": keepalive\n\n")
            await made.advance(2)
        assert made.exchanges[1].is_aborted
        assert len(made.exchanges) >= 3
        assert not old.is_aborted


async def test_the_number_of_held_events_is_bounded() -> None:
    async with leaving() as (made, old):
        await made.last.send(CONNECTED + "event: test\ndata: 1\n\n" * (MAX_HELD_PARTS - 3))
        assert (old.is_aborted, len(made.events)) == (False, 1)
        await made.last.send("event: test\ndata: 1\n\n")
        assert (old.is_aborted, len(made.events)) == (True, MAX_HELD_PARTS)


async def test_a_next_connection_that_is_closing_too_is_replaced_by_a_third() -> None:
    async with leaving() as (made, old):
        next_one = made.last
        await next_one.send(CONNECTED + DRAINING + order(8))
        assert len(made.exchanges) == 2
        await next_one.send(LIVE)
        assert (old.is_aborted, next_one.is_aborted, len(made.exchanges)) == (True, False, 3)
        await next_one.send(order(9))
        await made.last.send(CONNECTED + order(9) + LIVE + order(10))
        assert (made.numbers, next_one.is_aborted) == ([7, 8, 9, 10], True)
        assert made.state_names == ["connecting", "live"]


@pytest.mark.parametrize("answer", ["buffered", "hang", "down"])
async def test_close_during_the_handover_ends_both_connections(answer: Answer) -> None:
    async with leaving(answer) as (made, old):
        if answer == "buffered":
            await made.last.send(CONNECTED + order(8))
        requests = made.edge.request_count
        await made.stream.close()
        await made.advance(600)
        assert (made.numbers, made.edge.request_count) == ([7], requests)
        assert (old.is_aborted, made.last.is_aborted) == (True, True)


async def test_a_reset_on_the_next_connection_takes_over_at_once() -> None:
    async with leaving() as (made, old):
        await made.last.send(f'{CONNECTED}event: stream:reset\ndata: {{"reason":"epoch"}}\n\n')
        assert old.is_aborted
        await made.last.send('event: order:update\nid: f-2\ndata: {"n":2}\n\n')
        assert made.event_types == ["order:update", "connected", "stream:reset", "order:update"]
        assert made.stream.last_event_id == "f-2"


@pytest.mark.parametrize("event", ["auth:expired", "connection:limit"])
@pytest.mark.parametrize("is_old", [True, False])
async def test_a_final_event_on_either_connection_ends_both(event: str, is_old: bool) -> None:
    async with leaving() as (made, old):
        following = made.last
        await following.send(CONNECTED)
        await (old if is_old else following).send(f"event: {event}\ndata: {{}}\n\n")
        assert isinstance(made.error, tapewire.StreamEnded)
        assert (old.is_aborted, following.is_aborted) == (True, True)


async def test_a_silent_old_connection_is_replaced_by_the_next_one() -> None:
    async with leaving("stream") as (made, old):
        await made.advance(70)
        await made.last.send(CONNECTED + order(8))
        await made.advance(5.1)
        assert (old.is_aborted, made.last.is_aborted) == (True, False)
        assert (made.state_names, made.numbers) == (["connecting", "live"], [7, 8])


async def test_quotes_never_go_back_in_time_and_the_newest_is_not_lost() -> None:
    async with leaving() as (made, old):
        await old.send(quote(101, "02.5"))
        await made.last.send(CONNECTED + quote(100, "02"))
        await old.send(quote(103, "04"))
        await made.last.send(quote(102, "03") + LIVE)
        assert prices(made) == [101, 103]
        await made.last.send(quote(104, "04.25") + quote(105, "05") + quote(90, "01", "SPY"))
        assert prices(made) == [101, 103, 104, 105, 90]
        await made.last.send(quote(99, "00"))
        assert prices(made)[-1] == 99


async def test_values_without_ids_come_from_the_old_connection_until_the_handover() -> None:
    def value(number: int) -> str:
        return f'event: position:update\ndata: {{"v":{number}}}\n\n'

    async with leaving() as (made, old):
        await made.last.send(CONNECTED + value(1))
        await old.send(value(2))
        await made.last.send(value(3) + LIVE + value(4))
        values = [one.data["v"] for one in made.events if one.type == "position:update"]
        assert values == [2, 1, 3, 4]


async def test_each_event_comes_once_and_in_order_for_any_interleaving() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        async with leaving() as (made, old):
            following = made.last
            await following.send(CONNECTED)
            by_old, by_next, has_left = 7, 7, False
            while by_next < 14:
                if not has_left and by_old < 14 and rng.random() < 0.5:
                    by_old += 1
                    await old.send(order(by_old))
                else:
                    by_next += 1
                    await following.send(order(by_next))
                if not has_left and rng.random() < 0.15:
                    has_left = True
                    # The server sends this only after catching up with the old connection.
                    await (following.send(LIVE) if by_next >= by_old else old.end())
            await following.send(LIVE)
            assert made.numbers == [*range(7, 15)], f"seed {seed}"
