"""Snapshots and live events on two edges, while several writers append (B1, B4, C11).

The tests cover each stream that begins with a snapshot. A reader that connects at any time ends
with the state of the log, without a missed or repeated event (B1, C11). All readers of an event get
the same frame (B4).
"""

import asyncio
from collections.abc import Callable

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver
from tests.harness.sse import Frame, SseStream
from tests.integration.edge.stream_cases import (
    DOMAINS,
    STREAM_CASES,
    StreamCase,
    open_stream,
    read_initial_frames,
)
from tests.integration.edge.user_scenario import UserScenario

ROUNDS = 24
OPENINGS = (4, 12, 20)
"""Rounds in which readers connect, while the writers of the other domains continue."""


class ConcurrentReader:
    """A reader that connects during the writes."""

    def __init__(self, row: StreamCase, stream: SseStream) -> None:
        self.row = row
        self.stream = stream
        self.frames: list[Frame] = []

    async def upto(self, last: int) -> None:
        self.frames = await read_initial_frames(self.stream)
        while self.frames[-1].id is None or self.frames[-1].sequence < last:
            frame = await self.stream.read(seconds=30)
            if frame.id is not None:
                self.frames.append(frame)
        await self.stream.close()


async def test_every_reader_ends_with_the_state_of_the_log(
    harness: Harness, edge: EdgeProcess, journal: EventLogDriver, fresh: Callable[[str], str]
) -> None:
    cast = UserScenario(journal, fresh("snap"))
    await cast.create_strategy_and_configuration()
    cookie = await edge.sign_in(cast.user)
    edges = (edge, harness.shared_edge(SSE_FLUSH_MS=5))
    readings, last = [], {}

    async def write(domain: str) -> None:
        for number in range(ROUNDS):
            last[domain] = await cast.append_event(domain, number)
            if domain == DOMAINS[0] and number in OPENINGS:
                for row in STREAM_CASES:
                    for at in edges:
                        stream = await open_stream(at, row.path_for(cast), cookie)
                        readings.append(ConcurrentReader(row, stream))

    await asyncio.gather(*map(write, DOMAINS))
    end = {domain: await cast.append_event(domain, ROUNDS) for domain in DOMAINS}
    assert all(end[domain] > last[domain] for domain in DOMAINS)
    await asyncio.gather(*(one.upto(end[one.row.domain]) for one in readings))
    events = await cast.visible_events()
    assert len(readings) == len(OPENINGS) * len(edges) * len(STREAM_CASES)
    for one in readings:
        row, sequences = one.row, [frame.sequence for frame in one.frames if frame.id]
        assert sequences == sorted(set(sequences)), row
        truth = row.from_log([event for event in events if event.sequence <= end[row.domain]])
        if row.is_public:  # includes up to 100 events of other users
            assert row.from_frames(one.frames)[-ROUNDS - 1 :] == truth[-ROUNDS - 1 :], row
        else:
            assert row.from_frames(one.frames) == truth, row


async def test_all_readers_of_an_event_get_the_same_bytes(
    edge: EdgeProcess, journal: EventLogDriver, fresh: Callable[[str], str]
) -> None:
    cast = UserScenario(journal, fresh("same"))
    await cast.create_strategy_and_configuration()
    cookie = await edge.sign_in(cast.user)
    for row in STREAM_CASES:
        streams = [await open_stream(edge, row.path_for(cast), cookie) for _ in range(3)]
        for stream in streams:
            await read_initial_frames(stream)
        last = await cast.append_event(row.domain, 0)
        got = []
        for stream in streams:
            frame = await stream.read_until(
                "the event", lambda f, at=last: f.id and f.sequence == at
            )
            got.append(frame.raw)
            await stream.close()
        assert got == got[:1] * 3, row
