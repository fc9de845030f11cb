"""The catalogue: which stored type each event struct has, and how old versions become new ones.

A stored type is an explicit tag, ``order.placed.v1``, never an import path, so that code can move
while the log stays. Start reading at `event`, which names a struct; `Catalogue.decode` is the way
back. Clashes are refused when the module that causes them is imported.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tapewire.events.codec import CODEC


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened. Subclasses are named by `event` and never change meaning."""


E = TypeVar("E", bound=Event)
Upcast = Callable[[dict[str, Any]], dict[str, Any]]


class CatalogueClash(ValueError):
    """Two structs claim one tag, or one struct claims two."""


class UnknownType(LookupError):
    """A stored tag that this program does not know: its producer is newer, or foreign."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"unknown event type {tag!r}: import the package that defines it")
        self.tag = tag


class Undecodable(ValueError):
    """Stored bytes that do not fit their own tag."""

    def __init__(self, tag: str, why: str) -> None:
        super().__init__(f"cannot decode an event of type {tag!r}: {why}")
        self.tag = tag


class Catalogue:
    """Tags to structs and back, with upcasts from every version ever written."""

    def __init__(self) -> None:
        self._structs: dict[str, type[Event]] = {}
        self._tags: dict[type[Event], str] = {}
        self._upcasts: dict[str, tuple[str, Upcast]] = {}

    def add(self, name: str, version: int, struct: type[Event]) -> None:
        """Name `struct` as the current version of `name`.

        Raises:
            CatalogueClash: the tag or the struct is taken.
        """
        tag = f"{name}.v{version}"
        if tag in self._structs or tag in self._upcasts:
            raise CatalogueClash(f"{tag!r} is taken; {struct.__name__} needs a name of its own")
        if struct in self._tags:
            raise CatalogueClash(f"{struct.__name__} is already {self._tags[struct]!r}")
        self._structs[tag] = struct
        self._tags[struct] = tag

    def add_upcast(self, name: str, version: int, upcast: Upcast) -> None:
        """Let `upcast` turn the JSON object of `version` into that of ``version + 1``.

        Raises:
            CatalogueClash: the tag is a current one, or already has an upcast.
        """
        tag = f"{name}.v{version}"
        if tag in self._structs or tag in self._upcasts:
            raise CatalogueClash(f"{tag!r} is taken; it cannot be upcast as well")
        self._upcasts[tag] = (f"{name}.v{version + 1}", upcast)

    def tag(self, struct: type[Event]) -> str:
        """The tag that `struct` is stored under.

        Raises:
            UnknownType: the struct was never named by `event`.
        """
        try:
            return self._tags[struct]
        except KeyError:
            raise UnknownType(struct.__name__) from None

    def tags(self) -> list[str]:
        """Every tag that can be decoded, old versions included, sorted."""
        return sorted([*self._structs, *self._upcasts])

    def struct(self, tag: str) -> type[Event]:
        """The struct that events stored as `tag` become."""
        while tag in self._upcasts:
            tag = self._upcasts[tag][0]
        try:
            return self._structs[tag]
        except KeyError:
            raise UnknownType(tag) from None

    def decode(self, tag: str, data: bytes) -> Event:
        """The event stored as `tag` in `data`, upcast to its current version.

        Raises:
            UnknownType: no such tag here.
            Undecodable: the bytes do not fit the tag.
        """
        try:
            if tag in self._upcasts:
                return self._decode_old(tag, data)
            return CODEC.decode(data, self.struct(tag))
        except msgspec.DecodeError as error:
            raise Undecodable(tag, str(error)) from error

    def _decode_old(self, tag: str, data: bytes) -> Event:
        fields, stored = CODEC.decode(data, dict[str, Any]), tag
        while tag in self._upcasts:
            tag, upcast = self._upcasts[tag]
            try:
                fields = upcast(fields)
            except Exception as error:
                raise Undecodable(stored, f"its upcast failed: {error!r}") from error
        return CODEC.convert(fields, self.struct(tag))


CATALOGUE = Catalogue()


def event(
    name: str, *, version: int = 1, into: Catalogue = CATALOGUE
) -> Callable[[type[E]], type[E]]:
    """Store the decorated struct as ``{name}.v{version}``."""

    def register(struct: type[E]) -> type[E]:
        into.add(name, version, struct)
        return struct

    return register


def upcast(name: str, *, version: int, into: Catalogue = CATALOGUE) -> Callable[[Upcast], Upcast]:
    """Let the decorated function lift the JSON object of `version` by one version."""

    def register(function: Upcast) -> Upcast:
        into.add_upcast(name, version, function)
        return function

    return register
