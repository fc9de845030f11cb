"""Alert rules, the alerts that they raise, and notifications.

Rules have the subjects ``ev.{user}.rules.{id}``, alerts ``ev.{user}.alerts.{id}`` and notifications
``ev.{user}.notifications.{id}``. `NotificationsRead` has the entity ``all``.
"""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import PER_SHARE, PERCENT, SECONDS, UTC_TIME, about


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
    """A condition on which to raise an alert.

    `price` (dollars a share) is for the price kinds, `percent` and `window_seconds` for a move. A
    `symbol` of None means any symbol. A triggered rule is not `armed` until it is armed again.
    """

    rule_id: Annotated[str, about("its id")]
    kind: Annotated[RuleKind, about("what it waits for")]
    level: Annotated[AlertLevel, about("how loud its alert is")]
    symbol: Annotated[str | None, about("the symbol it is about, null for any")]
    price: Annotated[Decimal | None, about("the threshold of the price kinds", PER_SHARE)]
    percent: Annotated[
        Decimal | None, about("how far the price must move, of a percent_move", PERCENT)
    ]
    window_seconds: Annotated[int | None, about("within which time, of a percent_move", SECONDS)]
    armed: Annotated[
        bool, about("whether it waits; triggered once, it does not until it is armed again")
    ]
    timestamp: Annotated[datetime, about("when it last changed", UTC_TIME)]


class RuleEvent(Event, frozen=True, kw_only=True):
    """The rule after the event, and the id of the command that caused it."""

    rule: Annotated[AlertRule, about("the rule as it is afterwards")]
    command_id: Annotated[str, about("the command that caused it")]


@event("rule.created", subject="ev.{user}.rules.{ruleId}")
class RuleCreated(RuleEvent, frozen=True, kw_only=True):
    """A user created the rule."""


@event("rule.triggered", subject="ev.{user}.rules.{ruleId}")
class RuleTriggered(RuleEvent, frozen=True, kw_only=True):
    """The rule's condition was met. Stored in one atomic batch with the alert."""

    alert_id: Annotated[str, about("the alert that it raised")]


@event("rule.armed", subject="ev.{user}.rules.{ruleId}")
class RuleArmed(RuleEvent, frozen=True, kw_only=True):
    """The rule may trigger again."""


@event("rule.split", subject="ev.{user}.rules.{ruleId}")
class RuleSplit(RuleEvent, frozen=True, kw_only=True):
    """The rule's symbol was split: its price is that of the new shares. It stays as armed as it
    was."""


@event("rule.deleted", subject="ev.{user}.rules.{ruleId}")
class RuleDeleted(RuleEvent, frozen=True, kw_only=True):
    """The rule was deleted."""


@event("alert.raised", subject="ev.{user}.alerts.{alertId}")
class AlertRaised(Event, frozen=True, kw_only=True):
    """An alert for the user. `rule_id` is None for an alert that needs no rule."""

    alert_id: Annotated[str, about("its id")]
    level: Annotated[AlertLevel, about("how loud it is")]
    message: Annotated[str, about("what its user should know")]
    symbol: Annotated[str | None, about("the symbol it is about, if one")]
    rule_id: Annotated[str | None, about("the rule that raised it, null for what needs none")]
    timestamp: Annotated[datetime, about("when it came to pass", UTC_TIME)]


class Notification(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An entry of a user's notification list. `type` is a word such as ``order_filled`` or
    ``alert``; `payload` has data for programs."""

    id: Annotated[str, about("its id")]
    type: Annotated[str, about("a word for programs, such as order_filled or alert")]
    title: Annotated[str, about("what it is about, in a few words")]
    message: Annotated[str, about("the text")]
    payload: Annotated[dict[str, Any], about("what a program may want beside the text")]
    is_read: Annotated[bool, about("whether its user has read it")]
    created_at: Annotated[datetime, about("when it was made", UTC_TIME)]


@event("notification.created", subject="ev.{user}.notifications.{id}")
class NotificationCreated(Event, frozen=True, kw_only=True):
    """A new, unread notification."""

    notification: Annotated[Notification, about("the new line, unread")]
    command_id: Annotated[str, about("the command or cause that it is made for")]


@event("notification.read", subject="ev.{user}.notifications.all")
class NotificationsRead(Event, frozen=True, kw_only=True):
    """The user has read `ids`, or all notifications so far if it is None."""

    ids: Annotated[
        tuple[str, ...] | None, about("those that were read, null for all that there were")
    ]
    timestamp: Annotated[datetime, about("when", UTC_TIME)]
    command_id: Annotated[str, about("the command that caused it")]
