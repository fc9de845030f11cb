"""The invariant of accounts: cash from positions is cash from trades."""

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.verify.tampered_log import TamperedLog

CASH = "the cash of all positions"


def plus(amount: str) -> Any:
    return lambda value: Decimal(str(value)) + Decimal(amount)


@pytest.mark.parametrize(
    ("field", "is_found"),
    [("realizedPnl", True), ("costBasis", True), ("entryPrice", False), ("fees", False)],
)
async def test_money_that_no_trade_explains_is_found_to_the_last_digit(
    field: str, is_found: bool
) -> None:
    day = await TamperedLog(2).write_events()
    last = next(one for one in reversed(day.events) if one.event_subject.domain == "positions")
    day.alter_fields(last.sequence, **{f"position__{field}": plus("0.000000000000000001")})
    differences, summary = await day.verify()
    assert summary.entities["accounts"] > 0
    found = [one for one in differences if CASH in one.what]
    assert [(one.sequence, one.owner) for one in found] == (
        [(last.sequence, last.event_subject.owner)] if is_found else []
    )


async def test_a_trade_that_a_position_lacks_is_missing_cash() -> None:
    day = await TamperedLog(3).write_events()
    trades = [one for one in day.events if one.tag.startswith("trade.executed")]
    day.alter_fields(trades[0].sequence, price=plus("0.01"))
    differences, _ = await day.verify()
    assert any(CASH in one.what for one in differences)
