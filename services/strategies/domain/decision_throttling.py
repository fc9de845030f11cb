"""Which declined decisions are published as events. Pure.

Strategies decide at every price and nearly always hold. Every decision that is followed is
published together with its signal. Of the declined ones, a strategy publishes its first, then one
whose action differs from the last published (after one second at the earliest), and otherwise one
in an interval.
"""

from datetime import datetime, timedelta

import msgspec

from tapewire.events import Action

HOLD_PUBLISH_INTERVAL = timedelta(seconds=30)
"""Minimum interval between two published holds in a row."""
DECLINED_PUBLISH_INTERVAL = timedelta(seconds=5)
"""Minimum interval between two published declined signals with the same action."""
CHANGED_ACTION_PUBLISH_INTERVAL = timedelta(seconds=1)
"""Minimum interval before a declined decision with another action is published."""


class PublishedDecision(msgspec.Struct, frozen=True):
    """The last published decision, followed or declined."""

    action: Action
    at: datetime


def should_publish(
    last_published: PublishedDecision | None, action: Action, decided_at: datetime
) -> bool:
    """Whether a declined decision is published."""
    if last_published is None:
        return True
    if last_published.action is not action:
        return decided_at - last_published.at >= CHANGED_ACTION_PUBLISH_INTERVAL
    return decided_at - last_published.at >= (
        HOLD_PUBLISH_INTERVAL if action is Action.HOLD else DECLINED_PUBLISH_INTERVAL
    )
