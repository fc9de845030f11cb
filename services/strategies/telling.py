"""Which of the decisions that were declined are worth an event. Pure.

Strategies decide at every price, and hold nearly always. Decisions that are taken are all told,
with the signal that they become. Of the others a strategy tells its first, one that differs in what
to do from the last told (a second later at the earliest), and otherwise one of a kind in a while.
"""

from datetime import datetime, timedelta

import msgspec

from tapewire.events import Action

HOLD_QUIET = timedelta(seconds=30)
"""Between two holds in a row."""
DECLINED_QUIET = timedelta(seconds=5)
"""Between two declined signals of the same action in a row."""
CHANGED_QUIET = timedelta(seconds=1)
"""Before a declined decision with another action."""


class Told(msgspec.Struct, frozen=True):
    """The last decision that was told, taken or not."""

    action: Action
    at: datetime


def worth_telling(told: Told | None, action: Action, at: datetime) -> bool:
    """Whether a decision that was declined becomes an event."""
    if told is None:
        return True
    if told.action is not action:
        return at - told.at >= CHANGED_QUIET
    return at - told.at >= (HOLD_QUIET if action is Action.HOLD else DECLINED_QUIET)
