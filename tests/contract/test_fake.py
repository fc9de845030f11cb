"""What the fake does beyond the contract: everything that the real one does on a bad day, decided
by a seed, so that what was built on it has seen all of it."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tapewire.log import AlreadyStored, LogError, Recorded
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.log.memory.journal import DUPLICATE_SECONDS
from tests.contract.drafts import draft, everything, note, notes, sequences
from tests.unit.orders import virtual

START = datetime(2026, 3, 2, tzinfo=UTC)


class Story:
    """What a reader was told, in order: sequences, and gaps."""

    def __init__(self) -> None:
        self.told: list[int | str] = []

    def on_event(self, recorded: Recorded) -> None:
        self.told.append(recorded.sequence)

    def on_gap(self, why: str) -> None:
        self.told.append(why.split()[0])

    @property
    def heard(self) -> list[int]:
        return [one for one in self.told if isinstance(one, int)]


async def day(faults: Faults, events: int = 200) -> tuple[list[int | str], list[str], int]:
    """One live reader under `faults` while a faultless process appends."""
    server = MemoryServer()
    story = Story()
    reader, writer = MemoryLog(server, faults), MemoryLog(server)
    while True:
        try:
            await reader.live("ev.>", story.on_event, story.on_gap)
            await reader.last("ev.>")
            break
        except LogError:
            await asyncio.sleep(0.1)
    errors: list[str] = []
    for number in range(events):
        await asyncio.sleep(0.01)
        try:
            await reader.append([draft("alice/orders/1", str(number))])
        except LogError as error:
            errors.append(type(error).__name__)
            await asyncio.sleep(0.2)
    await asyncio.sleep(30)
    return story.told, errors, await writer.last("ev.>")


def heard(faults: Faults) -> Story:
    story = Story()
    story.told, _, _ = virtual.run(day(faults))
    return story


@pytest.mark.parametrize("seed", range(5))
def test_one_seed_is_one_story(seed: int) -> None:
    assert virtual.run(day(Faults.rough(seed))) == virtual.run(day(Faults.rough(seed)))


def test_different_seeds_are_different_stories() -> None:
    assert virtual.run(day(Faults.rough(1))) != virtual.run(day(Faults.rough(2)))


def test_without_faults_live_is_whole() -> None:
    assert heard(Faults(seed=1)).told == list(range(1, 201))


def test_messages_on_their_way_stay_in_order() -> None:
    assert heard(Faults(seed=1, delay=0.5)).heard == list(range(1, 201))


def test_some_live_messages_are_lost_and_nothing_is_told() -> None:
    story = heard(Faults(seed=1, lost=0.1))
    assert story.heard == story.told == sorted(story.heard)
    assert 150 < len(story.heard) < 200


def test_some_are_lost_and_a_gap_is_told_before_any_later_one() -> None:
    story = heard(Faults(seed=1, gap=0.1, delay=0.3))
    expected = 1
    gap = False
    for one in story.told:
        if isinstance(one, str):
            gap = True
            continue
        assert one == expected or gap, f"{one} after a loss that nobody told"
        expected, gap = one + 1, False
    assert 150 < len(story.heard) < 200


def test_some_arrive_after_their_successors_and_none_is_missing() -> None:
    story = heard(Faults(seed=1, late=0.1))
    assert story.heard != sorted(story.heard)
    assert sorted(story.heard) == list(range(1, 201))


def test_some_arrive_again_after_their_successors() -> None:
    story = heard(Faults(seed=1, again=0.1))
    again = [one for one, times in Counter(story.heard).items() if times > 1]
    assert 5 < len(again) < 50
    assert sorted(set(story.heard)) == list(range(1, 201))
    assert story.heard != sorted(story.heard)


def test_a_broken_connection_is_a_gap_told_when_it_is_back() -> None:
    told, errors, _ = virtual.run(day(Faults(seed=1, breaks=0.05, broken=0.5)))
    assert "reconnected" in told
    assert set(errors) <= {"Unavailable", "Uncertain"}
    assert errors


def test_outages_are_everybodys() -> None:
    async def story() -> list[str]:
        server = MemoryServer()
        one, other = Story(), Story()
        log, bystander = MemoryLog(server, Faults(seed=1, outage=1.0)), MemoryLog(server)
        await log.live("ev.>", one.on_event, one.on_gap)
        await bystander.live("ev.>", other.on_event, other.on_gap)
        with pytest.raises(LogError):
            await log.append([draft()])
        with pytest.raises(LogError):
            await bystander.last("ev.>")
        await asyncio.sleep(2)
        assert await bystander.last("ev.>") == 0
        return [*map(str, one.told), *map(str, other.told)]

    assert virtual.run(story()) == ["reconnected", "reconnected"]


def test_a_replica_lags_and_catches_up() -> None:
    async def story() -> set[int]:
        server = MemoryServer()
        for number in range(50):
            await MemoryLog(server).append([draft(note=str(number))])
        log = MemoryLog(server, Faults(seed=1, lag=0.5))
        assert await log.last("ev.>") == 50, "the leader never lags"
        return {len((await log.page("ev.>", after=0)).events) for _ in range(50)}

    ends = virtual.run(story())
    assert max(ends) == 50
    assert 34 <= min(ends) < 50


def test_ids_are_remembered_for_two_minutes() -> None:
    async def story() -> None:
        log = MemoryLog(MemoryServer())
        await log.append([draft(event_id="e-1")])
        await asyncio.sleep(DUPLICATE_SECONDS - 1)
        with pytest.raises(AlreadyStored):
            await log.append([draft(event_id="e-1")])
        await asyncio.sleep(2)
        assert await log.append([draft(event_id="e-1")]) == 2

    virtual.run(story())


def test_events_are_stamped_with_the_clock_that_was_given() -> None:
    async def story() -> None:
        clock = asyncio.get_running_loop().time
        log = MemoryLog(MemoryServer(now=lambda: START + timedelta(seconds=clock())))
        await asyncio.sleep(60)
        await log.append([draft()])
        [recorded] = await everything(log)
        assert recorded.time == START + timedelta(seconds=60)

    virtual.run(story())


def test_a_reaction_is_handed_out_again_when_its_acknowledgement_got_lost() -> None:
    async def story() -> Counter[str]:
        server = MemoryServer(ack=1.0)
        handled: Counter[str] = Counter()

        async def handle(recorded: Recorded) -> None:
            handled[note(recorded)] += 1

        log = MemoryLog(server, Faults(seed=1, redeliver=0.3))
        await log.react("positions", "ev.>", handle)
        for number in range(50):
            await log.append([draft(note=str(number))])
        await asyncio.sleep(60)
        return handled

    handled = virtual.run(story())
    assert len(handled) == 50
    assert 10 < sum(handled.values()) - 50 < 50


def test_what_a_killed_process_was_handling_comes_again_after_a_time() -> None:
    async def story() -> None:
        server = MemoryServer(ack=30.0)
        handled: list[str] = []

        async def hang(_: Recorded) -> None:
            await asyncio.Event().wait()

        async def handle(recorded: Recorded) -> None:
            handled.append(note(recorded))

        first = MemoryLog(server)
        await first.react("positions", "ev.>", hang)
        await first.append([draft(note="a")])
        await asyncio.sleep(1)
        first.kill()
        await MemoryLog(server).react("positions", "ev.>", handle)
        await asyncio.sleep(28)
        assert handled == []
        await asyncio.sleep(3)
        assert handled == ["a"]

    virtual.run(story())


def test_a_killed_process_hears_nothing_and_can_do_nothing() -> None:
    async def story() -> None:
        server, story = MemoryServer(), Story()
        log = MemoryLog(server)
        await log.live("ev.>", story.on_event, story.on_gap)
        log.kill()
        await MemoryLog(server).append([draft()])
        await asyncio.sleep(1)
        assert story.told == []
        with pytest.raises(LogError):
            await log.append([draft()])

    virtual.run(story())


def test_calm_ends_every_fault() -> None:
    async def story() -> None:
        server, faults = MemoryServer(), Faults.rough(3)
        log = MemoryLog(server, faults)
        faults.calm()
        for number in range(300):
            await log.append([draft(note=str(number))])
        assert notes(await everything(log)) == [str(number) for number in range(300)]
        assert sequences(await everything(log)) == list(range(1, 301))

    virtual.run(story())


def test_posted_values_may_be_lost_and_old_ones_read() -> None:
    async def story() -> tuple[int, set[bytes | None]]:
        server = MemoryServer()
        values = MemoryValues(server, Faults(seed=1, lost_append=0.2))
        for number in range(100):
            await values.post(f"S{number}", b"")
        stored = len(await values.all())
        await MemoryValues(server).put("IBM", b"1")
        await MemoryValues(server).put("IBM", b"2")
        lagging = MemoryValues(server, Faults(seed=1, lag=0.5))
        return stored, {await lagging.get("IBM") for _ in range(20)}

    stored, seen = virtual.run(story())
    assert 60 < stored < 100
    assert seen == {b"1", b"2"}
