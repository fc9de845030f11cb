"""`StreamEvent`: an event as a stream sends it."""

import builtins
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from tapewire.events import CODEC
from tapewire.payloads.types import find_type

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event of a stream.

    Attributes:
        type: Its name, such as ``order:update``.
        data: The decoded JSON, or the text itself when it is not JSON. Numbers are exact: those
            with a decimal point are `decimal.Decimal`.
        id: The id, None for a newest-wins value or a status message.
        text: The JSON as it was received.
    """

    type: str
    data: Any
    id: str | None
    text: str

    @classmethod
    def from_text(cls, event_type: str, text: str, event_id: str | None) -> "StreamEvent":
        """Decode `text`."""
        data: Any
        try:
            data = CODEC.decode(text.encode(), Any)
        except (msgspec.DecodeError, UnicodeEncodeError):
            data = text
        return cls(event_type, data, event_id, text)

    def with_data(self, data: Any) -> "StreamEvent":
        """Return the event with other data."""
        if data is self.data:
            return self
        return StreamEvent(self.type, data, self.id, CODEC.encode(data).decode())

    @property
    def payload(self) -> Any:
        """The data as a struct of `tapewire.payloads` or `tapewire.events`, such as `Order`; `data`
        itself when the event is of no known type.

        Raises:
            msgspec.ValidationError: The data does not fit its type; the message names the field.
        """
        found = find_type(self.type, self.data)
        return self.data if found is None else self.decode(found)

    def decode(self, into: builtins.type[T]) -> T:
        """Return the data as a struct, such as `tapewire.events.Order`.

        Fields that the struct does not have are ignored, because a newer edge may add some.

        Raises:
            msgspec.ValidationError: The data does not fit; the message names the field.
        """
        return CODEC.decode(self.text.encode(), into)
