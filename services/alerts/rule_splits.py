"""Gives the rules with a price of a symbol that was split the price of the new shares.

In one process, by following the splits in the domain of rules. A rule that has it already is left
alone, so a split that was handled in part is handled again. Start at `RuleSplitConsumer`.
"""

import asyncio
from collections.abc import Sequence

import structlog

from tapewire.events import (
    AlertRule,
    RuleDeleted,
    RuleEvent,
    SplitExecuted,
    Undecodable,
    UnknownType,
)
from tapewire.log import (
    EVERYBODY,
    CommandHandler,
    CommandRejected,
    EventLog,
    LogError,
    RecordedEvent,
    TooManyConflicts,
    pattern,
)
from tapewire.log.catch_up_subscription import EventConsumer
from tapewire.log.page_reader import read_pages
from tapewire.log.splits import split_of
from tapewire_services.alerts.domain.commands import Command, SplitRuleCommand
from tapewire_services.alerts.domain.rules import State

FILTER = pattern(owner=EVERYBODY, domain="rules")
SUBSCRIPTION = "rule-splits"
MAX_CONCURRENT_RULES = 64

logger = structlog.get_logger("alerts")


class RuleSplitConsumer(EventConsumer):
    """Consumes ``ev._all.rules.>``."""

    def __init__(self, command_handler: CommandHandler[State, Command], log: EventLog) -> None:
        self._command_handler = command_handler
        self._log = log
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_RULES)

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        for recorded in events:
            split = split_of(recorded)
            if split is not None:
                await self._split_rules(recorded.sequence, split)

    async def _split_rules(self, sequence: int, split: SplitExecuted) -> None:
        rules: dict[str, tuple[RecordedEvent, AlertRule]] = {}
        async for events in read_pages(self._log, pattern(domain="rules"), after=0, up_to=sequence):
            for recorded in events:
                rule = _rule_of(recorded, split)
                if rule is None:
                    rules.pop(recorded.subject, None)
                else:
                    rules[recorded.subject] = recorded, rule
        await asyncio.gather(*(self._split_rule(*one, split) for one in rules.values()))
        logger.info("rules.split", symbol=split.symbol, count=len(rules))

    async def _split_rule(
        self, recorded: RecordedEvent, rule: AlertRule, split: SplitExecuted
    ) -> None:
        subject = recorded.event_subject
        command = SplitRuleCommand(
            id=f"{rule.rule_id}:split:{split.number}",
            at=split.timestamp,
            user=subject.owner,
            ratio=split.ratio,
        )
        try:
            async with self._slots:
                await self._command_handler.handle(
                    subject, command, correlation=recorded.metadata.correlation
                )
        except CommandRejected as error:
            logger.debug("command.rejected", sequence=recorded.sequence, reason=error.message)
        except TooManyConflicts as error:
            raise LogError(str(error)) from error
        except (UnknownType, Undecodable) as error:
            logger.error("rule.unreadable", subject=str(subject), error=str(error))


def _rule_of(recorded: RecordedEvent, split: SplitExecuted) -> AlertRule | None:
    """The rule as of the event, if the split concerns it."""
    try:
        event = recorded.event
    except (UnknownType, Undecodable):
        return None
    if not isinstance(event, RuleEvent) or isinstance(event, RuleDeleted):
        return None
    rule = event.rule
    return rule if rule.symbol == split.symbol and rule.price is not None else None
