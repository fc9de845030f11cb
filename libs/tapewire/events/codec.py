"""JSON as it is stored and sent: camelCase, exact numbers, UTC times.

Money and quantities are `decimal.Decimal` inside and JSON numbers outside, digit for digit: no
binary floating point touches them on the way. One codec serves the log, requests and frames.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Codec:
    """Encodes structs to JSON bytes and back; decoders are built once a type."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    def encode(self, value: Any) -> bytes:
        """One line of UTF-8 JSON."""
        return self._encoder.encode(value)

    def decode(self, data: bytes, into: type[T]) -> T:
        """`data` as `into`.

        Raises:
            msgspec.ValidationError: the JSON does not fit; the message ends in the field's path.
            msgspec.DecodeError: it is no JSON, or nested too deeply.
        """
        decoder = self._decoders.get(into)
        if decoder is None:
            decoder = self._decoders[into] = msgspec.json.Decoder(into, float_hook=Decimal)
        try:
            decoded: T = decoder.decode(data)
        except RecursionError as error:
            raise msgspec.DecodeError("it is nested too deeply") from error
        return decoded

    def convert(self, value: Any, into: type[T]) -> T:
        """Builtins, as an upcast returns them, as `into`; raises like `decode`.

        By way of JSON: msgspec would not take an int for a Decimal.
        """
        return self.decode(self.encode(value), into)


CODEC = Codec()
