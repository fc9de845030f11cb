"""What a strategy says while its order waits for the market. Pure."""

from collections.abc import Sequence

import msgspec

from tapewire.events import Event, Strategy, StrategyOrder, StrategyStatus, StrategyUpdated
from tapewire_services.strategies.domain.commands import NoteOrderWaitingCommand

STARTED_MESSAGE = "started by the user"


def note_waiting(strategy: Strategy, command: NoteOrderWaitingCommand) -> Sequence[Event]:
    """Put the reason into the message of a started strategy, once for each order."""
    order = strategy.order
    if strategy.status is not StrategyStatus.STARTED or order is None:
        return []
    if order.order_id != command.order_id or _is_about(strategy.message, order):
        return []
    after = msgspec.structs.replace(
        strategy,
        message=f"{_beginning(order)}{command.waiting.value}",
        timestamp=max(strategy.timestamp, command.at),
    )
    return [StrategyUpdated(strategy=after, command_id=command.id)]


def message_after_order(strategy: Strategy, order: StrategyOrder) -> str | None:
    """The message once `order` is filled."""
    return STARTED_MESSAGE if _is_about(strategy.message, order) else strategy.message


def _is_about(message: str | None, order: StrategyOrder) -> bool:
    return message is not None and message.startswith(_beginning(order))


def _beginning(order: StrategyOrder) -> str:
    return f"order {order.client_order_id} waits: "
