"""While the journal is nearly full, only orders that close a position are taken."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tapewire.events import OrderType, Position, PositionOpened, Side
from tapewire.log import CommandRejected
from tapewire.views import PositionsView
from tapewire_services.orders.domain.commands import PlaceOrderCommand
from tapewire_services.orders.exposure_gate import ExposureGate

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def order(
    side: Side,
    qty: str,
    *,
    name: str = "c",
    strategy_id: str | None = None,
    reduce_only: bool = False,
) -> PlaceOrderCommand:
    return PlaceOrderCommand(
        id="c", at=NOON, user="alice", symbol="IBM", side=side, type=OrderType.MARKET,
        qty=Decimal(qty), limit_price=None, client_order_id=name, strategy_id=strategy_id,
        reduce_only=reduce_only,
    )  # fmt: skip


def positions(quantity: str) -> PositionsView:
    view = PositionsView()
    if Decimal(quantity):
        position = Position(
            symbol="IBM", quantity=Decimal(quantity), cost_basis=Decimal(0), entry_price=Decimal(1),
            realized_pnl=Decimal(0), fees=Decimal(0), timestamp=NOON,
        )  # fmt: skip
        view.apply(PositionOpened(position=position, trade_id="t", trade_sequence=1))
    return view


async def check(quantity: str, command: PlaceOrderCommand, *, nearly_full: bool = True) -> None:
    async def load(_user: str) -> PositionsView:
        return positions(quantity)

    await ExposureGate(lambda: nearly_full, load).check(command)


@pytest.mark.parametrize(
    ("quantity", "side", "qty"),
    [("10", Side.SELL, "10"), ("10", Side.SELL, "3"), ("-5", Side.BUY, "5")],
    ids=["closes long", "reduces long", "closes short"],
)
async def test_an_order_that_closes_a_position_is_taken(
    quantity: str, side: Side, qty: str
) -> None:
    await check(quantity, order(side, qty))


@pytest.mark.parametrize(
    ("quantity", "side", "qty"),
    [
        ("0", Side.BUY, "1"),
        ("0", Side.SELL, "1"),
        ("10", Side.BUY, "1"),
        ("10", Side.SELL, "11"),
        ("-5", Side.SELL, "1"),
        ("-5", Side.BUY, "6"),
    ],
    ids=["opens long", "opens short", "adds", "turns short", "adds to short", "turns long"],
)
async def test_an_order_that_adds_exposure_is_rejected_with_the_reason(
    quantity: str, side: Side, qty: str
) -> None:
    with pytest.raises(CommandRejected, match="the journal is nearly full") as rejection:
        await check(quantity, order(side, qty))
    assert rejection.value.code == "journal_full"


async def test_every_order_is_taken_while_there_is_room() -> None:
    await check("0", order(Side.BUY, "1"), nearly_full=False)


async def test_a_reduce_only_order_is_accepted_whatever_the_user_holds() -> None:
    """The broker executes at most what brings the position to 0."""
    await check("-5", order(Side.SELL, "5", reduce_only=True))


@pytest.mark.parametrize(
    ("name", "strategy_id"),
    [("s-2", "s"), ("s-2-sl", "s"), ("mine-sl", None)],
    ids=["a signal", "a name", "a user's name"],
)
async def test_what_only_resembles_a_stop_loss_is_rejected(
    name: str, strategy_id: str | None
) -> None:
    with pytest.raises(CommandRejected):
        await check("-5", order(Side.SELL, "5", name=name, strategy_id=strategy_id))
