"""The catalogue of event types: which tag each struct is stored under, and how old versions are
read.

A stored event has an explicit tag such as ``order.placed.v1`` instead of an import path, so classes
can be renamed and moved. `event` declares a struct's tag, `Catalogue.decode` reads a stored event,
and upcasts convert old versions. Clashes raise an error when the module that causes them is
imported. Start at `event`.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from tapewire.events.codec import CODEC
from tapewire.events.event_types import (
    DEFAULT_STREAMS,
    BadDeclaration,
    Delivery,
    EventType,
    declare_event_type,
)


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of all events. `event` declares a subclass; its meaning never changes."""


E = TypeVar("E", bound=Event)
Upcast = Callable[[dict[str, Any]], dict[str, Any]]


class CatalogueClash(BadDeclaration):
    """Two structs claim one tag, one struct claims two, or two packages claim a domain or an SSE
    name."""


class UnknownType(LookupError):
    """The stored tag is unknown here: a newer or foreign program wrote the event."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"unknown event type {tag!r}: import the package that defines it")
        self.tag = tag


class Undecodable(ValueError):
    """The stored bytes do not fit their tag."""

    def __init__(self, tag: str, reason: str) -> None:
        super().__init__(f"cannot decode an event of type {tag!r}: {reason}")
        self.tag = tag


class Catalogue:
    """Maps tags to structs and back, with upcasts from all earlier versions."""

    def __init__(self) -> None:
        self._event_types: dict[str, EventType] = {}
        self._tags_by_struct: dict[type[Event], str] = {}
        self._upcasts: dict[str, tuple[str, Upcast]] = {}

    def add(self, event_type: EventType) -> None:
        """Make the struct of `event_type` the current version of its name.

        Raises:
            CatalogueClash: the tag, the struct, the domain or the SSE name is taken.
        """
        struct, tag = event_type.struct, event_type.tag
        if tag in self._event_types or tag in self._upcasts:
            raise CatalogueClash(f"{tag!r} is taken; {struct.__name__} needs a name of its own")
        if struct in self._tags_by_struct:
            raise CatalogueClash(f"{struct.__name__} is already {self._tags_by_struct[struct]!r}")
        for other in self._event_types.values():
            _check_package_ownership(event_type, other)
        self._event_types[tag] = event_type
        self._tags_by_struct[struct] = tag

    def add_upcast(self, name: str, version: int, upcast: Upcast) -> None:
        """Register `upcast`, which converts the JSON object of `version` to that of ``version +
        1``.

        Raises:
            CatalogueClash: the tag is a current one, or already has an upcast.
        """
        tag = f"{name}.v{version}"
        if tag in self._event_types or tag in self._upcasts:
            raise CatalogueClash(f"{tag!r} is taken; it cannot be upcast as well")
        self._upcasts[tag] = (f"{name}.v{version + 1}", upcast)

    def tag_of(self, struct: type[Event]) -> str:
        """The tag that `struct` is stored under.

        Raises:
            UnknownType: the struct was not declared with `event`.
        """
        try:
            return self._tags_by_struct[struct]
        except KeyError:
            raise UnknownType(struct.__name__) from None

    def tags(self) -> list[str]:
        """Every tag that can be decoded, those of old versions included, sorted."""
        return sorted([*self._event_types, *self._upcasts])

    def struct_for_tag(self, tag: str) -> type[Event]:
        """The struct that events stored as `tag` are decoded to. Raises UnknownType."""
        found: type[Event] = self.type_for_tag(tag).struct
        return found

    def type_for_tag(self, tag: str) -> EventType:
        """The declaration of the type that events stored as `tag` are decoded to. Raises
        UnknownType."""
        while tag in self._upcasts:
            tag = self._upcasts[tag][0]
        try:
            return self._event_types[tag]
        except KeyError:
            raise UnknownType(tag) from None

    def type_of(self, struct: type[Event]) -> EventType:
        """The declaration of `struct`. Raises UnknownType."""
        return self._event_types[self.tag_of(struct)]

    def event_types(self) -> list[EventType]:
        """The declarations of all current types, by tag."""
        return [self._event_types[tag] for tag in sorted(self._event_types)]

    def decode(self, tag: str, data: bytes) -> Event:
        """Decode an event stored as `tag`, upcast to its current version.

        Raises:
            UnknownType: the tag is unknown.
            Undecodable: the bytes do not fit the tag.
        """
        try:
            if tag in self._upcasts:
                return self._decode_with_upcasts(tag, data)
            return CODEC.decode(data, self.struct_for_tag(tag))
        except msgspec.DecodeError as error:
            raise Undecodable(tag, str(error)) from error

    def _decode_with_upcasts(self, tag: str, data: bytes) -> Event:
        fields, stored = CODEC.decode(data, dict[str, Any]), tag
        while tag in self._upcasts:
            tag, upcast = self._upcasts[tag]
            try:
                fields = upcast(fields)
            except Exception as error:
                raise Undecodable(stored, f"its upcast failed: {error!r}") from error
        return CODEC.convert(fields, self.struct_for_tag(tag))


CATALOGUE = Catalogue()


def _check_package_ownership(event_type: EventType, other: EventType) -> None:
    """Check that two packages do not share a domain or an SSE name."""
    if event_type.package == other.package:
        return
    if event_type.domain is not None and event_type.domain == other.domain:
        raise CatalogueClash(
            f"{event_type.tag}: the domain {event_type.domain!r} belongs to the package "
            f"{other.package!r}"
        )
    if (
        event_type.sse_binding is not None
        and other.sse_binding is not None
        and event_type.sse_binding.event_name == other.sse_binding.event_name
    ):
        raise CatalogueClash(
            f"{event_type.tag}: SSE name {event_type.sse_binding.event_name!r} belongs to "
            f"{other.tag} of {other.package!r}"
        )


def event(
    name: str,
    *,
    version: int = 1,
    domain: str | None = None,
    sse: str | None = None,
    delivery: Delivery = Delivery.LOSSLESS,
    streams: Sequence[str] = DEFAULT_STREAMS,
    subject: str | None = None,
    catalogue: Catalogue = CATALOGUE,
) -> Callable[[type[E]], type[E]]:
    """Declare the decorated struct as the event type ``{name}.v{version}``.

    In your own package: ``@tapewire.event("loan.made", domain="loans", sse="loan:made")``. `domain`
    is part of the subject of its events, ``ev.{owner}.loans.{entity}``. With `sse`, the owner's
    browsers receive the event under that name on `streams`, in camelCase and with an id.
    ``delivery=Delivery.NEWEST_WINS`` makes it a newest-wins value, which has no domain and no id.
    `at` is the subject of Tapewire's own types.

    Raises:
        BadDeclaration, CatalogueClash: when the declaring module is imported.
    """

    def register(struct: type[E]) -> type[E]:
        if not (isinstance(struct, type) and issubclass(struct, Event)):
            raise BadDeclaration(f"{name}: {struct!r} is no subclass of tapewire.Event")
        declared = declare_event_type(
            name,
            version,
            struct,
            subject=subject,
            domain=domain,
            sse=sse,
            delivery=delivery,
            streams=streams,
        )
        catalogue.add(declared)
        return struct

    return register


def upcast(
    name: str, *, version: int, catalogue: Catalogue = CATALOGUE
) -> Callable[[Upcast], Upcast]:
    """Register the decorated function as the upcast of `version` to the next version."""

    def register(function: Upcast) -> Upcast:
        catalogue.add_upcast(name, version, function)
        return function

    return register
