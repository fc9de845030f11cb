"""The history checker finds and names every planted violation, and accepts valid histories."""

from datetime import UTC, datetime

import pytest

from tapewire.events import CATALOGUE, CODEC
from tapewire.log import EventMetadata, EventSubject, RecordedEvent
from tapewire.payloads.control import StreamResetPayload
from tapewire.payloads.trading import OrdersSnapshotPayload
from tapewire.views import OrdersView
from tapewire_services.edge.delivery.serializers import EmptyPricingContext
from tapewire_services.edge.delivery.serializers.trading import serialize_trading
from tests.harness.history import (
    AnomalyKind,
    ExpectedLog,
    HistoryEntry,
    LogIncarnation,
    ReceivedEvent,
    StreamOpened,
    check_history,
)
from tests.harness.order_builders import accept, cancel, fill, given, place

NOW = datetime(2013, 10, 7, tzinfo=UTC)


def _stored(*, closed: int = 0) -> list[RecordedEvent]:
    """Return stored events: alice's at odd sequences, bob's at even ones. Each order is placed,
    accepted, partly filled, traded and canceled. Alice's last event is of a domain that streams do
    not show."""
    orders = [
        given(place(client_order_id=f"c{number}"), cancel()).new_events for number in range(closed)
    ]
    orders.append(given(place(), accept(), fill("4"), cancel()).new_events)
    recorded: list[RecordedEvent] = []
    for new_event in [new_event for order in orders for new_event in order] + orders[-1][:1]:
        for owner in ("alice", "bob"):
            domain = new_event.subject.domain
            if new_event is orders[-1][0] and len(recorded) > 2 * 2 * closed:
                domain = "notes"
            recorded.append(
                RecordedEvent(
                    sequence=len(recorded) + 1,
                    subject=str(EventSubject(owner, domain, new_event.subject.entity)),
                    tag=CATALOGUE.tag_of(type(new_event.event)),
                    data=CODEC.encode(new_event.event),
                    metadata=EventMetadata(id=f"{len(recorded)}", correlation="c"),
                    time=NOW,
                )
            )
    return recorded


EVENTS = _stored()
LOG = ExpectedLog([LogIncarnation("m1", EVENTS)])
LATER = ExpectedLog([LogIncarnation("m1", EVENTS), LogIncarnation("m2", EVENTS)])
TRIMMED = ExpectedLog([LogIncarnation("m1", EVENTS, first=6)])


def connect(requested: str | None = None, user: str = "alice") -> list[HistoryEntry]:
    return [StreamOpened(requested), ReceivedEvent("connected", b'{"userId":"%b"}' % user.encode())]


def snapshot(at: int, *, epoch: str = "m1", events: list[RecordedEvent] = EVENTS) -> ReceivedEvent:
    view = OrdersView()
    for recorded in events[:at]:
        if recorded.subject.startswith("ev.alice.orders."):
            view.apply(recorded.event)
    payload = OrdersSnapshotPayload(snapshot=True, orders=view.orders(), timestamp=NOW)
    return ReceivedEvent("order:update", CODEC.encode(payload), f"{epoch}-{at}")


def event(sequence: int, *, epoch: str = "m1") -> ReceivedEvent:
    spoken = serialize_trading(EVENTS[sequence - 1].event, "alice", EmptyPricingContext())
    assert spoken is not None
    name, payload = spoken
    return ReceivedEvent(name, CODEC.encode(payload), f"{epoch}-{sequence}")


def reset(reason: str, requested: str) -> ReceivedEvent:
    payload = StreamResetPayload(reason=reason, requested_id=requested, first_available_id="m1-1")
    return ReceivedEvent("stream:reset", CODEC.encode(payload))


def kinds(
    *entries: HistoryEntry, log: ExpectedLog = LOG, complete: bool = False
) -> list[AnomalyKind]:
    return [wrong.kind for wrong in check_history(log, "alice", entries, complete=complete)]


