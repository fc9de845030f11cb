"""Rules with a price whose symbol is split: they wait for the same value as before."""

from decimal import Decimal

import pytest

from tapewire.events import AlertLevel, RuleKind, RuleSplit, SplitRatio
from tapewire.log import CommandRejected, EventMetadata, EventSubject, NewEvent, RecordedEvent
from tapewire.log.splits import make_split
from tapewire_services.alerts.domain.armed_rules import ArmedRulesProjection
from tapewire_services.alerts.domain.commands import (
    ArmRuleCommand,
    Command,
    CreateRuleCommand,
    DeleteRuleCommand,
    SplitRuleCommand,
    TriggerRuleCommand,
)
from tapewire_services.alerts.domain.rules import RULE_DECIDER, State
from tests.harness.order_builders import START

USER = "alice"
RATIO = SplitRatio(shares=10, for_shares=1)


def create(kind: RuleKind = RuleKind.PRICE_BELOW, price: str | None = "70") -> CreateRuleCommand:
    is_move = kind is RuleKind.PERCENT_MOVE
    return CreateRuleCommand(
        id="create",
        at=START,
        user=USER,
        rule_id="r1",
        kind=kind,
        level=AlertLevel.WARNING,
        symbol="IBM",
        price=None if price is None else Decimal(price),
        percent=Decimal(5) if is_move else None,
        window_seconds=60 if is_move else None,
    )


def split(number: int = 1) -> SplitRuleCommand:
    return SplitRuleCommand(id=f"r1:split:{number}", at=START, user=USER, ratio=RATIO)


class Rule:
    def __init__(self) -> None:
        self.state: State = RULE_DECIDER.initial_state
        self.projection = ArmedRulesProjection()
        self._sequence = 0

    def decide(self, command: Command) -> list[NewEvent]:
        new_events = list(RULE_DECIDER.decide(self.state, command))
        for one in new_events:
            if one.subject.domain == "rules":
                self.state = RULE_DECIDER.evolve(self.state, one.event)
                self.fold(one)
        return new_events

    def fold(self, one: NewEvent) -> None:
        self._sequence += 1
        recorded = RecordedEvent(
            sequence=self._sequence,
            subject=str(one.subject),
            tag="",
            data=b"",
            metadata=EventMetadata(id=f"e{self._sequence}", correlation="c"),
            time=START,
        )
        recorded._event = one.event  # as decoded
        self.projection.apply(recorded)

    def begin_split(self) -> None:
        made = make_split("S1", "IBM", RATIO, 1, ("e", 1), START)
        self.fold(NewEvent(EventSubject("_all", "rules", "IBM"), made))

    def armed_price(self) -> Decimal | None:
        armed = self.projection.get("r1")
        return None if armed is None else armed.rule.price


def test_an_armed_rule_waits_apart_until_it_has_the_new_price() -> None:
    rule = Rule()
    rule.decide(create())
    arming = rule.projection.get("r1")
    rule.begin_split()
    assert rule.armed_price() is None  # it cannot be triggered
    restored = ArmedRulesProjection()
    restored.restore_state(rule.projection.serialize_state())
    assert len(restored) == 0
    rule.projection = restored
    [event] = rule.decide(split())
    assert isinstance(event.event, RuleSplit)
    assert rule.armed_price() == 7
    after = rule.projection.get("r1")
    assert arming is not None
    assert after is not None
    assert (after.arming, after.sequence) == (arming.arming, arming.sequence)


def test_a_rule_is_split_once_whatever_happens_meanwhile() -> None:
    rule = Rule()
    rule.decide(create())
    rule.decide(split())
    for number in range(20):
        rule.decide(TriggerRuleCommand(id=f"t{number}", at=START, user=USER, arming=arming_of(rule),
                                       symbol="IBM", message="m"))  # fmt: skip
        rule.decide(ArmRuleCommand(id=f"a{number}", at=START, user=USER))
    assert rule.decide(split()) == []
    assert rule.armed_price() == 7


def arming_of(rule: Rule) -> str:
    armed = rule.projection.get("r1")
    assert armed is not None
    return armed.arming


def test_a_rule_that_is_not_armed_has_the_new_price_when_it_is_armed_again() -> None:
    rule = Rule()
    rule.decide(create(RuleKind.PRICE_ABOVE, "200"))
    rule.decide(TriggerRuleCommand(id="t", at=START, user=USER, arming="create", symbol="IBM",
                                   message="m"))  # fmt: skip
    rule.begin_split()
    rule.decide(split())
    assert rule.armed_price() is None
    rule.decide(ArmRuleCommand(id="a", at=START, user=USER))
    assert rule.armed_price() == 20


def test_moves_and_deleted_rules_are_left_alone() -> None:
    move = Rule()
    move.decide(create(RuleKind.PERCENT_MOVE, None))
    move.begin_split()
    assert move.decide(split()) == []
    assert move.projection.get("r1") is not None
    deleted = Rule()
    deleted.decide(create())
    deleted.begin_split()
    deleted.decide(DeleteRuleCommand(id="d", at=START, user=USER))
    assert deleted.armed_price() is None
    with pytest.raises(CommandRejected):
        deleted.decide(split())
