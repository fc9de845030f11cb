"""The JSON codec of the log, of requests and of frames: camelCase, exact numbers, UTC times.

Money and quantities are `decimal.Decimal` in Python and JSON numbers outside, with the same digits.
They are never converted to binary floating point.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from tapewire.values import to_plain_value

T = TypeVar("T")


class Codec:
    """Encodes structs to JSON and decodes them. Decoders are cached by type."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=to_plain_value)
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    def encode(self, value: Any) -> bytes:
        """Encode to one line of UTF-8 JSON. Instances of subclasses of `str`, `datetime` and
        numbers, and scalars of array libraries, are encoded as what they hold.

        Raises:
            TypeError: a value has no JSON form.
        """
        return self._encoder.encode(value)

    def decode(self, data: bytes, into: type[T]) -> T:
        """Decode `data` as `into`.

        Raises:
            msgspec.ValidationError: the JSON does not fit; the message ends with the field's path.
            msgspec.DecodeError: the data is not JSON, or is nested too deeply.
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
        """Convert builtins, such as the result of an upcast, to `into`. Raises the errors of
        `decode`.

        The conversion encodes and decodes JSON, because msgspec does not convert an int to a
        Decimal.
        """
        return self.decode(self.encode(value), into)


CODEC = Codec()
