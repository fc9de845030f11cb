"""Positions in the log: event ids are `{epoch}-{sequence}`."""

import re

_EVENT_ID_PATTERN = re.compile(r"(.+)-([0-9]{1,30})")


def is_news(event_id: str, position: str) -> bool:
    """Whether the event `event_id` is new to a reader at `position`, the last id that it has or "".

    Ids of two epochs, or of another form, have no order: they are new unless they are equal.
    """
    if not position:
        return True
    later = _EVENT_ID_PATTERN.fullmatch(event_id)
    earlier = _EVENT_ID_PATTERN.fullmatch(position)
    if later is None or earlier is None or later[1] != earlier[1]:
        return event_id != position
    return int(later[2]) > int(earlier[2])
