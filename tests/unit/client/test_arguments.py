"""Invalid arguments raise errors that name the field and the value; nothing is sent."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tapewire import Client, InvalidArgument, ReservedEventType
from tapewire.client.connection import connect
from tapewire.events import (
    CATALOGUE,
    AgentState,
    AgentStatusChanged,
    PositionValued,
)
from tests.harness.client_harness import ClientHarness
from tests.harness.loans import EventWithoutDomain, LoanMade, LoanRate, UndeclaredEvent
from tests.harness.publishers import make_quote, order_placed, trade_executed

STARTED = Path(__file__).parents[1] / "events" / "golden" / "strategy.started.v1.json"
AT = datetime(2026, 3, 2, tzinfo=UTC)


def untyped(value: object) -> Any:
    """Return a value of the wrong type without an error of the type checker."""
    return value


STRATEGY = {"user": "alice", "strategy_id": "s-1"}
ORDER = {"user": "alice", "order_id": "o", "symbol": "IBM", "side": "buy", "quantity": 1}
STOP = {"user": "alice", "strategy_id": "s", "trigger_price": 1, "current_price": 1}
DECISION = {
    "user": "alice", "strategy_id": "s", "symbol": "IBM", "action": "buy", "confidence": 1,
    "reasoning": "",
}  # fmt: skip
LOAN = LoanMade(loan_id="l-1", amount=Decimal(1))

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("strategy_started", {**STRATEGY, "user": ""}, "user=''"),
    ("strategy_started", {**STRATEGY, "user": "_all"}, "user='_all'"),
    ("strategy_started", {**STRATEGY, "user": "x" * 129}, "user='xxx"),
    ("strategy_started", {**STRATEGY, "user": 7}, "user=7"),
    ("strategy_started", {**STRATEGY, "strategy_id": " s"}, "strategy_id=' s'"),
    ("strategy_started", {**STRATEGY, "symbol": "I\nBM"}, "symbol='I\\nBM'"),
    ("strategy_started", {**STRATEGY, "name": "\udc80"}, "name="),
    ("strategy_started", {**STRATEGY, "message": "\udc80"}, "message="),
    ("strategy_started", {**STRATEGY, "message": "x" * 501}, "message='xxx"),
    ("strategy_started", {**STRATEGY, "position": "many"}, "position='many'"),
    ("strategy_started", {**STRATEGY, "position": True}, "position=True"),
    ("strategy_started", {**STRATEGY, "position": None}, "position=None"),
    ("strategy_started", {**STRATEGY, "at": datetime(2026, 3, 2)}, "at=datetime"),  # noqa: DTZ001
    ("strategy_started", {**STRATEGY, "at": "today"}, "at='today'"),
    ("strategy_started", {**STRATEGY, "event_id": ""}, "event_id=''"),
    ("strategy_started", {**STRATEGY, "event_id": "a b"}, "event_id='a b'"),
    ("strategy_started", {**STRATEGY, "event_id": "a\r\nTw-Type: x"}, "event_id="),
    ("strategy_errored", {**STRATEGY, "error_code": "", "details": ""}, "error_code=''"),
    ("order_placed", {**ORDER, "side": "both"}, "side='both'"),
    ("order_placed", {**ORDER, "quantity": 0}, "quantity=0"),
    ("order_placed", {**ORDER, "quantity": -1}, "quantity=-1"),
    ("order_placed", {**ORDER, "quantity": float("nan")}, "quantity=nan"),
    ("order_placed", {**ORDER, "quantity": "1e999999999"}, "quantity='1e999999999'"),
    ("order_placed", {**ORDER, "quantity": Decimal("1e-999999")}, "quantity=1E-999999"),
    ("order_placed", {**ORDER, "quantity": "0.000000001"}, "must be above 0"),
    ("order_placed", {**ORDER, "price": 1e-9}, "price=1e-09"),
    ("order_placed", {**ORDER, "price": float("inf")}, "price=inf"),
    ("order_placed", {**ORDER, "stop_loss": "no"}, "stop_loss='no'"),
    ("stop_loss_triggered", {**STOP, "trigger_price": None}, "trigger_price=None"),
    ("stop_loss_executed", {**STOP, "current_price": "x"}, "current_price='x'"),
    ("decision", {**DECISION, "confidence": 1.01}, "confidence=1.01"),
    ("decision", {**DECISION, "confidence": -0.1}, "confidence=-0.1"),
    ("decision", {**DECISION, "action": "BUY"}, "action='BUY'"),
    ("decision", {**DECISION, "taken": 1}, "taken=1"),
    ("alert", {"user": "alice", "message": "x", "level": "loud"}, "level='loud'"),
    ("price", {"symbol": "", "price": 1}, "symbol=''"),
    ("price", {"symbol": "IBM", "price": 1, "bid": "0,5"}, "bid='0,5'"),
    ("price", {"symbol": "A,B", "price": 1}, "symbol='A,B'"),
    ("price", {"symbol": "IBM", "price": 1, "bid_size": -1}, "bid_size=-1"),
    ("price", {"symbol": "IBM", "price": 1, "day_open": True}, "day_open=True"),
    ("publish", {"event": LOAN, "owner": "", "entity": "1"}, "owner=''"),
    ("publish", {"event": LOAN, "owner": "alice", "entity": ""}, "entity=''"),
    ("publish", {"event": LOAN, "owner": "a", "entity": "1", "once": True,
                 "expected_sequence": 3}, "expected_sequence="),
    ("publish", {"event": LoanRate(percent=Decimal(1)), "owner": "a", "entity": "1"}, "use put"),
    ("publish", {"event": EventWithoutDomain(), "owner": "a", "entity": "1"}, "without a domain"),
    ("publish", {"event": UndeclaredEvent(), "owner": "a", "entity": "1"},
     "event='UndeclaredEvent'"),
    ("publish", {"event": LoanMade(loan_id="1", amount=untyped("much")), "owner": "a",
                 "entity": "1"},
     "`$.amount`"),
    ("publish", {"event": LoanMade(loan_id=untyped(None), amount=Decimal(1)), "owner": "a",
                 "entity": "1"},
     "`$.loanId`"),
    ("publish", {"event": LoanMade(loan_id="\udc80", amount=Decimal(1)), "owner": "a",
                 "entity": "1"}, "event='unitloan.made'"),
    ("publish", {"event": LoanMade(loan_id="1", amount=Decimal("NaN")), "owner": "a",
                 "entity": "1"}, "event='unitloan.made'"),
    ("publish", {"event": LoanMade(loan_id=untyped(object()), amount=Decimal(1)), "owner": "a",
                 "entity": "1"}, "event='unitloan.made'"),
    ("put", {"value": LoanRate(percent=untyped("?")), "owner": "a", "entity": "1"}, "`$.percent`"),
    ("put", {"value": LOAN, "owner": "a", "entity": "1"}, "use publish"),
    ("put", {"value": LoanRate(percent=Decimal(1)), "owner": "a", "entity": ""}, "entity=''"),
    ("subscribe_durable", {"name": "a b", "filter": "ev.>", "handler": print}, "name='a b'"),
    ("subscribe_durable", {"name": "a", "filter": "orders", "handler": print}, "filter='orders'"),
    ("subscribe_durable", {"name": "a", "filter": "ev..>", "handler": print}, "filter='ev..>'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "arguments", "expected"), BAD)
async def test_invalid_arguments_are_rejected_before_anything_is_sent(
    call: str, arguments: dict[str, Any], expected: str
) -> None:
    harness = ClientHarness()
    with pytest.raises(InvalidArgument) as caught:
        await getattr(harness.client(), call)(**arguments)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 250
    assert harness.recorded_events() == []
    assert harness.server.values == {}


@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("strategy_started", {"user": "alice"}, "misses the argument 'strategy_id'"),
        (
            "strategy_started",
            {**STRATEGY, "positon": 1},
            "no argument 'positon'; it has: at, event",
        ),
        ("order_placed", {**ORDER, "qty": 1}, "no argument 'qty'"),
        ("price", {"symbol": "IBM", "price": 1, "user": "a"}, "no argument 'user'"),
    ],
)
async def test_missing_and_misspelt_arguments_raise_type_error(
    call: str, arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(TypeError) as caught:
        await getattr(ClientHarness().client(), call)(**arguments)
    assert expected in str(caught.value)


@pytest.mark.parametrize("url", ["", None, 7])
async def test_an_invalid_url_is_rejected(url: str) -> None:
    with pytest.raises(InvalidArgument, match="url="):
        async with connect(url, "desk"):
            pass


async def test_reserved_event_types_cannot_be_published() -> None:
    harness = ClientHarness()
    client = harness.client()
    for event in (
        order_placed(),
        trade_executed("o-1", "1", "1"),
        CATALOGUE.decode("strategy.started.v1", STARTED.read_bytes()),
        AgentStatusChanged(
            service="x", instance="1", state=AgentState.RUNNING, detail=None, timestamp=AT
        ),
    ):
        with pytest.raises(ReservedEventType, match="ask that"):
            await client.publish(event, owner="alice", entity="1")
    for value in (
        make_quote("IBM"),
        PositionValued(
            symbol="IBM", quantity=Decimal(1), entry_price=None, current_price=Decimal(1),
            unrealized_pnl=Decimal(0), realized_pnl=Decimal(0), timestamp=AT,
        ),
    ):  # fmt: skip
        with pytest.raises(ReservedEventType, match="Tapewire's own"):
            await client.put(value, owner="alice", entity="1")
    assert harness.recorded_events() == []


@pytest.mark.parametrize(
    ("name", "retry_seconds", "expected"),
    [
        ("", 1, "name=''"),
        ("a.b", 1, "name='a.b'"),
        ("x" * 65, 1, "name="),
        (None, 1, "name=None"),
        ("desk", 0, "retry_seconds=0"),
        ("desk", 61, "retry_seconds=61"),
        ("desk", float("nan"), "retry_seconds=nan"),
    ],
)
async def test_invalid_connection_arguments_are_rejected(
    name: str, retry_seconds: float, expected: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        async with connect("nats://127.0.0.1:1", name, retry_seconds=retry_seconds):
            pass
    assert expected in str(caught.value)


def test_the_client_implements_every_abstract_call() -> None:
    assert not Client.__abstractmethods__
