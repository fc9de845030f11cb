"""A value that no execution can have is never booked, neither at once nor by a later retry.

Each is kept as unmatched, with a reason that names the field and the value as it was reported.
"""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from tapewire.events import (
    CorrectionUnmatched,
    ExecutionUnmatched,
    OrderFilled,
    ReportedCorrection,
    ReportedExecution,
    TradeCorrected,
)
from tapewire.log.memory import MemoryServer
from tapewire_services.orders.execution_booking import ExecutionNotBooked
from tests.harness.order_builders import START, USER
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    place_request,
    read_log_summary,
)
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time

NUMBERS = [
    (Decimal("NaN"), "NaN"),
    (Decimal("sNaN"), "sNaN"),
    (Decimal("-Infinity"), "-Infinity"),
    (float("nan"), "float nan"),
    (0.1, "float 0.1"),
    (100, "int 100"),
    (True, "bool True"),
    ("100", "'100'"),
    (Decimal("1E+30"), "1E+30"),
    (Decimal("0." + "1" * 40), "0.1111"),
    (Decimal("1E+999999999"), "1E+999999999"),
    (Decimal("7" * 2_000_000), "777"),
]
TIMES: list[tuple[Any, str]] = [
    (START.replace(tzinfo=None), "2013-10-07T13:30:00"),
    ("2026-03-02T14:30:00Z", "'2026-03-02T14:30:00Z'"),
    (None, "None"),
    (0, "int 0"),
    (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "0001-01-01"),
    (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "9999-12-31"),
]
OTHERS: list[tuple[str, Any, str, str]] = [
    ("execution_id", 17, "executionId", "int 17"),
    ("execution_id", None, "executionId", "None"),
    ("execution_id", "x" * 3_000_000, "executionId", "xxx"),
    ("order_id", 17, "orderId", "int 17"),
    ("order_id", b"o", "orderId", "bytes b'o'"),
    ("user", 17, "user", "int 17"),
    ("user", "\ud800", "user", "ud800"),
]
EXECUTIONS = [
    *((name, value, name, text) for name in ("qty", "price", "fee") for value, text in NUMBERS),
    *((name, None, name, "None") for name in ("qty", "price", "fee")),
    ("qty", Decimal("-0"), "qty", "-0"),
    *(("timestamp", value, "timestamp", text) for value, text in TIMES),
    *OTHERS,
    ("side", "buy", "side", "'buy'"),
    ("symbol", 17, "symbol", "int 17"),
    ("venue_order_id", 17, "venueOrderId", "int 17"),
]
CORRECTIONS = [
    *((name, value, name, text) for name in ("qty", "price", "fee") for value, text in NUMBERS),
    *(("timestamp", value, "timestamp", text) for value, text in TIMES),
    *OTHERS,
    ("correction_id", 17, "correctionId", "int 17"),
    ("is_busted", "no", "isBusted", "'no'"),
]


async def start() -> tuple[MemoryServer, OrdersProcess, str]:
    """A process without a broker, and an order."""
    server = MemoryServer()
    await QuoteSimulator(server).publish_quote()
    process = await OrdersProcess(server).start(with_broker=False)
    return server, process, (await process.place_order(place_request("100"))).order.order_id


async def assert_kept(
    server: MemoryServer, process: OrdersProcess, kind: type, path: str, text: str
) -> None:
    """It was stored once, says what is wrong, and no retry books it."""
    seen = await read_log_summary(server)
    [unmatched] = [one for one in seen.events if isinstance(one.event, kind)]
    assert isinstance(unmatched.event, ExecutionUnmatched | CorrectionUnmatched)
    assert path in unmatched.event.reason
    assert text in unmatched.event.reason
    with pytest.raises(ExecutionNotBooked, match=path):
        await process.booking.retry_unmatched(unmatched)
    after = await read_log_summary(server)
    assert len(after.events) == len(seen.events)
    await assert_verified(server, allow_pending=True)
    await process.kill()


@pytest.mark.parametrize(("name", "value", "path", "text"), EXECUTIONS)
async def test_an_execution_with_a_value_that_none_can_have_is_kept_and_never_booked(
    name: str, value: object, path: str, text: str
) -> None:
    server, process, order_id = await start()
    fields: dict[str, Any] = {
        "execution_id": "E1", "order_id": order_id, "qty": Decimal(7), "price": Decimal(100),
        "timestamp": START, "user": USER, name: value,
    }  # fmt: skip
    for _ in range(2):
        assert await process.reporter.executed(ReportedExecution(**fields)) is None
    await assert_kept(server, process, ExecutionUnmatched, path, text)


@pytest.mark.parametrize(("name", "value", "path", "text"), CORRECTIONS)
async def test_a_correction_with_a_value_that_none_can_have_is_kept_and_never_booked(
    name: str, value: object, path: str, text: str
) -> None:
    server, process, order_id = await start()
    execution = ReportedExecution(
        execution_id="E1", order_id=order_id, qty=Decimal(7), price=Decimal(100), timestamp=START
    )
    await process.reporter.executed(execution)
    fields: dict[str, Any] = {
        "execution_id": "E1", "order_id": order_id, "correction_id": "C1", "qty": Decimal(6),
        "timestamp": START, "user": USER, name: value,
    }  # fmt: skip
    for _ in range(2):
        assert await process.reporter.execution_corrected(ReportedCorrection(**fields)) is None
    assert not [
        one for one in (await read_log_summary(server)).events
        if isinstance(one.event, TradeCorrected)
    ]  # fmt: skip
    await assert_kept(server, process, CorrectionUnmatched, path, text)


async def test_the_right_report_after_an_invalid_one_is_booked() -> None:
    server, process, order_id = await start()
    for price in (Decimal("NaN"), Decimal("Infinity"), Decimal("-0"), Decimal("101.5")):
        await process.reporter.executed(
            ReportedExecution(
                execution_id=f"E-{price.is_finite() and price}",
                order_id=order_id,
                qty=Decimal(7),
                price=price,
                timestamp=datetime(2026, 3, 2, 15, tzinfo=UTC),
                fee=Decimal("-0"),
            )
        )
    seen = await read_log_summary(server)
    filled = [one.event for one in seen.events if isinstance(one.event, OrderFilled)]
    assert [str(one.price) for one in filled] == ["0", "101.5"]
    assert [str(one.fee) for one in filled] == ["0", "0"]
    unmatched = [one.event for one in seen.events if isinstance(one.event, ExecutionUnmatched)]
    assert [one.invalid_values for one in unmatched] == [{"price": "NaN"}, {"price": "Infinity"}]
    await assert_verified(server, allow_pending=True)
    await process.kill()
