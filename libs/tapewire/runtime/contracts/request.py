"""What every request is: an `Asking`, about users whose ids are `UserId`s.

A field that the service does not know is refused, because what it cannot honor (a stop-loss that is
misspelled, a limit that only a newer version knows) must not be passed over. What is left at its
default is not sent, so a newer caller is refused by an older service only where it asks for
something new.
"""

from typing import Annotated

import msgspec

UserId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^_\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]
"""1 to 128 characters, no control characters, and no underscore first: `_all` is everybody, whose
events all users see."""


class RequestStruct(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A request, as it is sent: JSON in camelCase."""
