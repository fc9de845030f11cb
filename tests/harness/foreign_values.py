"""Numbers, texts and times as other libraries have them: subclasses, and scalars of arrays."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


class DecimalSubclass(Decimal):
    """As money libraries have them."""


class TextSubclass(str):
    """As the texts of array libraries."""

    __slots__ = ()


class FrozenTime(datetime):
    """As the times of data-frame and time-freezing libraries."""


class ArrayType(msgspec.Struct, frozen=True):
    """The type of a scalar of an array library: its kind, and its size in bytes."""

    kind: str
    itemsize: int


class ArrayScalar:
    """A scalar as array libraries have them, known by its protocol only."""

    def __init__(self, held: Any, kind: str, itemsize: int = 8) -> None:
        self.held = held
        self.dtype = ArrayType(kind, itemsize)

    def item(self) -> Any:
        if isinstance(self.held, list):
            raise ValueError("it has more than one element")
        return self.held
