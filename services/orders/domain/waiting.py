"""What an accepted order waits for: the event that says so. Pure."""

import msgspec

from tapewire.events import Event, Order, OrderWaiting, WaitingReason
from tapewire_services.orders.domain.commands import NoteWaitingCommand

DESCRIPTIONS = {
    WaitingReason.STALE_QUOTE: "it waits for a fresh quote: the last one is stale",
    WaitingReason.CROSSED: "it waits for a quote that is not crossed",
    WaitingReason.NO_OFFER: "it waits for an offer: there is none on the other side",
    WaitingReason.NO_QUOTE: "it waits for the first quote of its symbol",
}
"""The reason of a waiting order, in words."""


def decide_waiting(order: Order, command: NoteWaitingCommand) -> list[Event]:
    """The change of the reason. Nothing if the order was executed since the command was made: it
    waits for something else by now, or no more."""
    if order.filled_qty != command.filled_before or order.waiting is command.waiting:
        return []
    after = msgspec.structs.replace(
        order,
        waiting=command.waiting,
        reason=DESCRIPTIONS[command.waiting] if command.waiting is not None else None,
        timestamp=max(order.timestamp, command.at),
    )
    return [OrderWaiting(order=after, command_id=command.id)]
