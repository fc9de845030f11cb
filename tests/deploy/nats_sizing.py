"""What a message server needs for a journal of a given size, as docs/operations.md has it.

The figures are those of `python -m tests.bench --only journal`, rounded up.
"""

import re
from typing import NamedTuple

JOURNAL_BYTES_PER_ORDER = 4_300
SUBJECTS_PER_ORDER = 3
MEMORY_BYTES_PER_SUBJECT = 250
BASE_MEMORY_BYTES = 64 << 20
GOMEMLIMIT_SHARE = 0.8
"""The part of a container's memory that Go may use."""
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "K": 10**3, "M": 10**6, "G": 10**9}
_SIZE = re.compile(r"(\d+)([KMGkmg]i?)?B?")


class NatsSizing(NamedTuple):
    """Orders and subjects that fill a journal, and the memory for them, MARKET's included."""

    orders: int
    subjects: int
    memory_bytes: int


def size_for(journal_bytes: int, market_bytes: int) -> NatsSizing:
    orders = journal_bytes // JOURNAL_BYTES_PER_ORDER
    subjects = orders * SUBJECTS_PER_ORDER
    memory = BASE_MEMORY_BYTES + market_bytes + subjects * MEMORY_BYTES_PER_SUBJECT
    return NatsSizing(orders, subjects, memory)


def parse_size(text: str, *, binary: bool = False) -> int:
    """The bytes of ``3Gi``, ``2400MiB`` or ``256MB``; with `binary`, ``3g`` is ``3Gi``."""
    match = _SIZE.fullmatch(text)
    assert match is not None, text
    number, unit = match.groups()
    if unit is None:
        return int(number)
    unit = unit[0].upper() + unit[1:]
    return int(number) * _UNITS[f"{unit[0]}i" if binary else unit]
