"""Correlation ids: one id for a request and everything that it causes.

A caller's id is accepted if it has 1 to 64 characters of ``[A-Za-z0-9._-]``, and replaced
otherwise.
"""

import re

from tapewire.log import new_id

CORRELATION_HEADER = "X-Correlation-ID"

_VALID_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def ensure_correlation_id(given: str | None) -> str:
    """`given` if it is valid, else a new id."""
    if given is not None and _VALID_CORRELATION_ID.fullmatch(given):
        return given
    return new_id()
