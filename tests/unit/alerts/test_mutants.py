"""Rules raise one alert an arming, whoever judges and in whatever order, and wrong results are
caught: each mutant is the aggregate with one mistake in it, held against a naive one.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from services.alerts.domain import rules
from services.alerts.domain.commands import Arm, Command, Create, Delete, Trigger
from services.alerts.domain.rules import RULES
from tapewire.events import AlertRaised, AlertRule, RuleEvent
from tapewire.log import Decider, Refusal
from tests.mutation import mutant
from tests.unit.alerts.spec import above, arm, delete, trigger

MUTANTS = {
    "triggered though not armed": ("if not state.rule.armed:\n        return []", ""),
    "a late word counts": ("if state.arming != command.arming:", "if False:"),
    "triggered and still armed": (
        "rule = _after(state.rule, command.at, armed=False)\n    alert",
        "rule = state.rule\n    alert",
    ),
    "one alert for all armings": (
        "alert_id=alert_id(rule.rule_id, state.arming)", 'alert_id=alert_id(rule.rule_id, "")'
    ),
    "armed again without being triggered": (
        "if state.rule.armed:\n                return []", "if False:\n                return []"
    ),
    "not armed by arming": (
        "rule = _after(state.rule, command.at, armed=True)",
        "rule = _after(state.rule, command.at, armed=False)",
    ),
    "an arming has the name of the first": (
        "return Kept(event.rule, event.command_id, seen)",
        'return Kept(event.rule, getattr(state, "arming", event.command_id), seen)',
    ),
    "a trigger counts as an arming": (
        "return Kept(event.rule, state.arming, seen)",
        "return Kept(event.rule, event.command_id, seen)",
    ),
    "commands forgotten": (
        "seen = (*before[1 - SEEN_COMMANDS :], event.command_id)", "seen = before"
    ),
    "a deleted rule lives on": (
        "if isinstance(event, RuleDeleted):\n        return Deleted",
        "if False:\n        return Deleted",
    ),
    "deleted twice": ("state.by == command.id", "False"),
    "created over what is there": ("if not isinstance(state, Absent):", "if False:"),
    "an alert of another level": ("level=rule.level,", "level=type(rule.level).ERROR,"),
    "time goes back": ("timestamp=max(rule.timestamp, at)", "timestamp=at"),
}  # fmt: skip

Outcome = tuple[str, ...]


class Naive:
    """A rule as a person would keep it on a card: armed or not, by what, and all that was said."""

    def __init__(self) -> None:
        self.there = self.deleted = self.armed = False
        self.arming = ""
        self.done: set[str] = set()

    def tell(self, command: Command) -> Outcome:
        """The kinds of events, or why it is refused."""
        if isinstance(command, Create):
            if self.there or self.deleted:
                return ()
            self.there, self.armed, self.arming = True, True, command.id
            return self._did(command, "RuleCreated")
        if self.deleted and isinstance(command, Delete) and command.id in self.done:
            return ()
        if not self.there:
            return ("not_found",)
        if command.id in self.done:
            return ()
        return self._change(command)

    def _change(self, command: Command) -> Outcome:
        if isinstance(command, Delete):
            self.there, self.deleted = False, True
            return self._did(command, "RuleDeleted")
        if isinstance(command, Arm):
            if self.armed:
                return ()
            self.armed, self.arming = True, command.id
            return self._did(command, "RuleArmed")
        assert isinstance(command, Trigger)
        if command.arming != self.arming:
            return ("conflict",)
        if not self.armed:
            return ()
        self.armed = False
        return self._did(command, "RuleTriggered", "AlertRaised")

    def _did(self, command: Command, *kinds: str) -> Outcome:
        self.done.add(command.id)
        return kinds


def broken(commands: Sequence[Command], decider: Decider[Any, Any] = RULES) -> list[str]:
    """What the rule does otherwise than the card says, each said once."""
    return sorted(set(_complaints(commands, decider)))


def _complaints(commands: Sequence[Command], decider: Decider[Any, Any]) -> Iterator[str]:
    state, naive, alerts, last = decider.initial, Naive(), list[AlertRaised](), None
    for command in commands:
        try:
            events = [one.event for one in decider.decide(state, command)]
            outcome = tuple(type(one).__name__ for one in events)
        except Refusal as refusal:
            events, outcome = [], (refusal.code,)
        expected = naive.tell(command)
        if outcome != expected:
            yield f"{type(command).__name__}: {outcome} instead of {expected}"
        for event in events:
            state = decider.evolve(state, event)
            if isinstance(event, AlertRaised):
                alerts.append(event)
            if isinstance(event, RuleEvent):
                yield from _kept(event.rule, last, naive)
                last = event.rule
    if len({one.alert_id for one in alerts}) != len(alerts):
        yield "two alerts have one name"
    if last is not None and any(one.level is not last.level for one in alerts):
        yield "an alert has another level than its rule"


def _kept(rule: AlertRule, last: AlertRule | None, naive: Naive) -> Iterator[str]:
    if last is not None and rule.timestamp < last.timestamp:
        yield "time went back"
    if rule.armed != (naive.armed and naive.there):
        yield "the rule says something else of its arming"


def histories() -> Iterator[list[Command]]:
    """Armings and words about them in any order, told twice, late and after the end."""
    chance = random.Random(5)
    any_of: list[Command] = [
        above(),
        *(arm(f"a{number}") for number in range(4)),
        *(
            trigger(arming, f"{judge}:{arming}")
            for arming in ("c", "a0", "a1", "a2", "a3")
            for judge in ("first", "second")
        ),
    ]
    for _ in range(120):
        history = [above(), *(chance.choice(any_of) for _ in range(15))]
        if chance.random() < 0.3:
            history.insert(chance.randrange(8, 16), delete())
            history += [delete(), chance.choice(any_of)]
        yield history


HISTORIES = list(histories())


def test_the_aggregate_does_what_the_card_says() -> None:
    assert [laws for history in HISTORIES if (laws := broken(history))] == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_result_is_caught(name: str) -> None:
    decider: Decider[Any, Any] = mutant(rules, *MUTANTS[name]).RULES
    assert any(broken(history, decider) for history in HISTORIES)
