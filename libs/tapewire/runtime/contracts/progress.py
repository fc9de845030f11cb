"""Requests for the progress of a service, which the holder of its lease answers.

`svc.{service}.progress` exists for orders, positions, strategies and alerts, and
`svc.alerts.notifying` for notifications. Operators see what lags; a program that steps the time
knows when everything that follows from a step is done. A service has nothing left to do when it is
not `busy`, has handled the log to its end, and has handled the newest quotes.
"""

from datetime import datetime

import msgspec

from tapewire.runtime.contracts.request import RequestStruct

PROGRESS = "progress"
NOTIFICATION_PROGRESS = "notifying"


class GetProgress(RequestStruct, frozen=True, kw_only=True):
    """Get the progress of a service; answered by `Progress`."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`busy` counts work that is pending. `taken` is the sequence of the last event that was
    handled, by the filter of each subscription. `quotes` is the timestamp of the newest quote that
    was handled, by symbol; what the service derived from it is stored for the next holder of the
    lease."""

    busy: int
    taken: dict[str, int]
    quotes: dict[str, datetime]
