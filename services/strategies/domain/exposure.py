"""What a strategy may do while the journal has hardly any room left. Pure."""

from tapewire.events import Action, Strategy

JOURNAL_NEARLY_FULL = "the journal is nearly full: no strategy adds exposure"


def closes_position(strategy: Strategy, action: Action) -> bool:
    """Whether an order for `action` only reduces what the strategy holds."""
    opposite = strategy.position < 0 if action is Action.BUY else strategy.position > 0
    return opposite and strategy.quantity <= abs(strategy.position)
