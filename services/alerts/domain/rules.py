"""An alert rule: its states, and what is decided. Start at `decide`; `RULES` is the decider.

A rule is Absent, Kept (armed, or triggered and not armed again) or Deleted. An arming is named by
the command that armed the rule, and there is one alert an arming: its id is made of the rule and
the arming. So whoever judges the same twice, or judges late, or beside another process, raises
nothing twice: what was triggered under an arming is triggered for good.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from services.alerts.domain.commands import Arm, Command, Create, Delete, Trigger, checked
from services.alerts.domain.figures import named
from tapewire.events import (
    AlertRaised,
    AlertRule,
    Event,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleEvent,
    RuleTriggered,
)
from tapewire.log import Decider, Happening, Refusal, Subject

SEEN_COMMANDS = 16
"""Command ids a rule remembers: far more than retry at the same time."""


class Absent(msgspec.Struct, frozen=True):
    """No event yet."""


class Kept(msgspec.Struct, frozen=True):
    """There. `arming` is the command that armed it last, `seen` are the ids of commands."""

    rule: AlertRule
    arming: str
    seen: tuple[str, ...]


class Deleted(msgspec.Struct, frozen=True):
    """No more, by command `by`."""

    rule: AlertRule
    by: str


State = Absent | Kept | Deleted


def rule_id(user: str, command_id: str) -> str:
    """The id of the rule that `user` makes by that command."""
    return named("rule", user, command_id)


def alert_id(rule: str, arming: str) -> str:
    """The id of the one alert of an arming."""
    return named("alert", rule, arming)


def decide(state: State, command: Command) -> Sequence[Happening]:
    """What `command` makes happen; nothing when it was decided before, or changes nothing.

    Raises:
        Refusal: invalid (with a path), not_found, conflict.
    """
    if isinstance(command, Create):
        return _create(state, checked(command))
    if isinstance(state, Deleted) and isinstance(command, Delete) and state.by == command.id:
        return []
    if not isinstance(state, Kept):
        raise Refusal("not_found", "there is no such rule")
    if command.id in state.seen:
        return []
    match command:
        case Arm():
            if state.rule.armed:
                return []
            rule = _after(state.rule, command.at, armed=True)
            return [_happening(command, RuleArmed(rule=rule, command_id=command.id))]
        case Delete():
            rule = _after(state.rule, command.at, armed=False)
            return [_happening(command, RuleDeleted(rule=rule, command_id=command.id))]
        case Trigger():
            return _trigger(state, command)
        case _:
            assert_never(command)


def _create(state: State, command: Create) -> Sequence[Happening]:
    if not isinstance(state, Absent):
        return []
    rule = AlertRule(
        rule_id=command.rule_id,
        kind=command.kind,
        level=command.level,
        symbol=command.symbol,
        price=command.price,
        percent=command.percent,
        window_seconds=command.window_seconds,
        armed=True,
        timestamp=command.at,
    )
    return [_happening(command, RuleCreated(rule=rule, command_id=command.id))]


def _trigger(state: Kept, command: Trigger) -> Sequence[Happening]:
    """A word about another arming is refused, which makes the caller look at the newest state:
    only that this very arming was triggered is sure whatever came after."""
    if state.arming != command.arming:
        raise Refusal("conflict", f"the rule was armed by {state.arming}, not {command.arming}")
    if not state.rule.armed:
        return []
    rule = _after(state.rule, command.at, armed=False)
    alert = AlertRaised(
        alert_id=alert_id(rule.rule_id, state.arming),
        level=rule.level,
        message=command.message,
        symbol=command.symbol,
        rule_id=rule.rule_id,
        timestamp=command.at,
    )
    triggered = RuleTriggered(rule=rule, command_id=command.id, alert_id=alert.alert_id)
    return [
        _happening(command, triggered),
        Happening(Subject(command.user, "alerts", alert.alert_id), alert),
    ]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the rule's own subject."""
    if not isinstance(event, RuleEvent):
        return state
    if isinstance(event, RuleDeleted):
        return Deleted(event.rule, event.command_id)
    before = state.seen if isinstance(state, Kept) else ()
    seen = (*before[1 - SEEN_COMMANDS :], event.command_id)
    if isinstance(event, RuleCreated | RuleArmed) or not isinstance(state, Kept):
        return Kept(event.rule, event.command_id, seen)
    return Kept(event.rule, state.arming, seen)


RULES: Decider[State, Command] = Decider(initial=Absent(), decide=decide, evolve=evolve)


def _happening(command: Command, event: RuleEvent) -> Happening:
    return Happening(Subject(command.user, "rules", event.rule.rule_id), event)


def _after(rule: AlertRule, at: datetime, *, armed: bool) -> AlertRule:
    """The rule changed; its time never goes back, whichever clocks the commands come from."""
    return msgspec.structs.replace(rule, armed=armed, timestamp=max(rule.timestamp, at))
