"""Triggering rules, whoever found that they should be: one way into the log.

A judge may be late, restarted in the middle, or beside another one. The rule itself decides: a word
about an arming that was triggered, or is not the newest, changes nothing.
"""

import asyncio
from datetime import datetime

import msgspec
import structlog

from services.alerts.domain.armed import Armed
from services.alerts.domain.commands import Command, Trigger
from services.alerts.domain.rules import State
from tapewire.log import Entities, Overloaded, Refusal, Subject, Unavailable

AT_ONCE = 64
"""Rules triggered at the same time; their batches are committed together."""

logger = structlog.get_logger("alerts")


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why: `id` names it, `at` is when it came to pass."""

    id: str
    at: datetime
    symbol: str | None
    message: str
    correlation: str
    traceparent: str | None = None


class Alarms:
    """Triggers armed rules."""

    def __init__(self, rules: Entities[State, Command]) -> None:
        self._rules = rules
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def trigger(self, armed: Armed, cause: Cause) -> None:
        """Once this returns the rule is triggered, or not armed so any more. Raises LogError."""
        rule = armed.rule
        command = Trigger(
            id=f"{cause.id}:{rule.rule_id}",
            at=cause.at,
            user=armed.user,
            arming=armed.arming,
            symbol=cause.symbol,
            message=cause.message,
        )
        try:
            async with self._slots:
                await self._rules.handle(
                    Subject(armed.user, "rules", rule.rule_id),
                    command,
                    correlation=cause.correlation,
                    traceparent=cause.traceparent,
                )
        except Refusal as refusal:
            logger.info("a rule is not armed so any more", rule=rule.rule_id, why=refusal.message)
        except Overloaded as overload:
            raise Unavailable(str(overload)) from overload
