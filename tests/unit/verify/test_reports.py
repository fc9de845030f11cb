"""Events that other programs report are stored beside Tapewire's own and are not a difference."""

from typing import Any

from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore
from tapewire.verify import VerificationDifference, verify
from tests.harness.client_harness import ClientHarness

STRATEGY: dict[str, Any] = {"user": "alice", "strategy_id": "a/b"}


async def find_differences(harness: ClientHarness) -> tuple[list[VerificationDifference], int]:
    """Return the differences, and the number of pending notifications."""
    differences: list[VerificationDifference] = []
    log, values = (
        MemoryEventLog(harness.server),
        MemoryLatestValueStore(harness.server, stream="VIEWS", prefix="view"),
    )
    summary = await verify(log, values, differences.append)
    return differences, summary.pending.get("notifications", 0)


async def test_events_of_other_programs_are_not_a_difference() -> None:
    harness = ClientHarness()
    client = harness.client()
    await client.strategy_started(**STRATEGY)
    await client.decision(
        **STRATEGY, symbol="IBM", action="buy", confidence=1, reasoning="so", taken=True
    )
    order: dict[str, Any] = {
        **STRATEGY,
        "order_id": "o",
        "symbol": "IBM",
        "side": "buy",
        "quantity": 2,
        "price": 1,
    }
    await client.order_executed(**order, partly=True)
    await client.order_executed(**order)
    await client.stop_loss_triggered(**STRATEGY, trigger_price=1, current_price=1)
    await client.error(user="alice", error_code="x", error_message="y")
    await client.alert(user="alice", message="look")
    # The user will be notified of the complete execution, the stop-loss, the error and the alert.
    assert await find_differences(harness) == ([], 4)


async def test_a_report_under_a_wrong_subject_is_a_difference() -> None:
    harness = ClientHarness()
    client = harness.client()
    receipt = await client.strategy_started(**STRATEGY)
    journal = harness.server.journal
    journal._events[0].subject = "ev.alice.strategies.a"
    differences, _ = await find_differences(harness)
    assert [one.sequence for one in differences] == [receipt.sequence]
    assert "belongs to reports" in differences[0].what
