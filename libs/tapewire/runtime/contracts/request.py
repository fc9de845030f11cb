"""The base of all requests, the type of user ids, and the declaration of a call.

A service rejects fields that it does not know, because ignoring one (a misspelled stop-loss, a
limit of a newer version) would carry out a different command. Fields with their default value are
not sent, so an older service rejects a newer caller only if the caller uses something new.
"""

from typing import Annotated, Generic, TypeVar

import msgspec

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

UserId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^_\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
]
"""1 to 128 characters, without control characters and without a leading underscore: `_all` owns the
events that every user may see."""


class RequestStruct(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A request, sent as JSON in camelCase."""


class PageRequest(RequestStruct, frozen=True, kw_only=True):
    """A request for a page of a list: `limit` rows (1 to 1,000), from `cursor` on, which is the
    `next` of an earlier reply; from the beginning without one. A page may be shorter if its rows
    are large. ``invalid`` with the path ``limit`` or ``cursor``."""

    limit: int = 1000
    cursor: str | None = None


class PageReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page as of sequence `as_of` of the log named `epoch`. `next` is the `cursor` of the page
    that follows, None after the last row. Rows that are added meanwhile change no later page."""

    as_of: int
    epoch: str
    next: str | None = None


class ServiceCall(msgspec.Struct, Generic[Q, R], frozen=True):
    """``svc.{service}.{verb}`` accepts a `request` and answers with a `reply`."""

    service: str
    verb: str
    request: type[Q]
    reply: type[R]

    @property
    def subject(self) -> str:
        return f"svc.{self.service}.{self.verb}"
