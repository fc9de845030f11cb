"""Times ahead of the clock are rejected where they enter: nothing is sent."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tapewire import Client, InvalidArgument, connect
from tapewire.client.clock_limit import ClockLimit
from tests.harness.client_harness import ClientHarness

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
CALLS: dict[str, Callable[[Client, datetime], Awaitable[Any]]] = {
    "price": lambda client, at: client.price("IBM", 100, at=at),
    "order": lambda client, at: client.order_placed(
        user="alice", order_id="o", symbol="IBM", side="buy", quantity=1, at=at
    ),
    "strategy": lambda client, at: client.strategy_started(
        user="alice", strategy_id="s", symbol="IBM", at=at
    ),
    "alert": lambda client, at: client.alert(user="alice", message="", symbol="IBM", at=at),
    "decision": lambda client, at: client.decision(
        user="alice",
        strategy_id="s",
        symbol="IBM",
        action="buy",
        confidence=1,
        reasoning="",
        at=at,
    ),
    "stop-loss": lambda client, at: client.stop_loss_triggered(
        user="alice", strategy_id="s", symbol="IBM", trigger_price=1, current_price=1, at=at
    ),
}


def make_client() -> tuple[ClientHarness, Client]:
    harness = ClientHarness(now=lambda: NOON)
    client = harness.client()
    client.clock_limit = ClockLimit(clock=lambda: NOON)
    return harness, client


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("ahead", [timedelta(seconds=5.001), timedelta(minutes=1), YEAR])
async def test_a_time_ahead_is_rejected_with_the_symbol_and_the_value(
    call: Callable[[Client, datetime], Awaitable[Any]],
    ahead: timedelta,
    capsys: pytest.CaptureFixture[str],
) -> None:
    harness, client = make_client()
    with pytest.raises(InvalidArgument) as caught:
        await call(client, NOON + ahead)
    assert caught.value.field == "at"
    for part in ("IBM", (NOON + ahead).isoformat(), "5 s"):
        assert part in str(caught.value)
    assert client.clock_limit.rejected_count == 1
    assert "client.timestamp_rejected" in capsys.readouterr().out
    assert (harness.stored_events(), harness.server.values) == ([], {})


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("ahead", [timedelta(seconds=5), timedelta(), -YEAR])
async def test_a_time_within_the_limit_or_of_the_past_is_accepted(
    call: Callable[[Client, datetime], Awaitable[Any]], ahead: timedelta
) -> None:
    _, client = make_client()
    await call(client, NOON + ahead)
    assert client.clock_limit.rejected_count == 0


@pytest.mark.parametrize("text", ["soon", "-1", "1e9", "nan"])
async def test_a_malformed_limit_is_rejected_by_its_name(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEWIRE_MAX_CLOCK_AHEAD", text)
    with pytest.raises(InvalidArgument, match="TAPEWIRE_MAX_CLOCK_AHEAD"):
        async with connect("nats://127.0.0.1:1", "desk", retry_seconds=0.1):
            pass
