"""Correlation ids: one follows a piece of work from a request to its last event.

A caller's id is believed when it is 1 to 64 of ``[A-Za-z0-9._-]``; anything else gets a new one.
"""

import re

from tapewire.log import new_id

CORRELATION_HEADER = "X-Correlation-ID"

_VALID_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def ensure_correlation_id(given: str | None) -> str:
    """`given` when it is valid, a new id otherwise."""
    if given is not None and _VALID_CORRELATION_ID.fullmatch(given):
        return given
    return new_id()
