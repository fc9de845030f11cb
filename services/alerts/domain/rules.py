"""An alert rule: its states, and how it decides on commands. Pure.

A rule is absent, existing (armed or not) or deleted. An arming is named by the command that armed
the rule. One alert is raised per arming, with an id made of the rule and the arming. A trigger that
comes twice, late or from another process therefore raises nothing twice. Start at `decide`;
`RULE_DECIDER` is the decider.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from tapewire.decimals import scale
from tapewire.events import (
    AlertRaised,
    AlertRule,
    Event,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleEvent,
    RuleSplit,
    RuleTriggered,
)
from tapewire.log import CommandRejected, Decider, EventSubject, NewEvent, derive_id
from tapewire.values import MAX_PLACES
from tapewire_services.alerts.domain.commands import (
    ArmRuleCommand,
    Command,
    CreateRuleCommand,
    DeleteRuleCommand,
    SplitRuleCommand,
    TriggerRuleCommand,
    validate_create_rule,
)

MAX_SEEN_COMMAND_IDS = 16
"""Command ids that a rule remembers, far more than are retried at the same time."""


class AbsentRuleState(msgspec.Struct, frozen=True):
    """There is no event yet."""


class ExistingRuleState(msgspec.Struct, frozen=True):
    """The rule exists; command `arming` armed it last."""

    rule: AlertRule
    arming: str
    seen_command_ids: tuple[str, ...]
    split_command_ids: tuple[str, ...] = ()


class DeletedRuleState(msgspec.Struct, frozen=True):
    """The rule is deleted."""

    rule: AlertRule
    deleted_by_command_id: str


State = AbsentRuleState | ExistingRuleState | DeletedRuleState


def derive_rule_id(user: str, command_id: str) -> str:
    """The id of the rule that `user` creates by `command_id`."""
    return derive_id("rule", user, command_id)


def derive_alert_id(rule_id: str, arming: str) -> str:
    """The id of the one alert of an arming."""
    return derive_id("alert", rule_id, arming)


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """The events of `command`; none when it was executed before or changes nothing.

    Raises:
        CommandRejected: ``invalid`` (with a path), ``not_found`` or ``conflict``.
    """
    if isinstance(command, CreateRuleCommand):
        return _decide_create(state, validate_create_rule(command))
    if (
        isinstance(state, DeletedRuleState)
        and isinstance(command, DeleteRuleCommand)
        and state.deleted_by_command_id == command.id
    ):
        return []
    if not isinstance(state, ExistingRuleState):
        raise CommandRejected("not_found", "there is no such rule")
    if command.id in state.seen_command_ids:
        return []
    match command:
        case ArmRuleCommand():
            if state.rule.armed:
                return []
            rule = _updated_rule(state.rule, command.at, armed=True)
            return [_to_new_event(command, RuleArmed(rule=rule, command_id=command.id))]
        case DeleteRuleCommand():
            rule = _updated_rule(state.rule, command.at, armed=False)
            return [_to_new_event(command, RuleDeleted(rule=rule, command_id=command.id))]
        case TriggerRuleCommand():
            return _decide_trigger(state, command)
        case SplitRuleCommand():
            return _decide_split(state, command)
        case _:
            assert_never(command)


def _decide_create(state: State, command: CreateRuleCommand) -> Sequence[NewEvent]:
    if not isinstance(state, AbsentRuleState):
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
    return [_to_new_event(command, RuleCreated(rule=rule, command_id=command.id))]


def _decide_trigger(state: ExistingRuleState, command: TriggerRuleCommand) -> Sequence[NewEvent]:
    """Reject a trigger of another arming. A repeated trigger of the same arming has no effect."""
    if state.arming != command.arming:
        raise CommandRejected(
            "conflict", f"the rule was armed by {state.arming}, not {command.arming}"
        )
    if not state.rule.armed:
        return []
    rule = _updated_rule(state.rule, command.at, armed=False)
    alert_id = derive_alert_id(rule.rule_id, state.arming)
    triggered = RuleTriggered(rule=rule, command_id=command.id, alert_id=alert_id)
    alert = alert_of_trigger(triggered, command.message, command.symbol, command.at)
    return [
        _to_new_event(command, triggered),
        NewEvent(EventSubject(command.user, "alerts", alert.alert_id), alert),
    ]


def _decide_split(state: ExistingRuleState, command: SplitRuleCommand) -> Sequence[NewEvent]:
    """The price of a new share, so the rule waits for the same value as before."""
    before, ratio = state.rule, command.ratio
    if before.price is None or command.id in state.split_command_ids:
        return []
    rule = msgspec.structs.replace(
        _updated_rule(before, command.at, armed=before.armed),
        price=scale(before.price, ratio.for_shares, ratio.shares, MAX_PLACES),
    )
    return [_to_new_event(command, RuleSplit(rule=rule, command_id=command.id))]


def alert_of_trigger(
    triggered: RuleTriggered, message: str, symbol: str | None, at: datetime
) -> AlertRaised:
    """The alert that is stored in one atomic batch with `triggered`."""
    return AlertRaised(
        alert_id=triggered.alert_id,
        level=triggered.rule.level,
        message=message,
        symbol=symbol,
        rule_id=triggered.rule.rule_id,
        timestamp=at,
    )


def evolve(state: State, event: Event) -> State:
    """Fold one event of the rule's subject."""
    if not isinstance(event, RuleEvent):
        return state
    if isinstance(event, RuleDeleted):
        return DeletedRuleState(event.rule, event.command_id)
    before = state.seen_command_ids if isinstance(state, ExistingRuleState) else ()
    seen = (*before[1 - MAX_SEEN_COMMAND_IDS :], event.command_id)
    splits = state.split_command_ids if isinstance(state, ExistingRuleState) else ()
    if isinstance(event, RuleSplit):
        splits = (*splits, event.command_id)
    if isinstance(event, RuleCreated | RuleArmed) or not isinstance(state, ExistingRuleState):
        return ExistingRuleState(event.rule, event.command_id, seen, splits)
    return ExistingRuleState(event.rule, state.arming, seen, splits)


RULE_DECIDER: Decider[State, Command] = Decider(
    initial_state=AbsentRuleState(), decide=decide, evolve=evolve
)


def _to_new_event(command: Command, event: RuleEvent) -> NewEvent:
    return NewEvent(EventSubject(command.user, "rules", event.rule.rule_id), event)


def _updated_rule(rule: AlertRule, at: datetime, *, armed: bool) -> AlertRule:
    """The rule with `armed` changed. Its time never goes back, even when the clocks of processes
    differ."""
    return msgspec.structs.replace(rule, armed=armed, timestamp=max(rule.timestamp, at))
