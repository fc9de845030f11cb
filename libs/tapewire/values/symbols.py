"""Checks the names of symbols from outside.

A symbol is exactly what it is called: `ibm` and `IBM` are two. In NATS subjects a symbol is one
encoded token (`tapewire.log.encode_token`), so it may have dots, slashes and spaces.
"""

import re
from collections.abc import Callable

from tapewire.values.errors import FaultReason, InvalidValue
from tapewire.values.scalars import to_plain_text

MAX_SYMBOL_CHARACTERS = 64

_SYMBOL_PATTERN = re.compile(r"[!-+\--~]([ -+\--~]*[!-+\--~])?")
SYMBOL_REQUIREMENT = (
    f"must be 1 to {MAX_SYMBOL_CHARACTERS} printable ASCII characters, no comma, no outer space"
)


def is_symbol(text: str) -> bool:
    """Whether `text` can be the name of a symbol: 1 to `MAX_SYMBOL_CHARACTERS` printable ASCII
    characters, without a comma, and without a space at either end.

    ``BRK.B``, ``EUR/USD``, ``^GSPC``, ``ES=F`` and ``kCOIN`` are symbols. Commas separate the
    symbols of a list.
    """
    return len(text) <= MAX_SYMBOL_CHARACTERS and _SYMBOL_PATTERN.fullmatch(text) is not None


def resolve_symbol(requested: str, is_known: Callable[[str], bool]) -> str:
    """Return the symbol that somebody means who asks for `requested`: the one of exactly this name,
    or else the one of this name in upper case; `requested` if neither is known."""
    upper = requested.upper()
    return upper if is_known(upper) and not is_known(requested) else requested


def validate_symbol(field: str, value: object) -> str:
    """Return a symbol as it is called. Raises InvalidValue unless `is_symbol`."""
    if isinstance(value, str) and is_symbol(symbol := to_plain_text(value)):
        return symbol
    raise InvalidValue(field, value, SYMBOL_REQUIREMENT, FaultReason.NOT_A_SYMBOL)
