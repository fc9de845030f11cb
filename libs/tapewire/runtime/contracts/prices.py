"""Requests to the prices service that move a stepped recording (`svc.prices.step`), and the reply.
How the feed is, `svc.prices.status` says.

The service refuses with the code ``invalid``, and the path of the field at fault as these structs
spell it in JSON (``day``, ``afterMs``, ``uptoMs``).
"""

from datetime import date, datetime

import msgspec

from tapewire.runtime.contracts.request import RequestStruct

SERVICE = "prices"
STEP = "step"


class StepRecording(RequestStruct, frozen=True, kw_only=True):
    """Move the recording from `after_ms` to `upto_ms` (milliseconds since its midnight, 0 to
    86,400,000, which is UTC midnight of `day`); answered by `Stepped`.

    Published is one quote of every symbol that changed after the one and up to the other, and has
    both sides: what the market was at the end, as of the symbol's last tick, following the one that
    a step up to `after_ms` published. So the same step publishes the same bytes, by whichever
    process and however often.
    """

    day: date
    after_ms: int
    upto_ms: int


class StepReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Once this is told, the quotes are stored. `published` are their timestamps by symbol, and
    `ended` says that the recording has no tick after `upto_ms`."""

    upto_ms: int
    published: dict[str, datetime]
    ended: bool