ALL = [event(sequence) for sequence in (1, 3, 5, 7, 9)]


def test_the_log_contains_the_events_that_these_tests_need() -> None:
    facts = [(logged.owner, logged.name) for logged in LOG.newest_epoch.events]
    assert facts[::2] == [
        ("alice", "order:update"),
        ("alice", "order:update"),
        ("alice", "order:fill"),
        ("alice", "trade:new"),
        ("alice", "order:update"),
        ("alice", ""),
    ]
    assert {owner for owner, _ in facts[1::2]} == {"bob"}


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5, 6, 7, 10])
def test_a_snapshot_and_all_later_events_are_valid(at: int) -> None:
    later = [frame for frame in ALL if frame.id and int(frame.id[3:]) > at]
    assert not check_history(LOG, "alice", [*connect(), snapshot(at), *later])


@pytest.mark.parametrize("at", range(6))
def test_resuming_with_the_last_id_is_valid(at: int) -> None:
    seen = [snapshot(0), *ALL][: at + 1]
    rest = [snapshot(0), *ALL][at + 1 :]
    assert not check_history(LOG, "alice", [*connect(), *seen, *connect(seen[-1].id), *rest])


def test_a_checkpoint_frame_after_hidden_events_is_valid() -> None:
    moved = ReceivedEvent("checkpoint", b"{}", "m1-12")
    assert not check_history(
        LOG, "alice", [*connect(), snapshot(0), *ALL, moved, *connect("m1-12")]
    )


def test_resuming_with_an_older_id_repeats_events() -> None:
    again = [*connect(), snapshot(0), *ALL, *connect("m1-3"), *ALL[2:]]
    assert not check_history(LOG, "alice", again)


def test_resuming_with_a_bare_sequence_is_valid() -> None:
    assert not check_history(LOG, "alice", [*connect("5"), *ALL[3:]])


def test_a_gap_is_found() -> None:
    (wrong,) = check_history(LOG, "alice", [*connect(), snapshot(0), ALL[0], *ALL[3:]])
    assert str(wrong) == "gap at entry 4: m1-7 after 1, without 3, 5"


def test_a_gap_after_resuming_is_found() -> None:
    assert kinds(*connect("m1-1"), *ALL[2:]) == [AnomalyKind.GAP]


def test_a_gap_before_a_checkpoint_frame_is_found() -> None:
    assert kinds(*connect("m1-1"), ReceivedEvent("checkpoint", b"{}", "m1-4"), *ALL[2:]) == [
        AnomalyKind.GAP
    ]


def test_a_duplicate_is_found() -> None:
    assert kinds(*connect(), snapshot(0), *ALL[:2], ALL[1], *ALL[2:]) == [AnomalyKind.DUPLICATE]


def test_an_event_that_the_snapshot_contains_is_a_duplicate() -> None:
    assert kinds(*connect(), snapshot(3), *ALL[1:]) == [AnomalyKind.DUPLICATE]


def test_a_repeated_last_event_after_resuming_is_a_duplicate() -> None:
    assert kinds(*connect("m1-3"), *ALL[1:]) == [AnomalyKind.DUPLICATE]


def test_reordered_events_are_found() -> None:
    swapped = [ALL[0], ALL[2], ALL[1], *ALL[3:]]
    assert kinds(*connect(), snapshot(0), *swapped) == [
        AnomalyKind.GAP,
        AnomalyKind.REORDERED,
        AnomalyKind.GAP,
    ]


def test_an_event_of_another_user_is_found() -> None:
    assert kinds(*connect(), snapshot(0), ALL[0], event(2), *ALL[1:]) == [AnomalyKind.FOREIGN_EVENT]


def test_an_event_that_is_not_in_the_log_is_found() -> None:
    made_up = ReceivedEvent("order:update", ALL[0].data, "m1-99")
    assert kinds(*connect(), snapshot(12), made_up) == [AnomalyKind.FOREIGN_EVENT]


