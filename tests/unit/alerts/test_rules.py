"""How an alert rule decides on commands, and that an arming raises one alert."""

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import CODEC, RuleKind
from tapewire.log import CommandRejected
from tapewire_services.alerts.domain.commands import Command, validate_create_rule
from tapewire_services.alerts.domain.rules import (
    RULE_DECIDER,
    ExistingRuleState,
    derive_alert_id,
    derive_rule_id,
)
from tests.unit.alerts.spec import (
    RuleHistory,
    arm,
    at,
    create,
    create_price_above,
    delete,
    given,
    trigger,
)

ALERT = "alerts: warning IBM it is"


def test_a_new_rule_is_armed() -> None:
    given().when(create_price_above()).then("rules: created armed")


def test_a_repeated_creation_gives_no_event() -> None:
    given(create_price_above()).when(create_price_above()).then()
    given(create_price_above(), delete()).when(create_price_above()).then()


def test_a_trigger_raises_an_alert() -> None:
    rule = given(create_price_above()).when(trigger()).then("rules: triggered unarmed", ALERT)
    [alert] = rule.alerts
    assert (alert.rule_id, alert.timestamp) == ("r", at(5))
    assert alert.alert_id == derive_alert_id("r", "c")


def test_an_arming_is_triggered_once() -> None:
    given(create_price_above(), trigger()).when(trigger()).then()
    given(create_price_above(), trigger()).when(trigger(id="another judge")).then()


def test_a_rule_armed_again_raises_another_alert() -> None:
    rule = given(create_price_above(), trigger()).when(arm()).then("rules: armed armed")
    rule.when(trigger(arming="a", id="t2")).then("rules: triggered unarmed", ALERT)
    first, second = rule.alerts
    assert first.alert_id != second.alert_id


def test_a_trigger_of_another_arming_is_rejected() -> None:
    """A rejection makes a process with an older state read the newest one."""
    given(create_price_above(), trigger(), arm()).when(trigger(id="late")).then_rejected("conflict")
    given(create_price_above()).when(trigger(arming="a")).then_rejected("conflict")


def test_arming_an_armed_rule_changes_nothing() -> None:
    given(create_price_above()).when(arm()).then()


def test_a_repeated_arm_command_does_not_arm_again() -> None:
    given(create_price_above(), trigger(), arm(), trigger(arming="a", id="t2")).when(arm()).then()


def test_a_deleted_rule_is_not_found() -> None:
    rule = given(create_price_above()).when(delete()).then("rules: deleted unarmed")
    rule.when(delete()).then()
    rule.when(delete("another")).then_rejected("not_found")
    rule.when(arm()).then_rejected("not_found")
    rule.when(trigger()).then_rejected("not_found")
    given().when(arm()).then_rejected("not_found")


def test_the_time_of_a_rule_never_goes_back() -> None:
    rule = given(create_price_above(), trigger(), arm())
    rule.decide(trigger(arming="a", id="t2"))
    assert isinstance(rule.state, ExistingRuleState)
    assert rule.state.rule.timestamp == at(9)


def test_ids_depend_on_all_their_parts() -> None:
    assert derive_rule_id("a", "bc") != derive_rule_id("ab", "c")
    assert derive_rule_id("a", "b") == derive_rule_id("a", "b") != derive_alert_id("a", "b")


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (create(), "price"),
        (create(RuleKind.PRICE_BELOW, symbol=None, price="1"), "symbol"),
        (create_price_above("NaN"), "price"),
        (create_price_above("1e999999"), "price"),
        (create_price_above("1e-999999"), "price"),
        (create_price_above("1e12"), "price"),
        (create_price_above("0.000000001"), "price"),
        (create(price="1", percent="1"), "percent"),
        (create(price="1", window_seconds=60), "windowSeconds"),
        (create(price="1", symbol=""), "symbol"),
        (create(price="1", symbol="x" * 65), "symbol"),
        (create(price="1", symbol="I\nBM"), "symbol"),
        (create(RuleKind.PERCENT_MOVE, window_seconds=60), "percent"),
        (create(RuleKind.PERCENT_MOVE, percent="1"), "windowSeconds"),
        (create(RuleKind.PERCENT_MOVE, percent="1", window_seconds=60, price="1"), "price"),
        (create(RuleKind.PERCENT_MOVE, percent="1", window_seconds=60, symbol=None), "symbol"),
        (create(RuleKind.PERCENT_MOVE, percent="1", window_seconds=0), "windowSeconds"),
        (create(RuleKind.PERCENT_MOVE, percent="1", window_seconds=86401), "windowSeconds"),
        (create(RuleKind.PERCENT_MOVE, percent="1000.1", window_seconds=60), "percent"),
        (create(RuleKind.PERCENT_MOVE, percent="0.00001", window_seconds=60), "percent"),
        (create(RuleKind.ORDER_REJECTED, price="1"), "price"),
        (create(RuleKind.STOP_LOSS, window_seconds=1), "windowSeconds"),
    ],
)
def test_an_invalid_rule_is_rejected_with_the_path(command: Command, path: str) -> None:
    given().when(command).then_rejected("invalid", path, message=path)


@pytest.mark.parametrize("kind", [RuleKind.ORDER_REJECTED, RuleKind.STRATEGY_ERROR])
def test_rules_on_events_accept_a_symbol_or_none(kind: RuleKind) -> None:
    given().when(create(kind)).then("rules: created armed")
    given().when(create(kind, symbol=None)).then("rules: created armed")


def test_numbers_of_rules_are_normalized() -> None:
    assert str(validate_create_rule(create_price_above("1E+3")).price) == "1000"
    move = validate_create_rule(create(RuleKind.PERCENT_MOVE, percent="0.50", window_seconds=86400))
    assert str(move.percent) == "0.5"


COMMANDS: dict[str, Command] = {
    "create": create_price_above(),
    "delete": delete(),
    **{f"arm {n}": arm(f"a{n}") for n in range(3)},
    **{
        f"trigger {arming} by {evaluator}": trigger(arming, f"{evaluator}:{arming}")
        for arming in ("c", "a0", "a1", "a2")
        for evaluator in ("first", "second")
    },
}


def decide_by_names(names: list[str]) -> RuleHistory:
    rule = given(create_price_above())
    for name in names:
        try:
            rule.decide(COMMANDS[name])
        except CommandRejected:
            continue
    return rule


@examples(st.lists(st.sampled_from(sorted(COMMANDS)), max_size=60))
def test_any_number_of_triggers_raise_one_alert_per_arming(names: list[str]) -> None:
    rule = decide_by_names(names)
    ids = [alert.alert_id for alert in rule.alerts]
    assert len(ids) == len(set(ids))
    armings = 1 + sum(type(one.event).__name__ == "RuleArmed" for one in rule.new_events)
    assert armings - 1 <= len(ids) <= armings


@examples(st.lists(st.sampled_from(sorted(COMMANDS)), max_size=60))
def test_the_state_is_the_fold_of_the_events(names: list[str]) -> None:
    rule = decide_by_names(names)
    state = RULE_DECIDER.initial_state
    for new_event in rule.new_events:
        if new_event.subject.domain == "rules":
            event = CODEC.decode(CODEC.encode(new_event.event), type(new_event.event))
            state = RULE_DECIDER.evolve(state, event)
    assert state == rule.state
