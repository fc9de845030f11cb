"""Triggering rules, whoever found that they should be: one way into the log.

A judge may be late, restarted in the middle, or beside another one. The rule itself decides: a word
about an arming that was triggered, or is not the newest, changes nothing.
"""

import asyncio
from datetime import datetime

import msgspec
import structlog

from tapewire.log import (
    CommandHandler,
    CommandRejected,
    EventSubject,
    TooManyConflicts,
    Unavailable,
)
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.commands import Command, TriggerRuleCommand
from tapewire_services.alerts.domain.rules import State

MAX_CONCURRENT_TRIGGERS = 64
"""Rules triggered at the same time; their batches are committed together."""

logger = structlog.get_logger("alerts")


class TriggerCause(msgspec.Struct, frozen=True, kw_only=True):
    """Why: `id` names it, `at` is when it came to pass."""

    id: str
    at: datetime
    symbol: str | None
    message: str
    correlation: str
    traceparent: str | None = None


class RuleTrigger:
    """Triggers armed rules."""

    def __init__(self, command_handler: CommandHandler[State, Command]) -> None:
        self._command_handler = command_handler
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_TRIGGERS)

    async def trigger(self, armed: ArmedRule, cause: TriggerCause) -> None:
        """Once this returns the rule is triggered, or not armed so any more. Raises LogError."""
        rule = armed.rule
        command = TriggerRuleCommand(
            id=f"{cause.id}:{rule.rule_id}",
            at=cause.at,
            user=armed.user,
            arming=armed.arming,
            symbol=cause.symbol,
            message=cause.message,
        )
        try:
            async with self._slots:
                await self._command_handler.handle(
                    EventSubject(armed.user, "rules", rule.rule_id),
                    command,
                    correlation=cause.correlation,
                    traceparent=cause.traceparent,
                )
        except CommandRejected as refusal:
            logger.info("a rule is not armed so any more", rule=rule.rule_id, why=refusal.message)
        except TooManyConflicts as overload:
            raise Unavailable(str(overload)) from overload