def test_a_stream_of_another_user_is_found() -> None:
    assert kinds(*connect(user="bob"), snapshot(0)) == [AnomalyKind.FOREIGN_EVENT]


def test_wrong_content_is_found() -> None:
    wrong = ReceivedEvent("order:update", ALL[0].data.replace(b'"IBM"', b'"SPY"'), "m1-1")
    assert kinds(*connect(), snapshot(0), wrong) == [AnomalyKind.WRONG_CONTENT]


def test_a_wrong_event_name_is_found() -> None:
    wrong = ReceivedEvent("order:fill", ALL[0].data, "m1-1")
    assert kinds(*connect(), snapshot(0), wrong) == [AnomalyKind.WRONG_CONTENT]


def test_an_event_that_should_be_hidden_is_found() -> None:
    assert kinds(*connect("m1-9"), ReceivedEvent("order:update", ALL[0].data, "m1-11")) == [
        AnomalyKind.WRONG_CONTENT
    ]


def test_a_snapshot_that_differs_from_the_fold_at_its_id_is_found() -> None:
    early = ReceivedEvent("order:update", snapshot(3).data, "m1-5")
    assert kinds(*connect(), early) == [AnomalyKind.WRONG_SNAPSHOT]


def test_a_snapshot_in_the_wrong_order_is_found() -> None:
    events = _stored(closed=2)
    payload = CODEC.decode(snapshot(9, events=events).data, dict)
    payload["orders"].reverse()
    log = ExpectedLog([LogIncarnation("m1", events)])
    assert len(payload["orders"]) > 1
    turned = ReceivedEvent("order:update", CODEC.encode(payload), "m1-9")
    assert kinds(*connect(), turned, log=log) == [AnomalyKind.WRONG_SNAPSHOT]


def test_a_snapshot_omits_the_orders_that_closed_first() -> None:
    events = _stored(closed=205)
    last = len(events)
    log = ExpectedLog([LogIncarnation("m1", events)])
    assert not check_history(log, "alice", [*connect(), snapshot(last, events=events)])


def test_a_snapshot_without_a_reset_is_found() -> None:
    assert kinds(*connect("m1-1"), snapshot(3), *ALL[2:]) == [AnomalyKind.SILENT_RESET]


def test_a_second_snapshot_is_found() -> None:
    assert kinds(*connect(), snapshot(0), ALL[0], snapshot(3), *ALL[2:]) == [
        AnomalyKind.SILENT_RESET
    ]


def test_an_event_of_another_epoch_without_a_reset_is_found() -> None:
    assert kinds(*connect("m1-1"), event(3, epoch="m2"), log=LATER) == [AnomalyKind.SILENT_RESET]


def test_an_event_of_another_epoch_after_a_reset_is_valid() -> None:
    moved = [reset("epoch", "m1-1"), snapshot(3, epoch="m2"), event(5, epoch="m2")]
    assert not kinds(*connect("m1-1"), *moved, log=LATER)


def test_a_reset_is_valid_after_hidden_events() -> None:
    moved = [reset("epoch", "m1-2"), snapshot(0, epoch="m2")]
    assert not kinds(*connect("m1-0"), event(1), *moved, log=LATER)


def test_a_reset_at_a_later_id_is_valid_if_only_hidden_events_are_between() -> None:
    moved = [reset("epoch", "m1-12"), snapshot(0, epoch="m2")]
    assert not kinds(*connect("m1-10"), *moved, log=LATER)


def test_a_reset_with_an_id_that_the_client_did_not_send_is_found() -> None:
    moved = [reset("epoch", "m1-4"), snapshot(0, epoch="m2")]
    assert kinds(*connect("m1-0"), event(1), *moved, log=LATER) == [AnomalyKind.UNFOUNDED_RESET]


@pytest.mark.parametrize("reason", ["epoch", "ahead", "trimmed", "limit", "malformed"])
def test_an_unfounded_reset_is_found(reason: str) -> None:
    frames = [reset(reason, "m1-3"), snapshot(5)]
    assert kinds(*connect("m1-3"), *frames) == [AnomalyKind.UNFOUNDED_RESET]


