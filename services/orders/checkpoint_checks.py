"""What the broker's desk keeps in VIEWS, for verification."""

from typing import Any

from tapewire.log import RecordedEvent
from tapewire.log.checkpoint_checks import CheckpointCheck, DecodedCheckpoint, to_builtins
from tapewire_services.orders.broker_consumer import CHECKPOINT_KEY
from tapewire_services.orders.domain.open_orders import OpenOrders


class _Fold:
    def __init__(self, claim: DecodedCheckpoint) -> None:
        self._orders = OpenOrders(claim.epoch)

    def apply(self, recorded: RecordedEvent) -> None:
        self._orders.apply(recorded)

    def state(self) -> Any:
        return _state(self._orders)


def _read(data: bytes) -> DecodedCheckpoint:
    orders = OpenOrders.decode(data)
    return DecodedCheckpoint(orders.epoch, orders.as_of, _state(orders))


def _state(orders: OpenOrders) -> Any:
    taken = {f"{one.symbol} {one.side.value}": one for one in orders.consumed_liquidity()}
    return to_builtins(
        {"open": {open_.order.order_id: open_ for open_ in orders.orders()}, "taken": taken}
    )


CHECKPOINT_CHECKS = (
    CheckpointCheck(
        name=CHECKPOINT_KEY.partition(".")[2], domain="orders", decode=_read, make_fold=_Fold
    ),
)
