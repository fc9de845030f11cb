"""Alert rules, the alerts they raise, and notifications.

Rules live at ``ev.{user}.rules.{id}``, alerts at ``ev.{user}.alerts.{id}``, notifications at
``ev.{user}.notifications.{id}``; what was read, some or all, is said at the entity ``all``.
"""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events.catalogue import Event, event


class AlertLevel(enum.Enum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class RuleKind(enum.Enum):
    PRICE_ABOVE = "price_above"
    PRICE_BELOW = "price_below"
    PERCENT_MOVE = "percent_move"
    ORDER_REJECTED = "order_rejected"
    STRATEGY_ERROR = "strategy_error"
    STOP_LOSS = "stop_loss"


class AlertRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When to raise an alert. `price` (dollars a share) is for the price kinds, `percent` and
    `window_seconds` for a move; `symbol` None is any. A rule that was triggered is not `armed`
    until it is armed again.
    """

    rule_id: str
    kind: RuleKind
    level: AlertLevel
    symbol: str | None
    price: Decimal | None
    percent: Decimal | None
    window_seconds: int | None
    armed: bool
    timestamp: datetime


class RuleEvent(Event, frozen=True, kw_only=True):
    """The rule after the event, and the command that caused it."""

    rule: AlertRule
    command_id: str


@event("rule.created")
class RuleCreated(RuleEvent, frozen=True, kw_only=True):
    """A user wants to be told."""


@event("rule.triggered")
class RuleTriggered(RuleEvent, frozen=True, kw_only=True):
    """It came to pass; one atomic batch with its alert."""

    alert_id: str


@event("rule.armed")
class RuleArmed(RuleEvent, frozen=True, kw_only=True):
    """It may be triggered again."""


@event("rule.deleted")
class RuleDeleted(RuleEvent, frozen=True, kw_only=True):
    """It is no more."""


@event("alert.raised")
class AlertRaised(Event, frozen=True, kw_only=True):
    """Something the user should know; `rule_id` None for what needs no rule."""

    alert_id: str
    level: AlertLevel
    message: str
    symbol: str | None
    rule_id: str | None
    timestamp: datetime


class Notification(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line in a user's list. `type` is a word such as ``order_filled`` or ``alert``; `payload`
    what a program may want beside the text."""

    id: str
    type: str
    title: str
    message: str
    payload: dict[str, Any]
    is_read: bool
    created_at: datetime


@event("notification.created")
class NotificationCreated(Event, frozen=True, kw_only=True):
    """A new line, unread."""

    notification: Notification
    command_id: str


@event("notification.read")
class NotificationsRead(Event, frozen=True, kw_only=True):
    """The user has read `ids`; None is all that there were."""

    ids: tuple[str, ...] | None
    timestamp: datetime
    command_id: str
