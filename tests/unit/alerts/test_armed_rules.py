"""Which rules are armed, folded from the log."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import (
    CATALOGUE,
    CODEC,
    Event,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleKind,
    RuleTriggered,
    UnknownType,
)
from tapewire.log import EventMetadata, RecordedEvent
from tapewire_services.alerts.domain.armed_rules import ArmedRule, ArmedRulesProjection
from tests.harness.erasures import recorded_erasure
from tests.unit.alerts.spec import USER, make_armed_rule

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def make_recorded_event(sequence: int, event: Event, user: str = USER) -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        subject=f"ev.{user}.rules.x",
        tag=CATALOGUE.tag_of(type(event)),
        data=CODEC.encode(event),
        metadata=EventMetadata(id=f"e{sequence}", correlation=f"c{sequence}"),
        time=NOW,
    )


def make_rule_event(action: str, number: int, sequence: int) -> Event:
    kind = [RuleKind.ORDER_REJECTED, RuleKind.STOP_LOSS][number % 2]
    rule = make_armed_rule(f"r{number}", kind, symbol=[None, "IBM"][number // 2 % 2]).rule
    command = f"command {sequence}"
    match action:
        case "created":
            return RuleCreated(rule=rule, command_id=command)
        case "armed":
            return RuleArmed(rule=rule, command_id=command)
        case "deleted":
            return RuleDeleted(rule=rule, command_id=command)
    return RuleTriggered(rule=rule, command_id=command, alert_id="a")


HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["created", "armed", "triggered", "deleted"]),
        st.integers(0, 5),
        st.sampled_from(["alice", "bob"]),
    ),
    max_size=30,
)


def sort_key(one: ArmedRule) -> tuple[str, str, int]:
    return one.user, one.rule.rule_id, one.sequence


@examples(HISTORIES, st.integers(0, 30))
def test_it_contains_the_armed_rules_with_their_sequences(
    history: list[tuple[str, int, str]], restart: int
) -> None:
    rules = ArmedRulesProjection()
    wanted: dict[str, tuple[str, str, int]] = {}
    for sequence, (what, number, user) in enumerate(history, start=1):
        if sequence == restart:
            state, rules = rules.serialize_state(), ArmedRulesProjection()
            rules.restore_state(state)
        rules.apply(make_recorded_event(sequence, make_rule_event(what, number, sequence), user))
        wanted.pop(f"r{number}", None)
        if what in ("created", "armed"):
            wanted[f"r{number}"] = (user, f"r{number}", sequence)
    assert {sort_key(one) for one in rules.get_all()} == set(wanted.values())
    assert rules.as_of == len(history)
    assert len(rules) == len(wanted)
    waiting = [
        one
        for user in ("alice", "bob")
        for kind in (RuleKind.ORDER_REJECTED, RuleKind.STOP_LOSS)
        for one in rules.find_triggered(user, kind, "IBM", 99)
    ]
    assert sorted(map(sort_key, waiting)) == sorted(wanted.values())


def test_an_event_triggers_rules_that_were_armed_before_it() -> None:
    rules = ArmedRulesProjection()
    rules.apply(make_recorded_event(7, make_rule_event("created", 0, 7)))
    assert rules.find_triggered(USER, RuleKind.ORDER_REJECTED, "IBM", 7) == []
    assert len(rules.find_triggered(USER, RuleKind.ORDER_REJECTED, "IBM", 8)) == 1
    assert rules.find_triggered("bob", RuleKind.ORDER_REJECTED, "IBM", 8) == []
    assert rules.find_triggered(USER, RuleKind.STOP_LOSS, "IBM", 8) == []


def test_a_rule_on_a_symbol_is_not_triggered_by_another_symbol() -> None:
    rules = ArmedRulesProjection()
    rules.apply(make_recorded_event(1, make_rule_event("created", 2, 1)))
    assert len(rules.find_triggered(USER, RuleKind.ORDER_REJECTED, "IBM", 2)) == 1
    assert rules.find_triggered(USER, RuleKind.ORDER_REJECTED, "SPY", 2) == []


def test_an_unreadable_event_advances_the_sequence() -> None:
    rules = ArmedRulesProjection()
    unreadable = make_recorded_event(5, make_rule_event("created", 0, 5))
    unreadable.tag = "rule.postponed.v1"
    with pytest.raises(UnknownType):
        rules.apply(unreadable)
    assert rules.as_of == 5


@pytest.mark.parametrize("state", [b"null", b"7", b'"no base64 of ours"', b'"AAAA"', b"{"])
def test_an_invalid_state_is_rejected(state: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ArmedRulesProjection().restore_state(state)


def test_the_rules_of_an_erased_user_are_gone_also_those_that_are_not_armed() -> None:
    rules, rest = ArmedRulesProjection(), ArmedRulesProjection()
    for number, user in enumerate(["alice", "bob"]):
        made = make_armed_rule(f"m{number}", RuleKind.PERCENT_MOVE, symbol=f"S{number}").rule
        events: list[Event] = [
            RuleCreated(rule=made, command_id="a"),
            RuleTriggered(rule=made, command_id="b", alert_id="a"),
            make_rule_event("created", number, 5),
        ]
        for sequence, event in enumerate(events, 10 * number + 1):
            rules.apply(make_recorded_event(sequence, event, user))
            if user != "alice":
                rest.apply(make_recorded_event(sequence, event, user))
    assert rules.percent_move_symbols() == {"S0", "S1"}
    for projection in (rules, rest):
        projection.apply(recorded_erasure("alice", 100, "rules"))
    assert rules.percent_move_symbols() == {"S1"}
    assert rules.serialize_state() == rest.serialize_state()
    assert b"alice" not in rules.serialize_state()


def test_a_state_that_does_not_name_the_users_of_its_rules_is_rejected() -> None:
    with pytest.raises(ValueError, match="earlier version"):
        ArmedRulesProjection().restore_state(b'{"asOf":1,"armed":[],"moves":{"r":"IBM"}}')
