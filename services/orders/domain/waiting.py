"""What an accepted order waits for: the event that says so. Pure."""

import msgspec

from tapewire.events import Event, Order, OrderWaiting
from tapewire_services.orders.domain.commands import NoteWaitingCommand


def decide_waiting(order: Order, command: NoteWaitingCommand) -> list[Event]:
    """The change of the reason. Nothing if the order was executed since the command was made: it
    waits for something else by now, or no more."""
    if order.filled_qty != command.filled_before or order.waiting is command.waiting:
        return []
    after = msgspec.structs.replace(
        order, waiting=command.waiting, timestamp=max(order.timestamp, command.at)
    )
    return [OrderWaiting(order=after, command_id=command.id)]
