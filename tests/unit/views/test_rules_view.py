"""The view of a user's alert rules."""

from datetime import UTC, datetime
from decimal import Decimal

from tapewire.events import (
    AlertLevel,
    AlertRule,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleEvent,
    RuleKind,
    RuleTriggered,
)
from tapewire.views import RulesView, View


def rule(number: int, *, armed: bool = True) -> AlertRule:
    return AlertRule(
        rule_id=f"r{number}",
        kind=RuleKind.PRICE_ABOVE,
        level=AlertLevel.INFO,
        symbol="BRK.B",
        price=Decimal("0.10"),
        percent=None,
        window_seconds=None,
        armed=armed,
        timestamp=datetime(2026, 3, 2, tzinfo=UTC),
    )


def created(number: int) -> RuleEvent:
    return RuleCreated(rule=rule(number), command_id="c")


def triggered(number: int) -> RuleEvent:
    return RuleTriggered(rule=rule(number, armed=False), command_id="t", alert_id="a")


def deleted(number: int) -> RuleEvent:
    return RuleDeleted(rule=rule(number, armed=False), command_id="d")


def describe_rules(*events: RuleEvent) -> list[str]:
    view: RulesView = RulesView()
    as_view: View = view
    for event in events:
        as_view.apply(event)
    assert RulesView.decode(view.encode()).rules() == view.rules()
    return [f"{one.rule_id} {'armed' if one.armed else 'unarmed'}" for one in view.rules()]


def test_the_view_has_every_rule_with_its_current_state_in_order() -> None:
    assert describe_rules() == []
    assert describe_rules(created(2), created(1)) == ["r2 armed", "r1 armed"]
    assert describe_rules(created(2), created(1), triggered(2)) == ["r2 unarmed", "r1 armed"]
    armed = RuleArmed(rule=rule(2), command_id="a")
    assert describe_rules(created(2), triggered(2), armed) == ["r2 armed"]


def test_deleted_rules_are_removed() -> None:
    assert describe_rules(created(1), created(2), deleted(1)) == ["r2 armed"]
    assert describe_rules(deleted(1)) == []


def test_numbers_are_kept_exactly() -> None:
    view = RulesView()
    view.apply(created(1))
    assert b'"price":0.10' in view.encode()
    assert b'"price":0.10' in RulesView.decode(view.encode()).encode()
