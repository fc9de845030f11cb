"""Triggers rules, for prices and for events alike.

A trigger may come late, again after a restart, or from two processes. The rule itself decides: a
trigger for an arming that was already triggered, or is not the newest, changes nothing.
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
"""Rules triggered at the same time; their events are committed together."""

logger = structlog.get_logger("alerts")


class TriggerCause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a rule is triggered: `id` identifies the cause, `at` is its time."""

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
        """Trigger the rule, unless that arming is no longer in force. Raises LogError."""
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
        except CommandRejected as error:
            logger.info("command.rejected", rule_id=rule.rule_id, reason=error.message)
        except TooManyConflicts as error:
            raise Unavailable(str(error)) from error
