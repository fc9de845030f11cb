"""Resume on each stream of each API family, with every form of id and every reset reason.

The tests compare the state that a client ends with to the log (C8, C9, C10, C11).
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tapewire.log import RecordedEvent
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver
from tests.harness.sse import Frame, SseStream
from tests.integration.edge.stream_cases import (
    DOMAINS,
    UNIQUE_STREAM_CASES,
    StreamCase,
    open_stream,
    read_initial_frames,
)
from tests.integration.edge.user_scenario import UserScenario

BEFORE = 12
LIMIT = 3


@pytest.fixture(scope="module")
def known() -> dict[int, RecordedEvent]:
    """The events of the one user whom most tests share, by sequence."""
    return {}


@pytest.fixture
async def cast(journal: EventLogDriver, known: dict[int, RecordedEvent]) -> UserScenario:
    made = UserScenario(journal, "cassandra", known)
    if not known:
        await made.create_strategy_and_configuration()
        for number in range(BEFORE):
            for domain in DOMAINS:
                await made.append_event(domain, number)
    await made.visible_events()
    return made


_numbers = itertools.count(2 * BEFORE, 2)


@pytest.fixture
async def cookie(edge: EdgeProcess, cast: UserScenario) -> str:
    return await edge.sign_in(cast.user)


async def knows_all(row: StreamCase, cast: UserScenario, stream: SseStream, frames: Any) -> None:
    """Assert that the first frames give the state of the log, and that the next event follows."""
    last_sequence = frames[-1].sequence
    events = [one for one in await cast.visible_events() if one.sequence <= last_sequence]
    if _listed(row):  # the recent events that the log still has
        first = (await cast.journal.log.bounds()).first
        assert (
            row.from_frames(frames)
            == row.from_log([e for e in events if e.sequence >= first])[-100:]
        )
    else:
        assert row.from_frames(frames) == row.from_log(events)
    last = await cast.append_event(row.domain, next(_numbers))
    frames += await upto(stream, last)
    assert frames[-1].sequence == last
    if not _listed(row):
        assert row.from_frames(frames) == row.from_log(await cast.visible_events())


def _listed(row: StreamCase) -> bool:
    return isinstance(row.from_log([]), list)


async def upto(stream: SseStream, sequence: int) -> list[Frame]:
    """All frames with ids up to `sequence`."""
    frames: list[Frame] = []
    while not frames or frames[-1].sequence < sequence:
        frame = await stream.read()
        if frame.id is not None:
            frames.append(frame)
    return frames


def is_reset(row: Any, frame: Frame, reason: Any, requested: Any, first: Any) -> None:
    assert (frame.event, frame.id) == ("stream:reset", None)
    data = dict(frame.data)
    if row.is_snake_case:
        assert (data.pop("type"), bool(data.pop("timestamp"))) == ("stream:reset", True)
    keys = (
        ("requested_id", "first_available_id")
        if row.is_snake_case
        else ("requestedId", "firstAvailableId")
    )
    assert data == {"reason": reason, keys[0]: requested, keys[1]: first}


async def reset(
    edge: EdgeProcess, row: Any, cast: Any, cookie: str, requested: Any, reason: Any
) -> None:
    """Resume from `requested`: expect a reset with `reason`, and then the whole state."""
    first = (await cast.journal.log.bounds()).first
    first_id = f"{await cast.journal.epoch()}-{first}"
    path = row.path_for(cast)
    async with await open_stream(edge, path, cookie, last_event_id=requested) as stream:
        frames = await read_initial_frames(stream)
        is_reset(row, frames[0], reason, requested, first_id)
        await knows_all(row, cast, stream, frames[1:])


@pytest.mark.parametrize("row", UNIQUE_STREAM_CASES, ids=repr)
class TestEachStream:
    async def test_invalid_id_resets_the_stream(
        self, edge: EdgeProcess, row: StreamCase, cast: UserScenario, cookie: str
    ) -> None:
        bounds = await cast.journal.log.bounds()
        for requested, reason in (
            ("nonsense", "malformed"),
            ("e0-1", "epoch"),
            (f"{bounds.epoch}-{bounds.last + 1_000_000}", "ahead"),
            (str(bounds.last + 1_000_000), "ahead"),
        ):
            await reset(edge, row, cast, cookie, requested, reason)

    async def test_resumes_after_an_id_in_each_form(
        self, edge: EdgeProcess, row: StreamCase, cast: UserScenario, cookie: str
    ) -> None:
        sequences = await self.read_sequences(edge, row, cast, cookie)
        sequence, later = sequences[-4], sequences[-3:]
        epoch = await cast.journal.epoch()
        path, join = row.path_for(cast), "&" if "?" in row.path else "?"
        elsewhere = f"lastEventId={epoch}-{later[0]}&last_event_id={epoch}-{later[1]}"
        for number, (query, header) in enumerate(
            (
                ("", f"{epoch}-{sequence}"),
                ("", str(sequence)),
                (f"{join}lastEventId={epoch}-{sequence}", None),
                (f"{join}last_event_id={sequence}", None),
                (f"{join}{elsewhere}", f"{epoch}-{sequence}"),
                (f"{join}lastEventId={sequence}&last_event_id={later[0]}", None),
            )
        ):
            how = {"last_event_id": header} if header else {}
            async with await open_stream(edge, f"{path}{query}", cookie, **how) as stream:
                assert [one.sequence for one in await upto(stream, sequences[-1])] == later, number

    async def test_resumes_by_the_time_in_a_legacy_id(
        self, edge: EdgeProcess, row: StreamCase, cast: UserScenario, cookie: str
    ) -> None:
        """The edge sends all events of that millisecond again."""
        sequences = await self.read_sequences(edge, row, cast, cookie)
        times = {one.sequence: one.time.timestamp() for one in await cast.visible_events()}
        since = int(times[sequences[-3]] * 1000)
        expected = [one for one in sequences if times[one] * 1000 >= since]
        assert expected
        async with await open_stream(
            edge, row.path_for(cast), cookie, last_event_id=f"{since}-x7Qz"
        ) as stream:
            assert [one.sequence for one in await upto(stream, sequences[-1])] == expected

    async def read_sequences(
        self, edge: EdgeProcess, row: StreamCase, cast: UserScenario, cookie: str
    ) -> list[Any]:
        """The sequences of all events in the log that the stream shows, in order."""
        start = f"{await cast.journal.epoch()}-{(await cast.visible_events())[0].sequence}"
        last = [await cast.append_event(row.domain, next(_numbers)) for _ in range(4)][-1]
        async with await open_stream(
            edge, row.path_for(cast), cookie, last_event_id=start
        ) as stream:
            return [one.sequence for one in await upto(stream, last)]


class TrimmedLogHarness:
    """A separate harness, whose log is trimmed once for all tests of this file.

    `young` is an edge that has no events in memory and a low replay limit. `known` has the user's
    earlier events.
    """

    def __init__(self, folder: Any) -> None:
        self.harness = Harness(folder)
        self.harness.start_edge()
        self._new_edge: EdgeProcess | None = None
        self.known: dict[int, RecordedEvent] = {}

    async def start_new_edge(self, cast: UserScenario) -> EdgeProcess:
        """The young edge. Trim the log and start it if that has not happened yet."""
        if self._new_edge is None:
            await self._trim(cast)
            self._new_edge = self.harness.start_edge(SSE_REPLAY_LIMIT=LIMIT)
        return self._new_edge

    async def _trim(self, cast: UserScenario) -> None:
        """Trim the older half of the log, after the views have checkpoints that cover it."""
        for number in range(BEFORE):
            for domain in DOMAINS:
                await cast.append_event(domain, number)
        await cast.save_checkpoints()
        last_removed = (await cast.visible_events())[-1].sequence
        await cast.create_strategy_and_configuration()
        for number in range(BEFORE, 2 * BEFORE):
            for domain in DOMAINS:
                await cast.append_event(domain, number)
        await cast.journal.purge_through(last_removed)


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrimmedLogHarness]:
    made = TrimmedLogHarness(tmp_path_factory.mktemp("trimmed"))
    yield made
    made.harness.close()


@pytest.mark.parametrize("row", UNIQUE_STREAM_CASES, ids=repr)
async def test_stream_is_reset_for_a_trimmed_id_and_above_the_replay_limit(
    trimmed: TrimmedLogHarness, row: StreamCase
) -> None:
    async with trimmed.harness.journal() as journal:
        cast = UserScenario(journal, "tess", trimmed.known)
        new_edge = await trimmed.start_new_edge(cast)
        cookie = await new_edge.sign_in(cast.user)
        bounds = await journal.log.bounds()
        first, epoch = bounds.first, bounds.epoch
        [oldest] = [
            one.time.timestamp() for one in await cast.visible_events() if one.sequence == first
        ]
        for requested, reason in (
            (f"{epoch}-2", "trimmed"),
            ("2", "trimmed"),
            (f"{int(oldest * 1000) - 60_000}-abc", "trimmed"),
            (f"{epoch}-{first}", "limit"),
            (f"{int(oldest * 1000) + 1}-abc", "limit"),
        ):
            await reset(new_edge, row, cast, cookie, requested, reason)


async def test_every_open_stream_is_reset_when_the_log_is_recreated(
    isolated_harness: Harness,
) -> None:
    edge = isolated_harness.start_edge()
    async with isolated_harness.journal() as journal:
        cast = UserScenario(journal, "ann")
        await cast.create_strategy_and_configuration()
        cookie = await edge.sign_in(cast.user)
        streams = [
            (row, await open_stream(edge, row.path_for(cast), cookie))
            for row in UNIQUE_STREAM_CASES
        ]
        positions = [(await read_initial_frames(stream))[-1].id for _, stream in streams]
        await journal.recreate_stream()
        first = f"{await journal.epoch()}-1"
        for (row, stream), position in zip(streams, positions, strict=True):
            again = await read_initial_frames(stream)
            is_reset(row, again[0], "epoch", position, first)
            assert again[-1].id == f"{await journal.epoch()}-0"
            assert not row.from_frames(again) or "{" in row.path
        await cast.create_strategy_and_configuration()
        for number in range(3):
            last = {domain: await cast.append_event(domain, number) for domain in DOMAINS}
        for row, stream in streams:
            frames = await upto(stream, last["items" if row.domain == "items" else row.domain])
            assert frames[-1].id == f"{await journal.epoch()}-{last[row.domain]}", row
            await stream.close()
