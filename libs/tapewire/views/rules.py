"""A user's alert rules that were not deleted, the oldest first."""

from typing import ClassVar, Self

from tapewire.events import CODEC, AlertRule, Event, RuleDeleted, RuleEvent


class RulesView:
    """The alert rules of one user."""

    domain: ClassVar[str] = "rules"

    def __init__(self) -> None:
        self._rules: dict[str, AlertRule] = {}

    def apply(self, event: Event) -> None:
        """Apply one event of the user's rules."""
        if isinstance(event, RuleDeleted):
            self._rules.pop(event.rule.rule_id, None)
        elif isinstance(event, RuleEvent):
            self._rules[event.rule.rule_id] = event.rule

    def rules(self) -> list[AlertRule]:
        """The rules, the oldest first."""
        return list(self._rules.values())

    def encode(self) -> bytes:
        return CODEC.encode(self.rules())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        view = cls()
        for rule in CODEC.decode(data, list[AlertRule]):
            view._rules[rule.rule_id] = rule
        return view
