"""Appends: what is stored, in which order, and what is rejected."""

from datetime import UTC, datetime, timedelta

import pytest

from tapewire.events import CODEC
from tapewire.log import (
    AlreadyStored,
    AppendRejected,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
)
from tests.harness.event_factories import (
    make_draft,
    make_event,
    make_subject,
    notes_of,
    sequences_of,
)
from tests.harness.recorded_log import read_events

MAX_PAYLOAD_BYTES = 1 << 20
"""The largest message that a server accepts by default, including its headers."""
OVERHEAD_BYTES = len(CODEC.encode(make_event("")))


async def test_an_event_reads_back_as_it_was_appended(log: EventLog) -> None:
    meta = EventMetadata(
        id="e-1",
        correlation="c-1",
        causation="command-1",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    event = make_event('naïve ✓ \n"quoted"')

    last = await log.append(
        [EventDraft(subject=make_subject("alice/orders/1"), event=event, metadata=meta)]
    )

    [recorded] = await read_events(log)
    assert (recorded.sequence, recorded.subject, recorded.tag) == (
        last,
        "ev.alice.orders.1",
        "agent.status.v1",
    )
    assert recorded.metadata == meta
    assert recorded.event == event
    assert abs(recorded.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert recorded.time.tzinfo is not None


async def test_missing_metadata_reads_back_as_none(log: EventLog) -> None:
    await log.append([make_draft(event_id="e-1")])

    [recorded] = await read_events(log)
    assert recorded.metadata == EventMetadata(
        id="e-1", correlation="c-1", causation=None, traceparent=None
    )


UNUSUAL_HEADER_VALUES = [
    "żółw 日本 🐢",
    "a: b; c",
    "=?utf-8?q?x?=",
    "tab\tinside",
    "%0A",
    "x" * 2_000,
]


@pytest.mark.parametrize("word", UNUSUAL_HEADER_VALUES)
async def test_ids_may_contain_any_text_of_one_line(log: EventLog, word: str) -> None:
    meta = EventMetadata(id=word, correlation=word, causation=word)
    await log.append(
        [EventDraft(subject=make_subject("alice/orders/1"), event=make_event(), metadata=meta)]
    )

    [recorded] = await read_events(log)
    assert recorded.metadata == meta


async def test_sequences_start_at_one_and_count_all_subjects(log: EventLog) -> None:
    assert await log.append([make_draft("alice/orders/1")]) == 1
    assert await log.append([make_draft("bob/orders/1")]) == 2
    assert await log.append([make_draft("alice/orders/1")]) == 3


async def test_an_append_at_the_expected_sequence_is_stored(log: EventLog) -> None:
    await log.append([make_draft("bob/orders/1")])
    first = await log.append([make_draft("alice/orders/1", expected_sequence=0)])
    await log.append([make_draft("bob/orders/1")])

    assert await log.append([make_draft("alice/orders/1", expected_sequence=first)]) == 4


@pytest.mark.parametrize("expect", [0, 1, 3, 4])
async def test_an_append_at_another_sequence_is_a_conflict(log: EventLog, expect: int) -> None:
    await log.append([make_draft("alice/orders/1")])
    await log.append([make_draft("alice/orders/1")])
    await log.append([make_draft("bob/orders/1")])

    with pytest.raises(Conflict):
        await log.append([make_draft("alice/orders/1", expected_sequence=expect)])
    assert len(await read_events(log)) == 3


async def test_expecting_a_missing_entity_is_a_conflict(log: EventLog) -> None:
    with pytest.raises(Conflict):
        await log.append([make_draft("alice/orders/1", expected_sequence=7)])


async def test_the_same_id_is_stored_once(log: EventLog) -> None:
    await log.append([make_draft(event_id="e-1")])

    with pytest.raises(AlreadyStored):
        await log.append([make_draft(event_id="e-1")])
    with pytest.raises(AlreadyStored):
        await log.append([make_draft("bob/orders/9", event_id="e-1")])
    assert len(await read_events(log)) == 1


async def test_a_repeated_append_reports_the_stored_sequence(log: EventLog) -> None:
    await log.append([make_draft(note="another")])
    stored = await log.append([make_draft(event_id="e-1")])
    await log.append([make_draft(note="another")])

    with pytest.raises(AlreadyStored) as caught:
        await log.append([make_draft(event_id="e-1")])
    assert caught.value.sequence == stored


async def test_the_expected_sequence_is_checked_before_the_id(log: EventLog) -> None:
    """A retry of a stored event is a conflict. Only a read of the log shows that it is stored."""
    await log.append([make_draft(event_id="e-1", expected_sequence=0)])

    with pytest.raises(Conflict):
        await log.append([make_draft(event_id="e-1", expected_sequence=0)])
    with pytest.raises(AlreadyStored):
        await log.append([make_draft(event_id="e-1", expected_sequence=1)])


async def test_a_batch_is_stored_atomically_and_in_order(log: EventLog) -> None:
    await log.append([make_draft("bob/orders/1")])

    last = await log.append(
        [
            make_draft("alice/orders/1", "fill", expected_sequence=0),
            make_draft("alice/trades/1", "trade"),
            make_draft("alice/orders/1", "done"),
        ]
    )

    events = await read_events(log, "ev.alice.>")
    assert sequences_of(events) == [last - 2, last - 1, last] == [2, 3, 4]
    assert notes_of(events) == ["fill", "trade", "done"]
    assert [recorded.metadata.correlation for recorded in events] == ["c-1"] * 3


async def test_a_conflict_of_any_event_rejects_the_whole_batch(log: EventLog) -> None:
    await log.append([make_draft("alice/trades/1")])

    with pytest.raises(Conflict):
        await log.append(
            [make_draft("alice/orders/1", expected_sequence=3), make_draft("alice/trades/1")]
        )
    with pytest.raises(Conflict):
        await log.append(
            [
                make_draft("alice/orders/1", expected_sequence=0),
                make_draft("alice/trades/1", expected_sequence=0),
            ]
        )
    assert len(await read_events(log)) == 1


async def test_expected_sequences_of_a_batch_refer_to_the_log_before_the_batch(
    log: EventLog,
) -> None:
    await log.append([make_draft("alice/orders/1")])
    await log.append([make_draft("alice/trades/1")])

    last = await log.append(
        [
            make_draft("alice/orders/1", expected_sequence=1),
            make_draft("alice/trades/1", expected_sequence=2),
        ]
    )
    assert last == 4

    with pytest.raises(Conflict):
        await log.append(
            [
                make_draft("bob/orders/1", expected_sequence=0),
                make_draft("bob/orders/1", expected_sequence=5),
            ]
        )


async def test_a_known_id_of_any_event_rejects_the_whole_batch(log: EventLog) -> None:
    await log.append([make_draft("alice/orders/1", event_id="e-1")])

    with pytest.raises(AlreadyStored):
        await log.append(
            [
                make_draft("bob/orders/1", expected_sequence=0),
                make_draft("bob/trades/1", event_id="e-1"),
            ]
        )
    with pytest.raises(AlreadyStored):
        await log.append(
            [
                make_draft("alice/orders/1", event_id="e-1", expected_sequence=0),
                make_draft("bob/trades/1"),
            ]
        )
    with pytest.raises(AlreadyStored):
        await log.append(
            [make_draft("bob/orders/1", event_id="e-2"), make_draft("bob/orders/1", event_id="e-2")]
        )
    assert len(await read_events(log)) == 1


async def test_a_rejected_batch_can_be_appended_with_correct_expectations(log: EventLog) -> None:
    drafts = [
        make_draft("alice/orders/1", event_id="a", expected_sequence=0),
        make_draft("alice/trades/1", event_id="b"),
    ]
    await log.append([make_draft("alice/orders/1")])
    with pytest.raises(Conflict):
        await log.append(drafts)

    drafts = [
        make_draft("alice/orders/1", event_id="a", expected_sequence=1),
        make_draft("alice/trades/1", event_id="b"),
    ]
    assert await log.append(drafts) == 3


async def test_a_batch_holds_at_most_a_thousand_events(log: EventLog) -> None:
    thousand = [make_draft(f"alice/orders/{number}", str(number)) for number in range(1000)]
    assert await log.append(thousand) == 1000
    assert notes_of(await read_events(log)) == [str(number) for number in range(1000)]

    with pytest.raises(AppendRejected):
        await log.append([make_draft(f"alice/orders/{number}") for number in range(1001)])
    with pytest.raises(AppendRejected):
        await log.append([])
    assert await log.last_sequence("ev.>") == 1000


@pytest.mark.parametrize("beyond", [-50, 0, 1, 100_000])
async def test_an_event_over_the_servers_limit_is_rejected(log: EventLog, beyond: int) -> None:
    """Headers count. Regression: with a payload just below the limit, the server disconnected."""
    with pytest.raises(AppendRejected):
        await log.append([make_draft(note="x" * (MAX_PAYLOAD_BYTES + beyond - OVERHEAD_BYTES))])
    assert await log.append([make_draft(note="x" * (MAX_PAYLOAD_BYTES - 2_000))]) == 1
