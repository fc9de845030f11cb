"""Refuses orders that add exposure while the journal has hardly any room left.

What is left is for cancels, for orders that close positions, for exits of strategies, and for fills
of open orders.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from tapewire.events import Side
from tapewire.log import CommandRejected
from tapewire.log.rejection import JOURNAL_FULL
from tapewire.views import PositionsView
from tapewire_services.orders.domain.commands import PlaceOrderCommand


class ExposureGate:
    """Checks orders before they are placed.

    Args:
        is_nearly_full: whether the journal has hardly any room left.
        load_positions: the positions of a user; called only while it has not.
    """

    def __init__(
        self,
        is_nearly_full: Callable[[], bool],
        load_positions: Callable[[str], Awaitable[PositionsView]],
    ) -> None:
        self._is_nearly_full = is_nearly_full
        self._load_positions = load_positions

    async def check(self, command: PlaceOrderCommand) -> None:
        """Raises CommandRejected if the order would add exposure while the journal is nearly
        full."""
        if not self._is_nearly_full() or command.reduce_only:
            return
        position = (await self._load_positions(command.user)).position(command.symbol)
        quantity = Decimal(0) if position is None else position.quantity
        closes = quantity < 0 if command.side is Side.BUY else quantity > 0
        if closes and command.qty <= abs(quantity):
            return
        raise CommandRejected(
            JOURNAL_FULL,
            "the journal is nearly full: only cancels and orders that close a position are taken "
            f"until an operator makes room; of {command.symbol} you hold {quantity}",
        )
