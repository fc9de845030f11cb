"""The alert of a trigger whose atomic batch was stored without it. Pure.

The text of the alert and, of a rule for any symbol, the symbol were in the command, which is not
stored. The text then says what the rule waits for.
"""

from tapewire.decimals import format_decimal
from tapewire.events import AlertRaised, AlertRule, RuleKind, RuleTriggered
from tapewire_services.alerts.domain.rules import alert_of_trigger

_CONDITIONS = {
    RuleKind.ORDER_REJECTED: "an order was rejected",
    RuleKind.STRATEGY_ERROR: "a strategy failed",
    RuleKind.STOP_LOSS: "a stop-loss was triggered",
}


def alert_of_interrupted_trigger(triggered: RuleTriggered) -> AlertRaised:
    """The alert that `triggered` lacks."""
    rule = triggered.rule
    return alert_of_trigger(triggered, _describe_condition(rule), rule.symbol, rule.timestamp)


def _describe_condition(rule: AlertRule) -> str:
    subject = "" if rule.symbol is None else f"{rule.symbol}: "
    if rule.kind in (RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW) and rule.price is not None:
        side = "above" if rule.kind is RuleKind.PRICE_ABOVE else "below"
        return f"{subject}the price went {side} {format_decimal(rule.price)}"
    if rule.percent is not None:
        return f"{subject}the price moved by {format_decimal(rule.percent)} %"
    return f"{subject}{_CONDITIONS.get(rule.kind, 'the rule was triggered')}"
