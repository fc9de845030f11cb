"""The armed rules of all users: a fold of the rules' events. Pure.

An event triggers a rule only if it comes after the rule's arming in the log, so each armed rule
holds the sequence of its arming. The arming event carries the whole rule. Of a rule that is not
armed, only the symbol of a percent-move rule is kept, because its past prices stay of interest.
"""

from collections import defaultdict
from datetime import datetime

import msgspec

from tapewire.events import (
    CODEC,
    AlertRule,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleEvent,
    RuleKind,
    RuleSplit,
    SplitExecuted,
    UserErased,
)
from tapewire.log import RecordedEvent


class ArmedRule(msgspec.Struct, frozen=True, rename="camel"):
    """A rule of `user` that command `arming` armed at `sequence` of the log."""

    user: str
    rule: AlertRule
    arming: str
    sequence: int
    correlation: str


class TriggerCandidate(msgspec.Struct, frozen=True):
    """An event that may trigger rules of `kind`; `symbol` is None when it concerns no symbol."""

    kind: RuleKind
    symbol: str | None
    message: str
    at: datetime


class _SavedState(msgspec.Struct, frozen=True, rename="camel"):
    as_of: int
    armed: list[ArmedRule]
    percent_move_symbols: dict[str, str] = msgspec.field(name="moves")
    owners: dict[str, str] = {}
    """The user of each percent-move rule, armed or not, by rule id."""
    unsplit: list[ArmedRule] = []


class ArmedRulesProjection:
    """The fold. `as_of` is the sequence of the last rule event it has applied."""

    def __init__(self) -> None:
        self.as_of = 0
        self._armed_by_id: dict[str, ArmedRule] = {}
        self._unsplit_by_id: dict[str, ArmedRule] = {}
        """Armed rules with a price of the shares before a split. They wait for a new price."""
        self._percent_move_symbols: dict[str, str] = {}
        """The symbol of each percent-move rule, armed or not, by rule id."""
        self._percent_move_owners: dict[str, str] = {}
        self._armed_by_user_and_kind: defaultdict[tuple[str, RuleKind], dict[str, ArmedRule]] = (
            defaultdict(dict)
        )

    def __len__(self) -> int:
        return len(self._armed_by_id)

    def apply(self, recorded: RecordedEvent) -> str | None:
        """Fold one event of any user's rules. Return the id of its rule.

        Raises:
            UnknownType, Undecodable: the event advances `as_of` and is otherwise ignored.
        """
        self.as_of = recorded.sequence
        event = recorded.event
        if isinstance(event, UserErased):
            self.forget_user(event)
        if isinstance(event, SplitExecuted):
            self.begin_split(event)
        if not isinstance(event, RuleEvent):
            return None
        rule = event.rule
        user, correlation = recorded.event_subject.owner, recorded.metadata.correlation
        before = self._armed_by_id.get(rule.rule_id)
        before = self._unsplit_by_id.pop(rule.rule_id, before)
        self._remove(rule.rule_id)
        self._update_percent_move(event, user)
        if isinstance(event, RuleSplit) and before is not None and rule.armed:
            self._add(msgspec.structs.replace(before, rule=rule))
        if isinstance(event, RuleCreated | RuleArmed):
            self._add(ArmedRule(user, rule, event.command_id, recorded.sequence, correlation))
        return rule.rule_id

    def begin_split(self, split: SplitExecuted) -> list[str]:
        """Set the armed rules with a price of the symbol aside until they have that of the new
        shares. Returns their ids."""
        found = [
            one
            for one in self._armed_by_id.values()
            if one.rule.symbol == split.symbol and one.rule.price is not None
        ]
        for one in found:
            self._remove(one.rule.rule_id)
            self._unsplit_by_id[one.rule.rule_id] = one
        return [one.rule.rule_id for one in found]

    def forget_user(self, erasure: UserErased) -> list[str]:
        """Remove the rules of the erased user. Returns the ids of those that were armed."""
        owners = {*self._percent_move_owners.values(), *(one.user for one in self.get_all())}
        owners |= {one.user for one in self._unsplit_by_id.values()}
        users = {user for user in owners if erasure.concerns(user)}
        for rule_id in [one for one, user in self._percent_move_owners.items() if user in users]:
            self._drop_percent_move(rule_id)
        for rule_id in [key for key, one in self._unsplit_by_id.items() if one.user in users]:
            del self._unsplit_by_id[rule_id]
        found = [rule_id for rule_id, one in self._armed_by_id.items() if one.user in users]
        for rule_id in found:
            self._remove(rule_id)
        return found

    def get(self, rule_id: str) -> ArmedRule | None:
        """The rule if it is armed, else None."""
        return self._armed_by_id.get(rule_id)

    def get_all(self) -> list[ArmedRule]:
        """Every armed rule."""
        return list(self._armed_by_id.values())

    def percent_move_symbols(self) -> set[str]:
        """The symbols of all percent-move rules, armed or not."""
        return set(self._percent_move_symbols.values())

    def find_triggered(
        self, user: str, kind: RuleKind, symbol: str | None, sequence: int
    ) -> list[ArmedRule]:
        """The user's rules that an event of `kind` about `symbol`, at `sequence`, triggers."""
        return [
            armed
            for armed in self._armed_by_user_and_kind.get((user, kind), {}).values()
            if armed.sequence < sequence and armed.rule.symbol in (None, symbol)
        ]

    def serialize_state(self) -> bytes:
        """The fold as JSON."""
        return CODEC.encode(
            _SavedState(
                self.as_of,
                self.get_all(),
                self._percent_move_symbols,
                self._percent_move_owners,
                [*self._unsplit_by_id.values()],
            )
        )

    def restore_state(self, state: bytes) -> None:
        """Restore what `serialize_state` returned. Raises ValueError for anything else."""
        saved = CODEC.decode(state, _SavedState)
        if saved.owners.keys() != saved.percent_move_symbols.keys():
            raise ValueError("a state of an earlier version, without the users of its rules")
        self.as_of = saved.as_of
        self._percent_move_symbols = saved.percent_move_symbols
        self._percent_move_owners = saved.owners
        self._unsplit_by_id = {one.rule.rule_id: one for one in saved.unsplit}
        self._armed_by_id.clear()
        self._armed_by_user_and_kind.clear()
        for armed in saved.armed:
            self._add(armed)

    def _update_percent_move(self, event: RuleEvent, user: str) -> None:
        rule = event.rule
        if isinstance(event, RuleDeleted):
            self._drop_percent_move(rule.rule_id)
        elif rule.kind is RuleKind.PERCENT_MOVE and rule.symbol is not None:
            self._percent_move_symbols[rule.rule_id] = rule.symbol
            self._percent_move_owners[rule.rule_id] = user

    def _drop_percent_move(self, rule_id: str) -> None:
        self._percent_move_symbols.pop(rule_id, None)
        self._percent_move_owners.pop(rule_id, None)

    def _add(self, armed: ArmedRule) -> None:
        self._armed_by_id[armed.rule.rule_id] = armed
        self._armed_by_user_and_kind[armed.user, armed.rule.kind][armed.rule.rule_id] = armed

    def _remove(self, rule_id: str) -> None:
        armed = self._armed_by_id.pop(rule_id, None)
        if armed is None:
            return
        waiting = self._armed_by_user_and_kind[armed.user, armed.rule.kind]
        del waiting[rule_id]
        if not waiting:
            del self._armed_by_user_and_kind[armed.user, armed.rule.kind]