@pytest.mark.parametrize(
    ("reason", "requested", "log"),
    [
        ("malformed", "x" * 64, LOG),
        ("malformed", "m1:3", LOG),
        ("ahead", "m1-13", LOG),
        ("ahead", "13", LOG),
        ("epoch", "m0-3", LOG),
        ("epoch", "m1-3", LATER),
        ("trimmed", "m1-4", TRIMMED),
    ],
)
def test_a_reset_is_required_and_valid_if_the_log_gives_a_reason(
    reason: str, requested: str, log: ExpectedLog
) -> None:
    name = log.newest_epoch.name
    frames = [reset(reason, requested), snapshot(12, epoch=name)]
    assert not check_history(log, "alice", [*connect(requested), *frames])
    assert kinds(*connect(requested), snapshot(12, epoch=name), log=log) == [
        AnomalyKind.SILENT_RESET
    ]


def test_a_reset_is_valid_beyond_the_replay_limit() -> None:
    entries = [*connect("m1-1"), reset("limit", "m1-1"), snapshot(12)]
    assert not check_history(LOG, "alice", entries, replay_limit=4)
    assert check_history(LOG, "alice", entries, replay_limit=5)


def test_the_id_just_before_the_first_stored_event_is_no_reason_for_a_reset() -> None:
    frames = [reset("trimmed", "m1-5"), snapshot(12)]
    assert kinds(*connect("m1-5"), *frames, log=TRIMMED) == [AnomalyKind.UNFOUNDED_RESET]


def test_events_without_a_snapshot_after_a_reset_are_found() -> None:
    frames = [reset("epoch", "m1-1"), event(3, epoch="m2")]
    assert kinds(*connect("m1-1"), *frames, log=LATER) == [AnomalyKind.NO_SNAPSHOT]


def test_events_before_the_first_snapshot_are_found() -> None:
    assert kinds(*connect(), ALL[0]) == [AnomalyKind.NO_SNAPSHOT]


def test_a_snapshot_with_an_older_id_is_found() -> None:
    entries = [*connect("m1-4"), reset("trimmed", "m1-4"), snapshot(3)]
    assert kinds(*entries, log=TRIMMED) == [AnomalyKind.ID_WENT_BACK]


def test_a_checkpoint_frame_with_an_older_id_is_found() -> None:
    back = ReceivedEvent("checkpoint", b"{}", "m1-3")
    assert kinds(*connect("m1-1"), ALL[1], back) == [AnomalyKind.ID_WENT_BACK]


@pytest.mark.parametrize("id_", ["m1", "3", "m9-3", "M1-3", "m1-3 "])
def test_an_invalid_id_is_found(id_: str) -> None:
    assert kinds(*connect("m1-1"), ReceivedEvent("order:update", ALL[1].data, id_)) == [
        AnomalyKind.BAD_ID
    ]


def test_an_event_without_an_id_is_found() -> None:
    assert kinds(*connect("m1-1"), ReceivedEvent("order:update", ALL[1].data)) == [
        AnomalyKind.BAD_ID
    ]


def test_a_stream_that_does_not_start_with_connected_is_found() -> None:
    assert kinds(StreamOpened("m1-1"), ALL[1]) == [AnomalyKind.WRONG_OPENING]


def test_missing_events_at_the_end_are_found() -> None:
    (wrong,) = check_history(LOG, "alice", [*connect(), snapshot(0), *ALL[:3]])
    assert str(wrong) == "behind at the end at entry 6: at m1-5, without 7, 9"
    assert kinds(*connect(), complete=True) == [AnomalyKind.INCOMPLETE]
    assert kinds(*connect(), snapshot(12), log=LATER, complete=True) == [AnomalyKind.INCOMPLETE]
    assert kinds(*connect("x"), reset("malformed", "x"), complete=True) == [AnomalyKind.INCOMPLETE]
