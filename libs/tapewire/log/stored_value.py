"""A newest-wins value with its place in the order of its stream."""

from datetime import datetime

import msgspec


class StoredValue(msgspec.Struct, frozen=True, gc=False):
    """`data` was stored at `sequence` of its stream. Of two values of a key, the one with the
    higher sequence is newer, whatever times they contain. A stream that was made anew begins a new
    order.

    `stored_at` is the message server's clock. It orders nothing, since that clock may be set back.
    """

    data: bytes
    sequence: int
    stored_at: datetime
