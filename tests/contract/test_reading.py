"""Reads: pages, filters, the last sequence, and the bounds of the log."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tapewire.log import EventDraft, EventLog, EventMetadata, EventSubject, matches, new_id, pattern
from tapewire.log.jetstream.stream_reads import MAX_SUBJECTS_PER_REQUEST
from tapewire.log.ports import PAGE_BYTES
from tests.contract.backends import Backend
from tests.harness.event_factories import (
    make_draft,
    make_event,
    make_subject,
    notes_of,
    sequences_of,
)
from tests.harness.recorded_log import read_events

UNUSUAL_TEXTS = [
    "BRK.B",
    "a b",
    "*",
    ">",
    "żółw",
    "日本",
    "%2E",
    "a/b",
    "tab\there",
    "$JS.API",
    "_all",
    "-",
    "🐢",
]


async def append_events(log: EventLog, *names: str) -> None:
    for number, name in enumerate(names, 1):
        await log.append([make_draft(name, str(number))])


async def test_an_empty_log_has_no_events(log: EventLog) -> None:
    page = await log.page("ev.>", after=0)
    assert (page.events, page.has_more) == ([], False)
    assert await log.last_sequence("ev.>") == 0
    bounds = await log.bounds()
    assert (bounds.first, bounds.last) == (1, 0)


async def test_a_page_starts_after_its_cursor_and_ends_at_its_limit(log: EventLog) -> None:
    await append_events(log, *["alice/orders/1", "bob/orders/1"] * 5)

    page = await log.page("ev.alice.>", after=0, limit=2)
    assert (sequences_of(page.events), page.has_more) == ([1, 3], True)
    page = await log.page("ev.alice.>", after=3, limit=3)
    assert (sequences_of(page.events), page.has_more) == ([5, 7, 9], False)
    page = await log.page("ev.alice.>", after=4, limit=2)
    assert (sequences_of(page.events), page.has_more) == ([5, 7], True)
    page = await log.page("ev.alice.>", after=9, limit=2)
    assert (page.events, page.has_more) == ([], False)
    page = await log.page("ev.alice.>", after=999, limit=2)
    assert (page.events, page.has_more) == ([], False)


async def test_a_page_that_ends_with_the_last_event_has_no_more(
    log: EventLog,
) -> None:
    await append_events(log, *["alice/orders/1"] * 4, "bob/orders/1")

    page = await log.page("ev.alice.>", after=0, limit=4)
    assert (sequences_of(page.events), page.has_more) == ([1, 2, 3, 4], False)


@pytest.mark.parametrize("filter_", ["ev.alice.>", "ev.*.orders.1", "ev.alice.orders.1", "ev.>"])
async def test_a_page_reports_the_number_of_remaining_matching_events(
    log: EventLog, filter_: str
) -> None:
    names = ["alice/orders/1", "bob/trades/1"] * 10
    await append_events(log, *names)
    all_ = sum(matches(filter_, str(make_subject(name))) for name in names)

    first = await log.page(filter_, after=0, limit=3)
    assert first.remaining == all_ - 3
    second = await log.page(filter_, after=first.events[-1].sequence, limit=4)
    assert second.remaining == all_ - 7
    rest = await log.page(filter_, after=second.events[-1].sequence)
    assert (len(rest.events), rest.remaining) == (all_ - 7, 0)


async def test_last_events_returns_the_newest_event_of_each_subject(log: EventLog) -> None:
    names = [
        "alice/orders/1",
        "bob/orders/1",
        "alice/orders/1",
        *(f"{odd}/orders/é" for odd in UNUSUAL_TEXTS if "/" not in odd),
    ]
    for number, name in enumerate(names, 1):
        await log.append([make_draft(name, str(number))])
    subjects = [
        str(make_subject(name))
        for name in (*sorted(set(names)), "alice/orders/2", "carol/trades/1")
    ]

    found = await log.last_events(subjects)
    assert sequences_of(found) == [*range(2, len(names) + 1)]
    assert notes_of(found) == [str(number) for number in range(2, len(names) + 1)]
    assert [recorded.event_subject for recorded in found] == [
        make_subject(name) for name in names[1:]
    ]
    assert await log.last_events(subjects[-2:]) == []
    assert await log.last_events([]) == []


async def test_last_events_returns_more_subjects_than_fit_in_one_reply(
    backend: Backend, log: EventLog
) -> None:
    names = [f"alice/orders/{number}" for number in range(MAX_SUBJECTS_PER_REQUEST + 50)]
    large = "x" * (3 * PAGE_BYTES // MAX_SUBJECTS_PER_REQUEST)
    for start in range(0, len(names), 20):
        await log.append([make_draft(name, large) for name in names[start : start + 20]])
    await backend.trim(upto=10)

    found = await log.last_events([str(make_subject(name)) for name in reversed(names)])
    assert sequences_of(found) == [*range(11, len(names) + 1)]
    assert {len(note) for note in notes_of(found)} == {len(large)}


async def test_the_last_sequence_before_a_time_is_found(backend: Backend, log: EventLog) -> None:
    assert await log.last_sequence_before(datetime.now(UTC)) == 0
    for number in range(6):
        await log.append([make_draft(f"alice/orders/{number}")])
        await asyncio.sleep(0.002)  # two events have different times, even with a coarse clock
    times = [recorded.time for recorded in await read_events(log)]

    assert [await log.last_sequence_before(time) for time in times] == [0, 1, 2, 3, 4, 5]
    assert await log.last_sequence_before(times[2] + timedelta(microseconds=500)) == 3
    assert await log.last_sequence_before(times[0] - timedelta(days=1)) == 0
    assert await log.last_sequence_before(times[-1] + timedelta(days=1)) == 6

    await backend.trim(upto=4)
    assert await log.last_sequence_before(times[0]) == 4
    assert await log.last_sequence_before(times[5]) == 5


async def test_a_page_is_bounded_in_bytes_and_holds_at_least_one_event(log: EventLog) -> None:
    for number in range(6):
        await log.append([make_draft("alice/orders/1", str(number) + "x" * 10_000)])

    for size, most in ((1, 1), (9_000, 1), (30_000, 3), (45_000, 5)):
        page = await log.page("ev.>", after=0, max_bytes=size)
        assert 1 <= len(page.events) <= most, f"max_bytes={size}"
        assert page.has_more
    whole = await log.page("ev.>", after=0, max_bytes=1_000_000)
    assert (len(whole.events), whole.has_more) == (6, False)


async def test_consecutive_bounded_pages_cover_the_whole_log(log: EventLog) -> None:
    for number in range(40):
        await log.append([make_draft("alice/orders/1", f"{number} " + "x" * (number * 97 % 1000))])

    read: list[int] = []
    more = True
    while more:
        page = await log.page("ev.>", after=read[-1] if read else 0, limit=7, max_bytes=2_000)
        read += sequences_of(page.events)
        more = page.has_more
    assert read == list(range(1, 41))


FILTERS = [
    "ev.>",
    "ev.alice.>",
    "ev.alice.orders.>",
    "ev.alice.orders.1",
    "ev.alice.orders.*",
    "ev.*.orders.>",
    "ev.*.orders.1",
    "ev.*.*.1",
    "ev.*.*.*",
    "ev.*.>",
    "ev.alice.*.1",
    "ev.carol.>",
    "ev.carol.orders.1",
    "ev.alice.orders",
]


@pytest.mark.parametrize("filter_", FILTERS)
async def test_filters_select_the_matching_subjects(log: EventLog, filter_: str) -> None:
    names = ["alice/orders/1", "alice/orders/2", "alice/trades/1", "bob/orders/1", "bob/x/1"] * 2
    await append_events(log, *names)
    wanted = [
        number for number, name in enumerate(names, 1) if matches(filter_, str(make_subject(name)))
    ]

    assert sequences_of(await read_events(log, filter_)) == wanted
    assert await log.last_sequence(filter_) == max(wanted, default=0)
    for after in range(len(names) + 1):
        following = [number for number in wanted if number > after]
        assert await log.next_sequence(filter_, after) == min(following, default=0)


@pytest.mark.parametrize("text", UNUSUAL_TEXTS)
async def test_any_text_can_be_an_owner_and_an_entity(log: EventLog, text: str) -> None:
    mine = EventSubject(text, "orders", text)
    other = EventSubject(text + "x", "orders", text)
    for on in (mine, other):
        meta = EventMetadata(id=new_id(), correlation="c")
        await log.append(
            [EventDraft(subject=on, event=make_event(), metadata=meta, expected_sequence=0)]
        )

    assert sequences_of(await read_events(log, str(mine))) == [1]
    assert sequences_of(await read_events(log, pattern(owner=text))) == [1]
    assert sequences_of(await read_events(log, pattern(owner=text, domain="orders"))) == [1]
    assert sequences_of(await read_events(log, pattern(domain="orders"))) == [1, 2]
    [recorded] = await read_events(log, str(mine))
    assert EventSubject.parse(recorded.subject) == mine


async def test_the_last_sequence_includes_acknowledged_events_of_other_writers(
    backend: Backend,
) -> None:
    writer, reader = await backend.event_log(), await backend.event_log()
    for number in range(1, 20):
        assert await writer.append([make_draft(f"alice/orders/{number % 3}")]) == number
        assert await reader.last_sequence("ev.alice.>") == number
        assert (await reader.bounds()).last == number


async def test_a_trimmed_log_returns_the_remaining_events(backend: Backend, log: EventLog) -> None:
    await append_events(log, *["alice/orders/1", "bob/orders/1"] * 4)
    epoch = (await log.bounds()).epoch

    await backend.trim(upto=5)

    bounds = await log.bounds()
    assert (bounds.epoch, bounds.first, bounds.last) == (epoch, 6, 8)
    assert sequences_of(await read_events(log, "ev.alice.>", after=1)) == [7]
    assert sequences_of(await read_events(log)) == [6, 7, 8]
    assert await log.last_sequence("ev.bob.>") == 8


async def test_a_completely_trimmed_log_continues_its_sequence(
    backend: Backend, log: EventLog
) -> None:
    await append_events(log, *["alice/orders/1"] * 3)

    await backend.trim(upto=3)

    bounds = await log.bounds()
    assert (bounds.first, bounds.last) == (4, 3)
    assert await log.last_sequence("ev.>") == 0
    assert await read_events(log) == []
    assert await log.append([make_draft("alice/orders/1", expected_sequence=0)]) == 4


async def test_the_log_without_the_events_of_an_erased_user_has_gaps(
    backend: Backend, log: EventLog
) -> None:
    await append_events(log, *["alice/orders/1", "bob/orders/1", "bob/trades/1"] * 3)
    await backend.trim(upto=1)

    await backend.remove_user("bob")
    await backend.remove_user("bob")

    for filter_ in ("ev.>", "ev.*.orders.>", "ev.alice.>", "ev.*.*.1"):
        assert sequences_of(await read_events(log, filter_)) == [4, 7]
        assert await log.last_sequence(filter_) == 7
        assert await log.next_sequence(filter_, 4) == 7
    assert (await log.page("ev.>", after=0, limit=1)).remaining == 1
    subjects = [str(make_subject(one)) for one in ("alice/orders/1", "bob/orders/1")]
    assert sequences_of(await log.last_events(subjects)) == [7]
    assert await log.last_sequence("ev.bob.>") == 0
    assert (await log.bounds()).last == 9
    assert await log.append([make_draft("bob/orders/1", expected_sequence=0)]) == 10
    assert sequences_of(await read_events(log)) == [4, 7, 10]


async def test_the_epoch_changes_when_the_log_is_recreated(backend: Backend, log: EventLog) -> None:
    await append_events(log, *["alice/orders/1"] * 3)
    before = await log.bounds()
    assert before.epoch.isalnum()
    assert before.epoch[0].isalpha()
    assert (await (await backend.event_log()).bounds()).epoch == before.epoch

    await backend.recreate()

    after = await log.bounds()
    assert after.epoch != before.epoch
    assert (after.first, after.last) == (1, 0)
    assert await log.append([make_draft("alice/orders/1", "again", expected_sequence=0)]) == 1
    assert notes_of(await read_events(log)) == ["again"]
