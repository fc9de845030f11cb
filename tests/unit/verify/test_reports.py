"""What other programs tell stands in the log beside Tapewire's own, and is no difference."""

from tapewire.log.memory import MemoryLog, MemoryValues
from tapewire.verify import Difference, verify
from tests.unit.producer.house import House

OF = {"user": "alice", "strategy_id": "a/b"}


async def found(house: House) -> tuple[list[Difference], int]:
    """Differences, and notifications that are still to be made."""
    differences: list[Difference] = []
    log, values = MemoryLog(house.server), MemoryValues(house.server, stream="VIEWS", prefix="view")
    summary = await verify(log, values, differences.append)
    return differences, summary.pending.get("notifications", 0)


async def test_what_other_programs_tell_is_no_difference() -> None:
    house = House()
    tape = house.tape()
    await tape.strategy_started(**OF)
    await tape.decision(**OF, symbol="IBM", action="buy", confidence=1, reasoning="so", taken=True)
    order = {**OF, "order_id": "o", "symbol": "IBM", "side": "buy", "quantity": 2, "price": 1}
    await tape.order_executed(**order, partly=True)
    await tape.order_executed(**order)
    await tape.stop_loss_triggered(**OF, trigger_price=1, current_price=1)
    await tape.error(user="alice", error_code="x", error_message="y")
    await tape.alert(user="alice", message="look")
    # Of the whole execution, the stop-loss, the error and the alert the user will be notified.
    assert await found(house) == ([], 4)


async def test_a_report_that_is_not_where_it_belongs_is_one() -> None:
    house = House()
    tape = house.tape()
    receipt = await tape.strategy_started(**OF)
    journal = house.server.journal
    journal._events[0].subject = "ev.alice.strategies.a"
    differences, _ = await found(house)
    assert [one.sequence for one in differences] == [receipt.sequence]
    assert "belongs to reports" in differences[0].what
