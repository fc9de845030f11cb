"""Which rules are armed, folded from the log."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.alerts.domain.armed import Armed, ArmedRules
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
from tapewire.log import Meta, Recorded
from tests.unit.alerts.spec import USER, armed

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def recorded(sequence: int, event: Event, user: str = USER) -> Recorded:
    return Recorded(
        sequence=sequence,
        subject=f"ev.{user}.rules.x",
        tag=CATALOGUE.tag(type(event)),
        data=CODEC.encode(event),
        meta=Meta(id=f"e{sequence}", correlation=f"c{sequence}"),
        time=NOW,
    )


def event(what: str, number: int, sequence: int) -> Event:
    kind = [RuleKind.ORDER_REJECTED, RuleKind.STOP_LOSS][number % 2]
    rule = armed(f"r{number}", kind, symbol=[None, "IBM"][number // 2 % 2]).rule
    command = f"command {sequence}"
    match what:
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


def key(one: Armed) -> tuple[str, str, int]:
    return one.user, one.rule.rule_id, one.sequence


@examples(HISTORIES, st.integers(0, 30))
def test_it_holds_what_is_armed_where_and_by_what(
    history: list[tuple[str, int, str]], restart: int
) -> None:
    rules = ArmedRules()
    wanted: dict[str, tuple[str, str, int]] = {}
    for sequence, (what, number, user) in enumerate(history, start=1):
        if sequence == restart:
            state, rules = rules.save(), ArmedRules()
            rules.restore(state)
        rules.apply(recorded(sequence, event(what, number, sequence), user))
        wanted.pop(f"r{number}", None)
        if what in ("created", "armed"):
            wanted[f"r{number}"] = (user, f"r{number}", sequence)
    assert {key(one) for one in rules.all()} == set(wanted.values())
    assert rules.as_of == len(history)
    assert len(rules) == len(wanted)
    waiting = [
        one
        for user in ("alice", "bob")
        for kind in (RuleKind.ORDER_REJECTED, RuleKind.STOP_LOSS)
        for one in rules.waiting(user, kind, "IBM", 99)
    ]
    assert sorted(map(key, waiting)) == sorted(wanted.values())


def test_an_event_triggers_what_was_armed_before_it() -> None:
    rules = ArmedRules()
    rules.apply(recorded(7, event("created", 0, 7)))
    assert rules.waiting(USER, RuleKind.ORDER_REJECTED, "IBM", 7) == []
    assert len(rules.waiting(USER, RuleKind.ORDER_REJECTED, "IBM", 8)) == 1
    assert rules.waiting("bob", RuleKind.ORDER_REJECTED, "IBM", 8) == []
    assert rules.waiting(USER, RuleKind.STOP_LOSS, "IBM", 8) == []


def test_a_rule_on_a_symbol_waits_for_no_other() -> None:
    rules = ArmedRules()
    rules.apply(recorded(1, event("created", 2, 1)))
    assert len(rules.waiting(USER, RuleKind.ORDER_REJECTED, "IBM", 2)) == 1
    assert rules.waiting(USER, RuleKind.ORDER_REJECTED, "SPY", 2) == []


def test_what_cannot_be_read_is_counted() -> None:
    rules = ArmedRules()
    strange = recorded(5, event("created", 0, 5))
    strange.tag = "rule.postponed.v1"
    with pytest.raises(UnknownType):
        rules.apply(strange)
    assert rules.as_of == 5


@pytest.mark.parametrize("state", [b"null", b"7", b'"no base64 of ours"', b'"AAAA"', b"{"])
def test_what_is_no_state_is_refused(state: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ArmedRules().restore(state)
