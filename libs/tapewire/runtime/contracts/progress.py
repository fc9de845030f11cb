"""How far a service has come, told by the process that does its work (the holder of its lease):
`svc.orders.progress`, and the same of positions, strategies and alerts; `svc.alerts.notifying` of
notifications.

For operators (what lags, and behind what), and for whoever moves time by steps and must know when
all that followed from one is done. A service has nothing left to do when it is not `busy`, has
taken the log to its end, and has dealt with the newest quotes.
"""

from datetime import datetime

import msgspec

from tapewire.runtime.contracts.request import RequestStruct

PROGRESS = "progress"
NOTIFICATION_PROGRESS = "notifying"


class GetProgress(RequestStruct, frozen=True, kw_only=True):
    """How far is it? Answered by `Progress`."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`busy` counts what is under way or waits to be done. `taken` is the sequence of the last
    event that was taken, by the filter of events that the service follows; one that is still
    catching up is missing. `quotes` is the timestamp of the newest quote that was dealt with, by
    symbol, and what it taught is kept where the next holder finds it."""

    busy: int
    taken: dict[str, int]
    quotes: dict[str, datetime]
