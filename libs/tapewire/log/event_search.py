"""Whether a log has later events of an owner, asked in the way that costs the server least."""

from tapewire.log.ports import EventLog

MAX_SEARCH_DISTANCE = 20_000
"""Events that the server may search one after another, which it does block by block. Over a longer
distance it looks at every subject of the owner instead: tens of milliseconds if they are a million.
Reading a million events block by block takes seconds."""


async def has_events(log: EventLog, filter_: str, after: int, up_to_sequence: int) -> bool:
    """Whether events that match `filter_` may come after `after`, up to `up_to_sequence`.

    The leader answers, so False is certain. True means that there are some after `after`. Raises
    Unavailable.
    """
    if up_to_sequence - after > MAX_SEARCH_DISTANCE:
        return await log.last_sequence(filter_) > after
    return 0 < await log.next_sequence(filter_, after) <= up_to_sequence
