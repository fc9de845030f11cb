"""The iterator and its caller: waiting, cancelling, leaving, and reading slowly."""

import asyncio
import gc

import pytest

import tapewire
from tapewire.events import Order
from tapewire.sse.event_buffer import MAX_BUFFERED_EVENTS
from tests.unit.sse.scripted_edge import LIVE, ScriptedStream, order, refusal, settle

pytestmark = pytest.mark.virtual_time


async def test_a_wait_that_is_cancelled_loses_no_event() -> None:
    made = ScriptedStream(["stream"])
    async with made.stream as events:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await anext(events)
        await made.last.send(order(1) + order(2))
        assert [(await anext(events)).id for _ in range(2)] == ["e-1", "e-2"]


async def test_the_id_to_resume_from_is_that_of_the_last_returned_event() -> None:
    made = ScriptedStream(["stream"], last_event_id="e-0")
    async with made.stream as events:
        await settle()
        checkpoint = "event: checkpoint\nid: e-9\ndata: {}\n\n"
        await made.last.send(order(1) + order(2) + checkpoint + order(10))
        assert (events.last_event_id, events.state.last_event_id) == ("e-0", "e-0")
        seen = []
        for _ in range(3):
            await anext(events)
            seen.append(events.last_event_id)
        assert seen == ["e-1", "e-2", "e-10"]
        await made.last.send("event: checkpoint\nid: e-12\ndata: {}\n\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(events)
        assert events.last_event_id == "e-12"


async def test_stale_symbols_are_those_of_the_returned_events() -> None:
    made = ScriptedStream(["stream"])
    async with made.stream as events:
        await settle()
        quote = '{"symbol":"IBM","price":1}'
        await made.last.send(f"event: price:stale\ndata: {quote}\n\n")
        await made.last.send(f"event: price:update\ndata: {quote}\n\n")
        seen = [events.stale_symbols]
        for _ in range(2):
            await anext(events)
            seen.append(events.stale_symbols)
        assert seen == [set(), {"IBM"}, set()]


async def test_a_slow_caller_holds_the_connection_back_and_is_not_cut_off() -> None:
    made = ScriptedStream(["stream"])
    async with made.stream as events:
        await settle()
        for first in range(0, 3 * MAX_BUFFERED_EVENTS, 100):
            await made.last.send("".join(order(first + number) for number in range(1, 101)))
        assert made.last.unread_count > MAX_BUFFERED_EVENTS / 100
        await asyncio.sleep(3000)  # without a keepalive in between
        numbers = [(await anext(events)).data["n"] for _ in range(3 * MAX_BUFFERED_EVENTS)]
        assert numbers == [*range(1, 3 * MAX_BUFFERED_EVENTS + 1)]
        assert len(made.exchanges) == 1


async def test_events_that_arrived_before_an_error_are_returned_first() -> None:
    made = ScriptedStream(["stream", refusal(404)])
    async with made.stream as events:
        await settle()
        await made.last.send(order(1) + order(2))
        await made.last.end()
        await asyncio.sleep(60)
        assert [(await anext(events)).id for _ in range(2)] == ["e-1", "e-2"]
        with pytest.raises(tapewire.StreamRejected, match="404 not now"):
            await anext(events)


async def test_after_close_nothing_is_returned_although_it_has_arrived() -> None:
    made = ScriptedStream(["stream"])
    async with made.stream as events:
        await settle()
        await made.last.send(order(1) + order(2))
        assert (await anext(events)).id == "e-1"
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_stream_that_is_closed_before_it_was_read_makes_no_request() -> None:
    made = ScriptedStream(["stream"])
    await made.stream.close()
    assert [event async for event in made.stream] == []
    assert made.edge.request_count == 0


async def test_a_loop_that_is_left_by_break_leaves_no_connection_behind() -> None:
    made = ScriptedStream(["stream"])
    exchanges, stream = made.exchanges, made.stream
    waiting = asyncio.ensure_future(anext(stream))
    await settle()
    await exchanges[0].send(order(1))
    await waiting
    del made, stream, waiting
    gc.collect()
    await settle()
    assert exchanges[0].is_aborted
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_reader_closes_the_stream() -> None:
    made = ScriptedStream(["stream"])

    async def read() -> None:
        async with made.stream as events:
            async for _ in events:
                pass

    reading = asyncio.create_task(read())
    await settle()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert made.last.is_aborted
    assert made.state_names[-1] == "closed"


async def test_an_event_can_be_decoded_as_a_struct() -> None:
    fields = (
        '"orderId":"o","clientOrderId":"c","symbol":"IBM","side":"buy","type":"limit","qty":10,'
        '"limitPrice":187.50,"status":"new","filledQty":0,"filledAvgPrice":null,"strategyId":null,'
        '"reason":null,"timestamp":"2026-01-02T08:30:15Z","later":1'
    )
    made = ScriptedStream(["stream"])
    async with made.stream as events:
        await settle()
        await made.last.send(f"{LIVE}event: order:update\nid: e-1\ndata: {{{fields}}}\n\n")
        placed = (await anext(events)).decode(Order)
        assert (placed.order_id, str(placed.limit_price)) == ("o", "187.50")
