"""Payloads as structs: every event that a stream can show has its type."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tapewire.events import CODEC, AgentStatusChanged, Order
from tapewire.payloads import (
    ConnectedPayload,
    OrderFillPayload,
    OrdersSnapshotPayload,
    PositionsPayload,
    PositionsSnapshotPayload,
    PricesSnapshotPayload,
    PriceView,
    PublicAgentStatusPayload,
    SnakeCaseConnectedPayload,
    StreamResetPayload,
)
from tapewire.payloads.types import PAYLOAD_TYPES
from tapewire.sse import StreamEvent
from tapewire_services.edge.delivery.serializers.message_types import MESSAGES_BY_FAMILY
from tests.harness.loans import LoanMade

AT = "2026-01-02T08:30:15.250000Z"
ORDER = {
    "orderId": "o-1", "clientOrderId": "c-1", "symbol": "IBM", "side": "buy", "type": "limit",
    "qty": 100, "limitPrice": Decimal("187.50"), "status": "new", "filledQty": 0,
    "filledAvgPrice": None, "strategyId": None, "reason": None, "timestamp": AT,
}  # fmt: skip
PRICE = {
    "symbol": "SPY", "price": 571.3, "bid": None, "ask": 571.31, "volume": 1200, "change": 0.1,
    "changePercent": 0.01, "timestamp": AT,
}  # fmt: skip
CONNECTED = {
    "stream": "orders", "correlationId": "c", "clientId": "a", "userId": None, "serverTime": AT,
    "keepaliveMs": 30_000, "pricesKeepaliveMs": 1000,
}  # fmt: skip
POSITIONS = {"positions": [], "totalValue": 0, "timestamp": AT}
STATUS = {"service": "orders", "instance": "x", "state": "running", "timestamp": AT}


def event(event_type: str, data: Any) -> StreamEvent:
    return StreamEvent.from_text(event_type, CODEC.encode(data).decode(), None)


def test_the_types_are_those_that_streams_can_show() -> None:
    by_name: dict[str, set[type]] = {}
    for family in MESSAGES_BY_FAMILY.values():
        parts = [family.control, family.unsequenced]
        parts += [*family.domains.values(), *family.snapshots.values(), *family.values.values()]
        for part in parts:
            for name, types in part.items():
                by_name.setdefault(name, set()).update(types)
    assert {name: set(types) for name, types in PAYLOAD_TYPES.items()} == by_name


@pytest.mark.parametrize(
    ("event_type", "data", "expected"),
    [
        ("order:update", ORDER, Order),
        ("order:update", {"snapshot": True, "orders": [ORDER], "timestamp": AT},
         OrdersSnapshotPayload),
        ("order:fill", {**ORDER, "fillQty": 1, "fillPrice": 2, "tradeId": "t"}, OrderFillPayload),
        ("price:update", PRICE, PriceView),
        ("price:update", {"initializing": True, "prices": [], "timestamp": AT},
         PricesSnapshotPayload),
        ("position:update", POSITIONS, PositionsPayload),
        ("position:update", {**POSITIONS, "snapshot": True}, PositionsSnapshotPayload),
        ("connected", CONNECTED, ConnectedPayload),
        (
            "connected",
            {
                "type": "connected", "timestamp": AT, "stream": "s", "correlation_id": "c",
                "client_id": "a", "user_id": None, "server_time": AT, "keepalive_ms": 1,
                "prices_keepalive_ms": 1,
            },
            SnakeCaseConnectedPayload,
        ),
        ("agent:status", STATUS, PublicAgentStatusPayload),
        ("agent:status", {**STATUS, "detail": "d"}, AgentStatusChanged),
        (
            "stream:reset",
            {"reason": "epoch", "requestedId": "e-1", "firstAvailableId": "e-2"},
            StreamResetPayload,
        ),
    ],
)  # fmt: skip
def test_a_payload_is_a_struct_of_its_type(event_type: str, data: Any, expected: type) -> None:
    assert type(event(event_type, data).payload) is expected


def test_the_fields_of_a_struct_are_typed_and_exact() -> None:
    placed = event("order:update", ORDER).payload
    assert isinstance(placed, Order)
    assert (placed.order_id, placed.limit_price) == ("o-1", Decimal("187.50"))


def test_fields_of_a_newer_edge_are_ignored() -> None:
    assert isinstance(event("order:update", {**ORDER, "later": 1}).payload, Order)


@pytest.mark.parametrize(
    ("event_type", "data"),
    [("test", {"message": "m"}), ("order:update", "text"), ("order:update", {"orderId": "o"})],
)
def test_data_of_no_known_type_is_returned_as_it_is(event_type: str, data: Any) -> None:
    assert event(event_type, data).payload == data


def test_data_that_does_not_fit_its_type_is_an_error_with_the_field() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.qty"):
        _ = event("order:update", {**ORDER, "qty": "many"}).payload


def test_a_type_of_another_package_is_known_by_its_sse_name() -> None:
    made = event("unitloan:made", {"loanId": "l-1", "amount": 7})
    assert made.payload == LoanMade(loan_id="l-1", amount=Decimal(7))
