"""Which rules are armed, by the log: the fold that whoever judges looks into.

Events trigger a rule when they stand after its arming in the log, so each armed rule knows where
that was. An arming carries the whole rule, so of a rule that waits for nothing no more is kept than
the symbol that it may look back on.
"""

import base64
import zlib
from collections import defaultdict
from typing import Any

import msgspec

from tapewire.events import (
    CODEC,
    AlertRule,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleEvent,
    RuleKind,
)
from tapewire.log import RecordedEvent

MAX_DECOMPRESSED_BYTES = 1 << 28
"""Bytes that a saved fold may have when it is no longer compressed."""


class ArmedRule(msgspec.Struct, frozen=True, rename="camel"):
    """A rule of `user`, armed by command `arming` at `sequence` of the log."""

    user: str
    rule: AlertRule
    arming: str
    sequence: int
    correlation: str


class _SavedState(msgspec.Struct, frozen=True, rename="camel"):
    as_of: int
    armed: list[ArmedRule]
    moves: dict[str, str]


class ArmedRulesProjection:
    """The fold. `as_of` is the sequence of the last event of any rule that it has seen."""

    def __init__(self) -> None:
        self.as_of = 0
        self._armed_by_id: dict[str, ArmedRule] = {}
        self._percent_move_symbols: dict[str, str] = {}
        """The symbol of each rule on moves, armed or not."""
        self._armed_by_user_and_kind: defaultdict[tuple[str, RuleKind], dict[str, ArmedRule]] = (
            defaultdict(dict)
        )

    def __len__(self) -> int:
        return len(self._armed_by_id)

    def apply(self, recorded: RecordedEvent) -> str | None:
        """Fold one event of any user's rules; the id of its rule.

        Raises:
            UnknownType, Undecodable: the event was counted, and not folded.
        """
        self.as_of = recorded.sequence
        event = recorded.event
        if not isinstance(event, RuleEvent):
            return None
        rule = event.rule
        self._remove(rule.rule_id)
        self._update_percent_move(event)
        if isinstance(event, RuleCreated | RuleArmed):
            user, correlation = recorded.event_subject.owner, recorded.metadata.correlation
            self._add(ArmedRule(user, rule, event.command_id, recorded.sequence, correlation))
        return rule.rule_id

    def get(self, rule_id: str) -> ArmedRule | None:
        """The rule, when it is armed."""
        return self._armed_by_id.get(rule_id)

    def get_all(self) -> list[ArmedRule]:
        """Every armed rule."""
        return list(self._armed_by_id.values())

    def percent_move_symbols(self) -> set[str]:
        """The symbols that rules on moves look at, or will when they are armed again."""
        return set(self._percent_move_symbols.values())

    def find_triggered(
        self, user: str, kind: RuleKind, symbol: str | None, sequence: int
    ) -> list[ArmedRule]:
        """The user's rules that an event of that kind, at that sequence, triggers."""
        return [
            armed
            for armed in self._armed_by_user_and_kind.get((user, kind), {}).values()
            if armed.sequence < sequence and armed.rule.symbol in (None, symbol)
        ]

    def serialize_state(self) -> bytes:
        """The fold as JSON: a text, compressed."""
        plain = CODEC.encode(_SavedState(self.as_of, self.get_all(), self._percent_move_symbols))
        return CODEC.encode(base64.b64encode(zlib.compress(plain, level=1)).decode())

    def restore_state(self, state: bytes) -> None:
        """Be as when `save` gave `state`. Raises ValueError when it is none."""
        text: Any = CODEC.decode(state, str)
        try:
            plain = zlib.decompressobj().decompress(base64.b64decode(text), MAX_DECOMPRESSED_BYTES)
        except zlib.error as error:
            raise ValueError(f"{len(state)} bytes are no rules: {error}") from error
        saved = CODEC.decode(plain, _SavedState)
        self.as_of = saved.as_of
        self._percent_move_symbols = saved.moves
        self._armed_by_id.clear()
        self._armed_by_user_and_kind.clear()
        for armed in saved.armed:
            self._add(armed)

    def _update_percent_move(self, event: RuleEvent) -> None:
        rule = event.rule
        if isinstance(event, RuleDeleted):
            self._percent_move_symbols.pop(rule.rule_id, None)
        elif rule.kind is RuleKind.PERCENT_MOVE and rule.symbol is not None:
            self._percent_move_symbols[rule.rule_id] = rule.symbol

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
