"""The conclusions about an event, from what is known of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tapewire.events import CODEC
from tapewire.log import EventMetadata, RecordedEvent
from tapewire_services.edge.cluster.process_reports import ConnectionReport
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.http.event_explanation import (
    DeliveryState,
    Storage,
    find_behind,
    find_reasons,
    find_routes,
    judge_connection,
)
from tapewire_services.edge.http.service_lag import ServiceLag
from tests.harness.golden_events import golden_event
from tests.harness.publishers import order_placed

AT = datetime(2026, 3, 2, 15, tzinfo=UTC)
CONNECTION = ConnectionReport(
    client_id="alice-orders-1", instance="edge-1", user_id="alice", owner="alice",
    stream="orders", topics=["orders"], is_live=True, position="e1-20", last_sent_id="e1-20",
    starts_after="e1-5", behind=0, outbox_bytes=0, write_seconds=0.0, shows_event=True,
)  # fmt: skip


def recorded(event: Any, domain: str = "orders", tag: str = "order.placed.v1") -> RecordedEvent:
    return RecordedEvent(
        sequence=10,
        subject=f"ev.alice.{domain}.1",
        tag=tag,
        data=CODEC.encode(event),
        metadata=EventMetadata(id="1", correlation="c"),
        time=AT,
    )


ORDER = recorded(order_placed())


@pytest.mark.parametrize(
    ("changes", "process_sequence", "delivery"),
    [
        ({}, 20, DeliveryState.SENT),
        ({"outbox_bytes": 1}, 20, DeliveryState.QUEUED),
        ({"position": "e1-9"}, 20, DeliveryState.BEHIND),
        ({"position": "e1-9", "outbox_bytes": 1}, 20, DeliveryState.BEHIND),
        ({"position": "e1-9"}, 9, DeliveryState.PROCESS_BEHIND),
        ({"starts_after": "e1-10"}, 20, DeliveryState.BEFORE_START),
        ({"starts_after": "e1-9"}, 20, DeliveryState.SENT),
        ({"starts_after": None}, 20, DeliveryState.SENT),
        ({"shows_event": False}, 20, DeliveryState.NOT_SHOWN),
        ({"shows_event": None}, 20, DeliveryState.NOT_SHOWN),
    ],
)
def test_where_a_connection_stands(
    changes: dict[str, Any], process_sequence: int, delivery: DeliveryState
) -> None:
    report = msgspec.structs.replace(CONNECTION, **changes)
    judged = judge_connection(report, process_sequence, 10)
    assert judged.delivery is delivery
    streams, _ = find_routes(STREAM_ROUTES, ORDER)
    [reason] = find_reasons("alice", Storage.STORED, ORDER, streams=streams, connections=[judged])
    assert reason.code.value == delivery.value


@pytest.mark.parametrize("storage", [one for one in Storage if one is not Storage.STORED])
def test_why_an_event_is_not_there_is_said_in_words(storage: Storage) -> None:
    [reason] = find_reasons("alice", storage, None)
    assert reason.code.value == storage.value
    assert reason.message.endswith(".")


@pytest.mark.parametrize(
    ("filter_", "position", "is_behind"),
    [
        ("ev.*.orders.>", "e1-9", True),
        ("ev.*.orders.*", "e1-0", True),
        ("ev.*.orders.>", "e1-10", False),
        ("ev.*.trades.>", "e1-0", False),
    ],
)
def test_a_service_is_behind_that_has_not_come_to_an_event_of_its_own(
    filter_: str, position: str, is_behind: bool
) -> None:
    lag = ServiceLag(service="positions", filter=filter_, position=position, behind=3)
    assert bool(find_behind([lag], ORDER)) is is_behind


@pytest.mark.parametrize(
    ("domain", "name", "topics", "stream"),
    [
        ("rules", "rule.armed", ["alert-rules"], "topics"),
        ("configurations", "configuration.changed", ["configurations"], "topics"),
        ("notifications", "notification.created", ["notifications"], "notifications"),
        ("trades", "trade.executed", ["orders"], "trading"),
        ("reports", "report.error", [], "all-strategies"),
    ],
)
def test_the_streams_that_show_a_type_are_those_of_its_domain(
    domain: str, name: str, topics: list[str], stream: str
) -> None:
    event = recorded(golden_event(name), domain, f"{name}.v1")
    streams, found = find_routes(STREAM_ROUTES, event)
    assert found == topics
    assert stream in {one.stream for one in streams}
