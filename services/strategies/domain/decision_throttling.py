"""Which of the decisions that were declined are worth an event. Pure.

Strategies decide at every price, and hold nearly always. Decisions that are taken are all told,
with the signal that they become. Of the others a strategy tells its first, one that differs in what
to do from the last told (a second later at the earliest), and otherwise one of a kind in a while.
"""

from datetime import datetime, timedelta

import msgspec

from tapewire.events import Action

HOLD_PUBLISH_INTERVAL = timedelta(seconds=30)
"""Between two holds in a row."""
DECLINED_PUBLISH_INTERVAL = timedelta(seconds=5)
"""Between two declined signals of the same action in a row."""
CHANGED_ACTION_PUBLISH_INTERVAL = timedelta(seconds=1)
"""Before a declined decision with another action."""


class PublishedDecision(msgspec.Struct, frozen=True):
    """The last decision that was told, taken or not."""

    action: Action
    at: datetime


def should_publish(
    last_published: PublishedDecision | None, action: Action, decided_at: datetime
) -> bool:
    """Whether a decision that was declined becomes an event."""
    if last_published is None:
        return True
    if last_published.action is not action:
        return decided_at - last_published.at >= CHANGED_ACTION_PUBLISH_INTERVAL
    return decided_at - last_published.at >= (
        HOLD_PUBLISH_INTERVAL if action is Action.HOLD else DECLINED_PUBLISH_INTERVAL
    )
