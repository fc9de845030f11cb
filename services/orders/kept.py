"""What the broker's desk keeps in VIEWS, for verification."""

from typing import Any

from services.orders.desk import CHECKPOINT
from services.orders.openorders import OpenOrders
from tapewire.log import Recorded
from tapewire.log.checkpoints import Claim, Kept, plain


class _Fold:
    def __init__(self, claim: Claim) -> None:
        self._orders = OpenOrders(claim.epoch)

    def apply(self, recorded: Recorded) -> None:
        self._orders.apply(recorded)

    def state(self) -> Any:
        return _state(self._orders)


def _read(data: bytes) -> Claim:
    orders = OpenOrders.decode(data)
    return Claim(orders.epoch, orders.as_of, _state(orders))


def _state(orders: OpenOrders) -> Any:
    taken = {f"{one.symbol} {one.side.value}": one for one in orders.taken()}
    return plain(
        {"open": {open_.order.order_id: open_ for open_ in orders.orders()}, "taken": taken}
    )


KEPT = (Kept(name=CHECKPOINT.partition(".")[2], domain="orders", read=_read, fold=_Fold),)
